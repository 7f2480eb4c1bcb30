#!/usr/bin/env bash
# arrays, and an element that holds an option and its value: unquoted it falls into two words
set -euo pipefail
extra=()
args=(
  --network_module networks.lora
  --caption_extension .txt   # the usual
  # --network_dim 4
  "--training_comment=two words"
)
args+=(--network_args "conv_dim=8" "conv_alpha=4")
steps=1200
extra+=("--max_train_steps $steps")
extra+=("--seed 9")
python -m accelerate.commands.launch sdxl_train_network.py "${args[@]}" ${extra[@]}

#!/bin/bash
# what only a run would tell stays unknown, with its reason and line
stamp=$(date +%Y%m%d)
read -p "Name: " name
args=(--network_module=networks.lora --caption_extension=.txt)
if [ -f /data/vae.safetensors ]; then
  args+=(--vae=/data/vae.safetensors)
  dim=32
else
  dim=16
fi
[ -n "$name" ] || exit 1
accelerate launch sdxl_train_network.py "${args[@]}" --output_name="$name-$stamp" --network_dim=$dim --seed=4

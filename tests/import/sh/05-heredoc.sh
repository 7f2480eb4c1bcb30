#!/bin/bash
# the script writes its own config: it is read where it stands, and the command line wins
LR=3e-4
cat > "$PWD/config.toml" <<EOF
[network]
network_module = "networks.lora"
network_dim = 12
[training]
learning_rate = $LR
caption_extension = ".txt"
seed = 1
cache_latents = true
EOF
accelerate launch sdxl_train_network.py --config_file "$PWD/config.toml" --seed=2

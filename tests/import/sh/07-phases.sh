#!/bin/bash
DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
source "$DIR/venv/bin/activate"
common="--network_module=networks.lora --caption_extension=.txt"
cd sd-scripts
accelerate launch sdxl_train_network.py $common --output_dir="$DIR/out" --output_name=p1 --learning_rate=2e-4 &&
accelerate launch sdxl_train_network.py $common --output_dir="$DIR/out" --output_name=p2 --learning_rate=1e-4 --network_weights="$DIR/out/p1.safetensors"

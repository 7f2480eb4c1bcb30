#!/bin/bash
LR=${LR:-2e-4}
: "${DIM:=24}"
MODEL="${1:-/data/base.safetensors}"
VAE=""
SUFFIX=${SUFFIX-x}
NAME="ida_${SUFFIX}"
CUDA_VISIBLE_DEVICES=0 nohup accelerate launch sdxl_train_network.py \
  --network_module=networks.lora --caption_extension=.txt \
  --pretrained_model_name_or_path="$MODEL" ${VAE:+--vae="$VAE"} \
  --learning_rate="$LR" --network_dim="$DIM" --output_name="${NAME^^}" > train.log 2>&1 &

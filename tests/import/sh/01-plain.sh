#!/bin/bash
# settings on top, one chain
lr="1e-4"        # learning rate
dim=16
alpha=$((dim / 2))
name="greta-${dim}"

accelerate launch --num_cpu_threads_per_process=2 "./sdxl_train_network.py" \
  --pretrained_model_name_or_path="/data/sdxl.safetensors" \
  --train_data_dir="/data/greta" \
  --output_name=$name \
  --network_module=networks.lora --network_dim=$dim --network_alpha=$alpha \
  --learning_rate=$lr --caption_extension=.txt\
  --mixed_precision="bf16" --xformers

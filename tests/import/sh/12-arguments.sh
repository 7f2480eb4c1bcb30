#!/bin/bash
# options of its own: read as started without any
dim=20
steps=900
while [[ $# -gt 0 ]]; do
  case "$1" in
    --dim) dim="$2"; shift 2 ;;
    *) shift ;;
  esac
done
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --network_dim=$dim --max_train_steps=$steps

#!/bin/bash
card="8gb"
case "$card" in
  6gb|8gb) batch=1; extra="--gradient_checkpointing" ;;
  2?gb)    batch=4; extra="" ;;
  *)       batch=2; extra="" ;;
esac
run() {
  local name="$1" dim=$2
  accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt \
    --train_batch_size=$batch $extra --output_name="$name" --network_dim=$dim
}
for dim in 8 16; do
  run "juno-$dim" "$dim"
done
for ((i = 1; i <= 1; i++)); do run last $((i * 4)); done

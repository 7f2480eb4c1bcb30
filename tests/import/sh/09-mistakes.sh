#!/bin/bash
# carets of Windows by mistake end the command; comment lines in a chain too, but there it was meant to go on
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt \
  --network_dim=8 \
  # --network_alpha=4 \
  --seed=6 \

  --max_train_epochs=3 ^

#!/bin/sh
# quotes and backslashes of the shell (POSIX 2.2)
a='single $HOME'
b="double \$5 \"q\" \x"
c=bare\ word
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=".txt" \
  --training_comment="$a|$b|$c" --output_name=x"y"'z' --sample_prompts=/p/$'tab\tbed'.txt --wandb_run_name="${a#single } ${c%word}end ${b:0:6}" \
  --max_train_steps=`echo 300`

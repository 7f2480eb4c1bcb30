#!/bin/bash
# [[ $x ]] asks for a text: 0 is one (Bash manual, Conditional Expressions: "string: true if its length is non-zero")
lowram=0
none=
ext=""
if [[ $lowram ]]; then ext="$ext --lowram"; fi
[[ $none ]] && ext="$ext --xformers"
if [ $lowram -eq 1 ]; then ext="$ext --no_half_vae"; else ext="$ext --cache_latents"; fi
if [[ ! $none && "v$lowram" == v* ]]; then ext="$ext --gradient_checkpointing"; fi
(( lowram )) || ext="$ext --fp8_base"
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --mixed_precision=bf16 $ext

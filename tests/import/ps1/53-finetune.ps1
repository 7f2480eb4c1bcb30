accelerate launch .\sd-scripts\sdxl_train.py --full_bf16

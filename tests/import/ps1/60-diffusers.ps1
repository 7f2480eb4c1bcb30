accelerate launch train_dreambooth_lora_sdxl.py --rank 4

accelerate launch --mixed_precision bf16 sd3_train_network.py --x 1

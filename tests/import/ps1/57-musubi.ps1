accelerate launch src/musubi_tuner/wan_train_network.py --task t2v

accelerate launch train_network.py --network_dim=8

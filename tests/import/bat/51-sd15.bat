@echo off
accelerate launch train_network.py --network_module=networks.lora

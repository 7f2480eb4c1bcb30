accelerate launch flux_train_network.py --network_module=networks.lora_flux

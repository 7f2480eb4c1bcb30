$s = 'flux_' + 'train_network.py'
accelerate launch $s --network_module=networks.lora_flux

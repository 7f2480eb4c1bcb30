$net = "networks.lora"
accelerate launch --mixed_precision="fp8" --num_processes=1 --num_machines=1 --dynamo_backend=no sdxl_train_network.py `
 --network_module=$net --caption_extension=.txt --persistent_data_loader_workers --max_data_loader_n_workers 2

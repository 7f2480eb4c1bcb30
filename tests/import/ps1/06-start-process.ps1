$name = "my lora"
$dir = "D:\train set"
$argsList = "-m accelerate.commands.launch", "sdxl_train_network.py", "--network_module=networks.lora", "--network_dim=16"
$p = Start-Process -FilePath "python" -ArgumentList "-m","accelerate.commands.launch","D:\sd\sdxl_train_network.py","--output_name=`"$name`"","--train_data_dir=`"$dir`"","--network_module=networks.lora","--caption_extension=.txt","--network_dim=16" -NoNewWindow -PassThru -Wait
Start-Process python ($argsList + "--caption_extension=.txt") -Wait

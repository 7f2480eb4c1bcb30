$name = "水彩の絵" # 出力名
$steps = 800 # ステップ数
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --output_name=$name --max_train_steps=$steps

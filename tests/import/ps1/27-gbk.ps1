$name = "水墨风格" # 输出名称，模型保存名称
$lr = "8e-5" # 学习率
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --output_name=$name --learning_rate=$lr

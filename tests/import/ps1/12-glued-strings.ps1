$dir = "C:\train data"
$folder = "10_miku"
$w = 1024; $h = 768
accelerate launch sdxl_train_network.py --network_module=networks.lora --train_data_dir="$dir"\"$folder" --caption_extension=".txt" `
  --resolution=$w,$h --sample_prompts='C:\it''s\prompts.txt' --training_comment="a ""b"" `$5 `"c`"" --output_name=x.$folder

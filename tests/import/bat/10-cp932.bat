@echo off
rem 学習の設定です。フォルダの名前に注意してください
set 出力=ひまわり
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --output_name=%出力%

@echo off
rem 训练脚本，请先修改底模路径和学习率，然后再运行
set 名称=向日葵
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --output_name=%名称%

@echo off
chcp 65001 >nul
rem 訓練スクリプト: the precision comes through the environment
set ACCELERATE_MIXED_PRECISION=bf16
set CUDA_VISIBLE_DEVICES=1
set HF_TOKEN=hf_abcdefghijklmnopqrst
set 名前=桜
cd /d "%~dp0"
start "training" /wait accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --output_name=%名前% --train_data_dir="%~dp0images"

@echo off
rem a folder is dropped on the file; the name is asked for
set DATA=%~1
set /p NAME=Name of the LoRA: 
set DIM=16
for /l %%n in (1,1,3) do set LAST=%%n
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --train_data_dir="%DATA%" --output_name="%NAME%" --network_dim=%DIM% --seed=%LAST%%LAST%

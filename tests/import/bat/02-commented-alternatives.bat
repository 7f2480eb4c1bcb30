@ECHO OFF
REM accelerate launch sdxl_train_network.py ^
REM  --network_module=networks.lora --seed=1 ^
REM  --network_dim=4
:: accelerate launch sdxl_train_network.py --seed=2 ^
::  --network_dim=8
@REM the live one is the last
call venv\Scripts\activate.bat
accelerate launch sdxl_train_network.py ^
 --network_module=networks.lora --seed=3 --caption_extension=.txt

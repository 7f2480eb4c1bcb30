@echo off
:menu
echo 1 small, 2 large
set /p CHOICE=Which: 
if "%CHOICE%"=="1" goto small
if "%CHOICE%"=="2" goto large
goto menu
:small
set DIM=8
goto run
:large
set DIM=64
:run
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --network_dim=%DIM%
pause
goto menu

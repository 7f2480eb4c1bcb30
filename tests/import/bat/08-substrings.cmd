@echo off
setlocal
set BASE=anna-2024-v2
set SHORT=%BASE:~0,4%
set TAIL=%BASE:~-2%
set DASH=%BASE:-=_%
set "ROOT=C:\train"
set "OUT=%ROOT%\out & more"
pushd %ROOT%
accelerate launch .\sd-scripts\sdxl_train_network.py ^
  --network_module networks.lora --caption_extension .txt --output_name %SHORT%_%TAIL% --training_comment "%DASH%, 100%% done" ^
  --sample_prompts "%ROOT%\p.txt" --network_args "conv_dim=4" "conv_alpha=1" ^
  > log.txt 2>&1 && echo fine
popd
endlocal

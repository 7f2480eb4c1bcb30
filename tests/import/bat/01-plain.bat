@echo off
rem a plain script: settings on top, one chain of carets
set LR=2e-4
set "NAME=lena v1"
set STEPS=1600
set RES=1024,1024

accelerate launch --num_cpu_threads_per_process 8 sdxl_train_network.py ^
  --pretrained_model_name_or_path="D:\models\sdxl base.safetensors" ^
  --train_data_dir="D:\train\lena" ^
  --output_name="%NAME%" ^
  --network_module=networks.lora --network_dim=32 --network_alpha=16 ^
  --learning_rate=%LR% --max_train_steps=%STEPS%^
  --resolution=%RES% --caption_extension .txt ^
  --mixed_precision bf16 --cache_latents
pause

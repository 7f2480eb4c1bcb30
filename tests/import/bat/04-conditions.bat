@echo off
set GPU=3060TI
set OPT=
set CACHE=1
if /i "%GPU%"=="3060ti" set BATCH=1
if not defined OPT set OPT=AdamW8bit
if %CACHE% EQU 1 (set EXTRA=--cache_latents) else (set EXTRA=--xformers)
if %CACHE% GTR 1 (
  set EXTRA=%EXTRA% --lowram
) else if "%OPT%"=="AdamW8bit" (
  set EXTRA=%EXTRA% --gradient_checkpointing
) else (
  set EXTRA=
)
if exist "D:\vae.safetensors" (
  set VAE=--vae=D:\vae.safetensors
) else (
  echo no vae
)
python -m accelerate.commands.launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --train_batch_size=%BATCH% --optimizer_type=%OPT% %EXTRA% %VAE%

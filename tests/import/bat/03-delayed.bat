@echo off
setlocal EnableDelayedExpansion
rem a block is expanded when it is read: %N% is what it was before, !N! what it is
set N=4
set ARGS=--seed=7
if "%N%"=="4" (
  set N=8
  set OLD=%N%
  set NEW=!N!
)
for %%a in (xformers cache_latents) do set ARGS=!ARGS! --%%a
set /a ALPHA=NEW/2, STEPS=100*(NEW+2)
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --network_dim=%NEW% --network_alpha=!ALPHA! --max_train_steps=%STEPS% --min_snr_gamma=%OLD% !ARGS!
endlocal

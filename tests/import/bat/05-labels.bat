@echo off
set STEPS=500
call :train lotte 8
call :train "lotte big" 32
goto :done

:train
set NAME=%~1
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --output_name="%NAME%" --network_dim=%2 --max_train_steps=%STEPS% || goto :failed
exit /b 0

:failed
echo it failed
pause
exit /b 1

:done
echo done

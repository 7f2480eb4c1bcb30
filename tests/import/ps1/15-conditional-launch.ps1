if (Test-Path .\venv\Scripts\accelerate.exe) {
    .\venv\Scripts\accelerate.exe launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --seed 3
} else {
    Write-Host "install first"
}

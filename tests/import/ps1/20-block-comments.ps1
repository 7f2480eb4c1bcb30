<#
accelerate launch sdxl_train_network.py --seed=1
#>
#requires -Version 5
$ErrorActionPreference = "Stop"
[Console]::OutputEncoding = [System.Text.Encoding]::UTF8
Set-StrictMode -Version Latest
. .\venv\Scripts\Activate.ps1
git pull; pip install -r requirements.txt
$seed = 8 <# inside #> + 1
Push-Location $PSScriptRoot
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --seed=$seed 2>&1 | Tee-Object -FilePath train.log
if ($LASTEXITCODE -ne 0) { Write-Error "failed"; exit $LASTEXITCODE }
Pop-Location
Read-Host "Press Enter"

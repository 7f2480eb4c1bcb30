$args1 = @("--network_module=networks.lora", "--caption_extension=.txt")
$dim = 8
if (Test-Path ".\big.flag") { $dim = 64; $args1 += "--lowram" } else { $dim = 8 }
if (!(Test-Path ".\model.safetensors")) { Write-Host "no model"; exit 1 }
$count = (Get-ChildItem ".\train" -Recurse | Measure-Object).Count
accelerate launch sdxl_train_network.py @args1 --network_dim=$dim --max_train_steps=$($count * 10) --seed=5

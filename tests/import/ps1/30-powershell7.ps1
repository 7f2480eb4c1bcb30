$fast = $false
$dim = $fast ? 8 : 24
$te = $null ?? "none"
$x ??= "cosine"
git --version && accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --network_dim=$dim --lr_scheduler $x --training_comment "${te}:$($dim)" || Write-Host "bad"

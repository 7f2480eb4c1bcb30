$dim = 12
$opts = @"
--network_module=networks.lora
--network_dim=$dim
--caption_extension=.txt
"@
$verbatim = @'
$not a variable
'@
$line = $opts -replace "`r?`n", " "
$parts = $opts -split "\n" | Where-Object { $_ -ne "" }
$cmd = "accelerate launch sdxl_train_network.py --training_comment='costs $dim' " + ($parts -join ' ')
Invoke-Expression $cmd

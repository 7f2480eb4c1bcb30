# Flags that change other variables: the order decides.
$shuffle_caption = 1
$cache_text_encoder = 1
$no_half_vae = 1
$mixed_precision = "fp16"
$fp8_base = 1
if ($cache_text_encoder -eq 1) { $shuffle_caption = 0 }
if ($no_half_vae -ne 0) { $mixed_precision = ""; $fp8_base = 0 }
$a = New-Object System.Collections.ArrayList
if ($shuffle_caption) { $a.Add("--shuffle_caption") > $null }
if ($fp8_base) { $null = $a.Add("--fp8_base") }
if ($mixed_precision) { $null = $a.Add("--mixed_precision=$mixed_precision") }
if ($no_half_vae) { $null = $a.Add("--no_half_vae") }
if ($cache_text_encoder) { $null = $a.AddRange(@("--cache_text_encoder_outputs", "--network_train_unet_only")) }
& accelerate launch sdxl_train_network.py --network_module networks.lora --caption_extension=.txt @a

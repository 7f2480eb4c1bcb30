# "0" is true, 0 is false, names and comparisons do not look at case.
$One = "0"; $two = 0; $three = ""; $four = "False"; $five = $null; $six = @(); $seven = @(0); $eight = 0.0
$x = @()
IF ($ONE) { $X += "--flip_aug" }
if ($two) { $x += "--color_aug" }
if ($three) { $x += "--random_crop" }
if ($four) { $x += "--cache_latents" }
if ($five) { $x += "--lowram" }
if ($six) { $x += "--xformers" }
if ($seven) { $x += "--sdpa" }
if ($eight) { $x += "--mem_eff_attn" }
if (-not $two -and "ABC" -eq "abc") { $x += "--no_half_vae" }
if ("ABC" -ceq "abc") { $x += "--full_fp16" }
if ("10" -eq 10 -and 10 -eq "10.0") { $x += "--gradient_checkpointing" }
if ("Lycoris" -ilike "lyco*" -and "a,b" -match "," -and 3 -in 1,2,3) { $x += "--enable_bucket" }
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt $x

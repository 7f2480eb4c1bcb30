$network_module = "networks.lora"
$conv_dim = 4; $conv_alpha = 1
$enable_min_snr = 1
$optimizer_type = "AdamW8bit"
$shuffle = $false
$ext_args = [System.Collections.ArrayList]::new()
if ($enable_min_snr) { $ext_args.Add("--min_snr_gamma=5") | Out-Null }
if ($shuffle) { [void]$ext_args.Add("--shuffle_caption") }
[void]$ext_args.Add("--optimizer_type=" + $optimizer_type)
[void]$ext_args.Add("--network_args")
[void]$ext_args.Add("conv_dim=$conv_dim")
[void]$ext_args.Add("conv_alpha=$conv_alpha")
$ext_args += "--seed=7"
$ext_args += @("--fp8_base", "--mixed_precision=bf16")
python -m accelerate.commands.launch --num_cpu_threads_per_process 4 ./sdxl_train_network.py `
  --network_module=$network_module `
  --network_dim 8 `
  --caption_extension .txt `
  $ext_args

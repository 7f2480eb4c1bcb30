$model = if ($env:SDXL_MODEL) { $env:SDXL_MODEL } else { "E:\models\base.safetensors" }
$cache = $env:HF_HOME ?? "E:\hf"
$env:HF_HOME = $cache
$env:ACCELERATE_MIXED_PRECISION = "bf16"
$env:CUDA_VISIBLE_DEVICES = "1"
$env:HF_TOKEN = "hf_abcdefghijklmnopqrstuv"
$out = "$env:USERPROFILE\loras"
Set-Location "E:\sd-scripts"
accelerate launch --mixed_precision bf16 sdxl_train_network.py --pretrained_model_name_or_path $model --output_dir $out `
  --network_module=networks.lora --caption_extension=.txt --network_weights=old\start.safetensors --output_name=a$(Get-Date -Format yyyyMMdd)

$root = Split-Path -Parent $MyInvocation.MyCommand.Path
$cfg = Join-Path -Path $root -ChildPath "dataset.toml"
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --dataset_config $cfg `
  --train_data_dir "ignored" --optimizer_args "weight_decay=0.1" "betas=.9,.99" --lr_scheduler=cosine --text_encoder_lr 1e-5 2e-5 `
  --noise_offset -0.5 --lr_warmup_steps 10%

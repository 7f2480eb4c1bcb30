$images = 30; $repeats = 10; $epochs = 4; $batch = 4
$base_lr = 1e-4
$steps = [int]([Math]::Ceiling($images * $repeats / $batch) * $epochs)
$warmup = [Math]::Round($steps * 0.1)
$lr = $base_lr * [Math]::Sqrt($batch)
$te = $lr / 10
$half = [int](5 / 2)      # 2.5 becomes 2: halves go to the even number
$small = 1e-5
$save = [Math]::Floor($steps / 3)
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt `
  --max_train_steps=$steps --lr_warmup_steps=$warmup --learning_rate=$lr --text_encoder_lr=$te `
  --network_alpha=$($half * 4) --unet_lr=$small --save_every_n_steps=$save --train_batch_size=$batch --lr_scheduler=cosine `
  --keep_tokens=$(7 % 4) --min_bucket_reso=$(2kb / 4) --max_bucket_reso=$((512 + 512) * 2) --network_dim=0x20

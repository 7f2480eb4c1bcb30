# LoRA training settings / LoRA 训练设置
# Train data path | 设置训练用模型、图片
$train_mode = "sdxl_lora"		# mode: lora, sdxl_lora
$is_v2_model = 0 # SD2.0 model | 不是
$pretrained_model = "./models/底模.safetensors" # base model
$train_data_dir = "./train/6_猫" # images
$reg_data_dir = "" # regularisation
$network_weights = "" # go on from
$training_comment = "by night"
$resolution = "1024,1024"
$batch_size = 2
$max_train_epoches = 8
$save_every_n_epochs = 2
$network_dim = 32
$network_alpha = 32
$train_unet_only = 1
$train_text_encoder_only = 0
$seed = 1026
$lr = "1e-4"
$unet_lr = "1e-4"
$text_encoder_lr = "1e-5"
$lr_scheduler = "cosine_with_restarts"
$lr_warmup_steps = 0
$lr_restart_cycles = 1
$optimizer_type = "AdamW8bit"
$output_name = "猫_v1"
$save_model_as = "safetensors"
$keep_tokens = 1
$min_snr_gamma = 5
$noise_offset = 0
$multires_noise_iterations = 0
$algo = "lora"
$conv_dim = 4
$conv_alpha = 4
$enable_sample = 1
$sample_every_n_epochs = 2
$sample_prompts = "./toml/prompts.txt"
$cache_text_encoder_outputs = 1
$shuffle_caption = 1
$use_wandb = 0
$wandb_api_key = ""

# ============= nothing to change below | 以下不用改 =============
Set-Location $PSScriptRoot
.\venv\Scripts\activate
$Env:HF_HOME = "huggingface"
$Env:XFORMERS_FORCE_DISABLE_TRITON = "1"
$ext_args = [System.Collections.ArrayList]::new()
$launch_args = [System.Collections.ArrayList]::new()
$trainer_file = "./sd-scripts/train_network.py"
if ($train_mode -ilike "sdxl*") {
  $trainer_file = "./sd-scripts/sdxl_train_network.py"
}
if ($is_v2_model -eq 1) {
  [void]$ext_args.Add("--v2")
} elseif ($train_mode -eq "lora") {
  [void]$ext_args.Add("--clip_skip=2")
}
if ($cache_text_encoder_outputs -eq 1) {
  [void]$ext_args.Add("--cache_text_encoder_outputs")
  $shuffle_caption = 0
  $train_unet_only = 1
}
if ($shuffle_caption) { [void]$ext_args.Add("--shuffle_caption") }
if ($train_unet_only -eq 1) { [void]$ext_args.Add("--network_train_unet_only") }
if ($train_text_encoder_only -eq 1) { [void]$ext_args.Add("--network_train_text_encoder_only") }
if ($network_weights) { [void]$ext_args.Add("--network_weights=" + $network_weights) }
if ($reg_data_dir) { [void]$ext_args.Add("--reg_data_dir=" + $reg_data_dir) }
if ($algo -eq "lora") {
  $network_module = "networks.lora"
} else {
  $network_module = "lycoris.kohya"
  [void]$ext_args.Add("--network_args")
  [void]$ext_args.Add("conv_dim=$conv_dim")
  [void]$ext_args.Add("algo=$algo")
}
if ($optimizer_type -ieq "adafactor") {
  [void]$ext_args.Add("--optimizer_args"); [void]$ext_args.Add("scale_parameter=True")
}
if ($optimizer_type -like "DAdapt*") { $lr = "1"; $unet_lr = "1" }
[void]$ext_args.Add("--optimizer_type=$optimizer_type")
if ($noise_offset -ne 0) { [void]$ext_args.Add("--noise_offset=$noise_offset") }
if ($min_snr_gamma -ne 0) { [void]$ext_args.Add("--min_snr_gamma=$min_snr_gamma") }
if ($enable_sample -eq 1) {
  [void]$ext_args.Add("--sample_every_n_epochs=$sample_every_n_epochs")
  [void]$ext_args.Add("--sample_prompts=$sample_prompts")
}
if ($use_wandb -eq 1) { [void]$ext_args.Add("--log_with=all"); if ($wandb_api_key) { [void]$ext_args.Add("--wandb_api_key=" + $wandb_api_key) } }
else { [void]$ext_args.Add("--log_with=tensorboard") }
# run training
python -m accelerate.commands.launch $launch_args --num_cpu_threads_per_process=8 $trainer_file `
  --enable_bucket `
  --pretrained_model_name_or_path=$pretrained_model `
  --train_data_dir=$train_data_dir `
  --output_dir="./output" `
  --logging_dir="./logs" `
  --log_prefix=$output_name `
  --resolution=$resolution `
  --network_module=$network_module `
  --max_train_epochs=$max_train_epoches `
  --learning_rate=$lr `
  --unet_lr=$unet_lr `
  --text_encoder_lr=$text_encoder_lr `
  --lr_scheduler=$lr_scheduler `
  --lr_warmup_steps=$lr_warmup_steps `
  --lr_scheduler_num_cycles=$lr_restart_cycles `
  --network_dim=$network_dim `
  --network_alpha=$network_alpha `
  --output_name=$output_name `
  --train_batch_size=$batch_size `
  --save_every_n_epochs=$save_every_n_epochs `
  --mixed_precision="fp16" `
  --save_precision="fp16" `
  --seed=$seed `
  --cache_latents `
  --prior_loss_weight=1 `
  --max_token_length=225 `
  --caption_extension=".txt" `
  --save_model_as=$save_model_as `
  --min_bucket_reso=256 `
  --max_bucket_reso=2048 `
  --keep_tokens=$keep_tokens `
  --training_comment=$training_comment `
  --xformers $ext_args

Write-Output "finished"
Read-Host | Out-Null ;

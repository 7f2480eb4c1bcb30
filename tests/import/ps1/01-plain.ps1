# The usual shape: settings on top, one long command below.
$pretrained_model = "./sd-models/base xl.safetensors" # base model | 基础模型
$train_data_dir = "./train/aki"	# images
$resolution = "1024,1024";
$network_dim = 32 # rank
$network_alpha = 16
$lr = "1e-4"
$unet_lr = "1e-4"
$max_train_epoches = 10
$batch_size = 1
$output_name = "aki v1"

accelerate launch --num_cpu_threads_per_process=8 "./sd-scripts/sdxl_train_network.py" `
  --pretrained_model_name_or_path=$pretrained_model `
  --train_data_dir=$train_data_dir `
  --output_dir="./output" `
  --logging_dir="./logs" `
  --resolution=$resolution `
  --network_module=networks.lora `
  --max_train_epochs=$max_train_epoches `
  --learning_rate=$lr `
  --unet_lr=$unet_lr `
  --network_dim=$network_dim `
  --network_alpha=$network_alpha `
  --output_name=$output_name `
  --train_batch_size=$batch_size `
  --mixed_precision="bf16" `
  --save_precision="fp16" `
  --seed="1337" `
  --cache_latents --xformers `
  --caption_extension=".txt" `
  --save_model_as=safetensors

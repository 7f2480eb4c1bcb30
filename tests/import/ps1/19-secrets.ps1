$wandb_api_key = "0123456789abcdef0123456789abcdef01234567"
$hub = "hf_ABCDEFGHIJKLMNOPQRST"
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --log_with=wandb --logging_dir logs `
  --wandb_api_key=$wandb_api_key --huggingface_token $hub --huggingface_repo_id me/mine --my_token=abc123secret

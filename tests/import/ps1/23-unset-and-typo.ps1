$network_dmi = 32
$list = [System.Collections.Generic.List[object]]::new()
if ($network_weights) { $list.Add("--network_weights=$network_weights") }
[int]$epochs = "4"
[double]$lr = 0.0004
[bool]$te = 0
[string]$alpha = 16
$list.Add($(if ($te) { "--network_train_text_encoder_only" } else { "--network_train_unet_only" }))
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --network_dim=$network_dim --max_train_epochs=$epochs --learning_rate=$lr --network_alpha=$alpha $list $null ""

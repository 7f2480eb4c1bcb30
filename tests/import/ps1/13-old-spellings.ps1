accelerate launch sdxl_train_network.py --network_module=networks.lora --use_8bit_adam --base_fp8 --mixed_precision=fp16 `
  --caption_extention=.cap --save_prec fp16 --network_d 8 --network_dim=16 --fp8 --made_up=3 --learning_rate=1e-3 --learning_rate 2e-4 stray

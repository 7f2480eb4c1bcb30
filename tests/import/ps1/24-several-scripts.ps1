python tag_images_by_wd14_tagger.py --onnx ./train
accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt --seed 1
python networks/resize_lora.py --new_rank 8

export ACCELERATE_MIXED_PRECISION=fp16
export WANDB_API_KEY=0123456789abcdef0123456789abcdef01234567
export HF_HOME=/data/hf
if [[ "$ACCELERATE_MIXED_PRECISION" =~ ^fp16$ ]]; then half=--no_half_vae; fi
env OMP_NUM_THREADS=1 nice -n 10 time accelerate launch --mixed_precision fp16 sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt $half

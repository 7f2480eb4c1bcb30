"""The embedded trainer: a real, deterministic LoRA training of a small SDXL-shaped U-Net, made for CPUs too.

Only this file is read by the launcher; the other modules belong to the training environment and import torch.
They read from top to bottom: `script` (entry) → `config`, `checks` → `trainer` (the list of steps) → `compute`,
`dataset`, `images`, `buckets` → `cache`, `latents`, `text`, `conditioning` → `model`, `lora`, `loss`, `optimizer` →
`sampling`, `saving`, `metadata`.

What differs from SDXL, so that it fits two CPU cores: every pixel size is divided by 8 before it is used, the
U-Net has a tenth of the channels and random weights from a fixed seed (beside a closed-form guess that pictures are
smooth), the "VAE" is a fixed linear map, the "text encoders" are fixed random word vectors. What does not: option names, block layout, key names, fp8 storage,
caches, buckets, steps, states, files.
"""

from __future__ import annotations

from pathlib import Path

TITLE = "Rehearsal: trains a small SDXL-shaped model on your images, in about a minute, on any computer"
SCRIPT = Path(__file__).resolve().parent / "script.py"
TRAINER_CLASS = "RehearsalTrainer"

_DATASET = """
    train_data_dir caption_extension caption_prefix caption_suffix caption_separator keep_tokens
    shuffle_caption caption_dropout_rate flip_aug color_aug random_crop resolution dataset_config
    enable_bucket min_bucket_reso max_bucket_reso bucket_reso_steps bucket_no_upscale train_batch_size
    cache_latents cache_latents_to_disk cache_text_encoder_outputs cache_text_encoder_outputs_to_disk
"""
_TRAINING = """
    max_train_steps max_train_epochs seed gradient_checkpointing gradient_accumulation_steps mixed_precision
    fp8_base fp8_base_unet full_fp16 full_bf16 learning_rate unet_lr max_grad_norm optimizer_type optimizer_args
    use_8bit_adam use_lion_optimizer lr_scheduler lr_warmup_steps lr_scheduler_num_cycles
    lr_scheduler_power network_module network_dim network_alpha network_dropout network_weights
    network_train_unet_only network_train_text_encoder_only
    min_snr_gamma noise_offset resume skip_until_initial_step
"""
_OUTPUT = """
    output_dir output_name config_file save_precision save_every_n_steps save_every_n_epochs save_state
    save_state_on_train_end save_model_as no_metadata training_comment metadata_title metadata_author
    metadata_description metadata_license metadata_tags metadata_trigger_phrase metadata_usage_hint
    sample_every_n_steps sample_every_n_epochs sample_at_first sample_prompts
"""
HONOURED = frozenset((_DATASET + _TRAINING + _OUTPUT).split())

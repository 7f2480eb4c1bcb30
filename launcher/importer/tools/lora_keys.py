"""What sd-scripts writes into a LoRA file, key by key: data. Source: train_network.py 1003-1232, sd-scripts v0.10.1."""

from __future__ import annotations

# Written as `ss_` before the option's name; "None" means that it was not set.
PLAIN = (
    "output_name", "learning_rate", "unet_lr", "gradient_checkpointing", "gradient_accumulation_steps", "max_train_steps",
    "lr_warmup_steps", "lr_scheduler", "network_module", "network_dim", "network_alpha", "network_dropout", "mixed_precision",
    "full_fp16", "clip_skip", "max_token_length", "cache_latents", "seed", "lowram", "noise_offset", "multires_noise_iterations",
    "multires_noise_discount", "adaptive_noise_scale", "zero_terminal_snr", "training_comment", "max_grad_norm", "caption_dropout_rate",
    "caption_dropout_every_n_epochs", "caption_tag_dropout_rate", "face_crop_aug_range", "prior_loss_weight", "min_snr_gamma",
    "scale_weight_norms", "ip_noise_gamma", "noise_offset_random_strength", "ip_noise_gamma_random_strength", "loss_type", "huber_schedule",
    "huber_scale", "huber_c", "fp8_base", "fp8_base_unet", "validation_seed", "validation_split", "max_validation_steps",
    "validate_every_n_epochs", "validate_every_n_steps", "resize_interpolation",
    # only where no dataset file was used
    "resolution", "color_aug", "flip_aug", "random_crop", "shuffle_caption", "enable_bucket", "bucket_no_upscale", "min_bucket_reso",
    "max_bucket_reso", "keep_tokens",
)  # fmt: skip
OTHER_NAMES = {
    "ss_debiased_estimation": "debiased_estimation_loss",
    "ss_batch_size_per_device": "train_batch_size",
}
# In `ss_datasets`, where a dataset file was used (the launcher always uses one).
OF_DATASET = {"batch_size_per_device": "train_batch_size", "resolution": "resolution", "enable_bucket": "enable_bucket", "min_bucket_reso": "min_bucket_reso", "max_bucket_reso": "max_bucket_reso"}  # fmt: skip
OF_SUBSET = ("color_aug", "flip_aug", "random_crop", "shuffle_caption", "keep_tokens", "keep_tokens_separator", "secondary_separator", "enable_wildcard", "caption_prefix", "caption_suffix")  # fmt: skip
# The class that was really used -> the name by which sd-scripts is asked for it (train_util.get_optimizer).
OPTIMIZERS = {
    "bitsandbytes.optim.adamw.AdamW8bit": "AdamW8bit", "bitsandbytes.optim.adamw.PagedAdamW8bit": "PagedAdamW8bit",
    "bitsandbytes.optim.adamw.PagedAdamW": "PagedAdamW", "bitsandbytes.optim.adamw.PagedAdamW32bit": "PagedAdamW32bit",
    "bitsandbytes.optim.lion.Lion8bit": "Lion8bit", "bitsandbytes.optim.lion.PagedLion8bit": "PagedLion8bit",
    "bitsandbytes.optim.sgd.SGD8bit": "SGDNesterov8bit", "torch.optim.adamw.AdamW": "AdamW", "torch.optim.sgd.SGD": "SGDNesterov",
    "lion_pytorch.lion_pytorch.Lion": "Lion", "transformers.optimization.Adafactor": "Adafactor", "prodigyopt.prodigy.Prodigy": "Prodigy",
    "dadaptation.dadapt_adam.DAdaptAdam": "DAdaptAdam", "dadaptation.dadapt_adagrad.DAdaptAdaGrad": "DAdaptAdaGrad",
    "dadaptation.dadapt_adan.DAdaptAdan": "DAdaptAdan", "dadaptation.dadapt_lion.DAdaptLion": "DAdaptLion", "dadaptation.dadapt_sgd.DAdaptSGD": "DAdaptSGD",
    "dadaptation.dadapt_adan_ip.DAdaptAdanIP": "DAdaptAdanIP", "dadaptation.experimental.dadapt_adam_preprint.DAdaptAdamPreprint": "DAdaptAdamPreprint",
    "schedulefree.adamw_schedulefree.AdamWScheduleFree": "AdamWScheduleFree", "schedulefree.sgd_schedulefree.SGDScheduleFree": "SGDScheduleFree",
    "schedulefree.radam_schedulefree.RAdamScheduleFree": "RAdamScheduleFree",
}  # fmt: skip
# Not in any LoRA file, and worth a word: these come from the shipped preset.
NEVER_SAID = "caption_extension, cached texts, attention, no_half_vae, saving and workers"
# The weights of a LoRA that was saved without save_precision are F32.
PRECISIONS = {"F16": "fp16", "BF16": "bf16"}

"""The keys of a kohya_ss GUI file: data. Sources: bmaltais/kohya_ss, kohya_gui/lora_gui.py and class_*.py, v21 to v25."""

from __future__ import annotations

# Other names for an option. The program passes a value on only if it is set: "", 0, false and null are "unset" there.
RENAMED = {
    "max_resolution": "resolution",
    "optimizer": "optimizer_type",
    "lora_network_weights": "network_weights",
    "sdxl_no_half_vae": "no_half_vae",
    "sdxl_cache_text_encoder_outputs": "cache_text_encoder_outputs",
}
LISTS = frozenset({"optimizer_args", "lr_scheduler_args"})  # one text there, with blanks between
# Passed even where it is zero.
KEPT_AT_ZERO = frozenset({"max_data_loader_n_workers", "network_alpha"})
# Handled by a function of their own.
SPECIAL = frozenset({
    "LoRA_type", "sdxl", "v2", "xformers", "learning_rate", "unet_lr", "text_encoder_lr", "epoch", "max_train_epochs", "max_train_steps",
    "lr_warmup", "lr_warmup_steps", "lr_scheduler_num_cycles", "noise_offset_type", "noise_offset", "adaptive_noise_scale",
    "noise_offset_random_strength", "multires_noise_iterations", "multires_noise_discount", "sample_prompts", "use_wandb",
    "additional_parameters", "network_args", "stop_text_encoder_training",
    "stop_text_encoder_training_pct", "optimizer_args", "lr_scheduler_args", "mixed_precision", "save_as_bool",
})  # fmt: skip
# accelerate's own options, which stand before the script.
ACCELERATE = frozenset({"num_processes", "num_machines", "multi_gpu", "gpu_ids", "num_cpu_threads_per_process", "main_process_port", "dynamo_backend", "dynamo_mode", "dynamo_use_fullgraph", "dynamo_use_dynamic"})  # fmt: skip
ACCELERATE_USUAL = {"num_processes": 1, "num_machines": 1, "num_cpu_threads_per_process": 2, "dynamo_backend": "no", "dynamo_mode": "default"}  # fmt: skip
# Keys that only the windows of the program use, or that only count together with LoRA_type.
OF_THE_PROGRAM = frozenset({"model_list", "train_on_input", "no_token_padding", "gui_version", "save_as", "file_path", "headless", "print_only", "training_preset", "logging_dir", "use_shell", "manual_captions"})  # fmt: skip
OF_THE_NETWORK = frozenset({
    "LyCORIS_preset", "conv_dim", "conv_alpha", "rank_dropout", "module_dropout", "use_tucker", "use_scalar", "use_cp", "unit",
    "rank_dropout_scale", "constrain", "rescaled", "train_norm", "decompose_both", "factor", "bypass_mode", "dora_wd", "train_on_input",
    "down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_lr_zero_threshold", "block_dims", "block_alphas", "conv_block_dims",
    "conv_block_alphas", "loraplus_lr_ratio", "loraplus_unet_lr_ratio", "loraplus_text_encoder_lr_ratio",
})  # fmt: skip
WITHOUT_EFFECT = {
    "lowvram": "sd-scripts has no option of this name: the program passed it on for nothing (lowram is another thing)",
    "stop_text_encoder_training": "sd-scripts' LoRA training cannot stop the text encoders halfway",
    "stop_text_encoder_training_pct": "sd-scripts' LoRA training cannot stop the text encoders halfway",
    "extra_accelerate_launch_args": "the launcher starts accelerate itself",
    "loraplus_lr_ratio": "the program passed it outside of network_args, where sd-scripts does not look for it",
    "loraplus_unet_lr_ratio": "the program passed it outside of network_args, where sd-scripts does not look for it",
    "loraplus_text_encoder_lr_ratio": "the program passed it outside of network_args, where sd-scripts does not look for it",
}
# Beginnings of keys of other kinds of models, which the file always holds.
OTHER_MODELS = ("flux1_", "flux_", "sd3_", "lumina_", "hunyuan_", "anima_", "leco_", "t5", "clip_", "chroma_")
OTHER_MODEL_KEYS = frozenset({
    "ae", "discrete_flow_shift", "model_prediction_type", "timestep_sampling", "split_mode", "split_qkv", "train_blocks", "guidance_scale",
    "mem_eff_save", "apply_t5_attn_mask", "blocks_to_swap", "single_blocks_to_swap", "double_blocks_to_swap", "img_attn_dim", "img_mlp_dim",
    "img_mod_dim", "single_dim", "txt_attn_dim", "txt_mlp_dim", "txt_mod_dim", "single_mod_dim", "in_dims", "train_double_block_indices",
    "train_single_block_indices", "train_t5xxl", "enable_all_linear", "cpu_offload_checkpointing", "logit_mean", "logit_std", "mode_scale",
    "weighting_scheme", "save_clip", "save_t5xxl", "sigmoid_scale", "fp8_base_unet", "disable_mmap_load_safetensors", "fused_backward_pass",
    "fused_optimizer_groups", "t5xxl_device", "t5xxl_dtype", "clip_g", "clip_l", "t5xxl", "gemma2", "system_prompt", "use_flash_attn",
    "use_sage_attn", "cfg_trunc_ratio", "renorm_cfg", "gemma2_max_token_length", "sample_batch_size",
})  # fmt: skip
# Which switch means which model; the first that is on names it.
MODELS = {
    "flux1_checkbox": "a LoRA training for FLUX",
    "sd3_checkbox": "a LoRA training for Stable Diffusion 3",
    "lumina_checkbox": "a LoRA training for Lumina",
    "hunyuan_image_checkbox": "a LoRA training for HunyuanImage",
    "anima_checkbox": "a LoRA training for Anima",
    "v2": "a LoRA training for Stable Diffusion 2",
}

_LYCORIS = ("preset", "conv_dim", "conv_alpha", "rank_dropout", "bypass_mode", "dora_wd", "module_dropout")
_FULL = (*_LYCORIS, "use_tucker", "use_scalar", "rank_dropout_scale", "train_norm")
_OFT = ("preset", "conv_dim", "conv_alpha", "module_dropout", "use_tucker", "use_scalar", "rank_dropout", "rank_dropout_scale", "constrain", "rescaled", "train_norm")  # fmt: skip
# LoRA_type -> (algo, the keys that go into network_args, whatever their value).
LYCORIS = {
    "LyCORIS/BOFT": ("boft", _OFT),
    "LyCORIS/Diag-OFT": ("diag-oft", _OFT),
    "LyCORIS/DyLoRA": ("dylora", ("preset", "conv_dim", "conv_alpha", "use_tucker", "unit", "rank_dropout", "module_dropout", "train_norm")),
    "LyCORIS/GLoRA": ("glora", ("preset", "conv_dim", "conv_alpha", "rank_dropout", "module_dropout", "rank_dropout_scale", "train_norm")),
    "LyCORIS/iA3": ("ia3", ("preset", "conv_dim", "conv_alpha", "train_on_input")),
    "LoCon": ("locon", _FULL),
    "LyCORIS/LoCon": ("locon", _FULL),
    "LyCORIS/LoHa": ("loha", _FULL),
    "LyCORIS/LoKr": ("lokr", (*_LYCORIS, "factor", "use_cp", "use_scalar", "decompose_both", "rank_dropout_scale", "train_norm")),
    "LyCORIS/Native Fine-Tuning": ("full", ("preset", "rank_dropout", "module_dropout", "use_tucker", "use_scalar", "rank_dropout_scale", "train_norm")),
}  # fmt: skip
_BLOCKS = (
    "down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_lr_zero_threshold", "block_dims", "block_alphas", "conv_block_dims",
    "conv_block_alphas", "rank_dropout", "module_dropout",
)  # fmt: skip
# LoRA_type -> (network_module, keys that always go into network_args, keys that do where they are set).
KOHYA = {
    "Standard": ("networks.lora", (), _BLOCKS),
    "Kohya LoCon": ("networks.lora", ("conv_dim", "conv_alpha"), _BLOCKS),
    "LoRA-FA": ("networks.lora_fa", (), _BLOCKS),
    "Kohya DyLoRA": ("networks.dylora", (), ("conv_dim", "conv_alpha", *_BLOCKS, "unit")),
}
# What marks a file of the program; some of these are in all its files.
MARKS = frozenset({"pretrained_model_name_or_path", "max_resolution", "lr_warmup", "save_model_as", "train_batch_size", "optimizer", "mixed_precision", "additional_parameters", "xformers", "gradient_accumulation_steps", "max_data_loader_n_workers", "bucket_reso_steps"})  # fmt: skip

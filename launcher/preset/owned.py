"""Options that a preset must not set, each with what to use instead; data, not code."""

from __future__ import annotations

from launcher.paths import COMMAND

_RESUME = f"leave it out: `{COMMAND} resume` continues from the newest good state with the right step"
_UPLOAD = "leave it out and publish the finished LoRA yourself: training runs offline"
_ONE_GPU = "leave it out: `--gpus 0,1` trains on several cards, each with the whole model"
_NAMES = "leave it out: `--name` names the run and its files"
_DATA = "leave it out: `--data` names the folder with images and captions"
_REPORT = "leave it out: every run has live curves and a report; log_with adds TensorBoard or wandb"
_ENVIRONMENT = "leave it out and set the environment variable {}: a preset is no place for secrets"

INSTEAD = {
    "config_file": "leave it out: the launcher writes this file for every run",
    "dataset_config": "leave it out: the launcher writes this file for every run; repeats stand in [dataset]",
    "output_config": f"leave it out: `{COMMAND} train PRESET --dry-run` shows everything",
    "output_dir": "leave it out: every run has a folder of its own below runs/",
    "output_name": _NAMES,
    "pretrained_model_name_or_path": "leave it out: `--model` names the base model, or [defaults] model in user/settings.toml",
    "train_data_dir": _DATA,
    "in_json": _DATA,
    "dataset_class": _DATA,
    "reg_data_dir": "leave it out: `--reg` names the folder with regularisation images",
    "dataset_repeats": "write num_repeats below [dataset]",
    "cache_info": "leave it out: the launcher never writes into the image folder",
    "debug_dataset": "leave it out: it shows images and trains nothing",
    "resume": _RESUME,
    "resume_from_huggingface": _RESUME,
    "initial_epoch": _RESUME,
    "initial_step": _RESUME,
    "skip_until_initial_step": _RESUME,
    "logging_dir": _REPORT,
    "console_log_file": "leave it out: train.log in the run folder has everything",
    "wandb_api_key": _ENVIRONMENT.format("WANDB_API_KEY"),
    "huggingface_token": _ENVIRONMENT.format("HF_TOKEN"),
    "huggingface_repo_id": _UPLOAD,
    "huggingface_repo_type": _UPLOAD,
    "huggingface_path_in_repo": _UPLOAD,
    "huggingface_repo_visibility": _UPLOAD,
    "save_state_to_huggingface": _UPLOAD,
    "async_upload": _UPLOAD,
    "caption_extention": "write caption_extension (this is an old misspelling)",
    "use_8bit_adam": 'write optimizer_type = "AdamW8bit"',
    "use_lion_optimizer": 'write optimizer_type = "Lion"',
    "deepspeed": _ONE_GPU,
    "zero_stage": _ONE_GPU,
    "offload_optimizer_device": _ONE_GPU,
    "offload_optimizer_nvme_path": _ONE_GPU,
    "offload_param_device": _ONE_GPU,
    "offload_param_nvme_path": _ONE_GPU,
    "zero3_init_flag": _ONE_GPU,
    "zero3_save_16bit_model": _ONE_GPU,
    "fp16_master_weights_and_gradients": _ONE_GPU,
    "ddp_timeout": _ONE_GPU,
    "ddp_gradient_as_bucket_view": _ONE_GPU,
    "ddp_static_graph": _ONE_GPU,
}

# Spellings from guides, other trainers and other tools, with the option that they mean here.
MEANT = {
    "lr": "learning_rate",
    "batch_size": "train_batch_size",
    "steps": "max_train_steps",
    "epochs": "max_train_epochs",
    "dim": "network_dim",
    "rank": "network_dim",
    "network_rank": "network_dim",
    "alpha": "network_alpha",
    "base_fp8": "fp8_base",
    "fp8": "fp8_base",
    "optimizer": "optimizer_type",
    "scheduler": "lr_scheduler",
    "warmup": "lr_warmup_steps",
    "precision": "mixed_precision",
    "unet_only": "network_train_unet_only",
    "workers": "max_data_loader_n_workers",
}

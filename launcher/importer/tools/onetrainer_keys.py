"""OneTrainer's names and what they are in sd-scripts: data. Source: Nerogar/OneTrainer, modules/util/config/TrainConfig.py."""

from __future__ import annotations

SDXL = frozenset({"STABLE_DIFFUSION_XL_10_BASE", "STABLE_DIFFUSION_XL_09_BASE"})
METHODS = {
    "FINE_TUNE": "a full fine-tune",
    "EMBEDDING": "an embedding training",
    "FINE_TUNE_VAE": "a training of a VAE",
}
MODELS = {
    "STABLE_DIFFUSION_XL_10_BASE_INPAINTING": "SDXL inpainting", "STABLE_DIFFUSION_15": "Stable Diffusion 1.5",
    "STABLE_DIFFUSION_15_INPAINTING": "Stable Diffusion 1.5 inpainting", "STABLE_DIFFUSION_20": "Stable Diffusion 2",
    "STABLE_DIFFUSION_20_BASE": "Stable Diffusion 2", "STABLE_DIFFUSION_21": "Stable Diffusion 2.1",
    "STABLE_DIFFUSION_21_BASE": "Stable Diffusion 2.1", "STABLE_DIFFUSION_3": "Stable Diffusion 3",
    "STABLE_DIFFUSION_35": "Stable Diffusion 3.5", "STABLE_CASCADE_1": "Stable Cascade", "WUERSTCHEN_2": "Wuerstchen",
    "PIXART_ALPHA": "PixArt", "PIXART_SIGMA": "PixArt", "FLUX_DEV_1": "FLUX", "FLUX_FILL_DEV_1": "FLUX Fill", "FLUX_2": "FLUX.2",
    "SANA": "Sana", "HUNYUAN_VIDEO": "HunyuanVideo", "HI_DREAM_FULL": "HiDream", "CHROMA_1": "Chroma", "QWEN": "Qwen-Image",
    "Z_IMAGE": "Z-Image",
}  # fmt: skip

# Key -> option, for values that stay as they are. The program's own defaults follow below.
SAME = {
    "batch_size": "train_batch_size", "epochs": "max_train_epochs", "gradient_accumulation_steps": "gradient_accumulation_steps",
    "lora_rank": "network_dim", "lora_alpha": "network_alpha", "learning_rate": "learning_rate", "clip_grad_norm": "max_grad_norm",
    "base_model_name": "pretrained_model_name_or_path",
}  # fmt: skip
# The same, but only where they are not zero or empty.
WHERE_SET = {
    "offset_noise_weight": "noise_offset", "perturbation_noise_weight": "ip_noise_gamma", "dropout_probability": "network_dropout",
    "lora_model_name": "network_weights", "min_snr_gamma": "min_snr_gamma",
}  # fmt: skip
FLAGS = {
    "aspect_ratio_bucketing": "enable_bucket", "rescale_noise_scheduler_to_zero_terminal_snr": "zero_terminal_snr",
    "force_v_prediction": "v_parameterization",
}  # fmt: skip
DEFAULTS = {
    "batch_size": 1, "epochs": 100, "gradient_accumulation_steps": 1, "lora_rank": 16, "lora_alpha": 1.0, "learning_rate": 3e-6,
    "clip_grad_norm": 1.0, "aspect_ratio_bucketing": True, "learning_rate_scheduler": "CONSTANT", "learning_rate_warmup_steps": 200,
    "resolution": "512", "train_dtype": "FLOAT_16", "output_dtype": "FLOAT_32", "latent_caching": True,
}  # fmt: skip
OPTIMIZERS = {
    "ADAM": "Adam", "ADAMW": "AdamW", "ADAMW_8BIT": "AdamW8bit", "ADAFACTOR": "Adafactor", "PRODIGY": "Prodigy", "LION": "Lion",
    "LION_8BIT": "Lion8bit", "DADAPT_ADAM": "DAdaptAdam", "DADAPT_ADAN": "DAdaptAdan", "DADAPT_ADA_GRAD": "DAdaptAdaGrad",
    "DADAPT_LION": "DAdaptLion", "DADAPT_SGD": "DAdaptSGD", "SGD": "SGD", "ADAGRAD": "Adagrad", "RMSPROP": "RMSprop",
    "SCHEDULE_FREE_ADAMW": "AdamWScheduleFree", "SCHEDULE_FREE_SGD": "SGDScheduleFree",
}  # fmt: skip
# Settings of an optimizer that are its own arguments under the same name.
ARGUMENTS = ("weight_decay", "eps", "d_coef", "d0", "growth_rate", "use_bias_correction", "safeguard_warmup", "decouple", "beta3", "momentum", "relative_step", "scale_parameter", "warmup_init", "clip_threshold", "decay_rate", "slice_p")  # fmt: skip
ADAFACTOR_ONLY = frozenset(
    {"relative_step", "scale_parameter", "warmup_init", "clip_threshold", "decay_rate"}
)
PRODIGY_ONLY = frozenset(
    {"d_coef", "d0", "growth_rate", "use_bias_correction", "safeguard_warmup", "decouple", "beta3", "slice_p"}
)
SCHEDULERS = {
    "CONSTANT": "constant", "LINEAR": "linear", "COSINE": "cosine", "COSINE_WITH_RESTARTS": "cosine_with_restarts",
    "COSINE_WITH_HARD_RESTARTS": "cosine_with_restarts", "ADAFACTOR": "adafactor",
}  # fmt: skip
PRECISIONS = {"FLOAT_16": "fp16", "BFLOAT_16": "bf16", "FLOAT_32": "no", "TFLOAT_32": "no"}
SAVED = {"FLOAT_16": "fp16", "BFLOAT_16": "bf16", "FLOAT_32": "float"}
PARTS = frozenset({"unet", "text_encoder", "text_encoder_2", "vae", "optimizer"})
OTHER_PARTS = frozenset({
    "prior", "transformer", "unconditional_transformer", "text_encoder_3", "text_encoder_4", "effnet_encoder", "decoder",
    "decoder_text_encoder", "decoder_vqgan", "quantization", "embedding", "additional_embeddings", "embeddings",
})  # fmt: skip
OURS = {
    "workspace_dir": "each run has its own folder", "cache_dir": "the launcher caches beside the run", "output_model_format": "a LoRA file is always safetensors",
    "concept_file_name": "the list of images stands in another file, which is not read: name the folder with --data",
    "sample_definition_file_name": "prompts of another form: write them into a text file and name it in sample_prompts",
    "debug_mode": "the launcher keeps a log of each run", "continue_last_backup": "resume continues a run from its newest good state",
    "cloud": "training runs on this computer", "multi_gpu": "`--gpus 0,1` of `train` trains on several cards",
    "text_encoder_layer_skip": "sd-scripts' LoRA training for SDXL has no such choice",
    "text_encoder_2_layer_skip": "sd-scripts' LoRA training for SDXL has no such choice",
    "backup_after": "the launcher keeps states by itself", "sample_after": "name prompts and sample_every_n_epochs to have samples",
    "validation": "validation_split does it in another way",
}  # fmt: skip
# Where these differ from the value here, training is another one: they are named.
MATTER = {
    "ema": ("OFF", "sd-scripts keeps no moving average of the weights"),
    "masked_training": (False, "its masks lie in files of their own; sd-scripts' masked_loss takes another form"),
    "lora_decompose": (False, "DoRA needs another network: lycoris.kohya with dora_wd=True"),
    "mae_strength": (0.0, "sd-scripts adds up no losses: loss_type chooses one"),
    "log_cosh_strength": (0.0, "sd-scripts adds up no losses: loss_type chooses one"),
    "huber_strength": (0.0, "sd-scripts adds up no losses: loss_type chooses one"),
    "learning_rate_scaler": ("NONE", "sd-scripts does not scale the rate: multiply it yourself"),
    "learning_rate_min_factor": (0.0, "the lowest rate: lr_scheduler cosine_with_min_lr has one"),
    "force_epsilon_prediction": (False, "a model that predicts v, trained for noise: leave v_parameterization out"),
    "custom_learning_rate_scheduler": (None, "a class that only comes with that program"),
    "timestep_distribution": ("UNIFORM", "sd-scripts chooses the steps of noise evenly"),
    "generalized_offset_noise": (False, "another form of offset noise"),
    "random_rotate_and_crop": (False, "sd-scripts has random_crop, which is not the same"),
}  # fmt: skip

"""The header of a LoRA file: `ss_*` and `modelspec.*` as sd-scripts writes them, texts only."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import safetensors.torch

from launcher import __version__
from launcher.trainers.rehearsal.model import BASE_NAME

if TYPE_CHECKING:
    import argparse

    import torch

    from launcher.trainers.rehearsal.dataset import Dataset, Item

BASE_VERSION = "sdxl_base_v1-0"  # the marker by which other programs know an SDXL LoRA
ARCHITECTURE = "stable-diffusion-xl-v1-base/lora"
MINIMUM = (
    "ss_v2", "ss_base_model_version", "ss_network_module", "ss_network_dim", "ss_network_alpha", "ss_network_args",
)  # fmt: skip

# Options that are written as they are, `ss_` before their names. Source: train_network.py 1003-1065 of v0.10.1.
_PLAIN = [
    "output_name",
    "learning_rate",
    "unet_lr",
    "gradient_checkpointing",
    "gradient_accumulation_steps",
    "max_train_steps",
    "lr_warmup_steps",
    "lr_scheduler",
    "network_module",
    "network_dim",
    "network_alpha",
    "network_dropout",
    "mixed_precision",
    "full_fp16",
    "v2",
    "clip_skip",
    "max_token_length",
    "cache_latents",
    "seed",
    "lowram",
    "noise_offset",
    "multires_noise_iterations",
    "multires_noise_discount",
    "adaptive_noise_scale",
    "zero_terminal_snr",
    "training_comment",
    "max_grad_norm",
    "caption_dropout_rate",
    "caption_dropout_every_n_epochs",
    "caption_tag_dropout_rate",
    "face_crop_aug_range",
    "prior_loss_weight",
    "min_snr_gamma",
    "scale_weight_norms",
    "ip_noise_gamma",
    "noise_offset_random_strength",
    "ip_noise_gamma_random_strength",
    "loss_type",
    "huber_schedule",
    "huber_scale",
    "huber_c",
    "fp8_base",
    "fp8_base_unet",
    "validation_seed",
    "validation_split",
    "max_validation_steps",
    "validate_every_n_epochs",
    "validate_every_n_steps",
    "resize_interpolation",
]


def training_metadata(
    args: argparse.Namespace,
    datasets: tuple[Dataset, ...],
    totals: dict[str, int],
    optimizer: str,
    started: float,
) -> dict[str, str]:
    """What is known before the first step."""
    items = [item for dataset in datasets for item in dataset.items]
    values: dict[str, Any] = {f"ss_{name}": getattr(args, name) for name in _PLAIN}
    values |= {
        "ss_session_id": hashlib.sha256(f"{args.output_name} {started}".encode()).hexdigest()[:8],
        "ss_training_started_at": started,
        "ss_text_encoder_lr": args.text_encoder_lr,
        "ss_num_train_images": sum(item.subset.num_repeats for item in items),
        "ss_num_validation_images": 0,
        "ss_num_reg_images": 0,
        "ss_num_batches_per_epoch": totals["batches_per_epoch"],
        "ss_num_epochs": totals["epochs"],
        "ss_max_train_steps": totals["total_steps"],
        "ss_base_model_version": BASE_VERSION,
        "ss_sd_model_name": BASE_NAME,
        "ss_sd_scripts_commit_hash": f"launcher rehearsal {__version__}",
        "ss_optimizer": optimizer,
        "ss_debiased_estimation": args.debiased_estimation_loss,
        "ss_datasets": json.dumps([_describe(dataset) for dataset in datasets]),
        "ss_tag_frequency": json.dumps(_tags(items)),
        "ss_dataset_dirs": json.dumps(_folders(datasets)),
    }
    if args.network_args:
        values["ss_network_args"] = json.dumps(dict(word.partition("=")[::2] for word in args.network_args))
    return {name: str(value) for name, value in values.items()}


def file_metadata(
    args: argparse.Namespace,
    known: dict[str, str],
    tensors: dict[str, torch.Tensor],
    *,
    step: int,
    epoch: int,
) -> dict[str, str]:
    """The whole header of one file, hashes included."""
    finished = time.time()
    values = {
        **known,
        "ss_training_finished_at": str(finished),
        "ss_steps": str(step),
        "ss_epoch": str(epoch),
    }
    if args.no_metadata:
        values = {name: values[name] for name in MINIMUM if name in values}
    model_hash, legacy_hash = hashes(tensors, values)
    return {
        **values,
        **_modelspec(args, finished),
        "sshs_model_hash": model_hash,
        "sshs_legacy_hash": legacy_hash,
    }


def hashes(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> tuple[str, str]:
    """Kohya's two hashes: SHA-256 of all behind the header, and 8 digits of one 64 KiB piece of the file."""
    raw = safetensors.torch.save(tensors, {k: v for k, v in metadata.items() if k.startswith("ss_")})
    header = int.from_bytes(raw[:8], "little")
    piece = raw[0x100000 : 0x100000 + 0x10000]
    return hashlib.sha256(raw[8 + header :]).hexdigest(), hashlib.sha256(piece).hexdigest()[:8]


def _modelspec(args: argparse.Namespace, finished: float) -> dict[str, str]:
    values = {
        "sai_model_spec": "1.0.1",
        "architecture": ARCHITECTURE,
        "implementation": "https://github.com/Stability-AI/generative-models",
        "title": args.metadata_title or args.output_name or "last",
        "resolution": args.resolution or "1024x1024",
        "date": time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(finished)),
        "prediction_type": "v",  # of the rehearsal's base; SDXL itself predicts epsilon
        "author": args.metadata_author,
        "description": args.metadata_description,
        "license": args.metadata_license,
        "tags": args.metadata_tags,
        "trigger_phrase": args.metadata_trigger_phrase,
        "usage_hint": args.metadata_usage_hint,
    }
    return {f"modelspec.{name}": str(value) for name, value in values.items() if value is not None}


def _describe(dataset: Dataset) -> dict[str, Any]:
    buckets = dataset.buckets
    counts = dataset.bucket_counts()
    return {
        "is_dreambooth": True,
        "batch_size_per_device": dataset.batch_size,
        "num_train_images": sum(item.subset.num_repeats for item in dataset.items),
        "num_reg_images": 0,
        "resolution": buckets.resolution,
        "enable_bucket": buckets.enabled,
        "min_bucket_reso": buckets.min_reso,
        "max_bucket_reso": buckets.max_reso,
        "tag_frequency": _tags(list(dataset.items)),
        "bucket_info": {
            "buckets": {
                str(number): {"resolution": size, "count": count}
                for number, (size, count) in enumerate(counts.items())
            }
        },
        "subsets": [
            {
                "img_count": sum(item.subset is subset for item in dataset.items),
                "num_repeats": subset.num_repeats,
                "image_dir": subset.image_dir.name,
                "class_tokens": subset.class_tokens,
                "is_reg": False,
                "flip_aug": subset.flip_aug,
                "shuffle_caption": subset.shuffle_caption,
                "keep_tokens": subset.keep_tokens,
            }
            for subset in dataset.subsets
        ],
    }


def _tags(items: list[Item]) -> dict[str, dict[str, int]]:
    folders: dict[str, Counter[str]] = {}
    for item in items:
        tags = (tag.strip().lower() for tag in item.caption.split(","))
        folders.setdefault(item.subset.image_dir.name, Counter()).update(tag for tag in tags if tag)
    return {name: dict(counter) for name, counter in folders.items()}


def _folders(datasets: tuple[Dataset, ...]) -> dict[str, dict[str, int]]:
    return {
        subset.image_dir.name: {
            "n_repeats": subset.num_repeats,
            "img_count": sum(item.subset is subset for item in dataset.items),
        }
        for dataset in datasets
        for subset in dataset.subsets
    }

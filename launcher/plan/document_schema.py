"""What may stand in a dataset file, level by level, for each trainer: data.

From `ConfigSanitizer` of library/config_util.py, v0.10.1 and the fp8 fork; tests hold it against that code. Kinds:
flag, int, float (a point is needed), number (either), text, pair (two floats), size (a whole number or two), table.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FORK = "sd-scripts-fp8"
REHEARSAL = "rehearsal"

_SUBSET = {
    "color_aug": "flag", "face_crop_aug_range": "pair", "flip_aug": "flag", "num_repeats": "int", "random_crop": "flag",
    "shuffle_caption": "flag", "keep_tokens": "int", "keep_tokens_separator": "text", "token_warmup_min": "int",
    "token_warmup_step": "number", "caption_prefix": "text", "caption_suffix": "text",
    "caption_dropout_every_n_epochs": "int", "caption_dropout_rate": "number", "caption_tag_dropout_rate": "number",
}  # fmt: skip
_SUBSET_NEW = {
    "secondary_separator": "text", "caption_separator": "text", "enable_wildcard": "flag", "custom_attributes": "table",
    "resize_interpolation": "text",
}  # fmt: skip
_FOLDER = {"caption_extension": "text", "class_tokens": "text"}
_CONTROL = {"caption_extension": "text"}
_DATASET = {
    "batch_size": "int", "bucket_no_upscale": "flag", "bucket_reso_steps": "int", "enable_bucket": "flag",
    "max_bucket_reso": "int", "min_bucket_reso": "int", "resolution": "size",
}  # fmt: skip
_DATASET_NEW = {
    "validation_seed": "int", "validation_split": "float", "network_multiplier": "float", "resize_interpolation": "text",
}  # fmt: skip

# Training options that people put there, and names of other tools.
TRAINING = "a training option: it belongs in the preset, below [options]"
MEANT = {
    "prior_loss_weight": TRAINING, "cache_latents": TRAINING, "cache_latents_to_disk": TRAINING, "mixed_precision": TRAINING,
    "learning_rate": TRAINING, "max_train_steps": TRAINING, "max_train_epochs": TRAINING, "seed": TRAINING,
    "train_batch_size": "write batch_size", "repeats": "write num_repeats", "dataset_repeats": "write num_repeats",
    "path": "write image_dir", "dir": "write image_dir", "train_data_dir": "write image_dir", "folder": "write image_dir",
    "in_json": "write metadata_file", "caption_extention": "write caption_extension", "class_token": "write class_tokens",
    "enable_bucketing": "write enable_bucket", "bucket_resolution_steps": "write bucket_reso_steps", "reg": "write is_reg",
}  # fmt: skip
INTERPOLATIONS = frozenset({"lanczos", "nearest", "bilinear", "linear", "bicubic", "cubic", "area"})
AT_LEAST_ONE = frozenset(
    {"batch_size", "bucket_reso_steps", "min_bucket_reso", "max_bucket_reso", "token_warmup_min"}
)
SHARES = frozenset({"caption_dropout_rate", "caption_tag_dropout_rate", "validation_split"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """One way to write a dataset: what its subsets must and may have, and what may stand above them."""

    name: str
    required: frozenset[str]
    subset: dict[str, str]
    dataset: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Schema:
    """The keys of one trainer."""

    general: dict[str, str]
    folder: Style
    metadata: Style | None
    control: Style | None
    newer: frozenset[str] = field(default=frozenset())  # keys that only newer trainers know


def schema_of(trainer: str) -> Schema:
    """The schema of a trainer; the rehearsal reads folders only, under v0.10.1's keys."""
    is_new = trainer != FORK
    common = {**_SUBSET, **(_SUBSET_NEW if is_new else {})}
    folder = {**_FOLDER, **({"cache_info": "flag"} if is_new else {})}
    control = {**_CONTROL, **({"cache_info": "flag"} if is_new else {})}
    mask = {"alpha_mask": "flag"} if is_new else {}
    dataset = {**_DATASET, **(_DATASET_NEW if is_new else {})}
    place = {"image_dir": "text"}
    folders = Style(
        name="folder",
        required=frozenset({"image_dir"}),
        subset={**common, **folder, **place, "is_reg": "flag", **mask},
        dataset={**dataset, **common, **folder},
    )
    metadata = Style(
        name="metadata",
        required=frozenset({"metadata_file"}),
        subset={**common, "metadata_file": "text", **place, **mask},
        dataset={**dataset, **common},
    )
    controls = Style(
        name="conditioning",
        required=frozenset({"image_dir", "conditioning_data_dir"}),
        subset={**common, **control, **place, "conditioning_data_dir": "text"},
        dataset={**dataset, **common, **control},
    )
    newer = {**_SUBSET_NEW, **_DATASET_NEW, "cache_info": "flag", "alpha_mask": "flag"}
    return Schema(
        general={**dataset, **common, **folder},
        folder=folders,
        metadata=None if trainer == REHEARSAL else metadata,
        control=controls if trainer not in {FORK, REHEARSAL} else None,
        newer=frozenset() if is_new else frozenset(newer),
    )

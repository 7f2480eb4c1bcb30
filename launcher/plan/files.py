"""The two TOML files that the trainer reads, as mappings and as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.plan.records import RUN
from launcher.plan.tomlout import write_toml
from launcher.trainers.switches import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.paths import RunPaths
    from launcher.plan.folders import Survey
    from launcher.plan.records import Plan
    from launcher.preset import Setting

HEADING = (
    "Written by the launcher when the run was created. Changing it changes nothing: a resume writes its own."
)
DATASET = "dataset."  # how the dataset's own keys are called among a plan's options
BUCKET_KEYS = (
    "enable_bucket",
    "min_bucket_reso",
    "max_bucket_reso",
    "bucket_reso_steps",
    "bucket_no_upscale",
)


def make_train(
    options: Mapping[str, Setting], *, name: str, model: Path | None, tokenizers: Path | None = None
) -> dict[str, Any]:
    """`train.toml`: every option that is not its default spelling of "off", and what the launcher sets itself."""
    train = {key: setting.value for key, setting in options.items() if not key.startswith((DATASET, PREFIX))}
    train["output_dir"] = f"{RUN}/output"
    train["output_name"] = name
    if "log_with" in train:
        train["logging_dir"] = f"{RUN}/output/logs"  # upstream refuses log_with without it
    if tokenizers is not None:  # training is offline, and looks for them nowhere else
        train.setdefault("tokenizer_cache_dir", tokenizers.as_posix())
    if model is not None:
        train["pretrained_model_name_or_path"] = model.as_posix()
    return train


def make_dataset(options: Mapping[str, Setting], found: Survey) -> dict[str, Any]:
    """`dataset.toml` for sd-scripts' strict schema: whole numbers for sizes, one subset for each image folder."""
    values = {key: setting.value for key, setting in options.items()}
    width, height = (int(side) for side in str(values["resolution"]).split(","))
    dataset: dict[str, Any] = {
        "resolution": width if width == height else [width, height],
        "batch_size": values.get("train_batch_size", 1),
        **{key: values[key] for key in BUCKET_KEYS if key in values},
    }
    dataset["subsets"] = [
        _subset(values, folder.path, folder.repeats, folder.class_tokens, len(found.folders) > 1)
        for folder in found.folders
    ]
    return {"general": {}, "datasets": [dataset]}


def _subset(
    values: Mapping[str, Any], path: Path, repeats: int | None, class_tokens: str | None, is_one_of_many: bool
) -> dict[str, Any]:
    """An explicit num_repeats is for a plain folder; names like 10_name say it for each folder themselves."""
    said = values.get(f"{DATASET}num_repeats")
    tokens = values.get(f"{DATASET}class_tokens") or class_tokens
    subset: dict[str, Any] = {
        "image_dir": path.as_posix(),  # toml 0.10.2 and backslashes are no friends; Windows takes both
        "num_repeats": (repeats or said or 1) if is_one_of_many else (said or repeats or 1),
        "caption_extension": values["caption_extension"],
    }
    if tokens:
        subset["class_tokens"] = tokens
    return subset


def count_steps(options: Mapping[str, Setting], dataset: Mapping[str, Any], found: Survey) -> int | None:
    """Optimizer steps of the whole training; None when only the trainer, which sorts buckets, can tell.

    Without batches the buckets do not matter: every image is a batch of its own.
    """
    steps = options.get("max_train_steps")
    if steps is not None:
        return int(str(steps.value))
    epochs = options.get("max_train_epochs")
    batch = int(dataset["datasets"][0]["batch_size"])
    if epochs is None or found.image_count == 0:
        return None
    if batch > 1 and dataset["datasets"][0].get("enable_bucket"):
        return None
    subsets = dataset["datasets"][0]["subsets"]
    images: int = sum(
        len(folder.images) * subset["num_repeats"]
        for folder, subset in zip(found.folders, subsets, strict=True)
    )
    accumulation = options.get("gradient_accumulation_steps")
    batches = -(-images // batch)
    return int(str(epochs.value)) * -(-batches // int(str(accumulation.value if accumulation else 1)))


def in_run(text: str, run: RunPaths) -> str:
    """A word of the plan with the run folder put in; only where the word begins with it."""
    if text == RUN:
        return str(run.folder)
    if text.startswith(f"{RUN}/"):
        return str(run.folder.joinpath(*text.split("/")[1:]))
    return text


def render_argv(plan: Plan, run: RunPaths) -> tuple[str, ...]:
    """The command line for one run folder."""
    return tuple(in_run(word, run) for word in plan.argv)


def render_train_toml(plan: Plan, run: RunPaths) -> str:
    """Text of `train.toml` for one run folder."""
    folders = {
        key: Path(in_run(str(plan.train[key]), run)).as_posix()
        for key in ("output_dir", "logging_dir")
        if key in plan.train
    }
    return write_toml({**plan.train, **folders}, HEADING)


def render_dataset_toml(plan: Plan) -> str:
    """Text of `dataset.toml`."""
    return write_toml(plan.dataset, HEADING)

"""Rules of upstream that a user's dataset file can break together with the options of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.plan.document_schema import FORK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.errors import Problem
    from launcher.plan.document import Document

SDXL_STEPS = 32
# Upstream: library/train_util.py is_text_encoder_output_cacheable, is_latent_cacheable.
MOVES_WORDS = ("shuffle_caption", "caption_dropout_rate", "token_warmup_step", "caption_tag_dropout_rate")
MOVES_PIXELS = ("color_aug", "random_crop")


def check_dataset(
    document: Document, made: Mapping[str, Any], options: Mapping[str, Any]
) -> Iterator[Problem]:
    """Combinations at which the trainer would stop. `made`: the dataset with its gaps filled."""
    general = made["general"]
    for number, dataset in enumerate(made["datasets"]):
        place = ("datasets", number)
        if not dataset["subsets"]:
            yield document.problem("this dataset has no subset that is trained on", *place)
        yield from _limits(document, {**_defaults(options), **general, **dataset}, place)
        for count, subset in enumerate(document.tables["datasets"][number]["subsets"]):
            here = (*place, "subsets", document.numbers[number][count])
            yield from _caching(document, {**general, **dataset, **subset}, options, here)
            if "conditioning_data_dir" in subset and not options.get("masked_loss"):
                yield document.problem(
                    "conditioning_data_dir is for training with masks only", *here, "conditioning_data_dir",
                    fix="leave it out, or add masked_loss = true to the preset's [options]",
                )  # fmt: skip


def _defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    names = ("enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_reso_steps")
    stock = {
        "enable_bucket": False,
        "min_bucket_reso": 256,
        "max_bucket_reso": 1024,
        "bucket_reso_steps": 64,
    }
    return {name: options.get(name, stock[name]) for name in names}


def _limits(document: Document, values: Mapping[str, Any], place: tuple[str | int, ...]) -> Iterator[Problem]:
    """Sizes of buckets around the resolution."""
    if not values["enable_bucket"]:
        return
    size = values["resolution"]
    sides = size if isinstance(size, list) else [size]
    steps, least, most = (
        values[f"{name}"] for name in ("bucket_reso_steps", "min_bucket_reso", "max_bucket_reso")
    )
    if steps % SDXL_STEPS:
        yield document.problem(
            f"bucket_reso_steps must be divisible by {SDXL_STEPS} for SDXL, not {steps}", *place, "bucket_reso_steps",
            fix="write bucket_reso_steps = 64",
        )  # fmt: skip
        return
    if document.trainer != FORK:  # v0.10.1 makes both limits multiples of the steps
        least, most = least // steps * steps, -(-most // steps) * steps
    if least > min(sides):
        yield document.problem(
            f"min_bucket_reso {least} is larger than the resolution {min(sides)}", *place, "min_bucket_reso",
            fix=f"write min_bucket_reso = {max(steps, min(sides) // 2 // steps * steps)}",
        )  # fmt: skip
    if most < max(sides):
        yield document.problem(
            f"max_bucket_reso {most} is smaller than the resolution {max(sides)}", *place, "max_bucket_reso",
            fix=f"write max_bucket_reso = {-(-max(sides) * 2 // steps) * steps}",
        )  # fmt: skip


def _caching(
    document: Document, values: Mapping[str, Any], options: Mapping[str, Any], place: tuple[str | int, ...]
) -> Iterator[Problem]:
    """What is cached cannot be changed at every step."""
    caches_words = options.get("cache_text_encoder_outputs") or options.get(
        "cache_text_encoder_outputs_to_disk"
    )
    caches_pixels = options.get("cache_latents") or options.get("cache_latents_to_disk")
    for keys, is_cached, what in (
        (MOVES_WORDS, caches_words, "cache_text_encoder_outputs"),
        (MOVES_PIXELS, caches_pixels, "cache_latents"),
    ):
        for key in keys:
            if is_cached and values.get(key):
                yield document.problem(
                    f"{key} cannot be used with {what}", *place, key, why="what is cached stays the same at every step",
                    fix=f"take {key} out of the file, or switch {what} off: --set {what}=false",
                )  # fmt: skip

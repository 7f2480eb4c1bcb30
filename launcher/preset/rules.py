"""Combinations of options that cannot work, or do not what they seem to; every rule is one sentence and one remedy.

The rules are those checks of both pinned sd-scripts that can be decided from the options alone: there they end a run
with a traceback, some of them only after the model has been loaded. `memory_rules` and `learning_rules` have the others.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.errors import Severity
from launcher.preset import learning_rules, memory_rules
from launcher.preset.values import Values
from launcher.trainers import FORK, FULL_TRAINER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from launcher.errors import Problem
    from launcher.preset.records import Setting
    from launcher.preset.values import Rule

BUCKET_STEP = 32  # sdxl_train_network.py: SDXL's U-Net halves the latents twice
FORK_BUCKET_STEP = 64  # the fork asks Stable Diffusion 1's check first


def check_combinations(
    options: Mapping[str, Setting], unreadable: Collection[str] = (), trainer: str = FULL_TRAINER
) -> list[Problem]:
    """Everything that is wrong or doubtful about options together (each alone is already known to be right).

    `unreadable` names options that were given but wrong and so are missing here: a rule that looks at one of them
    keeps quiet, because its sentence would be about the gap. Some rules hold for one `trainer` only. The launcher's own
    switches may be among the options, as `launcher.NAME`.
    """
    problems: list[Problem] = []
    for rule in RULES:
        values = Values(options, trainer)
        found = list(rule(values))
        if values.looked_at.isdisjoint(unreadable):
            problems += found
    return problems


def _length(values: Values) -> Iterator[Problem]:
    if values.is_on("max_train_steps") and values.is_on("max_train_epochs"):
        yield values.problem(
            "max_train_steps", "max_train_steps and max_train_epochs stand side by side", "remove one of the two",
            why="sd-scripts would silently use the epochs",
        )  # fmt: skip


def _buckets(values: Values) -> Iterator[Problem]:
    sides = [int(side) for side in str(values["resolution"] or "1024,1024").split(",")]
    if not values.is_on("enable_bucket"):
        yield from _without_buckets(values, sides)
        return
    step = FORK_BUCKET_STEP if values.is_fork else BUCKET_STEP
    steps = int(values.number("bucket_reso_steps"))
    if steps % step:
        yield values.problem(
            "bucket_reso_steps",
            f"bucket_reso_steps = {steps} is not a multiple of {step}",
            "write 64" if values.is_fork else "write 32 or 64",
        )
    if values.number("min_bucket_reso") > min(sides):
        yield values.problem(
            "min_bucket_reso", f"min_bucket_reso is larger than the resolution's smaller side, {min(sides)}",
            f"write min_bucket_reso = {min(sides)} or less",
        )  # fmt: skip
    largest = values.number("max_bucket_reso") or 1024  # upstream's default is smaller than many SDXL buckets
    if largest < max(sides):
        yield values.problem(
            "max_bucket_reso" if "max_bucket_reso" in values.options else "resolution",
            f"max_bucket_reso = {largest:.0f} is smaller than the resolution's larger side, {max(sides)}",
            f"write max_bucket_reso = {max(sides)} or more",
        )  # fmt: skip


def _without_buckets(values: Values, sides: list[int]) -> Iterator[Problem]:
    """Source: train_util's dataset stops at the first image of another size, unless something fits them."""
    fitting = (*memory_rules.CACHED_LATENTS, "random_crop", "face_crop_aug_range")
    if values.is_full and "resolution" in values.options and not values.is_on(*fitting):
        size = " × ".join(map(str, sides))
        yield values.warning(
            "enable_bucket", f"without enable_bucket every image must be exactly {size}",
            "add enable_bucket = true, or cache_latents = true",
            why="the training stops at the first image of another size",
        )  # fmt: skip


def _crops(values: Values) -> Iterator[Problem]:
    given = values["face_crop_aug_range"]
    if not given:
        return
    numbers = re.fullmatch(r"\s*([\d.]+)\s*,\s*([\d.]+)\s*", str(given))
    try:
        is_range = numbers is not None and 0 < float(numbers[1]) <= float(numbers[2])
    except ValueError:
        is_range = False
    if not is_range:
        yield values.problem(
            "face_crop_aug_range", f"face_crop_aug_range cannot be {str(given)[:40]!r}",
            'write two numbers, the smaller first: face_crop_aug_range = "2.0,4.0"',
        )  # fmt: skip


def _saving(values: Values) -> Iterator[Problem]:
    for kind in ("steps", "epochs"):
        last = values.first(f"save_last_n_{kind}", f"save_last_n_{kind}_state")
        if values.is_on(last) and not values.is_on(f"save_every_n_{kind}"):
            yield values.problem(last, f"{last} needs save_every_n_{kind}", f"add save_every_n_{kind}")
    if values.is_on("save_state") and not values.is_on("save_every_n_steps", "save_every_n_epochs"):
        yield values.problem(
            "save_state", "states are saved only at the end", "add save_every_n_steps = 100",
            why="save_state adds a state to every save; after a crash there would be nothing to go on from",
            severity=Severity.WARNING,
        )  # fmt: skip
    samples = ("sample_every_n_steps", "sample_every_n_epochs")
    if values.is_on(*samples) and not values.is_on("sample_prompts"):
        name = values.first(*samples)
        yield values.problem(
            name, f"{name} without sample_prompts makes no images", "add sample_prompts = 'my prompts.txt'",
            severity=Severity.WARNING,
        )  # fmt: skip
    if all(values.is_on(name) for name in samples):
        yield values.problem(
            samples[1], "sample_every_n_epochs switches sample_every_n_steps off", "remove one of the two",
            severity=Severity.WARNING,
        )  # fmt: skip


def _fork_samples(values: Values) -> Iterator[Problem]:
    """Source: the fork makes the noise of a sample in the U-Net's dtype, and nothing can compute in fp8."""
    samples = ("sample_every_n_steps", "sample_every_n_epochs")
    is_stock = values["launcher.sample_unet"] == "stock"
    if values.is_fork and is_stock and values.is_on("fp8_base") and values.is_on(*samples):
        name = values.first(*samples)
        yield values.problem(
            name, f"{FORK} by itself cannot make sample images from fp8 weights",
            f"remove launcher.sample_unet = stock, or {name}",
        )  # fmt: skip


RULES: tuple[Rule, ...] = (
    _length, _buckets, _crops, _saving, _fork_samples, *memory_rules.RULES, *learning_rules.RULES,
)  # fmt: skip

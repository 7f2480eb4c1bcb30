"""Settings that were written for one trainer, made to fit another that knows fewer options (the fork: 146 of 196).

What changes nothing about the LoRA is left out and named; what cannot be left out is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity
from launcher.preset.memory_rules import CACHED_TEXTS
from launcher.preset.schema import WrongValueError, check_value
from launcher.trainers import FULL_TRAINER, load_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launcher.paths import Paths
    from launcher.preset.records import Setting
    from launcher.trainers import Option

# Without influence on what is learned: words in the file, the log, speed, checks; or without effect on a LoRA at all.
HARMLESS = frozenset({
    "console_log_level", "console_log_simple", "log_config", "highvram", "skip_cache_check", "save_state_on_train_end",
    "disable_mmap_load_safetensors", "fused_backward_pass", "cpu_offload_checkpointing", "validation_seed",
    "validate_every_n_steps", "validate_every_n_epochs", "max_validation_steps",
})  # fmt: skip
HARMLESS_BEGINNING = "metadata_"
# Modifiers: they mean nothing unless the option behind the arrow is on.
DEPENDS_ON = {
    "huber_c": "loss_type", "huber_scale": "loss_type", "huber_schedule": "loss_type",
    "lr_scheduler_min_lr_ratio": "lr_scheduler", "lr_scheduler_timescale": "lr_scheduler", "lr_decay_steps": "lr_scheduler",
}  # fmt: skip
KNOWN_PLAINLY = {"loss_type": "l2"}  # what the fork does without having the option


@dataclass(kw_only=True, slots=True)
class Fitted:
    """Options that the trainer knows; what was left out or changed, in words; and why it will not do."""

    options: dict[str, Setting]
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def fit_options(
    paths: Paths, options: Mapping[str, Setting], trainer: str, table: Mapping[str, Option]
) -> Fitted:
    """The options as `trainer`, whose table this is, can take them."""
    fitted = Fitted(options={})
    known = load_options(paths, FULL_TRAINER)
    left_out = []
    for name, setting in options.items():
        if name in table:
            _fit_value(table[name], setting, trainer, fitted)
        elif name == "fp8_base_unet" and setting.value:
            _fit_fp8(options, setting, trainer, fitted)
        elif _is_off(known.get(name), setting.value) or KNOWN_PLAINLY.get(name) == setting.value:
            continue
        elif name in HARMLESS or name.startswith(HARMLESS_BEGINNING) or _is_idle(name, options):
            left_out.append(name)
        else:
            fitted.problems.append(_refusal(name, setting, trainer))
    if left_out:
        fitted.notes.append(_note(left_out, trainer))
    return fitted


def _is_off(option: Option | None, value: object) -> bool:
    return not value or (option is not None and value == option.default)


def _is_idle(name: str, options: Mapping[str, Setting]) -> bool:
    """A modifier of something that is not in use."""
    of = options.get(DEPENDS_ON.get(name, ""))
    return name in DEPENDS_ON and (of is None or of.value in {"l2", "l1", "constant", "cosine", "linear"})


def _fit_value(option: Option, setting: Setting, trainer: str, fitted: Fitted) -> None:
    """A list of one is a value where the other trainer takes no list (text_encoder_lr)."""
    value = setting.value
    if isinstance(value, list) and not option.many and len({str(item) for item in value}) == 1:
        value = value[0]
    elif option.many and not isinstance(value, list):
        value = [value]
    try:
        fitted.options[option.name] = replace(setting, value=check_value(option, value))
    except WrongValueError as error:
        problem = Problem(
            severity=Severity.ERROR, what=f"{error.what} (for {trainer})", fix=error.fix,
            where=f"{setting.source} (options.{option.name})",
        )  # fmt: skip
        fitted.problems.append(problem)


def _fit_fp8(options: Mapping[str, Setting], setting: Setting, trainer: str, fitted: Fitted) -> None:
    """With cached text encoder outputs, fp8_base and fp8_base_unet are the same."""
    if any(options[name].value for name in CACHED_TEXTS if name in options):
        fitted.options["fp8_base"] = replace(setting, source=f"{setting.source}, there fp8_base_unet")
        return
    fitted.problems.append(
        Problem(
            severity=Severity.ERROR, what=f"{trainer} does not know fp8_base_unet",
            why="its fp8_base stores the text encoders in 8 bits as well", where=f"{setting.source} (options.fp8_base_unet)",
            fix="write fp8_base = true in its place, or cache_text_encoder_outputs = true",
        )
    )  # fmt: skip


def _refusal(name: str, setting: Setting, trainer: str) -> Problem:
    return Problem(
        severity=Severity.ERROR, what=f"{trainer} does not know {name}",
        why="it changes what is learned, so it is not simply left out", fix=f"remove {name}, or train with --trainer {FULL_TRAINER}",
        where=f"{setting.source} (options.{name})",
    )  # fmt: skip


def _note(names: Iterable[str], trainer: str) -> str:
    return f"Left out, because {trainer} does not know it and the LoRA is the same without: {', '.join(sorted(names))}."

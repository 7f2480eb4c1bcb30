"""What the base model says of itself and the training must follow: v-prediction, and noise that ends at zero signal.

Trained for the wrong one a LoRA learns nonsense without any error. What somebody has set, in whatever file, stays as
it is; preflight warns where it does not fit the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.checkpoint import HeaderError, has_zero_snr, predicts_v, quick_print, read_header, recognise
from launcher.errors import InputError
from launcher.files import read_json
from launcher.machine import Fact
from launcher.preset import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SOURCE = "base model"  # how the source of an option begins that the model decided
MOST_JSON_BYTES = 1 << 20
NOT_BESIDE_V = "v_pred_like_loss"  # sd-scripts refuses it together with v_parameterization
FACT = "model_print"  # in the plan's facts: by it a resume knows the file again


def follow_model(options: dict[str, Setting], model: Path | None) -> list[str]:
    """Set what the model's header asks for and nobody has decided; changes `options`, returns the notes."""
    reason, has_zero = ("", False) if model is None else _said_by(model)
    if not reason:
        return []
    notes: list[str] = []
    if not _take(options, "v_parameterization", reason, notes):
        return notes
    if NOT_BESIDE_V in options:
        old = options.pop(NOT_BESIDE_V)
        notes.append(
            f"{NOT_BESIDE_V} ({old.source}) is left out: it does not go with v_parameterization, which the base model needs"
        )
    if has_zero:
        _take(options, "zero_terminal_snr", "its noise ends at zero signal, by its own word", notes)
        if _value(options, "noise_offset") and _value(options, "zero_terminal_snr"):
            notes.append(
                "noise_offset is kept as it is; with zero_terminal_snr there is nothing left for it to mend"
            )
    return notes


def _take(options: dict[str, Setting], name: str, reason: str, notes: list[str]) -> bool:
    """Set one flag, unless somebody has decided about it; whether it is on now."""
    if name not in options:
        options[name] = Setting(value=True, source=f"{SOURCE}: {reason}")
        notes.append(f"{name} = true: the base model asks for it ({reason})")
    return bool(options[name].value)


def _value(options: Mapping[str, Setting], name: str) -> object:
    return options[name].value if name in options else None


def _said_by(model: Path) -> tuple[str, bool]:
    """Why it predicts v ("" when it does not say so), and whether its noise ends at zero signal."""
    if model.is_dir():
        return _said_by_scheduler(model / "scheduler" / "scheduler_config.json")
    try:
        header = read_header(model)
    except (HeaderError, OSError, ValueError):  # preflight says what is wrong with it
        return "", False
    return (predicts_v(header), has_zero_snr(header)) if recognise(header).is_base else ("", False)


def _said_by_scheduler(path: Path) -> tuple[str, bool]:
    """A diffusers folder says it in its scheduler."""
    try:
        value = read_json(path) if path.is_file() and path.stat().st_size <= MOST_JSON_BYTES else None
    except (OSError, InputError):
        return "", False
    if not isinstance(value, dict) or value.get("prediction_type") != "v_prediction":
        return "", False
    return f"{path.name} says prediction_type = v_prediction", value.get("rescale_betas_zero_snr") is True


def model_fact(model: Path | None) -> Fact | None:
    """By what a resume knows the base model again; None where there is none that could be read."""
    if model is None:
        return None
    try:
        found = quick_print(model)
    except (OSError, ValueError):
        return None
    return Fact(value=found, reason="the names of its tensors and 64 places in them; not its SHA-256")

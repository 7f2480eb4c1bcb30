"""Whether one value fits one option, in words that say what to write instead."""

from __future__ import annotations

import difflib
import math
import re
from typing import TYPE_CHECKING, Any

from launcher.preset.owned import INSTEAD, MEANT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launcher.trainers import Option

MAX_TEXT = 4096  # characters; longer ones are pasted by mistake
MAX_INTEGER = 2**53  # the largest that survives JSON readers that know only floating point
MAX_SEED = 2**32 - 1  # numpy takes no larger one
RESOLUTION = re.compile(r"\s*(\d{1,5})\s*(?:,\s*(\d{1,5})\s*)?")

# Upstream looks these up by name while it runs and stops with a traceback on an unknown one.
# Source: train_util.get_optimizer and get_scheduler_fix, sd-scripts v0.10.1.
OPTIMIZERS = (
    "AdamW", "AdamW8bit", "PagedAdamW", "PagedAdamW8bit", "PagedAdamW32bit", "Lion", "Lion8bit", "PagedLion8bit",
    "SGDNesterov", "SGDNesterov8bit", "DAdaptation", "DAdaptAdamPreprint", "DAdaptAdaGrad", "DAdaptAdam", "DAdaptAdan",
    "DAdaptAdanIP", "DAdaptLion", "DAdaptSGD", "Prodigy", "Adafactor", "RAdamScheduleFree", "AdamWScheduleFree",
    "SGDScheduleFree", "Adadelta", "Adagrad", "Adam", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD",
)  # fmt: skip
SCHEDULERS = (
    "constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "cosine_with_min_lr", "polynomial",
    "inverse_sqrt", "piecewise_constant", "warmup_stable_decay", "adafactor",
)  # fmt: skip
LOOKED_UP = {"optimizer_type": OPTIMIZERS, "lr_scheduler": SCHEDULERS}

# Smallest sensible value; options that are not here only have to be numbers.
AT_LEAST_ONE = frozenset({
    "max_train_steps", "max_train_epochs", "train_batch_size", "network_dim", "gradient_accumulation_steps",
    "save_every_n_steps", "save_every_n_epochs", "save_last_n_steps", "save_last_n_steps_state", "save_last_n_epochs",
    "save_last_n_epochs_state", "sample_every_n_steps", "sample_every_n_epochs", "vae_batch_size", "min_bucket_reso",
    "max_bucket_reso", "bucket_reso_steps", "lr_scheduler_num_cycles", "num_repeats", "save_n_epoch_ratio", "keep_states",
})  # fmt: skip
AT_LEAST_ZERO = frozenset({
    "seed", "max_data_loader_n_workers", "lr_warmup_steps", "lr_decay_steps", "learning_rate", "unet_lr", "max_grad_norm",
    "keep_tokens", "min_snr_gamma", "caption_dropout_rate", "caption_tag_dropout_rate", "network_dropout", "min_timestep",
    "max_timestep", "token_warmup_step", "caption_dropout_every_n_epochs", "state_every_minutes", "states_budget_gib",
    "offload_mib", "stop_on_nan",
})  # fmt: skip
AT_MOST_ONE = frozenset({"caption_dropout_rate", "caption_tag_dropout_rate", "network_dropout"})


class WrongValueError(ValueError):
    """A value that an option does not take; `fix` says what to write."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


def refuse_name(name: str, options: Mapping[str, Option]) -> tuple[str, str] | None:
    """Why an option name cannot be used in a preset, as (what, fix); None when it can."""
    if name in INSTEAD:
        return f"{name} is set by the launcher", INSTEAD[name]
    if name in options:
        return None
    return f"{name} is not an option of the trainer", suggest(name.lstrip("-"), [*options, *MEANT])


def suggest(name: str, known: Iterable[str]) -> str:
    """A "perhaps you meant" for an unknown name, or where to look."""
    names = [item for item in known if item not in INSTEAD]
    plain = name.replace("-", "_").lower()
    if plain in MEANT:
        return f"perhaps you meant {MEANT[plain]}"
    close = [plain] if plain in names else difflib.get_close_matches(plain, names, n=1, cutoff=0.6)
    if close:
        return f"perhaps you meant {MEANT.get(close[0], close[0])}"
    return "remove it; the names are those of sd-scripts' command line, without the dashes"


def check_value(option: Option, value: object) -> object:
    """The value as the trainer needs it (`network_alpha = 16` becomes 16.0).

    Raises:
        WrongValueError: it does not fit.
    """
    _refuse_huge(option.name, value)
    if option.name == "resolution":
        return _resolution(value)
    if option.many:
        if not isinstance(value, list):
            raise WrongValueError(f"{option.name} is a list", f"write {option.name} = [{_toml(value)}]")
        return [_one(option, item) for item in value]
    if isinstance(value, (list, dict)):
        raise WrongValueError(f"{option.name} takes one value", f"write {option.name} = {_example(option)}")
    return _one(option, value)


def _refuse_huge(name: str, value: object) -> None:
    """Hexadecimal integers may have any length; Python will not even print the longest."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, int) and abs(item) > MAX_INTEGER:
            raise WrongValueError(f"{name} is far too large a number", "write a smaller number")


def _one(option: Option, value: object) -> object:
    checked = _typed(option, value)
    if option.choices is not None and str(checked) not in option.choices:
        raise _not_among(option.name, checked, option.choices)
    if option.name in LOOKED_UP:
        return _looked_up(option.name, str(checked))
    if isinstance(checked, (int, float)) and not isinstance(checked, bool):
        _check_range(option.name, checked)
    return checked


def _typed(option: Option, value: object) -> object:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if option.type == "flag" and isinstance(value, bool):
        return value
    if option.type in {"str", "path"} and isinstance(value, str):
        return _text(option.name, value)
    if option.type == "int" and is_number and isinstance(value, int):
        return value
    if option.type == "float" and is_number:
        return _float(option.name, value)
    if option.type == "int_or_float" and is_number:
        return value if isinstance(value, int) else _float(option.name, value)
    raise WrongValueError(
        f"{option.name} needs {KINDS[option.type]}, not {_kind_of(value)}",
        f"write {option.name} = {_repaired(option, value)}",
    )


KINDS = {
    "flag": "true or false",
    "str": "a text in quotes",
    "path": "a path in quotes",
    "int": "a whole number",
    "float": "a number",
    "int_or_float": "a number of steps, or a share of them such as 0.1",
}


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return f'the text "{_short(value).strip(chr(34))}"'
    if isinstance(value, (int, float)):
        return f"the number {_short(str(value))}"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a table"
    return "a date" if hasattr(value, "isoformat") else "this"


def _repaired(option: Option, value: object) -> str:
    """The value as it was surely meant, else an example."""
    text = str(value).strip().lower()
    if option.type == "flag" and text in {"true", "yes", "on", "1", "false", "no", "off", "0"}:
        return "true" if text in {"true", "yes", "on", "1"} else "false"
    if option.type == "str" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return f'"{_short(str(value))}"'
    if option.type in {"int", "float", "int_or_float"} and isinstance(value, (str, float)):
        try:
            number = float(text)
        except ValueError:
            return _example(option)
        if math.isfinite(number) and (option.type != "int" or abs(number) < MAX_INTEGER):
            return str(round(number)) if option.type == "int" else text
    return _example(option)


def _example(option: Option) -> str:
    if option.choices:
        return _toml(option.choices[0])
    examples = {
        "flag": "true",
        "str": '"text"',
        "path": "'path'",
        "int": "1",
        "float": "1.0",
        "int_or_float": "100",
    }
    return examples[option.type]


def _text(name: str, value: str) -> str:
    if len(value) > MAX_TEXT:
        raise WrongValueError(f"{name} has {len(value)} characters", f"shorten it to {MAX_TEXT}")
    if "\0" in value:
        raise WrongValueError(f"{name} holds a zero character", "remove it")
    return value


def _float(name: str, value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise WrongValueError(f"{name} is not a finite number", f"write a number such as {name} = 1.0")
    return number


def _check_range(name: str, value: float) -> None:
    if abs(value) > MAX_INTEGER:
        raise WrongValueError(f"{name} = {_short(str(value))} is too large", "write a smaller number")
    if name in AT_LEAST_ONE and value < 1:
        raise WrongValueError(
            f"{name} must be at least 1, not {value}", f"write {name} = 1 or more, or remove the line"
        )
    if name in AT_LEAST_ZERO and value < 0:
        raise WrongValueError(f"{name} cannot be negative, but is {value}", f"write {name} = 0 or more")
    if name in AT_MOST_ONE and value > 1:
        raise WrongValueError(
            f"{name} is a share between 0 and 1, not {value}", f"write for example {name} = 0.1"
        )
    if name == "seed" and value > MAX_SEED:
        raise WrongValueError(f"seed cannot be larger than {MAX_SEED}", "write a smaller number")


def _looked_up(name: str, value: str) -> str:
    known = LOOKED_UP[name]
    same = next((item for item in known if item.lower() == value.lower()), None)
    if same:
        return same
    if (
        name == "optimizer_type" and "." in value
    ):  # a class by its full name, such as schedulefree.AdamWScheduleFree
        return value
    raise _not_among(name, value, known)


def _not_among(name: str, value: object, known: Iterable[str]) -> WrongValueError:
    names = list(known)
    by_small = {item.lower(): item for item in names}
    close = difflib.get_close_matches(str(value).lower(), by_small, n=1, cutoff=0.6)
    fix = f'perhaps you meant "{by_small[close[0]]}"' if close else f"one of: {', '.join(names)}"
    return WrongValueError(f"{name} cannot be {_toml(value)}", fix)


def _resolution(value: object) -> str:
    """`1024`, `[1024, 768]`, "1024" or "1024,768" as the text that upstream splits at the comma."""
    numbers = value if isinstance(value, list) else [value]
    text = ",".join(str(item) for item in numbers if not isinstance(item, (bool, float, dict, list)))
    match = RESOLUTION.fullmatch(text[:100])
    width = int(match[1]) if match else 0
    height = int(match[2] or width) if match else 0
    if not 64 <= min(width, height) <= max(width, height) <= 8192:
        raise WrongValueError(
            f"resolution cannot be {_toml(value)}",
            'write resolution = "1024,1024" (width, height; 64 to 8192)',
        )
    return f"{width},{height}"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return _short(str(value))
    if isinstance(value, str):
        return _short(value)
    return "this list" if isinstance(value, list) else "this"


def _short(text: str) -> str:
    """A text for a message: quoted, cut, without control characters."""
    shown = "".join(char if char.isprintable() else "?" for char in text[:60])
    return f'"{shown}{"…" if len(text) > 60 else ""}"' if not _is_number(text) else shown


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return len(text) <= 60

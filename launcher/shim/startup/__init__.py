"""A quicker start of the same training: what can be done beside the imports, and what an import does in vain.

`checksums` hands upstream the base model's SHA-256 that was computed before, or beside the loading; `ahead` reads the
model into the system's cache and wakes the card while Python imports; `imports` leaves out what known packages do for
nothing; `structure` remembers what transformers would look up in 2,600 files; `after` and its loader reach a module at
its import; `card` has the card's libraries loaded. All of it fails open, and none of it changes a number.

LAUNCHER_NOTES_DIR names the folder of what is remembered (none: nothing is); LAUNCHER_STARTUP_OFF, words of `checksums
model card imports images upload moves libraries`, leaves parts out (`images`: those decoded ahead in `upstream.loading`; `upload`: `memory.upload`;
`moves`: those that `memory.late` puts off), for measurements and for whoever suspects one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.files import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.paths import RunPaths
    from launcher.shim.context import Context

NOTES_VARIABLE = "LAUNCHER_NOTES_DIR"
OFF_VARIABLE = "LAUNCHER_STARTUP_OFF"
MODEL_OPTION = "pretrained_model_name_or_path"


def begin(run: RunPaths, script: Path) -> None:
    """Start what goes beside the imports; torch has not been imported yet."""
    from launcher.shim.startup import ahead, checksums, imports

    if is_on("imports"):
        imports.begin(notes_folder())
    plan = plan_of(run)
    if is_on("card") and device_of(plan) == "cuda":
        ahead.wake_card()
    model = model_of(plan) if script.stem == "sdxl_train_network" else None
    if model is None:
        return
    is_hashing = is_on("checksums") and checksums.HASHES.begin(model, notes_folder())
    if is_on("model") and not is_hashing:  # hashing reads it as well
        ahead.read_ahead(model)


def torch_is_here(run: RunPaths) -> None:
    """Torch is imported and knows its card; the trainer's own imports come next."""
    plan = plan_of(run)
    if is_on("libraries") and device_of(plan) == "cuda":
        from launcher.shim.startup import card

        card.load_libraries(plan)


def imported() -> None:
    """All is imported: what was only for the imports is taken back."""
    from launcher.shim.startup import imports

    imports.end()


def install(context: Context) -> None:
    """Hand the trainer the checksums."""
    if is_on("checksums"):
        from launcher.shim.startup import checksums

        checksums.install(context, notes_folder())


def is_on(part: str) -> bool:
    return part not in os.environ.get(OFF_VARIABLE, "").split()


def notes_folder() -> Path | None:
    folder = os.environ.get(NOTES_VARIABLE)
    return Path(folder) if folder else None


def plan_of(run: RunPaths) -> dict[str, Any]:
    """The run's plan as it lies there; empty where there is none."""
    try:
        plan = read_json(run.plan)
    except InputError:
        return {}
    return plan if isinstance(plan, dict) else {}


def device_of(plan: Mapping[str, Any]) -> str | None:
    """What the plan computes on: a card that it does not use must not be woken."""
    return _text(plan, "machine", "device", "value")


def model_of(plan: Mapping[str, Any]) -> Path | None:
    """The base model, before the trainer has read its options; it may say otherwise, and then this was in vain."""
    name = _text(plan, "train", MODEL_OPTION)
    model = Path(name) if name else None
    return model if model is not None and model.is_file() else None


def _text(value: Any, *keys: str) -> str | None:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None

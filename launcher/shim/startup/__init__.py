"""A quicker start of the same training: what can be done beside the imports, and what an import does in vain.

`checksums` hands upstream the base model's SHA-256 that was computed before, or beside the loading; `ahead` reads the
model into the system's cache and wakes the card while Python imports; `imports` leaves out what known packages do for
nothing; `structure` remembers what transformers would look up in 2,600 files; `after` and its loader reach a module at
its import. All of it fails open, and none of it changes a number.

LAUNCHER_NOTES_DIR names the folder of what is remembered (none: nothing is); LAUNCHER_STARTUP_OFF, words of `checksums
model card imports images`, leaves parts out (`images`: those decoded ahead in `upstream.loading`), for measurements and for whoever suspects one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import InputError
from launcher.files import read_json

if TYPE_CHECKING:
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
    if is_on("card"):
        ahead.wake_card()
    model = model_of(run) if script.stem == "sdxl_train_network" else None
    if model is None:
        return
    is_hashing = is_on("checksums") and checksums.HASHES.begin(model, notes_folder())
    if is_on("model") and not is_hashing:  # hashing reads it as well
        ahead.read_ahead(model)


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


def model_of(run: RunPaths) -> Path | None:
    """The base model, before the trainer has read its options; it may say otherwise, and then this was in vain."""
    try:
        plan = read_json(run.plan)
    except InputError:
        return None
    train = plan.get("train") if isinstance(plan, dict) else None
    name = train.get(MODEL_OPTION) if isinstance(train, dict) else None
    model = Path(name) if isinstance(name, str) and name else None
    return model if model is not None and model.is_file() else None

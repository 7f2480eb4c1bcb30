"""Is the base model one that SDXL can be trained on, and are the other files that the plan names really there?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.checkpoint import (
    CUT,
    HeaderError,
    has_zero_snr,
    is_fp8,
    lora_base,
    predicts_noise,
    predicts_v,
    read_header,
    recognise,
)
from launcher.errors import Problem, Severity
from launcher.plan import is_there
from launcher.preflight.diffusers_folder import check_diffusers_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.checkpoint import Header
    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan

WITHOUT_MODEL = frozenset({"rehearsal"})  # trainers that bring a small model of their own
SUFFIX = ".safetensors"  # by it, and not by the content, sd-scripts decides how to read a file
FILES = (
    "sample_prompts",
    "vae",
    "network_weights",
    "base_weights",
    "conditioning_data_dir",
    "log_tracker_config",
)
NEEDED = {  # options that name weights: what they may be, and in words
    "vae": ({"vae", "sdxl", "sd1"}, "a VAE"),
    "network_weights": ({"lora"}, "a LoRA for SDXL"),
    "base_weights": ({"lora"}, "a LoRA for SDXL"),
}
CONVERT = (
    "take the .safetensors file of the same model (most pages offer both), or convert it in a program that you trust it to: "
    "a web UI saves a loaded checkpoint as .safetensors (Checkpoint Merger, one model, Safetensors)"
)
AGAIN = "download the file again and compare its size with the one on the page it comes from"


def check_model(_paths: Paths, plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """A trainer that needs a base model has one: a whole SDXL checkpoint, by its header alone."""
    if plan.trainer in WITHOUT_MODEL:
        return
    path = plan.model
    if path is None:
        yield Problem(
            severity=Severity.ERROR, what="no base model is named", why=f"the trainer {plan.trainer} needs one",
            fix="name an SDXL checkpoint: --model FILE.safetensors",
        )  # fmt: skip
        return
    if path.is_dir():
        yield from check_diffusers_folder(plan, path)
        return
    header, problem = open_header(path)
    if problem:
        yield problem
    if header:
        yield from check_name(path)
        yield from check_nature(path, header)
        if recognise(header).is_base:
            yield from _check_prediction(plan, path, header)


def open_header(path: Path) -> tuple[Header | None, Problem | None]:
    """The header of a model file, or why there is none."""
    try:
        return read_header(path), None
    except HeaderError as error:
        return None, _unreadable(path, error)
    except OSError as error:
        return None, _error(path, _why_unreadable(error), "check the path")


def _unreadable(path: Path, error: HeaderError) -> Problem:
    reason = str(error)
    if error.is_pickle:
        return Problem(
            severity=Severity.ERROR, what=f"the base model cannot be used: {reason}, and loading one can run a program that somebody put into it",
            fix=CONVERT, where=str(path),
        )  # fmt: skip
    return _error(path, reason, "let the download finish, or start it again" if reason == CUT else AGAIN)


def _error(path: Path, reason: str, fix: str) -> Problem:
    return Problem(
        severity=Severity.ERROR, what=f"the base model cannot be used: {reason}", fix=fix, where=str(path)
    )


def _why_unreadable(error: OSError) -> str:
    return "it is not there" if isinstance(error, FileNotFoundError) else error.strerror or str(error)


def check_name(path: Path) -> Iterator[Problem]:
    """sd-scripts goes by the end of the name, and follows a link by one step without looking where it lies."""
    target = path
    if path.is_symlink():
        target = Path(os.readlink(path))  # noqa: PTH115  (as sd-scripts does it)
        if not target.is_absolute():
            real = path.resolve()
            yield _error(path, f"it is a link with a relative target ({target}), which sd-scripts looks for in the wrong place", f"name the file itself: --model {real}")  # fmt: skip
            target = real
    if target.suffix.lower() != SUFFIX:
        yield _error(path, f"it is a safetensors file, but its name ends with {target.suffix or 'nothing'}: sd-scripts would read it as a pickle", f"rename it to {target.stem}{SUFFIX}")  # fmt: skip


def check_nature(path: Path, header: Header) -> Iterator[Problem]:
    """It is an SDXL checkpoint, and not one that has lost precision."""
    nature = recognise(header)
    if not nature.is_base:
        yield Problem(
            severity=Severity.ERROR, what=f"this is {nature.what}", why="SDXL LoRAs are trained on an SDXL checkpoint",
            fix=nature.fix, where=str(path),
        )  # fmt: skip
    elif is_fp8(header):
        yield Problem(
            severity=Severity.WARNING, what="this checkpoint is stored as fp8: its weights have lost precision already",
            why="the text encoders and the caches are computed from them, too", fix="take the fp16 file of the same model: the trainer makes its own fp8",
            where=str(path),
        )  # fmt: skip


def _check_prediction(plan: Plan, path: Path, header: Header) -> Iterator[Problem]:
    """A model for v-prediction that is trained for noise (or the reverse) learns nonsense without an error."""
    reason = predicts_v(header)
    is_set = _value(plan, "v_parameterization") is True
    if reason and not is_set:
        also = " --set zero_terminal_snr=true" if has_zero_snr(header) and not _value(plan, "zero_terminal_snr") else ""  # fmt: skip
        yield Problem(
            severity=Severity.WARNING, what="this model predicts v, and the preset trains it as if it predicted noise",
            why=f"{reason}; the LoRA would spoil its pictures", fix=f"--set v_parameterization=true{also}", where=str(path),
        )  # fmt: skip
    elif is_set and predicts_noise(header):
        yield Problem(
            severity=Severity.WARNING, what="v_parameterization is set, and this model predicts noise",
            why="its metadata says prediction_type = epsilon", fix="--set v_parameterization=false", where=str(path),
        )  # fmt: skip
    elif not is_set and not reason and "vpred" in path.stem.lower().replace("-", "").replace("_", ""):
        yield Problem(
            severity=Severity.NOTE, what="the file's name speaks of v-prediction, its content does not",
            fix="if the model's page says v-prediction: --set v_parameterization=true", where=str(path),
        )  # fmt: skip


def _value(plan: Plan, name: str) -> object:
    setting = plan.options.get(name)
    return None if setting is None else setting.value


def why_no_checkpoint(path: Path) -> str | None:
    """Why a file is no whole safetensors file, or None. Reads the header only."""
    try:
        if path.is_dir():
            return "it is a folder"
        read_header(path)
    except HeaderError as error:
        return str(error)
    except OSError as error:
        return _why_unreadable(error)
    return None


def check_files(_paths: Paths, plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """Files named by options (prompts, VAE, weights to start from) are there, and are what the option needs."""
    for name in FILES:
        setting = plan.options.get(name)
        if setting is None:
            continue
        where = f"{setting.source} ({name})"
        for value in setting.value if isinstance(setting.value, list) else [setting.value]:
            if value and not is_there(Path(str(value))):
                yield Problem(
                    severity=Severity.ERROR, what=f"{name} names a file that is not there: {value}",
                    fix="check the path; a relative one starts at the preset's folder", where=where,
                )  # fmt: skip
            elif value and name in NEEDED and plan.trainer not in WITHOUT_MODEL:
                yield from _check_weights(name, Path(str(value)), where)


def _check_weights(name: str, path: Path, where: str) -> Iterator[Problem]:
    """Weights that an option names: whole, no pickle, and of the kind that belongs there."""
    if path.is_dir():  # a VAE as a diffusers folder; the trainer tells what is wrong with it
        return
    wanted, words = NEEDED[name]
    try:
        header = read_header(path)
    except HeaderError as error:
        danger = ", and loading one can run a program that somebody put into it" if error.is_pickle else ""
        yield Problem(
            severity=Severity.ERROR, what=f"{name} cannot be used: {error}{danger}",
            fix="take it as .safetensors" if error.is_pickle else AGAIN, where=f"{path}, from {where}",
        )  # fmt: skip
        return
    except OSError as error:
        yield Problem(severity=Severity.ERROR, what=f"{name} cannot be read: {error.strerror or error}", fix="check the file's permissions", where=str(path))  # fmt: skip
        return
    nature = recognise(header)
    base = lora_base(header) if nature.name == "lora" else ""
    if nature.name not in wanted:
        yield Problem(severity=Severity.ERROR, what=f"{name} needs {words}, and this is {nature.what}", fix=f"name {words}", where=f"{path}, from {where}")  # fmt: skip
    elif base not in {"", "SDXL"}:
        yield Problem(severity=Severity.ERROR, what=f"{name} names a LoRA for {base}: it does not fit SDXL", fix=f"name {words}", where=f"{path}, from {where}")  # fmt: skip

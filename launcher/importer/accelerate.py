"""What stands before the script's name, and in the environment: accelerate's options and variables.

The launcher starts accelerate itself, so most of it has no use; the precision is the exception. sd-scripts hands its own
`--mixed_precision` (default: no) to accelerate, which then ignores the launch option and the variable
(train_util.prepare_accelerator, v0.10.1). A script that says it only there surely means it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.importer.outcome import Change, Drop
from launcher.importer.secrets import hide, is_secret_name
from launcher.importer.words import Given

if TYPE_CHECKING:
    from launcher.importer.outcome import Outcome

PRECISION = "mixed_precision"
VARIABLE = "ACCELERATE_MIXED_PRECISION"
GPU_WORDS = ("gpu_ids", "CUDA_VISIBLE_DEVICES")
OURS = "the launcher starts accelerate itself"
WHY = {
    "config_file": "accelerate's own configuration: the launcher has one for each environment",
    "num_cpu_threads_per_process": "the launcher chooses the threads",
    "num_processes": "`--gpus 0,1` of `train` trains on several cards",
    "multi_gpu": "`--gpus 0,1` of `train` trains on several cards",
}
FLAGS = frozenset({"multi_gpu", "cpu", "mps", "tpu", "quiet", "use_deepspeed", "use_fsdp", "m", "u", "module", "no_python", "debug"})  # fmt: skip


def read_accelerate(outcome: Outcome) -> None:
    """The options between `accelerate launch` and the script."""
    words = outcome.launch.program
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.text.startswith("--"):
            continue
        name, equals, value = word.text.lstrip("-").partition("=")
        line = word.source_line
        if not equals and name not in FLAGS and at < len(words) and not words[at].text.startswith("--"):
            value, line = words[at].text, words[at].source_line
            at += 1
        name = name.replace("-", "_")
        if name == PRECISION:
            _merge(outcome, value, line, f"accelerate launch --{PRECISION} {value}", unknown=word.unknown)
        elif name in GPU_WORDS:
            _gpus(outcome, value, line)
        else:
            why = WHY.get(name, OURS)
            outcome.dropped.append(
                Drop(name=f"accelerate --{name[:60]}", value=hide(value), why=why, line=line)
            )


def read_environment(outcome: Outcome) -> None:
    """Variables that the script sets."""
    line = outcome.launch.line
    for name, value in outcome.launch.env.items():
        if is_secret_name(name):
            outcome.secrets.append(Given(name=name, value=None, line=line))
        elif name.upper() == VARIABLE:
            _merge(outcome, value, line, f"{VARIABLE}={value}")
        elif name.upper() in GPU_WORDS:
            _gpus(outcome, value, line)
        else:
            why = "the launcher sets the environment of a training itself"
            outcome.dropped.append(Drop(name=f"variable {name[:60]}", value=hide(value), why=why, line=line))


def _merge(outcome: Outcome, value: str, line: int, said: str, *, unknown: str = "") -> None:
    own = outcome.options.get(PRECISION)
    value = value.lower()
    if unknown or value not in {"no", "fp16", "bf16", "fp8"}:
        why = unknown or "is no precision"
        outcome.dropped.append(Drop(name=f"accelerate --{PRECISION}", value=hide(value), why=why, line=line))
    elif own is not None and own.value == value:
        outcome.dropped.append(
            Drop(name=f"accelerate --{PRECISION}", value=value, why="it is said elsewhere too", line=line)
        )  # fmt: skip
    elif own is not None and value != "fp8":
        why = f"it disagrees with the trainer's own option, {own.value} in line {own.line}, which sd-scripts follows"
        outcome.dropped.append(Drop(name=f"accelerate --{PRECISION}", value=value, why=why, line=line))
    elif value == "fp8":
        _fp8(outcome, line, said)
    elif value != "no":
        why = "sd-scripts by itself would not have followed it and computed in fp32"
        _set(outcome, PRECISION, value, line=line, said=said, why=why)


def _fp8(outcome: Outcome, line: int, said: str) -> None:
    why = "fp8 there means base weights stored in 8 bits, and computing in half precision"
    if "fp8_base" not in outcome.options:
        _set(outcome, "fp8_base", True, line=line, said=said, why=why)
    own = outcome.options.get(PRECISION)
    if own is None or own.value == "no":
        _set(outcome, PRECISION, "bf16", line=line, said=said, why=why)


def _set(outcome: Outcome, name: str, value: object, *, line: int, said: str, why: str) -> None:
    outcome.options[name] = Given(name=name, value=value, line=line, where=f"line {line}")
    shown = str(value).lower() if isinstance(value, bool) else value
    outcome.changed.append(Change(name=name, before=said, after=f"{name} = {shown}", why=why, line=line))


def _gpus(outcome: Outcome, value: str, line: int) -> None:
    """The cards to train on become `--gpus`; the first one alone is what the launcher takes anyway."""
    numbers = [part.strip() for part in value.split(",")]
    if value.strip() == "0" or not all(part.isdecimal() for part in numbers):
        outcome.dropped.append(Drop(name="graphics card", value=hide(value), why="the launcher takes the first card", line=line))  # fmt: skip
        return
    outcome.gpus = Given(name="gpus", value=",".join(numbers), line=line)

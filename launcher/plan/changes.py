"""What may be changed when a run goes on: where things lie and what is written, never what is learned."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.errors import UsageError
from launcher.preset import Setting, lay_over, settings_from_words
from launcher.trainers import load_trainer
from launcher.trainers.switches import PREFIX, SWITCHES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.paths import Paths
    from launcher.plan.records import Plan

SOURCE = "resume --set"
OFF = "none"  # as a value: without this option from now on
WITH_STATE = frozenset(
    {
        # memory and speed: the same numbers, other places (sdpa and xformers differ by rounding)
        "gradient_checkpointing", "sdpa", "xformers", "mem_eff_attn", "lowram", "highvram", "vae_batch_size",
        "max_data_loader_n_workers", "persistent_data_loader_workers", "disable_mmap_load_safetensors",
        # what is written, and when
        "save_every_n_steps", "save_every_n_epochs", "save_last_n_steps", "save_last_n_epochs", "save_precision", "log_with", "log_prefix",
        "sample_every_n_steps", "sample_every_n_epochs", "sample_at_first", "sample_prompts", "sample_sampler", "training_comment",
        *(f"{PREFIX}{name}" for name in SWITCHES if name != "exact_resume"),
    }
)  # fmt: skip


def change_plan(paths: Paths, plan: Plan, words: Sequence[str]) -> Plan:
    """`plan` with the options that `words` (`KEY=VALUE`; `KEY=none` takes one out) change. The caller continues it.

    Raises:
        UsageError: a word cannot be understood, or would make the rest of the run learn something else.
    """
    if not words:
        return plan
    trainer = load_trainer(paths, plan.trainer)
    off = {word.partition("=")[0].strip() for word in words if word.partition("=")[2].strip().lower() == OFF}
    rest = [word for word in words if word.partition("=")[0].strip() not in off]
    settings = settings_from_words(paths, rest, table=trainer.options, source=SOURCE)
    changed = {**settings.options, **{f"{PREFIX}{name}": item for name, item in settings.switches.items()}}
    _refuse({*changed, *settings.dataset, *off})
    options = lay_over(plan.options, changed)
    for name in off:
        options.pop(name, None)
    return replace(plan, options=options, notes=(*plan.notes, *_notes(plan.options, changed, off)))


def _refuse(names: set[str]) -> None:
    for name in sorted(names - WITH_STATE):
        close = difflib.get_close_matches(name, WITH_STATE, n=1)
        meant = f"perhaps you meant {close[0]}; else " if close else ""
        raise UsageError(
            f"{name} cannot be changed in the middle of a run",
            why="the rest would learn something else than the beginning, and the state may not fit",
            fix=f"{meant}start a new run: train PRESET ... --set {name}=...",
        )


def _notes(before: Mapping[str, Setting], changed: Mapping[str, Setting], off: set[str]) -> list[str]:
    notes = []
    for name, setting in changed.items():
        old = before.get(name)
        if old is None or old.value != setting.value:
            notes.append(f"Changed at the resume: {name} = {setting.value} (before: {'not set' if old is None else old.value}).")  # fmt: skip
    return [*notes, *(f"Switched off at the resume: {name}." for name in sorted(off & before.keys()))]

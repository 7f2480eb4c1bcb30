"""What this computer cannot do is replaced by what it can, and the value says so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.preset import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.machine import Machine

TYPED_SOURCES = ("--set", "answer")  # what somebody has just asked for is not changed behind their back


def adapt(
    options: Mapping[str, Setting], machine: Machine, *, on_cpu: bool
) -> tuple[dict[str, Setting], list[str]]:
    """Options that work here, and a note for each that was changed (or that should have been)."""
    adapted = dict(options)
    notes: list[str] = []
    wanted = options.get("mixed_precision")
    if wanted is None:
        return adapted, notes
    if on_cpu and wanted.value == "fp16":
        _change(adapted, "mixed_precision", "bf16", "the CPU computes bf16, not fp16", notes)
        _rename(adapted, "full_fp16", "full_bf16")
    elif not on_cpu and wanted.value == "bf16" and not machine.has_bf16.value:
        _change(adapted, "mixed_precision", "fp16", machine.has_bf16.reason, notes)
        _rename(adapted, "full_bf16", "full_fp16")
        if adapted["mixed_precision"].value == "fp16":
            _change(adapted, "no_half_vae", True, "SDXL's own VAE overflows in fp16", notes)
    return adapted, notes


def adapt_attention(options: dict[str, Setting], attention: str | None) -> list[str]:
    """Where the environment has no xformers that works, torch's own attention does the same; changes `options`."""
    wanted = options.get("xformers")
    if wanted is None or not wanted.value or attention in {None, "xformers"}:
        return []
    reason = "the training environment was proved without xformers"
    if wanted.source.startswith(TYPED_SOURCES):
        return [f"xformers is kept because you asked for it, but: {reason}"]
    del options["xformers"]
    options["sdpa"] = Setting(
        value=True, source=f"this computer: {reason} (instead of xformers, {wanted.source})"
    )
    return [f"sdpa = true: {reason}"]


def _change(options: dict[str, Setting], name: str, value: object, reason: str, notes: list[str]) -> None:
    old = options.get(name)
    if old is not None and old.value == value:
        return
    if old is not None and old.source.startswith(TYPED_SOURCES):
        notes.append(f"{name} = {old.value} is kept because you asked for it, but: {reason}")
        return
    asked = f" (instead of {old.value}, {old.source})" if old is not None else ""
    options[name] = Setting(value=value, source=f"this computer: {reason}{asked}")
    notes.append(f"{name} = {str(value).lower() if isinstance(value, bool) else value}: {reason}")


def _rename(options: dict[str, Setting], old: str, new: str) -> None:
    """full_bf16 follows mixed_precision: the other half precision would be refused."""
    setting = options.get(old)
    if setting is not None and options["mixed_precision"].value == new.removeprefix("full_"):
        del options[old]
        options[new] = replace(setting, source=f"this computer, in place of {old} ({setting.source})")

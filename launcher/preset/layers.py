"""Layers of settings laid over each other: one function for everything, from presets to the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.preset.records import Setting

# Two ways to say the same thing: the later layer's way switches the earlier layer's off. Otherwise
# `--set max_train_steps=20` would be ignored after a preset's max_train_epochs, which wins in sd-scripts.
ALTERNATIVES = (
    frozenset({"max_train_steps", "max_train_epochs"}),
    frozenset({"sdpa", "xformers", "mem_eff_attn"}),
    frozenset({"sample_every_n_steps", "sample_every_n_epochs"}),
)


def lay_over(*layers: Mapping[str, Setting]) -> dict[str, Setting]:
    """All settings of `layers`, lowest first; a later layer wins, value by value."""
    merged: dict[str, Setting] = {}
    for layer in layers:
        for group in ALTERNATIVES:
            if any(layer[name].value for name in group & layer.keys()):
                for name in group - layer.keys():
                    merged.pop(name, None)
        merged.update(layer)
    return merged

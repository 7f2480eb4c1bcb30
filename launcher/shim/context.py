"""What every part of the shim that changes a known trainer gets to see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path
    from types import ModuleType

    from launcher.paths import RunPaths
    from launcher.shim.reporter import Reporter


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """A recognised trainer, imported and wrapped, about to train.

    `version` is a key of `launcher.shim.upstream.known.KNOWN` ("v0.10.1", "fp8-fork", ...); `modules` gives upstream
    modules by their import name (`library.train_util`, `train_network`, ...); `switches` has every name of
    `launcher.trainers.switches.SWITCHES`.
    """

    version: str
    code: Path
    modules: Mapping[str, ModuleType]
    trainer_class: type
    args: argparse.Namespace
    switches: Mapping[str, Any]
    run: RunPaths
    reporter: Reporter

    def warn(self, message: str) -> None:
        """Tell the person at the dashboard, once."""
        self.reporter.emit("warning", message=message, count=1)

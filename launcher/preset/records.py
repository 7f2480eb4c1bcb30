"""What a preset is once it has been read: frozen, complete, every value with its source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.errors import InputError, Problem

AUTOMATIC_TRAINER = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """A value and where it comes from, such as `presets/sdxl-fp8.toml:12`; `why` is the comment beside it."""

    value: object
    source: str
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A preset with everything that it inherits.

    `chain` holds its files, the own one first; `sha256` is over all of them. `is_base` marks what is there to be
    extended rather than trained with, `captions` is advice on what to write into them, `activation_tag` whether they should all begin with one name (None: it does not say), `is_proposed` what the launcher may propose for a card of its size. `peak_mib` is
    the largest amount of memory that torch reserved when it was measured. `switches` are those of the launcher itself ([launcher]). `warnings` came up
    while reading; errors never get this far.
    """

    name: str
    title: str
    purpose: str
    min_vram_gib: float | None
    trainer: str
    measured: str
    is_base: bool
    is_shipped: bool
    chain: tuple[Path, ...]
    options: Mapping[str, Setting]
    dataset: Mapping[str, Setting]
    sha256: str
    switches: Mapping[str, Setting] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    captions: str = ""
    activation_tag: bool | None = None
    is_proposed: bool = False
    peak_mib: int | None = None

    @property
    def path(self) -> Path:
        return self.chain[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenPreset:
    """A preset file that cannot be used, with the reasons; lists show it rather than hide it."""

    name: str
    path: Path
    error: InputError

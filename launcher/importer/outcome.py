"""What an import found out about one training: the settings, and what happened to every word of the script."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.importer.launch import Launch, Note
    from launcher.importer.source import Source
    from launcher.importer.words import Given, Unread


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """An option that goes on under another name or with another value."""

    name: str
    before: str  # as the script says it
    after: str
    why: str
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """Something that the launcher does in its own way, with what it does."""

    name: str
    value: str
    why: str
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingPath:
    """A path of the script that is not on this computer; `note` says more (a network path is not looked for)."""

    name: str
    path: str
    line: int
    note: str = ""


@dataclass(kw_only=True, slots=True)
class Outcome:
    """One training of a file.

    `options` are those of the preset; `model`, `data`, `reg` and `name` are words of `train`; `dataset` are keys of
    the preset's [dataset]. `switches` (of the launcher) and `trainer` are said by scripts that the launcher exported.
    `kept` are options that stay as they were.
    """

    launch: Launch
    options: dict[str, Given] = field(default_factory=dict)
    model: Given | None = None
    data: Given | None = None
    reg: Given | None = None
    more: list[Given] = field(
        default_factory=list
    )  # further folders; their names are train_data_dir or reg_data_dir
    name: Given | None = None
    gpus: Given | None = None
    switches: dict[str, Given] = field(default_factory=dict)
    trainer: Given | None = None
    changed: list[Change] = field(default_factory=list)
    dropped: list[Drop] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    secrets: list[Given] = field(default_factory=list)
    missing: list[MissingPath] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    @property
    def kept(self) -> list[Given]:
        changed = {change.name for change in self.changed}
        return [given for name, given in self.options.items() if name not in changed]


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """One file as it was understood."""

    source: Source
    format: str
    outcomes: tuple[Outcome, ...]
    others: tuple[str, ...] = ()  # what else the script runs, in words
    notes: tuple[Note, ...] = ()
    unreadable: tuple[Note, ...] = ()

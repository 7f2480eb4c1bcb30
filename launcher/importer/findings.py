"""What every evaluator of scripts gathers on its way, and how it gives up: the same for PowerShell, batch and shell."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.errors import InputError
from launcher.importer.launch import Launch, Note, Reading, Word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.importer.source import Source

MOST_NOTES = 200


class TooLong(Exception):  # noqa: N818
    """The script does more than a training script does."""


class TooDeep(Exception):  # noqa: N818
    """Its brackets are nested deeper than anybody writes."""

    def __init__(self, line: int = 0) -> None:
        super().__init__(f"line {line}")
        self.line = line


@dataclass(kw_only=True, slots=True)
class Findings:
    """Launches, other programs, and what is to be said of lines; each note once, and no more than can be read."""

    launches: list[Launch] = field(default_factory=list)
    programs: list[tuple[Word, ...]] = field(default_factory=list)
    notes: dict[tuple[int, str], Note] = field(default_factory=dict)
    unreadable: dict[tuple[int, str], Note] = field(default_factory=dict)

    def note(self, line: int, text: str) -> None:
        if len(self.notes) < MOST_NOTES:
            self.notes.setdefault((line, text), Note(line=line, text=text))

    def leave(self, line: int, text: str) -> None:
        """Something that could not be read."""
        if len(self.unreadable) < MOST_NOTES:
            self.unreadable.setdefault((line, text), Note(line=line, text=text))

    def reading(self, language: str) -> Reading:
        """All of it, for the steps behind the reader."""
        return Reading(
            format=language, launches=tuple(self.launches), programs=tuple(self.programs),
            notes=tuple(self.notes.values()), unreadable=tuple(self.unreadable.values()),
        )  # fmt: skip


def refused(source: Source, why: str, line: int = 0) -> InputError:
    """The refusal of a script, with its line where one is known."""
    where = f"{source.path}:{line}" if line else str(source.path)
    return InputError(
        f"{source.label} cannot be imported: {why}", fix="check that this is the file you meant", where=where
    )


@contextmanager
def bounded(source: Source) -> Iterator[None]:
    """What parsing and evaluation run in: their limits become refusals.

    Raises:
        InputError: the script is nested too deeply, or does too much.
    """
    try:
        yield
    except TooDeep as error:
        raise refused(source, "its brackets are nested too deeply", error.line) from error
    except RecursionError as error:
        raise refused(source, "it is nested too deeply") from error
    except TooLong as error:
        raise refused(source, "it does far more than a training script does") from error

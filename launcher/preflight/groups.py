"""Many files with the same trouble are one problem: the first names and how many more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of trouble, in words; `what` reads after "3 images are"."""

    severity: Severity
    what: str
    why: str = ""
    fix: str = ""


@dataclass(kw_only=True, slots=True)
class Groups:
    """Files by their kind of trouble, in the order in which the kinds came up."""

    found: dict[Kind, list[tuple[Path, str]]] = field(default_factory=dict)

    def add(self, kind: Kind, path: Path, detail: str = "") -> None:
        self.found.setdefault(kind, []).append((path, detail))

    def problems(self, noun: str) -> Iterator[Problem]:
        for kind, files in self.found.items():
            count = f"1 {noun} is" if len(files) == 1 else f"{len(files)} {noun}s are"
            yield Problem(
                severity=kind.severity,
                what=f"{count} {kind.what}",
                why=kind.why,
                fix=kind.fix,
                where=_names(files),
            )


def _names(files: list[tuple[Path, str]]) -> str:
    """The first names, each with its detail; a single file with its whole path."""
    if len(files) == 1:
        path, detail = files[0]
        return f"{safe(str(path))} ({detail})" if detail else safe(str(path))
    names = [f"{safe(path.name)} ({detail})" if detail else safe(path.name) for path, detail in files[:SHOWN]]
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return f"{', '.join(names)}{more}, in {safe(str(files[0][0].parent))}"


def safe(name: str) -> str:
    """A file's name as text that can be printed and stored: bytes that are no UTF-8 are written out."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")

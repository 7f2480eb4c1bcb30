"""Colours, signs, and what this terminal can show of them. No rich here: the menu paints before rich is loaded."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO


@dataclass(frozen=True, kw_only=True, slots=True)
class Role:
    """One meaning in the 256-colour palette, its nearest of the 16 standard colours, and weight."""

    color: int | None = None
    basic: int | None = None  # SGR foreground code, 30-37 or 90-97
    bold: bool = False


# Mid-tones, so that they hold on black and on white; grey is a colour, not SGR 2, which many consoles ignore.
ROLES = {
    "title": Role(bold=True),
    "strong": Role(bold=True),
    "text": Role(),
    "muted": Role(color=245, basic=90),
    "faint": Role(color=240, basic=90),
    "accent": Role(color=110, basic=96),
    "key": Role(color=110, basic=96, bold=True),
    "good": Role(color=108, basic=32),
    "warn": Role(color=179, basic=33),
    "bad": Role(color=167, basic=31),
    "bad.strong": Role(color=167, basic=31, bold=True),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Glyphs:
    """The signs of one font level. All lie in WGL4 (what every Windows console font has) unless `is_full`."""

    level: str
    bar: str  # done part of a bar
    rest: str  # ... and what is left
    dot: str
    ring: str
    tick: str
    cross: str
    alert: str
    arrow: str
    pointer: str
    ellipsis: str
    between: str  # separates facts on one line
    dash: str
    axis: str
    corner: str
    line: str
    degree: str

    @property
    def is_ascii(self) -> bool:
        return self.level == "ascii"


FULL = Glyphs(
    level="full", bar="━", rest="━", dot="●", ring="○", tick="✓", cross="✗", alert="▲", arrow="→", pointer="❯",
    ellipsis="…", between="·", dash="—", axis="│", corner="└", line="─", degree="°C",
)  # fmt: skip
BLOCKS = Glyphs(
    level="blocks", bar="═", rest="─", dot="●", ring="○", tick="√", cross="×", alert="▲", arrow="→", pointer="►",
    ellipsis="…", between="·", dash="—", axis="│", corner="└", line="─", degree="°C",
)  # fmt: skip
ASCII = Glyphs(
    level="ascii", bar="#", rest=".", dot="*", ring="o", tick="+", cross="x", alert="!", arrow="->", pointer=">",
    ellipsis="~", between="|", dash="-", axis="|", corner="+", line="-", degree="C",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Terminal:
    """What a stream can show: whether it is a terminal, how many colours (0, 16, 256), which signs, its size."""

    is_terminal: bool
    colors: int
    glyphs: Glyphs


def look_at_terminal(stream: TextIO | None = None) -> Terminal:
    """Judge a stream (standard output by default). Never raises, whatever stands in for the stream."""
    stream = stream or sys.stdout
    is_terminal = is_tty(stream)
    return Terminal(
        is_terminal=is_terminal,
        colors=_count_colors() if is_terminal else 0,
        glyphs=choose_glyphs(getattr(stream, "encoding", None), is_terminal=is_terminal),
    )


def is_tty(stream: TextIO | None) -> bool:
    """Whether a person sits behind the stream; False for closed streams and for none (pythonw)."""
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:
        return False


def columns() -> int:
    """Width of the terminal (shutil's answer, without the compression modules that shutil loads)."""
    try:
        return int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        pass
    try:
        return os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1).columns or 80
    except (OSError, ValueError):
        return 80


def choose_glyphs(encoding: str | None, *, is_terminal: bool) -> Glyphs:
    """The richest signs that both the encoding and the console's font have."""
    try:
        "●━❯✓⣿…".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    if not is_terminal:
        return BLOCKS
    if os.environ.get("TERM") == "linux":  # the kernel's console has 256 glyphs
        return BLOCKS
    if sys.platform == "win32" and not (os.environ.get("WT_SESSION") or os.environ.get("TERM_PROGRAM")):
        return (
            BLOCKS  # conhost does not borrow glyphs from other fonts; Consolas has neither braille nor ticks
        )
    return FULL


def _count_colors() -> int:
    if os.environ.get("NO_COLOR"):
        return 0
    if sys.platform == "win32":
        from launcher.install.console_mode import enable_escapes

        return 256 if enable_escapes() else 0
    term = os.environ.get("TERM", "")
    return 256 if "256color" in term or os.environ.get("COLORTERM") else 16

"""Styled lines on a terminal without rich, for the screen that must be there at once.

Importing rich.console alone costs more than three times a bare `import argparse, json, pathlib, subprocess`
(`tests/benchmarks/bench_paint.py`), and the first paint may cost two. Lines of (text, role) are all it needs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from launcher.ui.formats import cells, clean, fit
from launcher.ui.palette import ASCII, ROLES, Role, Terminal, look_at_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

Span = tuple[str, str]  # text, role
Line = tuple[Span, ...]


def line(*parts: str | Span) -> Line:
    """A line of plain strings and (text, role) pairs; foreign text is made harmless here."""
    return tuple(
        (clean(part), "text") if isinstance(part, str) else (clean(part[0]), part[1]) for part in parts
    )


def cut(spans: Line, width: int, ellipsis: str = "…") -> Line:
    """The line, at most `width` columns long."""
    kept: list[Span] = []
    for text, role in spans:
        room = width - sum(cells(done) for done, _ in kept)
        if room <= 0:
            break
        kept.append((fit(text, room, ellipsis), role))
    return tuple(kept)


def to_ansi(spans: Line, colors: int) -> str:
    """The line with escape sequences for a terminal of 0, 16 or 256 colours."""
    return "".join(_paint(text, ROLES[role], colors) for text, role in spans)


def _paint(text: str, role: Role, colors: int) -> str:
    codes = ["1"] if role.bold else []
    if colors >= 256 and role.color is not None:
        codes.append(f"38;5;{role.color}")
    elif colors == 16 and role.basic is not None:
        codes.append(str(role.basic))
    return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if codes and text.strip() else text


def write(
    lines: Iterable[Line], *, width: int, terminal: Terminal | None = None, stream: TextIO | None = None
) -> None:
    """Put the lines on a stream, cut to `width`: coloured on a terminal, plain elsewhere."""
    stream = stream or sys.stdout
    terminal = terminal or look_at_terminal(stream)
    ellipsis = terminal.glyphs.ellipsis
    cut_lines = [cut(spans, width, ellipsis) for spans in lines]
    if terminal.is_terminal:
        text = "\n".join(to_ansi(spans, terminal.colors).rstrip() for spans in cut_lines)
    else:
        text = "\n".join("".join(part for part, _ in spans).rstrip() for spans in cut_lines)
    write_text(stream, text + "\n", is_ascii=terminal.glyphs is ASCII)


def write_text(stream: TextIO, text: str, *, is_ascii: bool = False) -> None:
    """Write what the stream's encoding can say and `?` for the rest: a Japanese name must not end the program."""
    if is_ascii:
        encoding = getattr(stream, "encoding", None) or "ascii"
        text = text.encode(encoding, "replace").decode(encoding)
    stream.write(text)
    stream.flush()

"""A command line as Windows programs split it (the C runtime's rules: quotes group, doubled backslashes before quotes)."""

from __future__ import annotations

import re

PIECE = re.compile(r'(\\*)"|[ \t\n]+|\\+|[^ \t\n\\"]+')


def split_windows(text: str) -> list[str]:
    """The words of a command line. Source: "Parsing C command-line arguments", Microsoft C documentation."""
    words: list[str] = []
    current: list[str] | None = None
    is_quoted = False
    for found in PIECE.finditer(text):
        piece = found[0]
        if piece.endswith('"'):
            slashes = len(found[1])
            current = [*(current or []), "\\" * (slashes // 2)]
            if slashes % 2:
                current.append('"')
            else:
                is_quoted = not is_quoted
        elif piece[0] in " \t\n" and not is_quoted:
            if current is not None:
                words.append("".join(current))
            current = None
        else:
            current = current or []
            current.append(piece)
    return words if current is None else [*words, "".join(current)]

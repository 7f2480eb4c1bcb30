"""What the languages share: comments that are one, and the blocks on top."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.exporter.script import Script

NO_COMMENT = frozenset('%^&|<>!`$"')  # signs that end or change a comment somewhere


def comment(text: str) -> str:
    """A text that stays a comment in every language: one line, without signs that some shell reads even there."""
    shown = "".join(char if char.isprintable() and char not in NO_COMMENT else "_" for char in text)
    return shown.rstrip("\\").rstrip()


def head(script: Script, sign: str) -> list[str]:
    """The comments: what it is, what is lost, and what the launcher reads back."""
    remark: Callable[[str], str] = lambda text: f"{sign} {comment(text)}".rstrip()  # noqa: E731
    lines = [remark(text) for text in script.about]
    lines += [
        sign,
        *(remark(text) for text in ("Without the launcher:", *(f"  - {text}" for text in script.lost))),
    ]
    if script.marks:
        lines += [
            sign,
            remark(
                "Switches of the launcher; sd-scripts knows none of them, 'launcher import' reads them back:"
            ),
        ]
        lines += [f"{sign} launcher: {name} = {comment(value)}" for name, value in script.marks]
    return lines

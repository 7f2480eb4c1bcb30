"""`if`: what a batch condition compares, and whether it holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.importer.scripts.marks import plain

if TYPE_CHECKING:
    from launcher.importer.batch.expand import Expander
    from launcher.importer.batch.tree import If

NUMBER = re.compile(r"[+-]?(0x[0-9a-f]+|\d+)", re.IGNORECASE)


def holds(node: If, expander: Expander, left: str, right: str) -> bool | str:
    """Whether a condition holds; a text says why that is not known. Texts are compared with their quotes, as cmd does it."""
    found = _holds(node, expander, left, right)
    return found if isinstance(found, str) else found != node.is_not


def _holds(node: If, expander: Expander, left: str, right: str) -> bool | str:
    unknown = expander.state.marks.first(left + right)
    if node.test == "defined" and unknown is None:
        slot = expander.slot(plain(left))
        if slot is None or not isinstance(slot.value, str):
            return False
        hidden = expander.state.marks.first(slot.value)
        return hidden.reason if hidden and len(plain(slot.value)) == 1 else bool(slot.value)
    if unknown is not None:
        return unknown.reason
    left, right = plain(left), plain(right)
    if node.test == "exist":
        return f"whether {left[:60]} is there is not looked up"
    if node.test == "errorlevel":
        return "it is the outcome of a program"
    if node.test == "cmdextversion":
        return True
    if node.test == "==":
        if not left or not right:
            return "one side is empty, and cmd stops with an error there"
        return _folded(left, node) == _folded(right, node)
    return _ordered(node, left, right)


def _folded(text: str, node: If) -> str:
    return text.casefold() if node.is_folded else text


def _ordered(node: If, left: str, right: str) -> bool:
    """`equ`, `lss`, ...: as numbers where both sides are whole numbers, else as texts (`help if`)."""
    order = _compare(_number(left), _number(right))
    if NUMBER.fullmatch(left) is None or NUMBER.fullmatch(right) is None:
        order = _compare(_folded(left, node), _folded(right, node))
    return {
        "equ": order == 0, "neq": order != 0, "lss": order < 0, "leq": order <= 0, "gtr": order > 0, "geq": order >= 0,
    }[node.test]  # fmt: skip


def _number(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    bare = text.lstrip("+-")
    if bare[:2].lower() == "0x":
        return sign * int(bare, 16) if NUMBER.fullmatch(bare) else 0
    if not bare.isascii() or not bare.isdecimal() or len(bare) > 20:
        return 0
    is_octal = len(bare) > 1 and bare[0] == "0" and not set(bare) & {"8", "9"}
    return sign * int(bare, 8 if is_octal else 10)


def _compare(left: int | str, right: int | str) -> int:
    if isinstance(left, str) or isinstance(right, str):
        return (str(left) > str(right)) - (str(left) < str(right))
    return (left > right) - (left < right)

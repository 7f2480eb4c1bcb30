"""The tree of one batch command."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    line: int


@dataclass(frozen=True, slots=True)
class Simple(Node):
    """A command as one text: carets are gone, quotes are still there, redirections are not. Lines are marked in it."""

    text: str


@dataclass(frozen=True, slots=True)
class Block(Node):
    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """`left & right`, `&&`, `||`, `|`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class If(Node):
    """`if`: `test` is `exist`, `defined`, `errorlevel`, `==`, or a word like `equ`."""

    test: str
    left: str
    right: str
    is_not: bool
    is_folded: bool
    then: Node
    otherwise: Node | None


@dataclass(frozen=True, slots=True)
class For(Node):
    """`for`: `kind` is empty, or the letter of its switch."""

    kind: str
    variable: str
    items: str
    body: Node

"""The tree of a PowerShell script: small records, each with the line on which it begins.

Names follow the language specification (Microsoft, Windows PowerShell Language Specification 3.0, chapters 7 and 8).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    line: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A number, a verbatim string, a bare word without expansions."""

    value: str | int | float | None


@dataclass(frozen=True, slots=True)
class Expandable(Node):
    """A string with `$name` and `$(...)` in it; `text` is how it is written."""

    parts: tuple[Node, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Variable(Node):
    scope: str  # "", "env", "script", "global" ... in small letters
    name: str
    is_splat: bool = False


@dataclass(frozen=True, slots=True)
class Unary(Node):
    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """A chain of operators of one level, from left to right: `first` and (operator, operand) pairs."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Ternary(Node):
    condition: Node
    yes: Node
    no: Node


@dataclass(frozen=True, slots=True)
class Cast(Node):
    type: str
    operand: Node


@dataclass(frozen=True, slots=True)
class TypeName(Node):
    name: str


@dataclass(frozen=True, slots=True)
class Member(Node):
    target: Node
    name: str
    is_static: bool = False


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A method call."""

    target: Node
    name: str
    arguments: tuple[Node, ...]
    is_static: bool = False


@dataclass(frozen=True, slots=True)
class Index(Node):
    target: Node
    index: Node


@dataclass(frozen=True, slots=True)
class Step(Node):
    """`$i++`, `--$i`."""

    target: Node
    by: int


@dataclass(frozen=True, slots=True)
class Items(Node):
    """`a, b`. In a command's arguments `gaps` says behind which comma there is a blank."""

    items: tuple[Node, ...]
    gaps: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Array(Node):
    """`@(...)`."""

    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Table(Node):
    """`@{ name = value }`."""

    entries: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Sub(Node):
    """`$(...)`: the output of statements."""

    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Paren(Node):
    """`(...)`: the value of one pipeline or assignment."""

    body: Node


@dataclass(frozen=True, slots=True)
class Block(Node):
    """`{ ... }` as a value."""

    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """`-Name` of a command; `value` when it is attached by a colon. `text` is how it is written."""

    name: str
    text: str
    value: Node | None = None


@dataclass(frozen=True, slots=True)
class Command(Node):
    """A command with its elements; `operator` is `&`, `.` or nothing."""

    operator: str
    name: Node
    elements: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Pipeline(Node):
    elements: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Assignment(Node):
    """`targets` are variables, members or items; more than one for `$a, $b = ...`."""

    targets: tuple[Node, ...]
    operator: str
    value: Node


@dataclass(frozen=True, slots=True)
class If(Node):
    clauses: tuple[tuple[Node, tuple[Node, ...]], ...]
    otherwise: tuple[Node, ...] | None


@dataclass(frozen=True, slots=True)
class Switch(Node):
    """`clauses` are (pattern, body); the pattern None is `default`."""

    subject: Node
    mode: str  # "", "wildcard", "regex"
    is_case_sensitive: bool
    clauses: tuple[tuple[Node | None, tuple[Node, ...]], ...]


@dataclass(frozen=True, slots=True)
class ForEach(Node):
    name: Variable
    items: Node
    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Loop(Node):
    """`for`, `while`, `do`: `is_late` runs the body once before the first test; `is_until` ends on true."""

    start: Node | None
    condition: Node | None
    each: Node | None
    body: tuple[Node, ...]
    is_late: bool = False
    is_until: bool = False


@dataclass(frozen=True, slots=True)
class Try(Node):
    body: tuple[Node, ...]
    handlers: tuple[Node, ...]
    finally_: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Formal(Node):
    """A parameter of a function or script."""

    name: str
    type: str
    default: Node | None


@dataclass(frozen=True, slots=True)
class Params(Node):
    formals: tuple[Formal, ...]


@dataclass(frozen=True, slots=True)
class Function(Node):
    name: str
    formals: tuple[Formal, ...]
    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Flow(Node):
    """`break`, `continue`, `return`, `exit`, `throw`."""

    kind: str
    value: Node | None


@dataclass(frozen=True, slots=True)
class Unreadable(Node):
    """A statement that could not be read; the rest of the script goes on behind it."""

    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Script:
    """A whole script; `warnings` are (line, sentence)."""

    body: tuple[Node, ...]
    warnings: tuple[tuple[int, str], ...]

"""What a piece of a script would change if it ran: for ways that are not taken because their condition is not known."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from launcher.importer.launch import ACCELERATE, PYTHONS, TORCHRUN, base_name
from launcher.importer.powershell import tree
from launcher.importer.powershell.members import MUTATING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

STARTERS = frozenset({"start-process", "saps", "start", "invoke-expression", "iex"})
Name = tuple[str, str]  # scope and name


def walk(nodes: Iterable[Any]) -> Iterator[tree.Node]:
    """All nodes below `nodes`."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting += node
        elif is_dataclass(node) and not isinstance(node, type):
            if isinstance(node, tree.Node):
                yield node
            waiting += [getattr(node, field.name) for field in fields(node)]


def assigned_names(body: Iterable[tree.Node]) -> set[Name]:
    """Variables that are set."""
    found: set[Name] = set()
    for node in walk(body):
        if isinstance(node, tree.Assignment) and node.operator != "+=":
            found |= {name for target in node.targets if (name := _variable(target))}
        elif isinstance(node, tree.Step):
            found |= {name for name in [_variable(node.target)] if name}
        elif isinstance(node, tree.ForEach):
            found.add((node.name.scope, node.name.name.lower()))
    return found


def mutated_names(body: Iterable[tree.Node]) -> set[Name]:
    """Variables to which something is added, by a method or by `+=`."""
    found: set[Name] = set()
    for node in walk(body):
        targets: tuple[tree.Node, ...] = ()
        if isinstance(node, tree.Call) and node.name in MUTATING:
            targets = (node.target,)
        elif isinstance(node, tree.Assignment) and node.operator == "+=":
            targets = node.targets
        found |= {name for target in targets if (name := _variable(target))}
    return found


def _variable(node: tree.Node) -> Name | None:
    while isinstance(node, (tree.Cast, tree.Member, tree.Index)):
        node = node.operand if isinstance(node, tree.Cast) else node.target
    return (node.scope, node.name.lower()) if isinstance(node, tree.Variable) else None


def may_launch(body: Iterable[tree.Node], functions: Mapping[str, tree.Function]) -> bool:
    """Whether a piece might start a training."""
    for node in walk(body):
        if not isinstance(node, tree.Command):
            continue
        if node.operator == "&" or isinstance(node.name, tree.Expandable):
            return True
        name = str(node.name.value).lower() if isinstance(node.name, tree.Literal) else ""
        plain = base_name(name)
        if (
            name in STARTERS
            or name in functions
            or any(p.fullmatch(plain) for p in (PYTHONS, ACCELERATE, TORCHRUN))
        ):
            return True
    return False


SILENT = (
    tree.Assignment,
    tree.Command,
    tree.Pipeline,
    tree.Flow,
    tree.Function,
    tree.Params,
    tree.Unreadable,
    tree.Step,
    tree.Call,
    tree.Switch,
    tree.ForEach,
    tree.Loop,
    tree.Try,
)


def puts_out(body: Iterable[tree.Node]) -> bool:
    """Whether a piece has a value of its own, as `if (...) { "a" } else { "b" }` behind an `=` has."""
    for node in body:
        if isinstance(node, tree.If):
            if any(puts_out(inner) for _, inner in node.clauses) or puts_out(node.otherwise or ()):
                return True
        elif not isinstance(node, SILENT) and not (isinstance(node, tree.Cast) and node.type == "void"):
            return True
    return False

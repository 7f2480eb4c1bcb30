"""What all of evaluation shares: bounded steps, what statements put out, where texts come from."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from launcher.importer.findings import TooLong
from launcher.importer.powershell import members, operators, tree
from launcher.importer.powershell.values import (
    MAX_ITEMS,
    Folded,
    Slot,
    Traced,
    text_of,
    to_int,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.importer.powershell.state import State

MAX_STEPS = 50_000


class CoreEvaluator:
    """The parts that later classes build on, and what they have to give."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.steps = 0
        self.asks_environment = False  # in a condition: a variable that the script never sets is not set
        self.touched: list[int] = []  # lines of the variables that were read for the current word

    def run(self, body: Sequence[tree.Node]) -> list[Any]:
        raise NotImplementedError

    def statement(self, node: tree.Node) -> list[Any]:
        raise NotImplementedError

    def pipeline(self, node: tree.Pipeline) -> list[Any]:
        raise NotImplementedError

    def command(self, node: tree.Command, given: list[Any] | None = None) -> list[Any]:
        raise NotImplementedError

    def step(self, count: int = 1) -> None:
        """Bound the work.

        Raises:
            TooLong: the script does too much.
        """
        self.steps += count
        if self.steps > MAX_STEPS:
            raise TooLong

    # ------------------------------------------------------------------ statements as values

    def output(self, node: tree.Node) -> list[Any]:
        """What a pipeline puts out: lists item by item, nothing for assignments and methods without a value."""
        if isinstance(node, tree.Pipeline):
            return self.pipeline(node)
        if isinstance(node, tree.Command):
            return self.command(node)
        if isinstance(node, (tree.Assignment, tree.If, tree.Switch, tree.ForEach, tree.Loop, tree.Try, tree.Flow, tree.Function, tree.Params, tree.Unreadable)):  # fmt: skip
            return self.statement(node)
        value = self.value(node, is_statement=True)
        if (
            value is members.NOTHING
            or (isinstance(node, tree.Cast) and node.type == "void")
            or isinstance(node, tree.Step)
        ):
            return []
        return list(value) if isinstance(value, list) else [value]

    def assigned_value(self, node: tree.Node) -> Any:
        """The right side of an assignment: an expression's own value, else what a statement puts out."""
        if isinstance(node, tree.Assignment):
            self.statement(node)
            return self.value(node.targets[0])
        is_statement = isinstance(
            node, (tree.Pipeline, tree.Command, tree.If, tree.Switch, tree.ForEach, tree.Loop, tree.Try)
        )
        return self.collapsed(self.output(node)) if is_statement else self.value(node)

    @staticmethod
    def collapsed(out: list[Any]) -> Any:
        """No output is $null, one item is itself, more are a list."""
        return None if not out else out[0] if len(out) == 1 else out

    def value(self, node: tree.Node, *, is_statement: bool = False) -> Any:
        raise NotImplementedError

    def traced(self, node: tree.Node) -> Any:
        """A value that goes into a list or becomes a word: a text remembers where it comes from."""
        outer, self.touched = self.touched, []
        try:
            value = self.value(node)
            origin = self.touched[-1] if self.touched else 0
        finally:
            self.touched = outer
        if isinstance(value, str) and not isinstance(value, Traced):
            return Traced.of(value, node.line, origin)
        return value

    @staticmethod
    def cost(value: Any) -> int:
        return 1 + (len(value) // 100 if isinstance(value, (str, list)) else 0)

    def combine(self, operator: str, old: Any, value: Any, line: int) -> Any:
        """`+=` and its kin. An unknown item does not make a whole list unknown."""
        sign = operator.removesuffix("=")
        if sign == "??":
            return value if old is None else old
        if sign == "+" and isinstance(old, list):
            self.step(self.cost(old))
            return operators.add(old, value, line)
        return operators.binary(sign, old, value, line)

    def put(self, owner: Any, key: Any, value: Any) -> bool:
        """Set a member or an item; false when the owner is nothing of the kind."""
        if isinstance(owner, Folded):
            if len(owner.items) < MAX_ITEMS:
                owner.set(text_of(key), value)
            return True
        at = to_int(key, 0) if not isinstance(key, str) else None
        if isinstance(owner, list) and isinstance(at, int) and -len(owner) <= at < len(owner):
            owner[at] = value
            return True
        return False

    @contextmanager
    def current(self, item: Any) -> Iterator[None]:
        """`$_` for the length of a block."""
        scope = self.state.scopes[-1]  # a block of ForEach-Object runs in the scope around it
        outer = {name: scope.get(name) for name in ("_", "psitem")}
        scope.update({name: Slot(item, 0) for name in outer})
        try:
            yield
        finally:
            for name, slot in outer.items():
                scope.pop(name, None)
                if slot is not None:
                    scope[name] = slot

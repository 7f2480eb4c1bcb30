"""The meaning of a script without running it: a pure walk over its tree, bounded in steps and sizes.

What cannot be known is `Unknown`, with its reason, and stays so through everything that is computed from it. A condition
that is not known takes neither way: what both ways would set is unknown from then on, and launches inside are kept with
the condition beside them (see `uncertain`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.importer.powershell import tree
from launcher.importer.powershell.state import Flowing
from launcher.importer.powershell.values import NotKnown, Slot, Unknown
from launcher.importer.powershell.ways import WayEvaluator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_CALLS = 12


class Evaluator(WayEvaluator):
    """Statements."""

    def run_script(self, script: tree.Script) -> None:
        """Walk over a whole script; results are in `state`."""
        for line, text in script.warnings:
            self.state.note(line, text)
        try:
            self.run(script.body)
        except Flowing as flow:
            if flow.kind == "throw":
                self.state.note(flow.line, "the script stops here with an error")

    def run(self, body: Sequence[tree.Node]) -> list[Any]:
        """Statements in order; their output."""
        out: list[Any] = []
        for node in body:
            self.step()
            out += self.statement(node)
        return out

    def statement(self, node: tree.Node) -> list[Any]:
        """One statement; what it puts out."""
        handlers: dict[type, Callable[[Any], list[Any]]] = {
            tree.Assignment: self._assignment, tree.If: self.if_way, tree.Switch: self.switch_way, tree.ForEach: self._foreach,
            tree.Loop: self._loop, tree.Try: self._try, tree.Function: self._define, tree.Params: self._params,
            tree.Flow: self._flow, tree.Unreadable: self._leave,
        }  # fmt: skip
        handler = handlers.get(type(node))
        try:
            return handler(node) if handler else self.output(node)
        except NotKnown as error:
            self.state.leave(node.line, f"a statement is not evaluated: {error.unknown.reason}")
            return [error.unknown]

    def _leave(self, node: tree.Unreadable) -> list[Any]:
        self.state.leave(node.line, f"`{node.text.strip()[:100]}` could not be read ({node.why})")
        return []

    # ------------------------------------------------------------------ assignments

    def _assignment(self, node: tree.Assignment) -> list[Any]:
        is_added = node.operator == "+=" and not isinstance(
            node.value, (tree.Pipeline, tree.Command, tree.If, tree.Switch)
        )
        value = self.traced(node.value) if is_added else self.assigned_value(node.value)
        if len(node.targets) == 1:
            self._assign(node.targets[0], node.operator, value, node.line)
            return []
        items = value if isinstance(value, list) else [value]
        for number, target in enumerate(node.targets):
            is_last = number == len(node.targets) - 1
            rest = (
                items[number:]
                if is_last and len(items) > number + 1
                else (items[number] if number < len(items) else None)
            )
            self._assign(target, node.operator, value if isinstance(value, Unknown) else rest, node.line)
        return []

    def _assign(self, target: tree.Node, operator: str, value: Any, line: int) -> None:
        kind = ""
        while isinstance(target, tree.Cast):
            kind, target = kind or target.type, target.operand
        if isinstance(target, tree.Variable):
            old = self.state.find(target.scope, target.name)
            kind = kind or (old.type if old else "")
            if operator != "=":
                value = self.combine(operator, old.value if old else None, value, line)
            self.state.set(
                target.scope, target.name, self.cast(kind, value, line) if kind else value, line, kind
            )
        elif isinstance(target, (tree.Member, tree.Index)):
            self._assign_into(target, operator, value, line)

    def _assign_into(self, target: tree.Member | tree.Index, operator: str, value: Any, line: int) -> None:
        if isinstance(target.target, tree.TypeName):
            return  # `[Console]::OutputEncoding = ...` concerns the window
        owner = self.value(target.target)
        if operator != "=":
            value = self.combine(operator, self.value(target), value, line)
        key: Any = target.name if isinstance(target, tree.Member) else self.value(target.index)
        if not self.put(owner, key, value) and not isinstance(owner, Unknown):
            self.state.leave(line, "an assignment to a member that is not evaluated")

    # ------------------------------------------------------------------ loops

    def _foreach(self, node: tree.ForEach) -> list[Any]:
        items = self.value(node.items)
        if isinstance(items, Unknown):
            self.state.set(
                node.name.scope,
                node.name.name,
                Unknown(items.reason, node.line, f"${node.name.name}"),
                node.line,
            )
            return self.uncertain_way(node.line, items, [node.body])
        out: list[Any] = []
        for item in [] if items is None else list(items) if isinstance(items, list) else [items]:
            self.step()
            self.state.set(node.name.scope, node.name.name, item, node.line)
            if self._ends(node.body, out):
                break
        return out

    def _loop(self, node: tree.Loop) -> list[Any]:
        out: list[Any] = []
        if node.start is not None:
            self.statement(node.start)
        is_first = node.is_late
        while True:
            self.step()
            if not is_first:
                holds = self.condition(node.condition) if node.condition is not None else True
                if isinstance(holds, Unknown):
                    return [*out, *self.uncertain_way(node.line, holds, [node.body])]
                if holds is node.is_until:
                    return out
            is_first = False
            if self._ends(node.body, out):
                return out
            if node.each is not None:
                self.statement(node.each)

    def _ends(self, body: tuple[tree.Node, ...], out: list[Any]) -> bool:
        """One round of a loop; true when it says `break`."""
        try:
            out += self.run(body)
        except Flowing as flow:
            if flow.kind not in {"break", "continue"}:
                raise
            return flow.kind == "break"
        return False

    # ------------------------------------------------------------------ the rest

    def _try(self, node: tree.Try) -> list[Any]:
        """As if nothing went wrong: handlers are for a run."""
        try:
            return self.run(node.body)
        finally:
            self.run(node.finally_)

    def _flow(self, node: tree.Flow) -> list[Any]:
        value = None if node.value is None else self.output(node.value)
        raise Flowing(node.kind, value, node.line)

    def _define(self, node: tree.Function) -> list[Any]:
        self.state.functions[node.name] = node
        return []

    def _params(self, node: tree.Params) -> list[Any]:
        """Parameters of the script itself: nobody gives them here, so their defaults count."""
        for formal in node.formals:
            if formal.default is not None:
                value = self.value(formal.default)
                self.state.note(
                    formal.line, f"${formal.name} is a parameter of the script: its default counts"
                )
            elif formal.type in {"switch", "switchparameter"}:
                value = False
            else:
                value = Unknown(
                    f"${formal.name} is a parameter of the script without a default",
                    formal.line,
                    f"${formal.name}",
                )
            kind = (
                ""
                if formal.type.startswith(("parameter", "validate", "alias", "cmdletbinding"))
                else formal.type
            )
            self.state.set(
                "", formal.name, self.cast(kind, value, formal.line) if kind else value, formal.line, kind
            )
        return []

    def call_function(
        self, function: tree.Function, named: dict[str, Any], positional: list[Any]
    ) -> list[Any]:
        """A function of the script, in a scope of its own; what it puts out."""
        if len(self.state.scopes) > MAX_CALLS:
            return [Unknown("functions call each other too deeply", function.line)]
        scope: dict[str, Slot] = {}
        left = list(positional)
        for formal in function.formals:
            if formal.name in named:
                value = named[formal.name]
            elif left and formal.type not in {"switch", "switchparameter"}:
                value = left.pop(0)
            else:
                value = (
                    self.value(formal.default)
                    if formal.default is not None
                    else False
                    if formal.type == "switch"
                    else None
                )
            scope[formal.name] = Slot(
                self.cast(formal.type, value, formal.line) if formal.type and value is not None else value,
                formal.line,
            )
        scope["args"] = Slot(left, function.line)
        self.state.scopes.append(scope)
        try:
            return self.run(function.body)
        except Flowing as flow:
            if flow.kind != "return":
                raise
            return flow.value if isinstance(flow.value, list) else []
        finally:
            self.state.scopes.pop()

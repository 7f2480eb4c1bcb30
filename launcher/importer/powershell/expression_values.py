"""The values of PowerShell's expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.importer.powershell import members, operators, statics, tree
from launcher.importer.powershell.core import CoreEvaluator
from launcher.importer.powershell.state import ALWAYS_SET
from launcher.importer.powershell.values import (
    MAX_ITEMS,
    MAX_TEXT,
    TOO_LONG,
    Folded,
    NotKnown,
    ScriptBlock,
    Unknown,
    text_of,
    to_int,
    to_number,
    to_text,
    truth,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class ExpressionEvaluator(CoreEvaluator):
    """Expressions; statements and commands are given by later classes."""

    def value(self, node: tree.Node, *, is_statement: bool = False) -> Any:
        """The value of an expression."""
        self.step()
        handlers: dict[type, Callable[[Any], Any]] = {
            tree.Literal: lambda found: found.value, tree.Variable: self._variable, tree.Expandable: self._expandable,
            tree.Binary: self._binary, tree.Unary: self._unary, tree.Ternary: self._ternary, tree.Cast: self._cast,
            tree.TypeName: lambda found: found.name, tree.Member: self._member, tree.Call: self._call,
            tree.Index: self._index, tree.Step: self._step, tree.Items: self._items, tree.Array: self._array,
            tree.Table: self._table, tree.Sub: lambda found: self.collapsed(self.run(found.body)), tree.Paren: self._paren,
            tree.Block: lambda found: ScriptBlock(found.body, found.line), tree.Parameter: lambda found: found.text,
        }  # fmt: skip
        handler = handlers.get(type(node))
        if handler is None:
            return self.collapsed(self.output(node))
        try:
            found = handler(node)
        except NotKnown as error:
            return error.unknown
        return None if found is members.NOTHING and not is_statement else found

    def _variable(self, node: tree.Variable) -> Any:
        if self.asks_environment and node.scope == "env" and node.name.lower() not in ALWAYS_SET:
            slot = self.state.find("env", node.name)
            if slot is None:
                self.state.note(node.line, f"$env:{node.name} is taken as not set")
                return None
        slot = self.state.read(node.scope, node.name, node.line)
        if slot.line:
            self.touched.append(slot.line)
        return slot.value

    def _expandable(self, node: tree.Expandable) -> Any:
        pieces: list[str] = []
        unknown: Unknown | None = None
        for part in node.parts:
            value = self.value(part)
            text = to_text(value)
            if isinstance(text, Unknown):
                unknown = unknown or text
                pieces.append(text.text or "?")
            else:
                pieces.append(text)
            self._note_unset(part)
        joined = "".join(pieces)
        if unknown is not None:
            return Unknown(unknown.reason, unknown.line, joined[:300])
        return joined if len(joined) <= MAX_TEXT else Unknown(TOO_LONG, node.line)

    def _note_unset(self, part: tree.Node) -> None:
        """A misspelled variable is nothing in PowerShell; here it is at least said."""
        if not isinstance(part, tree.Variable) or part.scope or part.name.lower() in {"null", "_"}:
            return
        is_set = self.state.find("", part.name) is not None
        if not is_set and self.state.read("", part.name, part.line).value is None:
            self.state.note(part.line, f"${part.name} is never set before: PowerShell takes it as empty")

    def _binary(self, node: tree.Binary) -> Any:
        left = self._left(node)
        for operator, operand in node.rest:
            self.step()
            if operator in {"and", "or"}:
                left = self._logic(operator, left, operand)
            elif operator == "??" and left is not None:
                continue
            else:
                left = operators.binary(operator, left, self.value(operand), node.line)
        return left

    def _left(self, node: tree.Binary) -> Any:
        """The first operand; before `??` a variable of the environment that is set nowhere is $null."""
        if node.rest[0][0] != "??":
            return self.value(node.first)
        outer, self.asks_environment = self.asks_environment, True
        try:
            return self.value(node.first)
        finally:
            self.asks_environment = outer

    def _logic(self, operator: str, left: Any, operand: tree.Node) -> Any:
        """Short-circuit; an unknown side does not matter where the other one decides."""
        decided = operator == "or"
        first = truth(left)
        if first is decided:
            return decided
        second = truth(self.value(operand))
        if second is decided:
            return decided
        return first if isinstance(first, Unknown) else second

    def _unary(self, node: tree.Unary) -> Any:
        value = self.value(node.operand)
        if isinstance(value, Unknown):
            return value
        if node.operator in {"!", "not"}:
            holds = truth(value)
            return holds if isinstance(holds, Unknown) else not holds
        if node.operator == "join":
            return operators.binary("join", value, "", node.line)
        if node.operator == "split":
            text = to_text(value)
            return text if isinstance(text, Unknown) else text.split()
        if node.operator == "bnot":
            number = to_int(value, node.line)
            return number if isinstance(number, Unknown) else ~number
        found = to_number(value, node.line)
        return found if isinstance(found, Unknown) or node.operator == "+" else -found

    def _ternary(self, node: tree.Ternary) -> Any:
        holds = truth(self.value(node.condition))
        return holds if isinstance(holds, Unknown) else self.value(node.yes if holds else node.no)

    def _cast(self, node: tree.Cast) -> Any:
        if node.type == "void":
            self.value(node.operand)
            return None
        return statics.cast(node.type, self.value(node.operand), node.line)

    def cast(self, kind: str, value: Any, line: int) -> Any:
        return statics.cast(kind, value, line)

    def _member(self, node: tree.Member) -> Any:
        if node.is_static and isinstance(node.target, tree.TypeName):
            return statics.static_member(node.target.name, node.name, node.line)
        return members.member(self.value(node.target), node.name, node.line)

    def _call(self, node: tree.Call) -> Any:
        if node.is_static and isinstance(node.target, tree.TypeName):
            return statics.static_call(
                node.target.name, node.name, [self.value(item) for item in node.arguments], node.line
            )
        target = self.value(node.target)
        self.step(self.cost(target))
        return members.call(target, node.name, [self.traced(item) for item in node.arguments], node.line)

    def _index(self, node: tree.Index) -> Any:
        target, index = self.value(node.target), self.value(node.index)
        unknown = next((value for value in (target, index) if isinstance(value, Unknown)), None)
        if unknown is not None:
            return Unknown(unknown.reason, unknown.line, unknown.text)
        if isinstance(target, Folded):
            return target.get(text_of(index))
        if isinstance(index, list):
            found = [self._item(target, item, node.line) for item in index]
            return [item for item in found if item is not None]
        return self._item(target, index, node.line)

    def _item(self, target: Any, index: Any, line: int) -> Any:
        at = to_int(index, line)
        if isinstance(at, Unknown):
            return at
        if not isinstance(target, (list, str)):
            return target if at in {0, -1} else None
        return target[at] if -len(target) <= at < len(target) else None

    def _step(self, node: tree.Step) -> Any:
        if not isinstance(node.target, tree.Variable):
            return Unknown("a step of a member is not evaluated", node.line)
        old = self.state.read(node.target.scope, node.target.name, node.line).value
        new = (
            operators.add(to_number(old, node.line), node.by, node.line)
            if not isinstance(old, Unknown)
            else old
        )
        self.state.set(node.target.scope, node.target.name, new, node.line)
        return old

    def _items(self, node: tree.Items) -> list[Any]:
        return [self.traced(item) for item in node.items]

    def _array(self, node: tree.Array) -> list[Any]:
        """`@(...)`: what its statements put out, texts with their lines."""
        out: list[Any] = []
        for item in node.body:
            self.step()
            if isinstance(item, tree.Items):
                out += self._items(item)
            elif isinstance(
                item, (tree.Literal, tree.Expandable, tree.Variable, tree.Member, tree.Index, tree.Call)
            ):
                value = self.traced(item)
                out += value if isinstance(value, list) else [value]
            else:
                out += self.output(item)
        return out[:MAX_ITEMS]

    def _table(self, node: tree.Table) -> Folded:
        found = Folded()
        for key, value in node.entries:
            name = to_text(self.value(key))
            found.set(str(name) if not isinstance(name, Unknown) else name.text, self._entry(value))
        return found

    def _entry(self, node: tree.Node) -> Any:
        is_statement = isinstance(node, (tree.Pipeline, tree.Command, tree.If, tree.Switch, tree.Assignment))
        return self.assigned_value(node) if is_statement else self.traced(node)

    def _paren(self, node: tree.Paren) -> Any:
        if isinstance(node.body, tree.Assignment):
            self.statement(node.body)
            return self.value(node.body.targets[0])
        return self.assigned_value(node.body)

"""`x=1`, `x+=y`, `x=(a b)`, `x[1]=y`, `export`, `local` (Bash manual, "Shell Parameters" and "Arrays")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.importer.findings import TooLong
from launcher.importer.scripts.marks import origin, plain
from launcher.importer.shell.syntax import field, line_of, text_of
from launcher.importer.shell.words import MOST_FIELDS

if TYPE_CHECKING:
    from tree_sitter import Node

    from launcher.importer.scripts.state import Slot, State, Value
    from launcher.importer.shell.words import WordEvaluator


class Assigner:
    """Sets variables. `locals` are those of the function that runs, as they were before it."""

    def __init__(self, state: State, words: WordEvaluator) -> None:
        self.state = state
        self.words = words
        self.locals: dict[str, Slot | None] | None = None

    def assign(self, node: Node, *, is_exported: bool = False) -> None:
        """One assignment of the tree."""
        line = line_of(node)
        target = node.children[0]
        is_more = any(child.type == "+=" for child in node.children)
        name = text_of(target)
        value_node = field(node, "value")
        if target.type == "subscript":
            self._item(target, value_node, line, is_more=is_more)
            return
        value: Value
        value = self._array(value_node) if value_node is not None and value_node.type == "array" else self.words.text(value_node)  # fmt: skip
        if is_more:
            value = self._more(name, value)
        if isinstance(value, tuple) and len(value) > MOST_FIELDS:
            raise TooLong
        self.state.set(name, value, line, is_exported=is_exported)

    def _array(self, node: Node) -> tuple[str, ...]:
        found: list[str] = []
        for child in node.children:
            if child.type not in {"(", ")", "comment"}:
                found += [origin(line_of(child)) + item for item in self.words.fields(child)]
        return tuple(found)

    def _more(self, name: str, value: Value) -> Value:
        slot = self.state.slots.get(name)
        old: Value = slot.value if slot is not None else () if isinstance(value, tuple) else ""
        if isinstance(old, tuple) and isinstance(value, tuple):
            return old + value
        if isinstance(old, tuple):  # a text is added to the first item
            return ((old[0] if old else "") + str(value), *old[1:])
        if isinstance(value, tuple):
            return (old, *value) if old else value
        return old + value

    def _item(self, target: Node, value_node: Node | None, line: int, *, is_more: bool) -> None:
        name = text_of(target.children[0])
        index = plain(self.words.text(target.children[2])) if len(target.children) > 2 else ""
        text = origin(line) + self.words.text(value_node)
        slot = self.state.slots.get(name)
        items = list(slot.value) if slot is not None and isinstance(slot.value, tuple) else []
        if not re.fullmatch(r"\d{1,4}", index) or int(index) > len(items):
            why = "a place of the array that is not known was set"
            self.state.set(name, (*items, self.state.marks.unknown(why, line, f"${name}")), line)
            return
        number = int(index)
        items[number : number + 1] = [(items[number] if is_more and number < len(items) else "") + text]
        self.state.set(name, tuple(items), line)

    def declare(self, node: Node) -> None:
        """`export`, `local`, `declare`, `readonly`."""
        word = text_of(node.children[0])
        is_table = any(
            text_of(child).startswith("-") and "A" in text_of(child) for child in node.children[1:]
        )
        for child in node.children[1:]:
            if child.type not in {"variable_name", "variable_assignment"}:
                continue
            name = text_of(child if child.type == "variable_name" else child.children[0])
            if word in {"local", "declare", "typeset"} and self.locals is not None:
                self.locals.setdefault(name, self.state.slots.get(name))
            if is_table:
                why = f"${name} is a table, which is not evaluated"
                self.state.set(
                    name, self.state.marks.unknown(why, line_of(child), f"${name}"), line_of(child)
                )
            elif child.type == "variable_assignment":
                self.assign(child, is_exported=word == "export")
            elif word == "export" and name in self.state.slots:
                slot = self.state.slots[name]
                self.state.set(name, slot.value, slot.line, is_exported=True)

    def forget_locals(self) -> None:
        """What a function had for itself is as it was before."""
        for name, slot in (self.locals or {}).items():
            if slot is None:
                self.state.slots.pop(name, None)
            else:
                self.state.slots[name] = slot

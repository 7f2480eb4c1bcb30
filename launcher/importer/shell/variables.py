"""Variables of the shell: arrays, defaults, lengths, cuts and arithmetic (POSIX 2.6.2 and 2.6.4; Bash manual for arrays)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.importer.scripts.arithmetic import NotComputed, compute
from launcher.importer.scripts.marks import Marks, origin, plain
from launcher.importer.shell.quoting import edited
from launcher.importer.shell.syntax import line_of

if TYPE_CHECKING:
    from tree_sitter import Node

    from launcher.importer.scripts.state import Slot, State, Value

HEAD = re.compile(r"\$\{([!#]?)([A-Za-z_]\w*|\d+|[@*#?$!-])(\[[^\]\n]*\])?(.*)\}\Z", re.DOTALL)
OPERATOR = re.compile(r":?[-=+?]|##?|%%?|//?|\^\^?|,,?|:|@")
OF_THE_RUN = {
    "?": "is the outcome of a program", "!": "is the number of a process", "$": "is the number of a process",
    "-": "is how the shell was started", "RANDOM": "is drawn by lot", "SECONDS": "is the moment", "HOME": "is a folder of this computer",
    "USER": "is set by the system", "PATH": "is set by the system", "HOSTNAME": "is set by the system", "UID": "is set by the system",
    "LOGNAME": "is set by the system", "TMPDIR": "is set by the system", "OSTYPE": "is set by the system",
    "LD_LIBRARY_PATH": "is set by the system", "PYTHONPATH": "is set by the system", "REPLY": "is read at the keyboard",
}  # fmt: skip


class VariableEvaluator:
    """Looks up and changes variables."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.arguments: list[str] | None = None  # of the function that runs; None: the script's own
        self.depth = 0
        self.asks = False  # in a condition: what is not set is asked for, not missed

    @property
    def marks(self) -> Marks:
        return self.state.marks

    def text(self, node: Node | None) -> str:
        raise NotImplementedError

    def look(self, name: str, line: int) -> Value | None:
        """A variable's value with the line that set it; None: it is set nowhere, as far as is known."""
        slot: Slot | None = self.state.slots.get(name)
        if slot is not None:
            if isinstance(slot.value, tuple):
                return slot.value
            return origin(slot.line) + slot.value if slot.value else ""
        shown = f"${name}"
        if name in {"0", "BASH_SOURCE"}:
            return str(self.state.script)
        if name == "PWD":
            return self.state.folder or str(self.state.script.parent)
        if name.isdigit() or name in {"@", "*", "#"}:
            return self._argument(name, line)
        why = OF_THE_RUN.get(name, "")
        if not why and self.state.other_files:
            why = f"may come from the file that line {self.state.other_files} reads"
        return self.marks.unknown(f"{shown} {why}", line, shown) if why else None

    def _argument(self, name: str, line: int) -> Value:
        if self.arguments is None:
            why = f"${name} is what the script is started with"
            return self.marks.unknown(why, line, f"${name}")
        if name == "#":
            return str(len(self.arguments))
        if name in {"@", "*"}:
            return tuple(self.arguments)
        number = int(name) - 1 if len(name) < 4 else 9999
        return self.arguments[number] if number < len(self.arguments) else ""

    def variable(self, node: Node, raw: str, *, is_quoted: bool) -> Value:
        line = line_of(node)
        head = HEAD.match(raw)
        if head is None:
            return self._whole(raw[1:].strip("{}"), "", line, is_quoted=is_quoted)
        sign, name, index, rest = head[1], head[2], (head[3] or "")[1:-1], head[4]
        if sign == "!" or (sign == "#" and rest):
            return self.marks.unknown(f"{raw} is not evaluated", line, raw)
        if sign == "#":
            return self._length(name, index, line)
        operator = OPERATOR.match(rest)
        if operator is None:
            return self._whole(name, index, line, is_quoted=is_quoted)
        return self._changed(node, name, index, operator[0], raw=raw, is_quoted=is_quoted)

    def _whole(self, name: str, index: str, line: int, *, is_quoted: bool) -> Value:
        value = self._item(name, index, line)
        if value is None:
            if not self.asks:
                self.state.note(line, f"${name} is set nowhere in the script: it counts as empty")
            return ""
        if isinstance(value, tuple):
            return value if is_quoted and index != "*" and name != "*" else " ".join(value)
        return value

    def _item(self, name: str, index: str, line: int) -> Value | None:
        """A variable, or what its brackets name. Without brackets an array is its first item."""
        value = self.look(name, line)
        if not isinstance(value, tuple):
            is_whole = index in {"", "@", "*", "0"} or value is None or self.marks.first(value) is not None
            return value if is_whole else ""
        if index in {"@", "*"} or name in {"@", "*"}:
            return value
        number = plain(self.arithmetic(index, line)) if index else "0"
        if not re.fullmatch(r"-?\d{1,6}", number):
            return self.marks.unknown(
                "the place in the array is not known", line, f"${{{name}[{index[:40]}]}}"
            )
        at = int(number)
        return value[at] if -len(value) <= at < len(value) else ""

    def _length(self, name: str, index: str, line: int) -> str:
        value = self._item(name, index, line)
        if isinstance(value, tuple):
            unknown = self.marks.first("".join(value))
            return (
                str(len(value))
                if unknown is None
                else self.marks.unknown(unknown.reason, line, f"${{#{name}}}")
            )
        unknown = self.marks.first(value or "")
        return (
            self.marks.unknown(unknown.reason, line, f"${{#{name}}}")
            if unknown
            else str(len(plain(value or "")))
        )

    def fields(self, node: Node) -> list[str]:
        raise NotImplementedError

    def _operands(self, node: Node, operator: str) -> list[Node]:
        """What stands behind the sign of `${x:-...}`."""
        children = node.children
        number = next((n for n, child in enumerate(children) if child.type == operator), len(children))
        return children[number + 1 : -1]

    def _operand(self, nodes: list[Node]) -> str:
        found: list[str] = []
        for number, child in enumerate(nodes):
            is_apart = number > 0 and child.start_byte > nodes[number - 1].end_byte
            found.append(f"{' ' if is_apart else ''}{self.text(child)}")
        return "".join(found)

    def _changed(self, node: Node, name: str, index: str, sign: str, *, raw: str, is_quoted: bool) -> Value:
        line = line_of(node)
        value = self._item(name, index, line)
        operands = self._operands(node, sign)
        bare = sign.lstrip(":")
        if bare in {"-", "=", "+", "?"}:
            is_apart = bare in {"-", "+"} and not is_quoted
            instead = tuple(word for one in operands for word in self.fields(one)) if is_apart else self._operand(operands)  # fmt: skip
            return self._default(name, value, sign, instead, line, is_quoted=is_quoted)
        operand = self._operand(operands)
        if isinstance(value, tuple):
            if sign == ":" and index in {"@", "*"} and re.fullmatch(r"\d{1,4}", plain(operand)):
                return value[int(plain(operand)) :]
            return self.marks.unknown(f"{raw[:60]} of an array is not evaluated", line, raw)
        unknown = self.marks.first((value or "") + operand)
        if unknown is not None:
            return self.marks.unknown(unknown.reason, unknown.line, raw)
        return edited(plain(value or ""), sign, plain(operand)) if sign != "@" else (value or "")

    def _default(
        self, name: str, value: Value | None, sign: str, operand: Value, line: int, *, is_quoted: bool
    ) -> Value:
        """`${x:-y}`. What the script never sets counts as not set: so it is when it is started without more words."""
        is_argument = name.isdigit() and self.arguments is None and name != "0"
        if (is_argument or (value is None and sign.lstrip(":") != "+")) and operand and not self.asks:
            self.state.note(line, f"${name} is not set in the script: what stands for that case is taken")
        if is_argument:
            value = None
        text = " ".join(value) if isinstance(value, tuple) else value
        is_set = text is not None and not (sign.startswith(":") and not plain(text))
        bare = sign.lstrip(":")
        if bare == "+":
            return operand if is_set else ""
        if is_set and value is not None:
            return value if not isinstance(value, tuple) or is_quoted else " ".join(value)
        if bare == "=":
            self.state.set(name, operand, line)
        if bare == "?":
            return self.marks.unknown(f"${name} has to be given", line, f"${name}")
        return operand

    # ------------------------------------------------------------------ arithmetic

    def arithmetic(self, text: str, line: int) -> str:
        """`$(( ... ))`: a number, or why it is not known."""
        try:
            return str(self.number(text, line))
        except NotComputed as error:
            return self.marks.unknown(error.reason, line, f"$(({plain(text)[:60]}))")

    def number(self, text: str, line: int, depth: int = 0) -> int:
        """The value of an arithmetic text.

        Raises:
            NotComputed: it has none that is known.
        """

        def look(name: str) -> int:
            value = self.look(name, line)
            known = (
                value[0] if isinstance(value, tuple) and value else value if isinstance(value, str) else ""
            )
            unknown = self.marks.first(known)
            if unknown is not None:
                raise NotComputed(unknown.reason)
            bare = plain(known).strip()
            if depth > 4:
                raise NotComputed(f"${name} goes in circles")
            return self.number(bare, line, depth + 1) if bare else 0

        def keep(name: str, value: int) -> None:
            self.state.set(name, str(value), line)

        self.state.step()
        bare = re.sub(
            r"\$\{?([A-Za-z_]\w*|\d)\}?", lambda found: self._in_numbers(found[1], line), plain(text)
        )
        unknown = self.marks.first(bare)
        if unknown is not None:
            raise NotComputed(unknown.reason)
        return compute(bare, look, keep, bits=64)

    def _in_numbers(self, name: str, line: int) -> str:
        value = self.look(name, line)
        return plain(" ".join(value) if isinstance(value, tuple) else value or "")[:200]

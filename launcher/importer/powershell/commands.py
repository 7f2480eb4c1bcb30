"""PowerShell commands: the argument mode, where words are texts unless they begin with a sign (about_Parsing).

One leniency: PowerShell ends a command at a comment line inside a backtick chain, or behind a backtick with a blank
after it; where the next line then begins with `--`, it surely was meant to go on. It is read on, with a warning.
"""

from __future__ import annotations

import re

from launcher.importer.powershell.expressions import NAME, ExpressionParser
from launcher.importer.powershell.scanner import DOUBLE, HERE, SINGLE
from launcher.importer.powershell.tree import Command, Expandable, Items, Literal, Node, Parameter

ENDS = frozenset(" \t\f\v\u00a0\n;|(){},&<>") | {""}
COMMAND_ENDS = frozenset("\n;|)}") | {""}
PARAMETER = re.compile(r"-[A-Za-z_?][\w-]*(:(?=[^\s\\/]))?")
REDIRECTION = re.compile(r"(?:[1-6*])?>>?(?:&[12])?")
VERBATIM = re.compile(r"--%(?=[ \t\n]|\Z)([^\n|]*)")
PLAIN = re.compile(r"[^\s`$\"'“”„‘’‚‛;|(){},&<>]+")
MEMBERS = re.compile(r"\$\w+((?:\.\w+)+)(?=[\s;|)}\],(]|\Z)")  # `$a.b` alone, or with a method's bracket
REST = re.compile(r"(?:[ \t]*(?:#[^\n]*)?`?[ \t]*\n)+[ \t]*(?=--[A-Za-z])")
LOOSE = re.compile(r"`[ \t]+\n")  # a backtick with blanks behind it joins nothing
MOST_WORDS = 4000


class CommandParser(ExpressionParser):
    """Commands and their elements."""

    def command(self, operator: str = "") -> Node:
        """A command from its name on."""
        line = self.line()
        name = self._argument()
        if name is None:
            raise self.fail("a command was expected")
        elements: list[Node] = []
        while len(elements) < MOST_WORDS:
            self.blanks()
            if self._is_over():
                return Command(line, operator, name, tuple(elements))
            element = self._element()
            if element is not None:
                elements.append(element)
        raise self.fail("a command has too many words")

    def _is_over(self) -> bool:
        char = self.peek()
        if char == "#" and not self._goes_on():
            return True
        is_broken = char == "`" and LOOSE.match(self.text, self.at) is not None
        if (char == "\n" or is_broken) and self._goes_on():
            self.blanks()
            return False
        if is_broken:
            self.at += 1
            self.blanks()
            return True
        return char in COMMAND_ENDS or char == "&"

    def _goes_on(self) -> bool:
        """Whether lines behind this one go on with `--options`; steps over what stands between."""
        at, line = self.at, self.line()
        found = REST.match(self.text, at)
        if not found:
            return False
        self.at = found.end()
        what = "the comment" if "#" in found[0] else "the line end"
        self.warnings.append(
            (
                line,
                f"PowerShell would end the command at {what} in line {line}; it was read on to line {self.line()}",
            )
        )
        return True

    def _element(self) -> Node | None:
        """One word, parameter or value; None for what only steers output."""
        line = self.line()
        if self.peek() == "#":  # `_goes_on` has stepped over it
            return None
        verbatim = self.match(VERBATIM)
        if verbatim:
            return Items(line, tuple(Literal(line, word) for word in verbatim[1].split()), ())
        redirection = self.match(REDIRECTION)
        if redirection:
            self.blanks()
            if not redirection[0].endswith(("&1", "&2")):
                self._argument()
            return None
        first = self._argument()
        if first is None:
            raise self.fail(f"{self.peek()!r} cannot stand here")
        return self._list(first, line)

    def _list(self, first: Node, line: int) -> Node:
        """`a,b` or `a, b`: PowerShell hands the first to a program as one word, the second as two."""
        items, gaps = [first], []
        while True:
            at = self.at
            self.blanks()
            if not self.take(","):
                self.at = at
                break
            before = self.at
            self.space()
            item = self._argument()
            if item is None:
                break
            gaps.append(self.text[before : before + 1] in {" ", "\t", "\n", "`"})
            items.append(item)
        return Items(line, tuple(items), tuple(gaps)) if len(items) > 1 else first

    def _argument(self) -> Node | None:
        """One argument; None when there is none here."""
        char = self.peek()
        if char in ENDS and char not in {"(", "{"}:
            return None
        with self.nested():
            if char == "-" and self.peek(2) != "--":
                found = self._parameter()
                if found is not None:
                    return found
            if char == "$":
                return self._variable_argument()
            if char in DOUBLE + SINGLE or HERE.match(self.text, self.at):
                return self._quoted_argument()
            if char == "(":
                return self._postfix(self.primary())
            if char == "{":
                return self.block()
            if char == "@" and (self.peek(2) in {"@(", "@{"} or NAME.match(self.text, self.at + 1)):
                return self.primary()
            return self.word([])

    def _parameter(self) -> Node | None:
        """`-Name`, `-Name:value`. Anything longer that begins so is a text in which nothing expands."""
        line, begin = self.line(), self.at
        found = self.match(PARAMETER)
        if not found:
            return None
        text = found[0]
        if found[1]:
            return Parameter(line, text[1:-1].lower(), text, self._argument())
        if self.peek() not in ENDS:
            while self.peek() not in ENDS:
                self.at += 1
            return Literal(line, self.text[begin : self.at])
        return Parameter(line, text[1:].lower(), text)

    def _variable_argument(self) -> Node:
        """`$x` alone is its value, with its members and items; `$x/y` is a text with `$x` in it."""
        line = self.line()
        members = MEMBERS.match(self.text, self.at)
        if members:
            variable = self.variable()
            if variable is not None:
                return self._postfix(variable)
        found = self.expansion()
        if found is None:
            return self.word([])
        if (self.peek() == "[" and self.peek(2) != "[]") or (
            self.peek() == "." and self.text[self.at - 1] == ")"
        ):
            found = self._postfix(found)
        if self.peek() in ENDS:
            return found
        return self.word([found], line)

    def _quoted_argument(self) -> Node:
        """A quoted text ends its argument; only a method may follow."""
        node = self.string()
        if self.peek() == "." and re.compile(r"\.\w+\(").match(self.text, self.at):
            return self._postfix(node)
        return node

    def word(self, parts: list[Node], line: int | None = None) -> Node:
        """A bare word: expandable, with quoted pieces inside (`--x="$y"`)."""
        line = self.line() if line is None else line
        begin = self.at
        plain: list[str] = []
        while self.peek() not in ENDS:
            piece = self.match(PLAIN)
            if piece:
                plain.append(piece[0])
                continue
            char = self.peek()
            if char == "`" and (
                self.text[self.at + 1 : self.at + 2] in {"\n", ""} or LOOSE.match(self.text, self.at)
            ):
                break
            node = self.string() if char in DOUBLE + SINGLE else self.expansion()
            if node is None:
                plain.append(self.character())
            elif isinstance(node, Literal):
                plain.append("" if node.value is None else str(node.value))
            else:
                if plain:
                    parts.append(Literal(line, "".join(plain)))
                    plain = []
                parts.append(node)
        text = "".join(plain)
        if not parts:
            return Literal(line, text)
        if plain:
            parts.append(Literal(line, text))
        return Expandable(line, tuple(parts), self.text[begin : self.at])

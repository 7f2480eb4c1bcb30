"""PowerShell statements: the whole script as a tree. Reads a text, touches nothing else.

A statement that cannot be read is kept as text, and reading goes on behind it: half a script is more than none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.importer.powershell.blocks import KEYWORD, BlockParser
from launcher.importer.powershell.commands import REDIRECTION
from launcher.importer.powershell.expressions import NUMBER
from launcher.importer.powershell.scanner import DOUBLE, HERE, SINGLE, SyntaxProblem
from launcher.importer.powershell.tree import (
    Assignment,
    Cast,
    Command,
    Flow,
    Index,
    Items,
    Literal,
    Member,
    Node,
    Pipeline,
    Script,
    Unreadable,
    Variable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ASSIGN = re.compile(r"(=|\+=|-=|\*=|/=|%=|\?\?=)(?!=)")
MOST_STATEMENTS = 5_000
MOST_UNREADABLE = 200


class Parser(BlockParser):
    """A whole script."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = 0
        self._unreadable = 0

    def script(self) -> Script:
        """The tree.

        Raises:
            TooDeep: brackets are nested too deeply.
            SyntaxProblem: there is far too much of it, or hardly anything can be read.
        """
        body = self.statements_until("")
        return Script(body, tuple(self.warnings))

    def statements_until(self, end: str) -> tuple[Node, ...]:
        """Statements up to a closing bracket, which is stepped over; an empty `end` is the end of the text."""
        found: list[Node] = []
        while True:
            self.between()
            if self.at >= len(self.text):
                if end:
                    raise self.fail(f"{end!r} is missing")
                return tuple(found)
            if end and self.take(end):
                return tuple(found)
            if self.peek() in {")", "}"}:
                if end:
                    raise self.fail(f"{end!r} was expected instead of {self.peek()!r}")
                self.at += 1  # one too many: go on behind it
                continue
            found.append(self._tolerant(end))

    def between(self) -> None:
        self.space()
        while self.peek() == ";" or self.peek(2) in {"&&", "||"}:
            self.at += 1 if self.peek() == ";" else 2
            self.space()

    def _tolerant(self, end: str) -> Node:
        """One statement, or its text where it cannot be read."""
        begin, line = self.at, self.line()
        self._count += 1
        if self._count > MOST_STATEMENTS:
            self.depth = 0
            raise SyntaxProblem(line, f"more than {MOST_STATEMENTS} statements")
        try:
            return self.statement()
        except SyntaxProblem as problem:
            self._unreadable += 1
            if self._unreadable > MOST_UNREADABLE or self._count > MOST_STATEMENTS:
                raise
            self.at = self._behind(max(begin, self.at), end)
            self.at = max(self.at, begin + 1)
            shown = self.text[begin : self.at].split("\n", 1)[0]
            return Unreadable(line, shown, f"line {problem.line}: {problem.why}")

    def _behind(self, at: int, end: str) -> int:
        """Where to go on after something that cannot be read: at the line's end, or at the bracket that closes around it."""
        depth = 0
        while at < len(self.text) and self.text[at] != "\n":
            char = self.text[at]
            if char in "({":
                depth += 1
            elif char in ")}":
                if depth == 0 and char == end:
                    return at
                depth -= 1
            at += 1
        return at

    # ------------------------------------------------------------------ statements

    def statement(self) -> Node:
        line = self.line()
        keyword = KEYWORD.match(self.text, self.at)
        if keyword:
            word = keyword[1].lower()
            readers: dict[str, Callable[[int], Node]] = {
                "if": self._if, "switch": self._switch, "foreach": self._foreach, "for": self._for, "while": self._while,
                "do": self._do, "try": self._try, "function": self._function, "filter": self._function, "param": self._param,
                "begin": self._bare_block, "process": self._bare_block, "end": self._bare_block,
            }  # fmt: skip
            self.at = keyword.end()
            self.blanks()
            if word in readers:
                with self.nested():
                    return readers[word](line)
            if word in {"break", "continue", "return", "exit", "throw"}:
                return Flow(line, word, None if self._at_end() else self.pipeline_or_assignment())
            raise self.fail(f"`{word}` is not read by the importer")
        return self.pipeline_or_assignment()

    def _at_end(self) -> bool:
        self.blanks()
        return self.peek() in {"", "\n", ";", "}", ")", "#", "|"}

    def value_statement(self) -> Node:
        """What may stand behind `=`: a statement with an output, or a pipeline."""
        self.space()
        return self.statement()

    def pipeline_or_assignment(self) -> Node:
        line = self.line()
        keyword = KEYWORD.match(self.text, self.at)
        if keyword and keyword[1].lower() in {"if", "switch", "foreach", "for", "while", "try", "do"}:
            return self.statement()
        with self.nested():
            first = self._pipeline_element()
            self.blanks()
            operator = self.match(ASSIGN) if _is_target(first) else None
            if operator:
                value = self.value_statement()
                targets = first.items if isinstance(first, Items) else (first,)
                return Assignment(line, targets, operator[1], value)
            return self._pipeline(line, first)

    def _pipeline(self, line: int, first: Node) -> Node:
        elements = [first]
        while True:
            self.blanks()
            if self.peek(2) == "||" or not self.take("|"):
                break
            self.space()
            elements.append(self._pipeline_element())
            if len(elements) > 50:
                raise self.fail("a pipeline is too long")
        if self._redirects():  # `$list.Add("x") > $null`
            elements.append(Command(line, "", Literal(line, "Out-Null"), ()))
        if self.peek() == "&" and self.peek(2) != "&&":
            self.at += 1  # in the background
        return Pipeline(line, tuple(elements)) if len(elements) > 1 else first

    def _redirects(self) -> bool:
        """Step over `> file`, `2>$null`, `2>&1`; true when the output itself goes away."""
        goes_away = False
        while found := self.match(REDIRECTION):
            goes_away = goes_away or found[0][:1] in {">", "1", "*"}
            self.blanks()
            if not found[0].endswith(("&1", "&2")):
                self._argument()
                self.blanks()
        return goes_away

    def _pipeline_element(self) -> Node:
        self.blanks()
        char = self.peek()
        if char == "&" and self.peek(2) != "&&":
            self.at += 1
            self.blanks()
            return self.command("&")
        if char == "." and self.peek(2)[1:] in {" ", "\t"}:
            self.at += 1
            self.blanks()
            return self.command(".")
        if self._is_expression():
            return self.expression()
        return self.command()

    def _is_expression(self) -> bool:
        """Whether an expression begins here, not a command."""
        char, two = self.peek(), self.peek(2)
        if not char:
            raise self.fail("the script ends in the middle")
        if char in "$([{!,+" or char in DOUBLE + SINGLE or HERE.match(self.text, self.at):
            return True
        if char == "@":
            return True
        if char == "-":
            return two[1:] != "-" or (two == "--" and self.peek(3)[2:] == "$")
        return bool(NUMBER.match(self.text, self.at))


def _is_target(node: Node) -> bool:
    if isinstance(node, Cast):
        return _is_target(node.operand)
    if isinstance(node, Items):
        return all(_is_target(item) for item in node.items)
    return isinstance(node, (Variable, Member, Index)) and not (isinstance(node, Variable) and node.is_splat)


def parse(text: str) -> Script:
    """The tree of a script; see `Parser.script`."""
    return Parser(text).script()

"""PowerShell statements with blocks: if, switch, loops, try, functions, parameters."""

from __future__ import annotations

import re

from launcher.importer.powershell.commands import CommandParser
from launcher.importer.powershell.scanner import SyntaxProblem
from launcher.importer.powershell.tree import (
    Array,
    ForEach,
    Formal,
    Function,
    If,
    Loop,
    Node,
    Params,
    Switch,
    Try,
)

KEYWORD = re.compile(
    r"(if|switch|foreach|for|while|do|try|function|filter|param|break|continue|return|exit|throw|trap|begin|process|"
    r"end|class|enum|using|data|requires)(?![\w.\\/:-])",
    re.IGNORECASE,
)
ELSE, ELSEIF = re.compile(r"else(?!\w)", re.IGNORECASE), re.compile(r"elseif(?!\w)", re.IGNORECASE)
CATCH, FINALLY = re.compile(r"catch(?!\w)", re.IGNORECASE), re.compile(r"finally(?!\w)", re.IGNORECASE)
LATE = re.compile(r"(while|until)(?!\w)", re.IGNORECASE)
IN = re.compile(r"in(?!\w)", re.IGNORECASE)
SWITCH_OPTION = re.compile(r"-(regex|wildcard|exact|casesensitive|file|parallel)\b", re.IGNORECASE)
DEFAULT = re.compile(r"default(?!\w)", re.IGNORECASE)
FUNCTION_NAME = re.compile(r"[\w:-]+")


class BlockParser(CommandParser):
    """Statements behind a keyword."""

    def between(self) -> None:
        raise NotImplementedError

    def braces(self) -> tuple[Node, ...]:
        self.space()
        return self.block().body

    def _condition(self) -> Node:
        self.space()
        self.expect("(")
        self.space()
        found = self.pipeline_or_assignment()
        self.space()
        self.expect(")")
        return found

    def _if(self, line: int) -> Node:
        clauses = [(self._condition(), self.braces())]
        while True:
            at = self.at
            self.space()
            if self.match(ELSEIF):
                clauses.append((self._condition(), self.braces()))
                continue
            if self.match(ELSE):
                at = self.at
                self.blanks()
                keyword = KEYWORD.match(self.text, self.at)
                if keyword and keyword[1].lower() == "if":  # `else if`, in two words: lenient
                    self.at = keyword.end()
                    clauses.append((self._condition(), self.braces()))
                    continue
                return If(line, tuple(clauses), self.braces())
            self.at = at
            return If(line, tuple(clauses), None)

    def _switch(self, line: int) -> Node:
        mode, is_case_sensitive = "", False
        while True:
            self.blanks()
            option = self.match(SWITCH_OPTION)
            if not option:
                break
            word = option[1].lower()
            mode = word if word in {"regex", "wildcard"} else mode
            is_case_sensitive = is_case_sensitive or word == "casesensitive"
        subject = self._condition()
        self.space()
        self.expect("{")
        clauses: list[tuple[Node | None, tuple[Node, ...]]] = []
        while True:
            self.between()
            if self.take("}"):
                return Switch(line, subject, mode, is_case_sensitive, tuple(clauses))
            if self.match(DEFAULT):
                pattern: Node | None = None
            else:
                pattern = self.word([]) if self.peek().isalpha() else self.expression()
            clauses.append((pattern, self.braces()))

    def _foreach(self, line: int) -> Node:
        self.blanks()
        self.expect("(")
        self.space()
        name = self.variable()
        if name is None:
            raise self.fail("foreach needs a variable")
        self.space()
        if not self.match(IN):
            raise self.fail("foreach needs `in`")
        self.space()
        items = self.pipeline_or_assignment()
        self.space()
        self.expect(")")
        return ForEach(line, name, items, self.braces())

    def _for(self, line: int) -> Node:
        self.expect("(")
        parts: list[Node | None] = []
        for number in range(3):
            self.space()
            parts.append(None if self.peek() in {";", ")"} else self.pipeline_or_assignment())
            self.space()
            if number < 2:
                self.expect(";")
        self.expect(")")
        return Loop(line, parts[0], parts[1], parts[2], self.braces())

    def _while(self, line: int) -> Node:
        condition = self._condition()
        return Loop(line, None, condition, None, self.braces())

    def _do(self, line: int) -> Node:
        body = self.braces()
        self.space()
        word = self.match(LATE)
        if not word:
            raise self.fail("do needs while or until")
        return Loop(
            line, None, self._condition(), None, body, is_late=True, is_until=word[1].lower() == "until"
        )

    def _try(self, line: int) -> Node:
        body = self.braces()
        handlers: tuple[Node, ...] = ()
        finally_: tuple[Node, ...] = ()
        while True:
            at = self.at
            self.space()
            if self.match(CATCH):
                self.blanks()
                while self.peek() == "[":
                    self.type_name()
                    self.space()
                    self.take(",")
                    self.space()
                handlers += self.braces()
            elif self.match(FINALLY):
                finally_ = self.braces()
            else:
                self.at = at
                return Try(line, body, handlers, finally_)

    def _function(self, line: int) -> Node:
        self.blanks()
        name = self.match(FUNCTION_NAME)
        if not name:
            raise self.fail("a function needs a name")
        self.space()
        formals: tuple[Formal, ...] = ()
        if self.peek() == "(":
            formals = self._formals()
        body = self.braces()
        if body and isinstance(body[0], Params):
            formals, body = body[0].formals, body[1:]
        return Function(line, name[0].lower().rpartition(":")[2], formals, body)

    def _param(self, line: int) -> Node:
        self.space()
        return Params(line, self._formals())

    def _formals(self) -> tuple[Formal, ...]:
        self.expect("(")
        found: list[Formal] = []
        kind = ""
        while True:
            self.space()
            if self.take(")"):
                return tuple(found)
            if self.take(","):
                continue
            if self.peek() == "[":
                name = self.type_name()
                kind = (
                    kind if "(" in name or name == "parameter" else name
                )  # `[Parameter(Mandatory)]` is no type
                continue
            line, variable = self.line(), self.variable()
            if variable is None:
                raise SyntaxProblem(line, "a parameter was expected")
            self.space()
            default = None
            if self.take("="):
                self.space()
                default = self.expression(commas=False)
            found.append(Formal(line, variable.name.lower(), kind, default))
            kind = ""

    def _bare_block(self, line: int) -> Node:
        """`begin`, `process`, `end` of a script or function: its statements."""
        return Array(line, self.braces())

"""Carets, quotes, brackets and signs: a batch command from text to tree. Lines are pulled, and expanded, as they are needed."""

from __future__ import annotations

import re

from launcher.importer.batch.lines import Lines, Trouble
from launcher.importer.batch.tree import Block, Chain, For, If, Node, Simple
from launcher.importer.scripts.marks import on_line, plain

FOR = re.compile(r"(?:/([ldrf])\s*)?(?P<rest>[^(\n]*?)%(?P<name>\S)\s+in\s*\(", re.IGNORECASE)
IF = re.compile(r"(?P<fold>/i\s+)?(?P<no>not\s+)?", re.IGNORECASE)
WORDS = frozenset({"equ", "neq", "lss", "leq", "gtr", "geq"})
PLAIN = re.compile(r"[^\s^\"&|<>()]+|[ \t]+")


class Parser(Lines):
    """One command."""

    # ------------------------------------------------------------------ commands

    def command(self) -> Node | None:
        """All up to the end of the line, or to a closing bracket: `a & b`, the loosest of the signs first."""
        with self.nested():
            return self._chain(("&", "||", "&&", "|"))

    def _chain(self, signs: tuple[str, ...]) -> Node | None:
        if not signs:
            return self._primary()
        sign, tighter = signs[0], signs[1:]
        left = self._chain(tighter)
        while self._takes(sign):
            right = self._chain(tighter)
            left = Chain(left.line, sign, left, right) if left and right else left or right
        return left

    def _takes(self, sign: str) -> bool:
        while self.peek() in {" ", "\t"}:
            self.at += 1
        if not self.text.startswith(sign, self.at) or self.peek(2) == sign * 2:
            return False
        self.at += len(sign)
        return True

    def _primary(self) -> Node | None:
        self.blanks()
        while self.peek() == "@":
            self.at += 1
            self.blanks()
        char = self.peek()
        if char == "(":
            return self._block()
        if char == ":":
            self._label()
            return None
        if char in {"", "\n", ")", "&", "|"}:
            return None
        word = re.compile(r"[A-Za-z]+(?=[\s/(.\"]|\Z)").match(self.text, self.at)
        name = word[0].lower() if word else ""
        if name == "rem":
            self._remark()
            return None
        if word and name in {"if", "for"}:
            self.at = word.end()
            return self._if() if name == "if" else self._for()
        return self._simple()

    def _label(self) -> None:
        """A label, or a comment by two colons: a caret at its end draws the next line in."""
        while True:
            end = self.text.find("\n", self.at)
            is_joined = self.text[self.at : end].endswith("^")
            self.at = end
            if not is_joined or not self.next_line():
                return

    def _remark(self) -> None:
        """`rem`: of its line nothing counts; a caret joins the next one only right behind the word itself."""
        while True:
            end = self.text.find("\n", self.at)
            words = self.text[self.at : end].split()
            self.at = end
            if len(words) != 2 or not words[1].endswith("^") or not self.next_line():
                return

    def _block(self) -> Node:
        line = self.line
        self.at += 1
        self.brackets += 1
        body: list[Node] = []
        while True:
            found = self.command()
            if found is not None:
                body.append(found)
            char = self.peek()
            if char == ")":
                self.at += 1
                self.brackets -= 1
                break
            if char == "\n":
                if not self.next_line():
                    raise Trouble(line, "a bracket is never closed: cmd runs nothing from there on")
            elif found is None:
                self.at += 1  # a sign that stands alone
        self._skip_redirections()
        return Block(line, tuple(body))

    def _skip_redirections(self) -> None:
        while re.compile(r"[ \t]*\d?[<>]").match(self.text, self.at):
            while self.peek() not in {"<", ">"}:
                self.at += 1
            self.redirection()

    # ------------------------------------------------------------------ one program or word of cmd

    def _simple(self) -> Node | None:
        line = self.line
        parts = [on_line(line)]
        is_quoted = False
        while True:
            char = self.peek()
            if char in {"", "\n"}:
                break
            if char == '"':
                is_quoted = not is_quoted
            elif not is_quoted:
                if char in "&|" or (char == ")" and self.brackets):
                    break
                if char == "^":
                    self.caret(parts)
                    continue
                if char in "<>":
                    if parts[-1].isdecimal() and len(parts[-1]) == 1 and parts[-2][-1:] in {" ", "\t"}:
                        parts.pop()
                    self.redirection()
                    continue
                run = PLAIN.match(self.text, self.at)
                if run:
                    parts.append(run[0])
                    self.at = run.end()
                    continue
            parts.append(char)
            self.at += 1
        text = "".join(parts)
        return Simple(line, text) if plain(text).strip() else None

    # ------------------------------------------------------------------ if and for

    def _if(self) -> Node | None:
        line = self.line
        self.blanks()
        found = IF.match(self.text, self.at)
        is_folded, is_not = bool(found and found["fold"]), bool(found and found["no"])
        self.at = found.end() if found else self.at
        if not is_folded and self.peek(2).lower() == "/i":
            self.at += 2
            is_folded = True
            self.blanks()
        test, left, right = self._test()
        then = self._body()
        otherwise = None
        if isinstance(then, Block) and re.compile(r"[ \t]*else\b", re.IGNORECASE).match(self.text, self.at):
            self.at = self.text.lower().index("else", self.at) + 4
            otherwise = self.command()
        return If(line, test, left, right, is_not, is_folded, then or Block(line, ()), otherwise)

    def _test(self) -> tuple[str, str, str]:
        left = self.word("(" if self.peek() != "(" else "")
        if left.lower() in {"exist", "defined", "errorlevel", "cmdextversion"}:
            self.blanks()
            return left.lower(), self.word("("), ""
        while self.peek() in {" ", "\t"}:
            self.at += 1
        if self.peek(2) == "==":
            self.blanks()
            return "==", left, self.word("(")
        sign = self.word().lower()
        if sign not in WORDS:
            raise Trouble(self.line, "a condition that cmd does not understand either: it stops there")
        self.blanks()
        return sign, left, self.word("(")

    def _body(self) -> Node | None:
        """What a condition or a loop governs: a block, or all the rest of the line."""
        self.blanks()
        with self.nested():
            if self.peek() == "(":
                block = self._block()
                is_alone = re.compile(r"[ \t]*(else\b|\)|\n|\Z)", re.IGNORECASE).match(self.text, self.at)
                if is_alone:
                    return block
                rest = self._takes("&") and self.command()
                return Chain(block.line, "&", block, rest) if rest else block
        return self.command()

    def _for(self) -> Node | None:
        line = self.line
        self.blanks()
        found = FOR.match(self.text, self.at)
        if found is None:
            raise Trouble(line, "a loop of another kind")
        self.at = found.end()
        items: list[str] = []
        while self.peek() != ")":
            if self.peek() == "\n":
                if not self.next_line():
                    raise Trouble(line, "a bracket is never closed")
                items.append(" ")
                continue
            if self.peek() in {" ", "\t", ",", ";"}:
                items.append(" ")
                self.at += 1
                continue
            word = self.word(")")
            items.append(word or self.peek())
            self.at += not word
        self.at += 1
        self.blanks()
        if not re.compile(r"do\b", re.IGNORECASE).match(self.text, self.at):
            raise Trouble(line, "a loop without `do`")
        self.at += 2
        body = self._body()
        return For(line, (found[1] or "").lower(), found["name"], "".join(items), body or Block(line, ()))

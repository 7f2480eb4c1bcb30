"""Words of the shell: quotes, expansions; what is not quoted is split at blanks (POSIX 2.6.5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.importer.findings import TooDeep, TooLong
from launcher.importer.scripts.marks import PLACES, plain
from launcher.importer.shell.outputs import output_of
from launcher.importer.shell.quoting import ansi, unescaped, unquoted
from launcher.importer.shell.syntax import MAX_NESTED, line_of, text_of
from launcher.importer.shell.variables import VariableEvaluator

if TYPE_CHECKING:
    from tree_sitter import Node

    from launcher.importer.scripts.state import Value

MOST_FIELDS = 4000


class WordEvaluator(VariableEvaluator):
    """Turns the nodes of words into marked texts."""

    # ------------------------------------------------------------------ fields and texts

    def fields(self, node: Node) -> list[str]:
        """What one word of a command becomes: none, one or several words."""
        found: list[str] = []
        is_open = False
        for piece, is_quoted in self._pieces(node, is_quoted=False):
            if isinstance(piece, tuple):
                items = list(piece)
                if is_open and items and found:
                    found[-1] += items.pop(0)
                found += items
                is_open = bool(piece) or is_open
            elif is_quoted:
                if is_open:
                    found[-1] += piece
                else:
                    found.append(piece)
                is_open = True
            else:
                is_open = self._split(found, piece, is_open=is_open)
            if len(found) > MOST_FIELDS:
                raise TooLong
        return found

    def _split(self, found: list[str], text: str, *, is_open: bool) -> bool:
        """Add the words of an expansion without quotes; returns whether the last one goes on."""
        parts = text.split()
        places = "".join(PLACES.findall(text))[:1]
        if not plain(text).strip():
            return is_open and not plain(text)
        if is_open and not plain(text)[:1].isspace():
            found[-1] += parts.pop(0)
        found += [part if PLACES.match(part) else places + part for part in parts if plain(part)]
        return not text[-1].isspace()

    def text(self, node: Node | None) -> str:
        """A word where nothing is split: values of assignments, operands of `[[ ]]`."""
        if node is None:
            return ""
        pieces = [piece for piece, _ in self._pieces(node, is_quoted=True)]
        return "".join(" ".join(piece) if isinstance(piece, tuple) else piece for piece in pieces)

    def _pieces(self, node: Node, *, is_quoted: bool) -> list[tuple[Value, bool]]:
        """Parts of a word; each says whether it stays as it is. A tuple is `"${x[@]}"`."""
        self.depth += 1
        if self.depth > MAX_NESTED:
            raise TooDeep(line_of(node))
        self.state.step()
        try:
            return self._parts(node, is_quoted=is_quoted)
        finally:
            self.depth -= 1

    def _parts(self, node: Node, *, is_quoted: bool) -> list[tuple[Value, bool]]:
        kind = node.type
        raw = text_of(node)
        if kind == "raw_string":
            return [(raw[1:-1], True)]
        if kind == "ansi_c_string":
            return [(ansi(raw[2:-1]), True)]
        if kind in {"string", "translated_string"}:
            return self._string(node)
        if kind in {"concatenation", "command_name"}:
            return [piece for child in node.children for piece in self._pieces(child, is_quoted=is_quoted)]
        if kind in {"simple_expansion", "expansion"}:
            lead = raw[: len(raw) - len(raw.lstrip())]
            before: list[tuple[Value, bool]] = [(lead, is_quoted)] if lead else []
            return [*before, (self.variable(node, raw.strip(), is_quoted=is_quoted), is_quoted)]
        if kind == "command_substitution":
            return [(output_of(self, node), is_quoted)]
        if kind == "arithmetic_expansion":
            return [(self.arithmetic(re.sub(r"^\$?\(\(|\)\)$|^\$\[|\]$", "", raw.strip()), line_of(node)), is_quoted)]  # fmt: skip
        if kind == "process_substitution":
            return [(self.marks.unknown("it is what a program puts out", line_of(node), raw), True)]
        bare = raw.lstrip()
        lead = raw[: len(raw) - len(bare)]  # in `${x:-f g}` the grammar has the blank in the second word
        return [(lead, is_quoted), (unescaped(bare), True)] if lead else [(unescaped(raw), True)]

    def _string(self, node: Node) -> list[tuple[Value, bool]]:
        """A text in double quotes. Blanks between its parts are in no node: the source has them."""
        begin = text_of(node).find('"') + node.start_byte + 1
        raw = node.text or b""
        found: list[tuple[Value, bool]] = [("", True)]
        for child in node.children:
            if child.type in {'"', '$"'}:
                continue
            gap = raw[begin - node.start_byte : child.start_byte - node.start_byte].decode("utf-8", "replace")
            if gap:
                found.append((gap, True))
            if child.type == "string_content":
                found.append((unquoted(text_of(child)), True))
            else:
                found += self._pieces(child, is_quoted=True)
            begin = child.end_byte
        gap = raw[begin - node.start_byte : -1].decode("utf-8", "replace")
        if gap:
            found.append((gap, True))
        if len(found) > 1 and any(isinstance(piece, tuple) for piece, _ in found):
            found = [item for item in found if item[0] != ""]  # "${x[@]}" of an empty array is no word
        return found

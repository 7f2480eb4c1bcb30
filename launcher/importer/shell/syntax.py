"""The syntax tree of a shell script, by tree-sitter; bounded in time and depth."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from launcher.importer.findings import TooDeep, TooLong

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_DEPTH = 200
MAX_NESTED = 60  # of brackets and blocks, as they are evaluated
# Broken nesting makes the grammar's error recovery slow (`a|a|a|...` with nothing behind it took 9 s for 20 KB).
MOST_SECONDS = 0.5
PIECE = 8192
# Where it is slowest: chains of pipes and arrays. A training script has a handful.
COSTLY = re.compile(r"\||=\(")
MOST_COSTLY = 1000
MOST_BROKEN = 20


def parse(text: str) -> Node:
    """The root of the tree.

    Raises:
        TooLong: it takes longer than any training script.
        TooDeep: its brackets are nested too deeply.
    """
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    if len(COSTLY.findall(text)) > MOST_COSTLY:
        raise TooLong
    raw = text.encode("utf-8", errors="replace")
    end = time.thread_time() + MOST_SECONDS
    parser = Parser(Language(tree_sitter_bash.language()))
    try:
        tree = parser.parse(
            lambda at, _point: raw[at : at + PIECE],
            encoding="utf8",
            progress_callback=lambda *_: time.thread_time() > end,
        )
    except ValueError as error:
        raise TooLong from error
    if tree is None:
        raise TooLong
    _check_depth(tree.root_node)
    return tree.root_node


def _check_depth(root: Node) -> None:
    cursor = root.walk()
    depth = 0
    while True:
        if cursor.goto_first_child():
            depth += 1
            if depth > MAX_DEPTH:
                raise TooDeep(cursor.node.start_point[0] + 1 if cursor.node else 0)
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return
            depth -= 1


def line_of(node: Node) -> int:
    return node.start_point[0] + 1


def text_of(node: Node | None) -> str:
    return "" if node is None or node.text is None else node.text.decode("utf-8", errors="replace")


def field(node: Node, name: str) -> Node | None:
    return node.child_by_field_name(name)


def broken(root: Node) -> list[Node]:
    """The first places that the grammar cannot read."""
    found: list[Node] = []
    waiting = [root]
    while waiting and len(found) < MOST_BROKEN:
        node = waiting.pop()
        if node.type == "ERROR":
            found.append(node)
        elif node.has_error:
            waiting += reversed(node.children)
    return found

"""Which statement of the tree is what; the parts of statements that need no evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.importer.shell.syntax import text_of

if TYPE_CHECKING:
    from tree_sitter import Node

ASSIGNMENTS = frozenset({"variable_assignment", "variable_assignments"})
SIGNS = frozenset({";", "&", "\n", "&&", "||", "|", "|&", ";;", ";&", ";;&"})
REDIRECTS = frozenset({"file_redirect", "heredoc_redirect", "herestring_redirect"})
WORDS = frozenset({"if", "then", "elif", "else", "fi", "while", "until", "do", "done", "for", "in", "{", "}", "(", ")", "case", "esac", "((", "))"})  # fmt: skip


def statements(nodes: list[Node]) -> list[Node]:
    """The statements among the children of a block."""
    return [
        node for node in nodes
        if node.type not in SIGNS and node.type not in WORDS and node.type not in REDIRECTS and node.type != "comment"
    ]  # fmt: skip


def clauses(node: Node) -> tuple[list[tuple[list[Node], list[Node]]], list[Node]]:
    """Of an `if`: conditions with their bodies, and the body of `else`."""
    found: list[tuple[list[Node], list[Node]]] = []
    otherwise: list[Node] = []
    parts: tuple[list[Node], list[Node]] = ([], [])
    is_body = False
    for child in node.children:
        if child.type == "elif_clause":
            found += clauses(child)[0]
        elif child.type == "else_clause":
            otherwise = statements(child.children)
        elif child.type == "then":
            is_body = True
        elif child.type not in SIGNS and child.type not in WORDS and child.type != "comment":
            parts[is_body].append(child)
    return [parts, *found], otherwise


def head_and_body(node: Node) -> tuple[list[Node], list[Node]]:
    """Of a loop: what stands before `do`, and what is done."""
    group = next((child for child in node.children if child.type in {"do_group", "compound_statement"} and child is not node.children[1]), None)  # fmt: skip
    body = statements(group.children) if group is not None else []
    head = [
        child
        for child in node.children
        if child != group and child.type not in WORDS and child.type not in SIGNS
    ]
    return head, body


def case_items(node: Node) -> list[tuple[list[Node], list[Node]]]:
    """Of a `case`: patterns with their bodies."""
    found = []
    for item in node.children:
        if item.type != "case_item":
            continue
        patterns: list[Node] = []
        body: list[Node] = []
        is_body = False
        for child in item.children:
            if not is_body and child.type == ")":
                is_body = True
            elif is_body:
                body.append(child)
            elif child.type not in {"|", "("}:
                patterns.append(child)
        found.append((patterns, statements(body)))
    return found


def is_joined(before: Node | None, node: Node, source: bytes) -> bool:
    """Whether only a backslash at the line's end stands between two words: the shell makes one of them (POSIX 2.2.1)."""
    if before is None:
        return False
    gap = source[before.end_byte : node.start_byte]
    return bool(gap) and not gap.replace(b"\\\n", b"")


def name_of(node: Node) -> str:
    """The name of a function or variable."""
    return text_of(next((child for child in node.children if child.type in {"word", "variable_name"}), None))

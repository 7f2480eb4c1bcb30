"""What a command substitution puts out, where its text alone says it: `$(dirname "$0")`, `$(cd x && pwd)`, `$(echo ...)`."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from launcher.importer.scripts.marks import plain
from launcher.importer.secrets import hide
from launcher.importer.shell.syntax import line_of, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

    from launcher.importer.shell.words import WordEvaluator

SAME_PATH = frozenset({"realpath", "readlink"})


def output_of(run: WordEvaluator, node: Node) -> str:
    """The marked text that a substitution stands for."""
    line = line_of(node)
    bodies = [child for child in node.children if child.is_named]
    found = _known(run, bodies[0]) if len(bodies) == 1 else None
    if found is not None:
        return found
    shown = hide(text_of(node).strip())
    return run.marks.unknown(f"{shown[:60]} is what a program puts out", line, shown)


def _known(run: WordEvaluator, body: Node) -> str | None:
    if body.type == "list":
        parts = [child for child in body.children if child.is_named]
        if len(parts) == 2 and body.children[1].type == "&&":
            first, second = (_words(run, part) for part in parts)
            if len(first) == 2 and first[0] == "cd" and second[:1] == ["pwd"]:
                return first[1]
        return None
    if body.type not in {"command", "redirected_statement"}:
        return None
    words = _words(run, body)
    name = words[0] if words else ""
    rest = [word for word in words[1:] if not plain(word).startswith("-")]
    if name == "pwd":
        return run.state.folder or str(run.state.script.parent)
    if name == "echo":
        return " ".join(rest) if len(rest) == len(words) - 1 else None
    if not rest or run.marks.first("".join(rest)) is not None:
        return None
    path = plain(rest[0])
    if name == "dirname":
        return posixpath.dirname(path.rstrip("/")) or "."
    if name == "basename":
        base = posixpath.basename(path.rstrip("/"))
        return base.removesuffix(plain(rest[1])) if len(rest) > 1 else base
    return path if name in SAME_PATH and len(rest) == 1 else None


def _words(run: WordEvaluator, node: Node) -> list[str]:
    """The words of a simple command; of others none."""
    if node.type == "redirected_statement":
        inner = node.child_by_field_name("body")
        return _words(run, inner) if inner is not None else []
    if node.type != "command":
        return []
    children = [child for child in node.children if not child.type.endswith(("_redirect", "assignment"))]
    if not children:
        return []
    return [plain(children[0].text.decode("utf-8", "replace") if children[0].text else ""), *(
        word for child in children[1:] for word in run.fields(child)
    )]  # fmt: skip

"""Cmdlets that only compute: what they put out, from what they are given. None of them looks at this computer."""

from __future__ import annotations

import ntpath
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from launcher.importer.launch import Word
from launcher.importer.powershell import tree
from launcher.importer.powershell.members import member
from launcher.importer.powershell.statics import combine, plain_type
from launcher.importer.powershell.statics import new_object as make_object
from launcher.importer.powershell.values import (
    Folded,
    ScriptBlock,
    Unknown,
    equal,
    text_of,
    to_int,
    truth,
)
from launcher.importer.powershell.windows_words import split_windows

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.importer.powershell.programs import CommandEvaluator


def join_path(run: CommandEvaluator, node: tree.Command, _given: list[Any] | None) -> list[Any]:
    named, positional = run.bound(node.elements)
    parts = [named[key] for key in ("path",) if key in named] + positional
    parts += [
        item
        for key in ("childpath", "additionalchildpath")
        if key in named
        for item in (named[key] if isinstance(named[key], list) else [named[key]])
    ]
    unknown = next((part for part in parts if isinstance(part, Unknown)), None)
    if unknown is not None:
        shown = combine([part.text if isinstance(part, Unknown) else part for part in parts])
        return [Unknown(unknown.reason, unknown.line, shown)]
    return [combine(parts)] if parts else []


def split_path(run: CommandEvaluator, node: tree.Command, given: list[Any] | None) -> list[Any]:
    named, positional = run.bound(node.elements)
    value = named.get("path", named.get("literalpath", positional[0] if positional else (given or [None])[0]))
    if isinstance(value, Unknown):
        return [value]
    text = text_of(value)
    if named.get("leaf"):
        return [ntpath.basename(text.rstrip("\\/"))]
    if named.get("leafbase"):
        return [ntpath.splitext(ntpath.basename(text))[0]]
    if named.get("extension"):
        return [ntpath.splitext(text)[1]]
    return [ntpath.dirname(text.rstrip("\\/"))]


def set_location(run: CommandEvaluator, node: tree.Command, _given: list[Any] | None) -> list[Any]:
    named, positional = run.bound(node.elements)
    value = named.get("path", named.get("literalpath", positional[0] if positional else None))
    if text_of(node.name.value if isinstance(node.name, tree.Literal) else "").lower().startswith("pu"):
        run.state.folders.append(run.state.folder)
    if isinstance(value, Unknown):
        run.state.note(node.line, f"the working folder is not known: {value.reason}")
        return []
    text = text_of(value)
    if text:
        is_whole = ntpath.isabs(text) or bool(ntpath.splitdrive(text)[0]) or text.startswith(("/", "~"))
        run.state.folder = text if is_whole or run.state.folder is None else combine([run.state.folder, text])
    return []


def pop_location(run: CommandEvaluator, _node: tree.Command, _given: list[Any] | None) -> list[Any]:
    if run.state.folders:
        run.state.folder = run.state.folders.pop()
    return []


def get_location(run: CommandEvaluator, _node: tree.Command, _given: list[Any] | None) -> list[Any]:
    return [run.state.folder or str(run.state.script.parent)]


def set_variable(run: CommandEvaluator, node: tree.Command, _given: list[Any] | None) -> list[Any]:
    named, positional = run.bound(node.elements)
    both = (
        [named[key] for key in ("name",) if key in named]
        + positional
        + [named[key] for key in ("value",) if key in named]
    )
    if len(both) >= 2 and not isinstance(both[0], Unknown):
        run.state.set("", text_of(both[0]), both[1], node.line)
    return []


def get_variable(run: CommandEvaluator, node: tree.Command, _given: list[Any] | None) -> list[Any]:
    named, positional = run.bound(node.elements)
    name = named.get("name", positional[0] if positional else "")
    return [run.state.read("", text_of(name), node.line).value]


def new_object(run: CommandEvaluator, node: tree.Command, _given: list[Any] | None) -> list[Any]:
    named, positional = run.bound(node.elements)
    kind = named.get("typename", positional[0] if positional else "")
    found = make_object(plain_type(text_of(kind)), positional[1:], node.line)
    return [found]


def start_process(run: CommandEvaluator, node: tree.Command, _given: list[Any] | None) -> list[Any]:
    """Arguments are joined by blanks and split again by the program itself, as Windows does it."""
    named, positional = run.bound(node.elements)
    program = named.get("filepath", positional[0] if positional else None)
    rest = positional if "filepath" in named else positional[1:]
    rest = rest[0] if len(rest) == 1 and isinstance(rest[0], list) else rest
    arguments = next((named[key] for key in ("argumentlist", "args", "arguments") if key in named), rest)
    words = run.words_of(program, node.line)
    for word in run.words_of(arguments, node.line):
        words += [replace(word, text=text) for text in split_windows(word.text)]
    outer = run.state.folder
    place = named.get("workingdirectory")
    if place is not None and not isinstance(place, Unknown):
        run.state.folder = text_of(place)
    if words:
        run.start(words, node.line)
    run.state.folder = outer
    return [Unknown("the outcome of a program", node.line)] if named.get("passthru") else []


def invoke_expression(run: CommandEvaluator, node: tree.Command, given: list[Any] | None) -> list[Any]:
    """A text as a script: read like the rest, never run."""
    from launcher.importer.powershell.parser import parse

    named, positional = run.bound(node.elements)
    value = named.get(
        "command",
        " ".join(text_of(item) for item in positional)
        if len(positional) > 1
        else positional[0]
        if positional
        else (given or [None])[0],
    )
    if isinstance(value, Unknown):
        run.state.leave(node.line, f"Invoke-Expression: {value.reason}")
        text = value.text
        if ".py" in text:
            run.start(
                [
                    Word(text=piece, line=node.line, unknown=value.reason if "$" in piece else "")
                    for piece in split_windows(text)
                ],
                node.line,
            )
        return [value]
    run.step(500)
    with run.deeper():
        return run.run(parse("\n" * (node.line - 1) + text_of(value)).body)


def each(run: CommandEvaluator, node: tree.Command, given: list[Any] | None) -> list[Any]:
    named, positional = run.bound(node.elements)
    blocks = [item for item in [*positional, *named.values()] if isinstance(item, ScriptBlock)]
    out: list[Any] = []
    for item in given or []:
        run.step()
        with run.current(item):
            if blocks:
                out += run.run(blocks[0].body)
            elif positional:
                out.append(member(item, text_of(positional[0]).lower(), node.line))
    return out


def where(run: CommandEvaluator, node: tree.Command, given: list[Any] | None) -> list[Any]:
    _, positional = run.bound(node.elements)
    out: list[Any] = []
    for item in given or []:
        run.step()
        if isinstance(item, Unknown) or not positional or not isinstance(positional[0], ScriptBlock):
            return [Unknown("a filter that is not evaluated", node.line)]
        with run.current(item):
            found = run.collapsed(run.run(positional[0].body))
        holds = truth(found)
        if isinstance(holds, Unknown):
            return [holds]
        if holds:
            out.append(item)
    return out


def select(run: CommandEvaluator, node: tree.Command, given: list[Any] | None) -> list[Any]:
    named, _ = run.bound(node.elements)
    out = list(given or [])
    if any(isinstance(item, Unknown) for item in out):
        return out[:1]
    if "unique" in named:
        kept: list[Any] = []
        for item in out:
            run.step(1 + len(kept) // 50)
            if not any(equal(item, other, node.line, is_exact=True) is True for other in kept):
                kept.append(item)
        out = kept
    counts = {key: to_int(named[key], node.line) for key in ("skip", "first", "last") if key in named}
    for key, count in counts.items():
        if isinstance(count, int) and count >= 0:
            out = (
                out[count:]
                if key == "skip"
                else out[:count]
                if key == "first"
                else out[len(out) - min(count, len(out)) :]
            )
    return out


def sort(run: CommandEvaluator, node: tree.Command, given: list[Any] | None) -> list[Any]:
    named, positional = run.bound(node.elements)
    out = list(given or [])
    if positional or any(not isinstance(item, (str, int, float)) for item in out):
        return [Unknown("an order that is not evaluated", node.line)]
    is_text = any(isinstance(item, str) for item in out)
    return sorted(
        out, key=lambda item: str(item).casefold() if is_text else item, reverse="descending" in named
    )


def measure(_run: CommandEvaluator, _node: tree.Command, given: list[Any] | None) -> list[Any]:
    unknown = next((item for item in given or [] if isinstance(item, Unknown)), None)
    if unknown is not None:
        return [unknown]
    found = Folded()
    found.set("Count", len(given or []))
    numbers = [item for item in given or [] if isinstance(item, (int, float))]
    found.set("Sum", sum(numbers))
    found.set("Maximum", max(numbers, default=None))
    found.set("Minimum", min(numbers, default=None))
    return [found]


HANDLERS: dict[str, Callable[[CommandEvaluator, tree.Command, list[Any] | None], list[Any]]] = {
    "join-path": join_path, "split-path": split_path,
    "set-location": set_location, "push-location": set_location,
    "pop-location": pop_location, "get-location": get_location,
    "set-variable": set_variable, "new-variable": set_variable,
    "get-variable": get_variable, "new-object": new_object,
    "start-process": start_process, "invoke-expression": invoke_expression,
    "foreach-object": each, "where-object": where, "select-object": select,
    "sort-object": sort, "measure-object": measure,
}  # fmt: skip

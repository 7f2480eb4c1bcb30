"""Files that a script writes for its own training: `cat > config.toml <<EOF`. Their text is in the script, so it is read there."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.importer.config_file import words_of
from launcher.importer.launch import base_name
from launcher.importer.scripts.marks import plain
from launcher.importer.shell.quoting import unquoted
from launcher.importer.shell.syntax import field, line_of, text_of
from launcher.preset.lines import find_lines

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from tree_sitter import Node

    from launcher.importer.launch import Launch, Word
    from launcher.importer.scripts.state import State
    from launcher.importer.shell.words import WordEvaluator

Written = dict[str, tuple[str, int]]  # name of a file: its marked text, the line where that begins


def written_file(run: WordEvaluator, node: Node) -> tuple[str, str, int] | None:
    """The name, text and first line of a file that a `cat` or `tee` with a here-document writes."""
    heredoc = next((child for child in node.children if child.type == "heredoc_redirect"), None)
    body = field(node, "body")
    if heredoc is None or body is None or body.type != "command":
        return None
    words = [child for child in body.children if child.is_named]
    program = text_of(words[0]) if words else ""
    inside = [*heredoc.children, *node.children]
    redirect = next((child for child in inside if child.type == "file_redirect" and text_of(child).startswith(">")), None)  # fmt: skip
    target: Node | None = None
    if program == "cat" and redirect is not None:
        target = redirect.children[-1]
    elif program == "tee":
        named = [word for word in [*words[1:], *heredoc.children] if word.type in {"word", "string", "concatenation", "simple_expansion"}]  # fmt: skip
        target = next((word for word in named if not text_of(word).startswith("-")), None)
    content = next((child for child in heredoc.children if child.type == "heredoc_body"), None)
    if target is None or content is None:
        return None
    start = next((text_of(child) for child in heredoc.children if child.type == "heredoc_start"), "")
    is_plain = start[:1] in {"'", '"', "\\"}
    return plain(run.text(target)), _text(run, content, is_plain=is_plain), line_of(content)


def _text(run: WordEvaluator, body: Node, *, is_plain: bool) -> str:
    raw = body.text or b""
    if is_plain:
        return raw.decode("utf-8", "replace")
    found: list[str] = []
    at = body.start_byte
    for child in body.children:
        if child.type not in {
            "simple_expansion",
            "expansion",
            "command_substitution",
            "arithmetic_expansion",
        }:
            continue
        found.append(unquoted(raw[at - body.start_byte : child.start_byte - body.start_byte].decode("utf-8", "replace")))  # fmt: skip
        found.append(run.text(child))
        at = child.end_byte
    found.append(unquoted(raw[at - body.start_byte :].decode("utf-8", "replace")))
    return "".join(found)


def follow(state: State, written: Written, launch: Launch) -> Launch:
    """A launch whose `--config_file` the script has written: the settings in it, behind which the command line comes."""
    words = list(launch.words)
    for number, word in enumerate(words):
        name, equals, value = word.text.partition("=")
        if name != "--config_file" or word.unknown:
            continue
        last = number if equals else number + 1
        value = value if equals else words[last].text if last < len(words) else ""
        key = base_name(value)
        found = written.get(key, written.get(f"{key}.toml"))
        settings = _settings(state, found, key) if found is not None else None
        if settings is None:
            return launch
        state.note(
            launch.line,
            f"--config_file {value}: the script writes this file itself; its settings were read there",
        )
        return replace(launch, words=(*settings, *words[:number], *words[last + 1 :]))
    return launch


def _settings(state: State, found: tuple[str, int], name: str) -> list[Word] | None:
    text, first = found
    unknown = state.marks.first(text)
    text = plain(text)
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        why = unknown.reason if unknown else str(error)
        state.leave(first, f"{name} cannot be read as TOML: {why}")
        return None
    lines = find_lines(text)
    words: list[Word] = []
    for key, value in tables.items():
        inner = value if isinstance(value, dict) else {key: value}
        for setting, item in inner.items():
            line = lines.line_of(key, setting) if isinstance(value, dict) else lines.line_of(key)
            for word in words_of({str(setting): item}, line=first + line - 1):
                hidden = state.marks.first(word.text)
                reason = f"{hidden.reason} (line {hidden.line})" if hidden else ""
                words.append(replace(word, text=state.marks.shown(word.text), unknown=reason))
    return words

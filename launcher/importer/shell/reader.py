"""A shell script from text to launches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.importer.findings import bounded
from launcher.importer.scripts.marks import cleaned
from launcher.importer.scripts.state import State
from launcher.importer.shell.evaluator import Evaluator
from launcher.importer.shell.syntax import parse

if TYPE_CHECKING:
    from launcher.importer.launch import Reading
    from launcher.importer.source import Source

FORMAT = "shell"
CHAIN = re.compile(r"(?<!\\)\\[ \t]*\Z")
COMMENT = re.compile(r"[ \t]*(#.*)?\Z")
OPTION = re.compile(r"[ \t]*[\"']?--[A-Za-z]")
READS = re.compile(r"\$\{?[!#]?([A-Za-z_]\w*)")


def read_shell(source: Source) -> Reading:
    """What a script would start, as far as it can be known from its text alone.

    Raises:
        InputError: it is nested too deeply, or does too much.
    """
    text = cleaned(source.text)
    state = State(
        script=source.path.absolute(), runner="the shell", read_names=frozenset(READS.findall(text))
    )
    text = _mended(text, state)
    with bounded(source):
        Evaluator(state, text.encode("utf-8", errors="replace")).run_script(parse(text))
    return state.reading(FORMAT)


def _mended(text: str, state: State) -> str:
    """A chain of lines without what breaks it: comment lines, empty lines, blanks behind the backslash.

    The shell ends the command there. Where the next line then begins with `--`, it surely was meant to go on.
    """
    lines = text.split("\n")
    number = 0
    while number < len(lines) - 1:
        begin = number
        number += 1
        if not CHAIN.search(lines[begin]) or COMMENT.match(lines[begin]):
            continue
        while number < len(lines) and COMMENT.match(lines[number]):
            number += 1
        is_broken = number > begin + 1 or not lines[begin].endswith("\\")
        if not is_broken or number >= len(lines) or not OPTION.match(lines[number]):
            continue
        lines[begin] = lines[begin].rstrip()
        lines[begin + 1 : number] = ["\\"] * (number - begin - 1)
        state.note(
            begin + 1,
            f"the shell would end the command in line {begin + 1}; it was read on to line {number + 1}",
        )
    return "\n".join(lines)

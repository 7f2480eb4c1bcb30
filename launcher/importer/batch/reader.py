"""A batch script from text to launches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.importer.batch.evaluator import Evaluator
from launcher.importer.batch.expand import read_names
from launcher.importer.findings import bounded, refused
from launcher.importer.scripts.marks import cleaned
from launcher.importer.scripts.state import State

if TYPE_CHECKING:
    from launcher.importer.launch import Reading
    from launcher.importer.source import Source

FORMAT = "batch"
LONGEST_LINE = 8191  # what cmd takes (Microsoft, "Command prompt line string limitation")


def read_batch(source: Source) -> Reading:
    """What a script would start, as far as it can be known from its text alone.

    Raises:
        InputError: it is nested too deeply, does too much, or has lines that cmd cannot take.
    """
    text = cleaned(source.text)
    lines = text.split("\n")
    long = next((number for number, line in enumerate(lines, 1) if len(line) > LONGEST_LINE), 0)
    if long:
        raise refused(source, f"a line is longer than the {LONGEST_LINE} signs that cmd takes", long)
    state = State(script=source.path.absolute(), runner="cmd", read_names=read_names(text))
    with bounded(source):
        Evaluator(state, lines).run_script()
    return state.reading(FORMAT)

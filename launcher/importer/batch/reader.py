"""A batch script from text to launches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.importer.batch.evaluator import Evaluator
from launcher.importer.batch.expand import read_names
from launcher.importer.launch import Reading
from launcher.importer.scripts.marks import cleaned
from launcher.importer.scripts.state import State, TooDeep, TooLong, refused

if TYPE_CHECKING:
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
    try:
        Evaluator(state, lines).run_script()
    except TooDeep as error:
        raise refused(source, "its brackets are nested too deeply", error.line) from error
    except RecursionError as error:
        raise refused(source, "it is nested too deeply") from error
    except TooLong as error:
        raise refused(source, "it does far more than a training script does") from error
    return Reading(
        format=FORMAT, launches=tuple(state.launches), programs=tuple(state.programs),
        notes=tuple(state.notes.values()), unreadable=tuple(state.unreadable.values()),
    )  # fmt: skip

"""A PowerShell script from text to launches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import InputError
from launcher.importer.launch import Reading
from launcher.importer.powershell.evaluator import Evaluator
from launcher.importer.powershell.parser import parse
from launcher.importer.powershell.scanner import SyntaxProblem, TooDeep
from launcher.importer.powershell.state import State, TooLong

if TYPE_CHECKING:
    from launcher.importer.source import Source

FORMAT = "PowerShell"


def read_powershell(source: Source) -> Reading:
    """What a script would start, as far as it can be known from its text alone.

    Raises:
        InputError: it is nested too deeply, does too much, or is no PowerShell at all.
    """
    state = State(script=source.path.absolute())
    try:
        Evaluator(state).run_script(parse(source.text))
    except TooDeep as error:
        raise _refused(source, "its brackets are nested too deeply", error.line) from error
    except RecursionError as error:
        raise _refused(source, "it is nested too deeply", 0) from error
    except TooLong as error:
        raise _refused(source, "it does far more than a training script does", 0) from error
    except SyntaxProblem as error:
        raise _refused(source, f"it is no PowerShell that can be read: {error.why}", error.line) from error
    return Reading(
        format=FORMAT, launches=tuple(state.launches), programs=tuple(state.programs),
        notes=tuple(state.notes.values()), unreadable=tuple(state.unreadable.values()),
    )  # fmt: skip


def _refused(source: Source, why: str, line: int) -> InputError:
    where = f"{source.path}:{line}" if line else str(source.path)
    return InputError(
        f"{source.label} cannot be imported: {why}", fix="check that this is the file you meant", where=where
    )

"""A PowerShell script from text to launches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.importer.findings import bounded, refused
from launcher.importer.powershell.evaluator import Evaluator
from launcher.importer.powershell.parser import parse
from launcher.importer.powershell.scanner import SyntaxProblem
from launcher.importer.powershell.state import State

if TYPE_CHECKING:
    from launcher.importer.launch import Reading
    from launcher.importer.source import Source

FORMAT = "PowerShell"


def read_powershell(source: Source) -> Reading:
    """What a script would start, as far as it can be known from its text alone.

    Raises:
        InputError: it is nested too deeply, does too much, or is no PowerShell at all.
    """
    state = State(script=source.path.absolute())
    try:
        with bounded(source):
            Evaluator(state).run_script(parse(source.text))
    except SyntaxProblem as error:
        raise refused(source, f"it is no PowerShell that can be read: {error.why}", error.line) from error
    return state.reading(FORMAT)

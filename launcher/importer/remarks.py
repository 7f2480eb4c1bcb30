"""Comments of a script that the launcher's own export wrote: what sd-scripts has no option for, read back.

`# launcher: offload_mib = 1280` in PowerShell and shell scripts, `rem launcher: offload_mib = 1280` in batch files. Only
switches that are known, with values that they take; all else is listed as unreadable.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.importer.secrets import hide
from launcher.importer.words import READERS, Given, Unread
from launcher.preset.schema import WrongValueError, check_value
from launcher.trainers import FORK, FULL_TRAINER, Option
from launcher.trainers.switches import SWITCHES

if TYPE_CHECKING:
    from launcher.importer.outcome import Outcome
    from launcher.importer.source import Source

REMARK = re.compile(r"[ \t]*(?:#|@?rem|::)[ \t]*launcher:[ \t]*(\w{1,60})[ \t]*=[ \t]*(\S{1,100})[ \t]*", re.IGNORECASE)  # fmt: skip
TRAINER = Option(name="trainer", type="str", default=FULL_TRAINER, choices=(FULL_TRAINER, FORK), many=False)
FLAGS = {"true": True, "false": False}


def read_remarks(outcome: Outcome, source: Source) -> None:
    """Add the switches, and the trainer, that a file names in its comments to one of its trainings."""
    for line, text in enumerate(source.text.split("\n"), start=1):
        found = REMARK.fullmatch(text)
        if found is None:
            continue
        name, written = found[1].lower(), found[2]
        option = TRAINER if name == TRAINER.name else SWITCHES.get(name)
        try:
            value = _value(option, written)
        except ValueError as error:  # WrongValueError is one
            why = f"{error.what}: {error.fix}" if isinstance(error, WrongValueError) else str(error)
            outcome.unread.append(Unread(text=hide(text.strip()), why=why, line=line))
            continue
        given = Given(name=name, value=value, line=line, where=f"{source.label}:{line}")
        if option is TRAINER:
            outcome.trainer = given
        else:
            outcome.switches[name] = given


def _value(option: Option | None, text: str) -> object:
    """A value as a preset has it.

    Raises:
        ValueError: it is none (WrongValueError: one that the switch does not take).
    """
    if option is None:
        raise ValueError("the launcher has no such switch")
    if option.type == "flag":
        if text.lower() not in FLAGS:
            raise ValueError("is neither true nor false")
        return FLAGS[text.lower()]
    try:
        value = READERS[option.type](text) if option.type in READERS else text
    except ValueError:
        raise ValueError("is no number") from None
    return check_value(option, value)

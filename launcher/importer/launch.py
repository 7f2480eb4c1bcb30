"""What every importer hands on, whichever language its script was in: the training commands, as words with their lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.importer.outcome import Change, Drop
    from launcher.importer.words import Given, Unread

PYTHONS = re.compile(r"(python|pypy|pythonw)[\d.]*(\.exe)?|py(\.exe)?", re.IGNORECASE)
ACCELERATE = re.compile(r"accelerate(-launch)?(\.exe|\.cmd|\.bat)?", re.IGNORECASE)
ACCELERATE_MODULES = frozenset(
    {"accelerate.commands.launch", "accelerate.commands.accelerate_cli", "accelerate"}
)
TORCHRUN = re.compile(r"torchrun(\.exe)?", re.IGNORECASE)
# Programs that only start the next word; the value is how many of their own words come between.
CARRIERS = {
    "call": 0,
    "nohup": 0,
    "time": 0,
    "exec": 0,
    "sudo": 0,
    "start": 0,
    "uv": 1,
    "poetry": 1,
    "conda": 1,
}
PYTHON_TAKES_VALUE = frozenset({"-X", "-W"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """One word of a command line.

    `line` is where it stands, `origin` where its value was set (a variable's line; the same line when there is none).
    `unknown` says why its value is not known; `text` then shows it as it is written, with the variable's name in it.
    `file` names the file of these lines where it is not the script itself; `place` the key of a file without lines.
    """

    text: str
    line: int
    origin: int = 0
    unknown: str = ""
    file: str = ""
    place: str = ""

    @property
    def source_line(self) -> int:
        return self.origin or self.line


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """Something to say about a line of the script."""

    line: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder with images that a settings file names, with the repeats that it says for it."""

    path: Word
    repeats: int
    is_reg: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """One training as a script would start it.

    Args:
        program: the words before the script (python, accelerate and its options), in order.
        script: the training script.
        words: what comes behind the script: the trainer's own options.
        env: variables that the script had set by then; values that are not known are left out.
        folder: the working folder as the script set it; None: wherever it was started.
        line: where the command stands.
        condition: what has to hold for it to run, when that could not be decided; empty: it runs.
        folders: folders with images that are no words of the trainer (each has repeats of its own).
        says: the options that this kind of file can tell of: the preset's own values stand for all others. None: all
            options; one that is not passed has the trainer's default.
        changed, dropped, unread, secrets: what the reader of the file did with its settings before they became words.
    """

    program: tuple[Word, ...]
    script: Word
    words: tuple[Word, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    folder: str | None = None
    line: int
    condition: str = ""
    folders: tuple[Folder, ...] = ()
    says: frozenset[str] | None = None
    changed: tuple[Change, ...] = ()
    dropped: tuple[Drop, ...] = ()
    unread: tuple[Unread, ...] = ()
    secrets: tuple[Given, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was read in one file.

    `launches` are all commands that start a Python script, trainings or not (`classify` tells them apart);
    `programs` the names of all other programs, with their first words, for saying what kind of script this is.
    `unreadable` are places whose meaning is not known and could matter. `format` is a word such as `PowerShell`.
    """

    format: str
    launches: tuple[Launch, ...] = ()
    programs: tuple[tuple[Word, ...], ...] = ()
    notes: tuple[Note, ...] = ()
    unreadable: tuple[Note, ...] = ()


def split_command(
    words: Sequence[Word], *, env: Mapping[str, str] | None = None, folder: str | None = None,
    condition: str = "", line: int = 0,
) -> Launch | None:  # fmt: skip
    """The launch that a command line means; None: it starts no Python script.

    Knows `python script.py`, `accelerate launch script.py`, `python -m accelerate.commands.launch script.py`,
    `torchrun script.py`, and the programs that only start another one (`uv run`, `call`, `conda run -n NAME`).
    The script is the first word behind the program that ends in `.py`: what stands before it is accelerate's.
    """
    start = _program(words)
    if start is None:
        return None
    for number in range(start, len(words)):
        text = words[number].text.strip("\"'")
        if text.lower().endswith(".py") and "=" not in text:
            return Launch(
                program=tuple(words[:number]), script=replace(words[number], text=text), words=tuple(words[number + 1 :]),
                env=dict(env or {}), folder=folder, condition=condition, line=line or words[0].line,
            )  # fmt: skip
    return None


def base_name(path: str) -> str:
    """The last part of a path of any system."""
    return re.split(r"[\\/]", path.strip("\"' "))[-1]


def _program(words: Sequence[Word]) -> int | None:
    """Index of the first word behind the program that starts Python; None: another program."""
    at = 0
    while at < len(words):
        name = base_name(words[at].text)
        if TORCHRUN.fullmatch(name):
            return at + 1
        if ACCELERATE.fullmatch(name):
            return at + 1 if at + 1 < len(words) else None
        if PYTHONS.fullmatch(name):
            return _behind_python(words, at + 1)
        skipped = CARRIERS.get(name.lower().removesuffix(".exe"))
        if skipped is None:
            return at if name.lower().endswith(".py") and at == 0 else None
        at = _behind_carrier(words, at + 1 + skipped)
    return None


def _behind_carrier(words: Sequence[Word], at: int) -> int:
    """`conda run -n sd python`, `start /wait python`: options, and the value of those that are one letter long."""
    while at < len(words) and words[at].text[:1] in {"-", "/"}:
        at += 2 if words[at].text in {"-n", "-p", "--with", "--python", "--directory"} else 1
    return at


def _behind_python(words: Sequence[Word], at: int) -> int | None:
    while at < len(words) and words[at].text.startswith("-"):
        text = words[at].text
        if text == "-m":
            module = words[at + 1].text if at + 1 < len(words) else ""
            is_launcher = module in ACCELERATE_MODULES or module.startswith("torch.distributed")
            return at + 2 if is_launcher else None
        if text == "-c":
            return None
        at += 2 if text in PYTHON_TAKES_VALUE else 1
    return at

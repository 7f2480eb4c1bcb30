"""Words of a command line as options of the trainer, by argparse's own rules (those of sd-scripts' parser).

Abbreviations count where they fit one option, `--name=value` and `--name value` are the same, a later one wins, and
an option that takes a list takes all words up to the next option. `tests/test_importer_words.py` compares the
outcome with argparse itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.importer.secrets import hide, is_secret_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from launcher.importer.launch import Word
    from launcher.trainers import Option

NEGATIVE_NUMBER = re.compile(r"-\d+|-\d*\.\d+")  # what argparse takes for a number, not for an option


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """An option with its value as the trainer would have it. `where` is `train.ps1:12`, `line` its number."""

    name: str
    value: object
    line: int
    where: str = ""
    written: str = ""  # the name as the script spells it, where that differs


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """Words that cannot be used, with the reason; `text` is fit to be shown (no secrets). `name` where an option is meant."""

    text: str
    why: str
    line: int
    name: str = ""


@dataclass(kw_only=True, slots=True)
class Parsed:
    """All words of a launch: options by name (the last of each), earlier ones that it replaces, and what is left."""

    options: dict[str, Given] = field(default_factory=dict)
    replaced: list[Given] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    secrets: list[Given] = field(default_factory=list)  # name and line; the value is withheld at once


class _UnfitError(ValueError):
    """Why a value will not do."""


def parse_words(
    words: Sequence[Word], table: Mapping[str, Option], label: str, spellings: Mapping[str, str]
) -> Parsed:
    """Read the trainer's words.

    Args:
        words: behind the script's name.
        table: the trainer's options.
        label: name of the file, for `where`.
        spellings: old or wrong names that guides pass around, and the option that each means.
    """
    parser = _Parser(words, table, label, spellings)
    parser.read()
    return parser.parsed


class _Parser:
    def __init__(
        self, words: Sequence[Word], table: Mapping[str, Option], label: str, spellings: Mapping[str, str]
    ) -> None:
        self.words = words
        self.table = table
        self.label = label
        self.spellings = spellings
        self.parsed = Parsed()
        self.at = 0

    def read(self) -> None:
        while self.at < len(self.words):
            word = self.words[self.at]
            self.at += 1
            if not self._is_option(word):
                self._leave(word, word.unknown or "no option takes this word")
                continue
            written, equals, value = word.text.removeprefix("-").removeprefix("-").partition("=")
            is_long = word.text.startswith("--")
            option, why = self._option(written) if is_long else (None, "is no option: they begin with --")
            if option is None:
                self._unknown_option(word, written, why, has_value=bool(equals))
            else:
                self._read_option(option, word, written, value if equals else None)

    def _is_option(self, word: Word) -> bool:
        """As argparse decides: no option has blanks in it, unless they stand behind an `=`."""
        text = word.text
        if not text.startswith("-") or len(text) < 2 or NEGATIVE_NUMBER.fullmatch(text):
            return False
        return " " not in text.partition("=")[0]

    def _option(self, written: str) -> tuple[Option | None, str]:
        """The option of an exact name, else that of the only name that begins so, else that of an old spelling."""
        if written in self.table:
            return self.table[written], ""
        if written in self.spellings:
            return self.table[self.spellings[written]], ""
        fitting = [name for name in self.table if name.startswith(written)] if written else []
        if len(fitting) == 1:
            return self.table[fitting[0]], ""
        if fitting:
            named = ", ".join(fitting[:4])
            return (
                None,
                f"could mean {named}{' or others' if len(fitting) > 4 else ''}: sd-scripts refuses it",
            )
        return None, "is no option of sd-scripts"

    def _unknown_option(self, word: Word, written: str, why: str, *, has_value: bool) -> None:
        """Listed with the words that it would take."""
        shown = [f"--{written[:60]}"] if is_secret_name(written) else [hide(word.text)]
        if not has_value:
            while self.at < len(self.words) and not self._is_option(self.words[self.at]):
                if not is_secret_name(written):
                    shown.append(hide(self.words[self.at].text))
                self.at += 1
        if is_secret_name(written):
            self.parsed.secrets.append(Given(name=written, value=None, line=word.source_line))
            return
        self.parsed.unread.append(Unread(text=" ".join(shown), why=why, line=word.source_line, name=written))

    def _read_option(self, option: Option, word: Word, written: str, value: str | None) -> None:
        taken = self._taken(option, word, value)
        line = next((item.source_line for item in taken), word.source_line)
        if is_secret_name(option.name):
            self.parsed.secrets.append(Given(name=option.name, value=None, line=line))
            return
        unknown = next((item for item in (word, *taken) if item.unknown), None)
        shown = hide(" ".join([word.text, *(item.text for item in taken if item is not word)]))
        if unknown is not None:
            self.parsed.unread.append(Unread(text=shown, why=unknown.unknown, line=line, name=option.name))
            return
        try:
            texts = [item.text for item in taken] if value is None else [value]
            found = _value(option, texts, has_equals=value is not None)
        except _UnfitError as error:
            self.parsed.unread.append(Unread(text=shown, why=str(error), line=line, name=option.name))
            return
        given = Given(
            name=option.name, value=found, line=line, where=f"{word.file or self.label}:{word.place or line}",
            written=written if written != option.name else "",
        )  # fmt: skip
        earlier = self.parsed.options.pop(option.name, None)
        if earlier is not None:
            self.parsed.replaced.append(earlier)
        self.parsed.options[option.name] = given

    def _taken(self, option: Option, word: Word, value: str | None) -> list[Word]:
        """The words that belong to an option: of a flag none, of a list all up to the next option, else one."""
        if value is not None:
            return [word]
        if option.type == "flag":
            return []
        most = len(self.words) if option.many else 1
        taken: list[Word] = []
        while self.at < len(self.words) and len(taken) < most and not self._is_option(self.words[self.at]):
            taken.append(self.words[self.at])
            self.at += 1
        return taken

    def _leave(self, word: Word, why: str) -> None:
        self.parsed.unread.append(Unread(text=hide(word.text), why=why, line=word.source_line))


def _value(option: Option, texts: list[str], *, has_equals: bool) -> object:
    if option.type == "flag":
        if has_equals:
            raise _UnfitError(f"is a flag and takes no value (`={texts[0][:40]}`): sd-scripts refuses it")
        return True
    if option.many:
        return [_typed(option, text) for text in texts]
    if not texts:
        raise _UnfitError("has no value: sd-scripts refuses it")
    return _typed(option, texts[0])


def _typed(option: Option, text: str) -> object:
    """A word as the option's type reads it. Source for int_or_float: train_util.add_optimizer_arguments, v0.10.1."""
    try:
        value = READERS[option.type](text) if option.type in READERS else text
    except ValueError:
        kind = {"int": "whole number", "float": "number"}.get(option.type, "number of steps or share of them")
        raise _UnfitError(f"is no {kind}: sd-scripts refuses it") from None
    if option.choices is not None and str(value) not in option.choices:
        raise _UnfitError(f"is none of {', '.join(option.choices[:8])}: sd-scripts refuses it")
    return value


def _int_or_float(text: str) -> int | float:
    if text.endswith("%"):
        return float(text[:-1]) / 100.0
    return int(text) if float(text) >= 1 else float(text)


READERS: dict[str, Callable[[str], object]] = {"int": int, "float": float, "int_or_float": _int_or_float}

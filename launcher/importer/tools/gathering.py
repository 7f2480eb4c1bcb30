"""What a reader of settings has found so far: options as words, and what became of everything else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.importer.classify import LORA
from launcher.importer.config_file import words_of
from launcher.importer.launch import Folder, Launch, Note, Reading, Word
from launcher.importer.outcome import Change, Drop
from launcher.importer.secrets import hide, is_secret_name
from launcher.importer.words import NEGATIVE_NUMBER, Given, Unread

if TYPE_CHECKING:
    from launcher.importer.source import Source

UNSET = ("", None)
# What cannot stand beside these: a file that says the one tells of the other too (train_util.verify_training_args, v0.10.1).
NOT_WITH_CACHED_TEXTS = frozenset({"shuffle_caption", "caption_dropout_rate", "caption_tag_dropout_rate", "token_warmup_step", "caption_dropout_every_n_epochs", "text_encoder_lr"})  # fmt: skip
NOT_WITH_CACHED_LATENTS = frozenset({"color_aug", "random_crop"})
LONGEST = 100


class Gathered:
    """The settings of one training, in the order in which they were met. `line` is always that of the file's key."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.words: list[Word] = []
        self.program: list[Word] = []
        self.folders: list[Folder] = []
        self.changed: list[Change] = []
        self.dropped: list[Drop] = []
        self.unread: list[Unread] = []
        self.secrets: list[Given] = []
        self.notes: list[Note] = []

    def give(
        self, name: str, value: Any, line: int = 0, *, was: str = "", why: str = "", place: str = ""
    ) -> None:
        """An option of the trainer. `was` is how the file says it, where that is different, and `why` the reason."""
        if not is_plain(value):
            self.leave(was or name, value, "is no value that an option takes", line)
            return
        for word in words_of({name: value}, line=line, file=self.file):
            self.words.append(Word(text=word.text, line=line, file=self.file, place=place) if place else word)
        if was and value not in UNSET and value is not False:
            self.changed.append(
                Change(name=name, before=was, after=f"{name} = {said(value)}", why=why, line=line)
            )

    def drop(self, name: str, value: Any, why: str, line: int = 0) -> None:
        """Something that the launcher does in its own way, or that has no effect."""
        if is_secret_name(name):
            self.withhold(name, line)
        else:
            self.dropped.append(Drop(name=name[:LONGEST], value=hide(said(value)), why=why, line=line))

    def leave(self, name: str, value: Any, why: str, line: int = 0) -> None:
        """Something that matters and cannot be carried over."""
        if is_secret_name(name):
            self.withhold(name, line)
        else:
            text = hide(f"{name[:LONGEST]} = {said(value)}")
            self.unread.append(Unread(text=text, why=why, line=line, name=name[:LONGEST]))

    def withhold(self, name: str, line: int = 0) -> None:
        """A secret: its name and line only."""
        self.secrets.append(Given(name=name[:LONGEST], value=None, line=line))

    def implied(self) -> set[str]:
        """Options that must have been off, because of those that were given."""
        given = {word.text.lstrip("-").partition("=")[0] for word in self.words if word.text.startswith("--")}
        found = {"max_train_epochs"} if "max_train_steps" in given else set()
        if given & NOT_WITH_CACHED_TEXTS:
            found |= {"cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk"}
        if given & NOT_WITH_CACHED_LATENTS:
            found |= {"cache_latents", "cache_latents_to_disk"}
        return found

    def note(self, text: str, line: int = 0) -> None:
        """Something to say about the file."""
        self.notes.append(Note(line=line, text=text))

    def folder(self, path: str, repeats: Any, line: int, *, is_reg: bool = False) -> None:
        """A folder with images and how often each is shown."""
        times = number(repeats)
        word = Word(text=path, line=line, file=self.file)
        self.folders.append(
            Folder(path=word, repeats=int(times) if times and 1 <= times < 10_000 else 1, is_reg=is_reg)
        )

    def launch(self, *, line: int = 1, says: frozenset[str] | None = None) -> Launch:
        """What was gathered, as a launch of sd-scripts' LoRA trainer for SDXL."""
        return Launch(
            program=tuple(self.program), script=Word(text=LORA, line=line), words=tuple(self.words), line=line,
            folders=tuple(self.folders), says=says, changed=tuple(self.changed), dropped=tuple(self.dropped),
            unread=tuple(self.unread), secrets=tuple(self.secrets),
        )  # fmt: skip

    def reading(self, kind: str, *, line: int = 1, says: frozenset[str] | None = None) -> Reading:
        """The same as the reading of a whole file."""
        return Reading(format=kind, launches=(self.launch(line=line, says=says),), notes=tuple(self.notes))


def is_plain(value: Any) -> bool:
    """A scalar, or a list of scalars that no option could be mistaken for."""
    if isinstance(value, list):
        return all(not isinstance(item, (list, dict)) and not _looks_like_option(item) for item in value)
    return not isinstance(value, dict)


def _looks_like_option(item: Any) -> bool:
    text = str(item)
    return text.startswith("-") and not NEGATIVE_NUMBER.fullmatch(text) and number(text) is None


def said(value: Any) -> str:
    """A value for a sentence."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(said(item) for item in value[:20])
    if isinstance(value, dict):
        return ", ".join(f"{key} = {'(…)' if is_secret_name(str(key)) else said(item)}" for key, item in list(value.items())[:20])  # fmt: skip
    return str(value)


def number(value: Any) -> float | None:
    """A finite number, also one that is written as a text; None: it is none. True and false are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and abs(found) < 2**53 else None


def is_on(value: Any) -> bool:
    """Whether a switch is on, also one that is written as a text or a number."""
    if isinstance(value, str):
        return value.strip().lower() in {"true", "1", "yes", "on"}
    return value is True or (isinstance(value, (int, float)) and not isinstance(value, bool) and value == 1)


def refuse(source: Source, what: str, why: str = "") -> InputError:
    """What a file is instead."""
    return InputError(
        f"{source.label} is {what}, not a LoRA training for SDXL", why=why,
        fix="this imports LoRA trainings for SDXL: scripts, settings of other tools, and trained LoRA files", where=str(source.path),
    )  # fmt: skip

"""What a script has done up to a line: variables, working folder, launches. Nothing outside is touched."""

from __future__ import annotations

import ntpath
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from launcher.importer.findings import Findings, TooLong
from launcher.importer.launch import Launch, Word, split_command
from launcher.importer.places import is_whole
from launcher.importer.scripts.marks import DEPENDS, Marks, plain
from launcher.importer.secrets import hide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


MAX_STEPS = 15_000
MAX_TEXT = 16 * 1024
MOST_LAUNCHES = 100
MOST_PROGRAMS = 1000
# Variables that matter to a training even where the script also reads them.
FOR_PROGRAMS = re.compile(r"accelerate_\w+|cuda_visible_devices|.*(token|api_key)", re.IGNORECASE)

Value = str | tuple[str, ...]  # marked texts; a list is an array of the shell


@dataclass(frozen=True, slots=True)
class Slot:
    """A variable: its value, the line that set it, its name as written, whether programs get it."""

    value: Value
    line: int
    name: str = ""
    is_exported: bool = False


@dataclass(slots=True)
class Left(Exception):  # noqa: N818  (control flow of the script, not an error)
    """`exit`, `return`, `goto`, `break` on their way up."""

    kind: str
    target: str = ""
    line: int = 0


@dataclass(kw_only=True, slots=True)
class State(Findings):
    """Everything that evaluation changes."""

    script: Path
    runner: str  # the name of what would run it, for messages
    read_names: frozenset[str]  # variables that the script itself reads
    marks: Marks = field(default_factory=Marks)
    slots: dict[str, Slot] = field(default_factory=dict)
    folder: str | None = None
    folders: list[str | None] = field(default_factory=list)
    other_files: int = 0  # the line that reads another script; variables may come from there
    condition: str = ""
    steps: int = 0
    open_launch: bool = False  # the last thing that happened was a launch

    def step(self, count: int = 1) -> None:
        """Bound the work.

        Raises:
            TooLong: the script does too much.
        """
        self.steps += count
        if self.steps > MAX_STEPS:
            raise TooLong

    def set(self, key: str, value: Value, line: int, name: str = "", *, is_exported: bool = False) -> None:
        """Set a variable; a value that grows beyond all use is not known."""
        size = len(value) if isinstance(value, str) else sum(map(len, value)) + len(value)
        if size > MAX_TEXT:
            value = self.marks.unknown("the text grows too long", line, name or key)
        old = self.slots.get(key)
        exported = is_exported or (old is not None and old.is_exported)
        self.slots[key] = Slot(plain(value) if isinstance(value, str) else value, line, name or key, exported)

    # ------------------------------------------------------------------ ways that may be taken

    def either(
        self, line: int, reason: str, ways: Sequence[Callable[[], None]], *, is_all: bool,
        on_left: Callable[[Left], None] | None = None, why: str = "",
    ) -> None:  # fmt: skip
        """Run each of several ways on a copy; afterwards a variable is known where all ways agree.

        Args:
            line: of the condition.
            reason: why it is not known.
            ways: what may happen.
            is_all: one of them surely happens; else nothing may happen as well.
            on_left: what to do with a way that jumps off, before its copy is thrown away.
            why: the condition of launches in there, in words.
        """
        before, folder, folders = self.slots, self.folder, list(self.folders)
        outer, launches = self.condition, len(self.launches)
        after: list[dict[str, Slot]] = [] if is_all else [before]
        for way in ways:
            self.step(5 + len(before) // 10)
            self.slots, self.folder, self.folders = dict(before), folder, list(folders)
            self.condition = (
                outer or why or f"only if a condition in line {line} holds ({hide(self.marks.shown(reason))})"
            )
            try:
                way()
                after.append(self.slots)
            except Left as left:
                if on_left is not None:
                    on_left(left)
            finally:
                self.slots, self.folder, self.folders, self.condition = before, folder, folders, outer
        is_changed = self._join(line, reason, before, after)
        self.open_launch = False
        if is_changed or len(self.launches) > launches:
            self.leave(line, f"a condition is not known: {self.marks.shown(reason)}")

    def _join(self, line: int, reason: str, before: dict[str, Slot], after: list[dict[str, Slot]]) -> bool:
        if not after:
            return False
        inner = (
            reason
            if reason.startswith(DEPENDS)
            else f"{DEPENDS} a condition in line {line} that is not known: {reason}"
        )
        joined: dict[str, Slot] = {}
        is_changed = False
        for key in dict.fromkeys(name for slots in after for name in slots):
            found = [slots.get(key) for slots in after]
            first = found[0]
            if first is not None and all(item is not None and item.value == first.value for item in found):
                joined[key] = first
                continue
            is_changed = True
            known = next(item for item in found if item is not None)
            joined[key] = replace(known, value=self._unsure(inner, line, before.get(key), found), line=line)
        self.slots = joined
        return is_changed

    def _unsure(self, reason: str, line: int, before: Slot | None, after: list[Slot | None]) -> Value:
        """The value of what ways disagree about: of an array to which they add, only what is added is not known."""
        name = next(item.name for item in after if item is not None)
        values = [item.value if item is not None else "" for item in after]
        base = before.value if before is not None else ()
        if isinstance(base, tuple) and all(isinstance(value, tuple) and value[: len(base)] == base for value in values):  # fmt: skip
            return (*base, self.marks.unknown(reason, line, f"(what line {line} may add to {name})"))
        shown = f"%{name}%" if self.runner == "cmd" else f"${name}"
        return self.marks.unknown(reason, line, shown)

    # ------------------------------------------------------------------ programs

    def start(self, words: list[Word], line: int, extra: dict[str, str] | None = None) -> None:
        """A program with its words: a launch if it starts a Python script, else noted by its name."""
        if not words:
            return
        if words[0].text.startswith("--") and self._read_on(words, line):
            return
        if words[0].unknown and any(word.text.lower().endswith(".py") for word in words[1:]):
            words = [replace(words[0], text="python", unknown=""), *words[1:]]
        env = {**self._environment(), **(extra or {})}
        launch = split_command(words, env=env, folder=self.folder, condition=self.condition, line=line)
        self.open_launch = launch is not None
        if launch is not None:
            self._add(launch)
        elif len(self.programs) < MOST_PROGRAMS:
            if any(word.unknown for word in words[:3]):
                shown = hide(" ".join(word.text for word in words[:4]))
                self.leave(line, f"what `{shown}` starts is not known")
            self.programs.append(tuple(words[:12]))

    def _environment(self) -> dict[str, str]:
        """Variables that are meant for the program: those that the script does not read itself."""
        return {
            slot.name: slot.value
            for key, slot in self.slots.items()
            if slot.is_exported and isinstance(slot.value, str) and self.marks.first(slot.value) is None
            and (key not in self.read_names or FOR_PROGRAMS.fullmatch(key))
        }  # fmt: skip

    def _add(self, launch: Launch) -> None:
        """A launch that was met on a way that may be taken, and is met again for sure, counts once."""
        for number, other in enumerate(self.launches):
            is_same = other.line == launch.line and [w.text for w in other.words] == [
                w.text for w in launch.words
            ]
            if is_same and (other.condition or launch.condition):
                if not launch.condition:
                    self.launches[number] = launch
                return
        if len(self.launches) < MOST_LAUNCHES:
            self.launches.append(launch)

    def _read_on(self, words: list[Word], line: int) -> bool:
        """A command that begins with `--` behind a launch was surely meant to belong to it."""
        if not (self.open_launch and self.launches):
            return False
        last = self.launches[-1]
        self.note(
            line,
            f"{self.runner} would end the command of line {last.line} before line {line}; it was read on there",
        )
        self.launches[-1] = replace(last, words=(*last.words, *words))
        return True

    def go_to(self, text: str, line: int) -> None:
        """`cd`."""
        unknown = self.marks.first(text)
        if unknown is not None:
            self.note(line, f"the working folder is not known: {unknown.reason}")
            return
        text = plain(text)
        if not text:
            return
        if is_whole(text) or ntpath.splitdrive(text)[0] or self.folder is None:
            self.folder = text
        else:
            sign = "\\" if self.runner == "cmd" and "\\" in self.folder else "/"
            self.folder = f"{self.folder.rstrip(chr(92) + '/')}{sign}{text}"

"""Percent signs: what cmd puts in for them when it reads a line; and exclamation marks, when a command starts."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from launcher.importer.scripts.marks import in_words, plain

if TYPE_CHECKING:
    from launcher.importer.scripts.state import Slot, State

PERCENT = re.compile(
    r"%%|%(?P<whole>\*)|%(?P<mods>~[fdpnxsatz]*)?(?P<digit>\d)"
    r"|%(?P<name>[^%:\n]+)(?::(?P<change>~[^%\n]*|[^%=\n]+=[^%\n]*))?%|%",
    re.IGNORECASE,
)
BANG = re.compile(r"!(?P<name>[^!:\n]+)(?::(?P<change>~[^!\n]*|[^!=\n]+=[^!\n]*))?!|!")
SLICE = re.compile(r"~\s*(-?\d+)?\s*(?:,\s*(-?\d+)?)?\s*")
READS = re.compile(r"[%!]([^\W\d][\w.-]*)(?=[%!:])")
REMARK = re.compile(r"[\s@]*(rem\b|::)", re.IGNORECASE)
ASKS = re.compile(r"[\s@)]*(else\s+)?(if|echo)\b", re.IGNORECASE)
# Variables that Windows always sets: what they hold is this computer's affair.
ALWAYS_SET = frozenset({
    "userprofile", "homepath", "homedrive", "appdata", "localappdata", "temp", "tmp", "path", "computername", "username",
    "programfiles", "programfiles(x86)", "programdata", "systemroot", "windir", "systemdrive", "comspec", "os", "public",
    "allusersprofile", "processor_architecture", "number_of_processors", "pathext", "cmdcmdline",
})  # fmt: skip
MOMENT = {
    "errorlevel": "is the outcome of a program", "random": "is drawn by lot", "date": "is the day", "time": "is the moment",
}  # fmt: skip


def read_names(text: str) -> frozenset[str]:
    """Variables that a script reads somewhere."""
    return frozenset(name.lower() for name in READS.findall(text))


class Expander:
    """Puts in values. `arguments` are those of the label that was called; None: the script's own, which are not known."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.arguments: list[str] | None = None
        self.is_delayed = False
        self.asks = False  # in a condition: what is not set is asked for, not missed

    def percents(self, text: str, line: int) -> str:
        """A line of the script with all its percent signs replaced."""
        if REMARK.match(text):
            return text
        self.asks = ASKS.match(text) is not None

        def put(found: re.Match[str]) -> str:
            if found[0] == "%%":
                return "%"
            if found["whole"] or found["digit"]:
                return self._argument(found, line)
            return self._variable(found["name"], found["change"], line, "%") if found["name"] else ""

        return PERCENT.sub(put, text)

    def bangs(self, text: str, line: int) -> str:
        """A command with `!X!` replaced, where the script has asked for that."""
        if not self.is_delayed or "!" not in text:
            return text
        return BANG.sub(
            lambda found: self._variable(found["name"], found["change"], line, "!") if found["name"] else "",
            text,
        )

    def value(self, name: str, line: int, sign: str = "%") -> str:
        """A variable's marked text; of one that is set nowhere nothing, or why it cannot be known."""
        slot = self.slot(name)
        if slot is not None and isinstance(slot.value, str):
            return in_words(slot.value, slot.line)
        key, shown = name.lower(), f"{sign}{name}{sign}"
        why = MOMENT.get(key) or ("is set by Windows" if key in ALWAYS_SET else "")
        if key == "cd":
            return self.state.folder or str(self.state.script.parent)
        if not why and self.state.other_files:
            why = f"may come from the file that line {self.state.other_files} calls"
        if why:
            return self.state.marks.unknown(f"{shown} {why}", line, shown)
        if not self.asks:
            self.state.note(line, f"{shown} is set nowhere in the script: it counts as empty")
        return ""

    def slot(self, name: str) -> Slot | None:
        return self.state.slots.get(name.lower())

    def _variable(self, name: str, change: str | None, line: int, sign: str) -> str:
        text = self.value(name, line, sign)
        if not change or not text:
            return text
        slot = self.slot(name)
        unknown = self.state.marks.first(text)
        if unknown is not None:
            return self.state.marks.unknown(unknown.reason, unknown.line, f"{sign}{name}:{change}{sign}")
        return in_words(changed(plain(text), change), slot.line if slot is not None else 0)

    def _argument(self, found: re.Match[str], line: int) -> str:
        mods = (found["mods"] or "")[1:].lower()
        if found["digit"] == "0":
            path = str(self.state.script)
            return with_modifiers(path, mods) if found["mods"] else path
        if self.arguments is None:
            why = f"{found[0]} is what the script is started with, or what is dropped on it"
            return self.state.marks.unknown(why, line, found[0])
        if found["whole"]:
            return " ".join(self.arguments)
        number = int(found["digit"]) - 1
        text = self.arguments[number] if number < len(self.arguments) else ""
        return with_modifiers(text, mods) if found["mods"] else text


def changed(text: str, change: str) -> str:
    """`%X:~from,count%` and `%X:old=new%` (`help set`)."""
    if change.startswith("~"):
        found = SLICE.fullmatch(change)
        if found is None:
            return text
        begin = int(found[1] or 0)
        begin = max(len(text) + begin, 0) if begin < 0 else begin
        if found[2] is None:
            return text[begin:]
        count = int(found[2])
        return text[begin : len(text) + count] if count < 0 else text[begin : begin + count]
    old, _, new = change.partition("=")
    if old.startswith("*"):
        at = text.lower().find(old[1:].lower())
        return text if at < 0 or len(old) < 2 else new + text[at + len(old) - 1 :]
    return re.sub(re.escape(old), lambda _: new, text, flags=re.IGNORECASE)


def with_modifiers(text: str, mods: str) -> str:
    """`%~dp0`, `%~n1`: parts of a path. The quotes go in any case."""
    bare = text.strip('"') if text.startswith('"') else text
    parts = [mod for mod in mods if mod in "dpnxf"]
    if not parts or "f" in parts:
        return bare
    at = max(bare.rfind("\\"), bare.rfind("/")) + 1
    folder, name = bare[:at], bare[at:]
    drive = folder[:2] if folder[1:2] == ":" else ""
    dot = name.rfind(".")
    stem, ending = (name[:dot], name[dot:]) if dot >= 0 else (name, "")
    have = {"d": drive, "p": folder[len(drive) :], "n": stem, "x": ending}
    return "".join(have[part] for part in "dpnx" if part in parts).replace("/", os.sep)

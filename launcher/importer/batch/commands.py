"""The words of cmd itself: `set`, `cd`, `call`, `goto`, `start`, `setlocal`; all else is a program."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.importer.powershell.windows_words import split_windows
from launcher.importer.scripts.arithmetic import NotComputed, compute
from launcher.importer.scripts.marks import PLACES, plain
from launcher.importer.scripts.state import Left
from launcher.importer.secrets import hide

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.importer.batch.evaluator import Evaluator

NAME = re.compile(r"[\s,;=]*(\"[^\"]*\"|[^\s,;=/()\"]+)(.*)", re.DOTALL)
SWITCH = re.compile(r"\s*/([ap])\s*", re.IGNORECASE)
START_VALUE = frozenset({"/d", "/node", "/affinity"})
# Words of cmd, and programs, that change nothing an importer looks at.
QUIET = frozenset({
    "echo", "echo.", "rem", "title", "color", "cls", "pause", "chcp", "mode", "ver", "verify", "break", "mkdir", "md", "del",
    "erase", "copy", "xcopy", "robocopy", "move", "ren", "rename", "rmdir", "rd", "type", "timeout", "ping", "exist", "dir",
    "where", "taskkill", "tasklist", "assoc", "ftype", "prompt", "date", "time", "vol", "path", "find", "findstr", "more",
    "attrib", "explorer", "notepad", "tee", "nvidia-smi", "sort", "choice",
})  # fmt: skip


def run_text(run: Evaluator, text: str, line: int) -> bool | None:
    """One command. Returns whether it succeeds, where that is sure."""
    found = NAME.match(PLACES.sub("", text[:1]) + text[1:])
    if found is None:
        return True
    name = plain(found[1]).strip('"').lower().removesuffix(".exe")
    handler = HANDLERS.get(name)
    if handler is not None:
        run.state.open_launch = False
        return handler(run, found[2], line)
    if name in QUIET or name.startswith("echo"):
        run.state.open_launch = False
        return None if name in {"choice", "where", "find", "findstr", "ping"} else True
    run.state.start(run.state.marks.words(split_windows(text), line), line)
    return None


def set_variable(run: Evaluator, text: str, line: int) -> bool | None:
    """`set X=...`, `set "X=..."`, `set /a`, `set /p`."""
    switch = SWITCH.match(plain(text[:1]) + text[1:])
    kind = switch[1].lower() if switch else ""
    text = (plain(text[:1]) + text[1:])[switch.end() if switch else 0 :].lstrip(" \t")
    if kind == "a":
        return _arithmetic(run, text, line)
    if text.startswith('"'):
        end = text.rfind('"')
        text = text[1:end] if end > 0 else text[1:]
    name, equals, value = text.partition("=")
    name = plain(name)
    if not equals or not name:
        return None
    if kind == "p":
        why = f"the script asks for {name} at the keyboard"
        run.state.set(
            name.lower(),
            run.state.marks.unknown(why, line, f"%{name}%"),
            line,
            name,
            is_exported=True,
        )
    elif not value:
        run.state.slots.pop(name.lower(), None)
    else:
        run.state.set(name.lower(), plain(value), line, name, is_exported=True)
    return True


def _arithmetic(run: Evaluator, text: str, line: int) -> bool | None:
    marks = run.state.marks

    def look(name: str) -> int:
        slot = run.expander.slot(name)
        value = slot.value if slot is not None and isinstance(slot.value, str) else ""
        unknown = marks.first(value)
        if unknown is not None:
            raise NotComputed(unknown.reason)
        found = re.match(r"\s*([+-]?)(0[xX][0-9a-fA-F]+|\d+)", value)
        if found is None:
            return 0  # a variable that is no number counts as 0 (`help set`)
        return int(found[1] + found[2], 16 if found[2][:2] in {"0x", "0X"} else 10)

    def keep(name: str, value: int) -> None:
        run.state.set(name.lower(), str(value), line, name, is_exported=True)

    bare = plain(text).replace('"', "").strip()
    unknown = marks.first(bare)
    try:
        if unknown is not None:
            raise NotComputed(unknown.reason)  # noqa: TRY301  (one place tells of it)
        compute(bare, look, keep, bits=32)
    except NotComputed as error:
        for name in re.findall(r"([A-Za-z_]\w*)\s*(?:[-+*/%&|^]|<<|>>)?=(?!=)", bare):
            run.state.set(
                name.lower(),
                marks.unknown(error.reason, line, f"%{name}%"),
                line,
                name,
                is_exported=True,
            )
    return True


def change_folder(run: Evaluator, text: str, line: int) -> bool | None:
    text = re.sub(r"^\s*/d\b", "", plain(text), flags=re.IGNORECASE).strip().strip('"').rstrip()
    run.state.go_to(text.rstrip("\\/") if len(text) > 3 else text, line)
    return True


def push_folder(run: Evaluator, text: str, line: int) -> bool | None:
    run.state.folders.append(run.state.folder)
    return change_folder(run, text, line)


def pop_folder(run: Evaluator, _text: str, _line: int) -> bool | None:
    if run.state.folders:
        run.state.folder = run.state.folders.pop()
    return True


def call(run: Evaluator, text: str, line: int) -> bool | None:
    """`call :label`, `call other.bat`, `call program`: percent signs are replaced once more."""
    text = run.expander.percents(text, line) if "%" in text else text
    words = split_windows(plain(text))
    if not words:
        return True
    if words[0].startswith(":"):
        given = re.findall(r'(?:[^\s,;="]|"[^"]*")+', plain(text))[1:]
        run.call_label(words[0][1:], given, line)
        return None
    name = words[0].lower()
    if name == "call":
        return None  # nobody calls a call
    if "activate" in name:
        return True
    if name.endswith((".bat", ".cmd")) and "accelerate" not in name:
        return other_script(run, words[0], line)
    return run_text(run, text.lstrip(), line)


def other_script(run: Evaluator, name: str, line: int) -> bool | None:
    run.state.note(line, f"{hide(run.state.marks.shown(name))} is another script: it was not read")
    run.state.other_files = run.state.other_files or line
    return None


def go_to(_run: Evaluator, text: str, line: int) -> bool | None:
    words = re.split(r"[\s,;=+:]+", plain(text).strip().lstrip(":"), maxsplit=1)
    raise Left("goto", words[0].lower(), line)


def leave(run: Evaluator, text: str, line: int) -> bool | None:
    """`exit /b` ends a label that was called, or the script; `exit` everything."""
    is_mild = "/b" in plain(text).lower()
    raise Left("goto" if is_mild and run.calls else "exit", "eof", line)


def set_local(run: Evaluator, text: str, _line: int) -> bool | None:
    words = plain(text).lower().split()
    run.locals.append((dict(run.state.slots), run.expander.is_delayed))
    if "enabledelayedexpansion" in words:
        run.expander.is_delayed = True
    if "disabledelayedexpansion" in words:
        run.expander.is_delayed = False
    return True


def end_local(run: Evaluator, _text: str, _line: int) -> bool | None:
    if run.locals:
        run.state.slots, run.expander.is_delayed = run.locals.pop()
        run.state.slots = dict(run.state.slots)
    return True


def start(run: Evaluator, text: str, line: int) -> bool | None:
    """`start "title" /wait program ...`: the first quoted word is the window's title."""
    rest = text.lstrip()
    title = re.match(r'"[^"]*"\s*', rest)
    rest = rest[title.end() :] if title else rest
    while rest.startswith("/"):
        word, _, rest = rest.partition(" ")
        rest = rest.lstrip()
        if plain(word).lower() in START_VALUE:
            value = re.match(r'(?:[^\s"]|"[^"]*")+\s*', rest)
            rest = rest[value.end() :] if value else rest
    return run_text(run, rest, line) if rest else True


def another_cmd(run: Evaluator, text: str, line: int) -> bool | None:
    """`cmd /c ...`: what follows is a command again."""
    found = re.search(r"/[ck]\s*", plain(text[:0]) + text, re.IGNORECASE)
    if found is None:
        run.state.programs.append(tuple(run.state.marks.words(["cmd", *split_windows(text)], line)))
        return None
    rest = text[found.end() :].strip()
    if rest.startswith('"') and rest.endswith('"') and len(rest) > 1:
        rest = rest[1:-1]
    run.text_as_script(rest, line)
    return None


HANDLERS: dict[str, Callable[[Evaluator, str, int], bool | None]] = {
    "set": set_variable, "cd": change_folder, "chdir": change_folder, "pushd": push_folder, "popd": pop_folder, "call": call,
    "goto": go_to, "exit": leave, "setlocal": set_local, "endlocal": end_local, "start": start, "cmd": another_cmd,
}  # fmt: skip

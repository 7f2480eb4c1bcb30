"""Simple commands of the shell: its own words, functions, and programs, which become words."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.importer.launch import base_name
from launcher.importer.scripts.arithmetic import NotComputed
from launcher.importer.scripts.marks import plain
from launcher.importer.scripts.state import Left
from launcher.importer.secrets import hide
from launcher.importer.shell.conditions import test_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.importer.launch import Word
    from launcher.importer.shell.evaluator import Evaluator

# What they put out or change is nothing that an importer looks at. True: they succeed, as far as a script can count on it.
QUIET = frozenset({
    "echo", "printf", "set", "shopt", "trap", "ulimit", "umask", "mkdir", "touch", "cp", "mv", "rm", "ln", "chmod", "chown", "sleep", "wait",
    "clear", "date", "hash", "alias", "unalias", "kill", "nvidia-smi", "module", "conda", "ls", "cat", "tee", "true", ":", "history", "type",
    "disown", "jobs", "fg", "bg", "tput", "sync", "df", "du", "free", "which", "head", "tail", "sed", "awk", "cut", "tr", "sort", "wc",
})  # fmt: skip
# Programs that only start another one, and how many of their own words stand between behind the options.
CARRIERS = {"nice": 0, "stdbuf": 0, "timeout": 1, "ionice": 0, "taskset": 1, "numactl": 0, "setsid": 0, "builtin": 0, "command": 0, "env": 0, "nohup": 0, "exec": 0, "time": 0}  # fmt: skip
WITH_VALUE = frozenset({"-n", "-c", "-u", "-s", "-k", "-a", "--adjustment"})
ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


def run_words(run: Evaluator, words: list[str], line: int, extra: dict[str, str]) -> bool | None:
    """A command with its marked words. Returns whether it succeeds, where that is sure."""
    words, extra = _behind_carriers(words, extra)
    if not words:
        return True
    name = plain(words[0])
    if name in run.functions:
        run.state.open_launch = False
        return run.call(name, words[1:])
    handler = HANDLERS.get(name)
    if handler is not None:
        run.state.open_launch = False
        return handler(run, words[1:], line)
    if name in {".", "source"} or (name in {"bash", "sh", "zsh"} and not run.is_text(words)):
        run.state.open_launch = False
        return other_script(run, words, line)
    if name in {"bash", "sh", "zsh"}:
        at = next(
            number for number, word in enumerate(words) if plain(word).startswith("-") and "c" in plain(word)
        )
        return run.script_text(words[at + 1] if at + 1 < len(words) else "", line)
    if name in QUIET and not any(word.endswith(".py") for word in words):
        run.state.open_launch = False
        return True
    run.state.start(_as_words(run, words, line), line, extra)
    return None


def _as_words(run: Evaluator, words: list[str], line: int) -> list[Word]:
    found = run.state.marks.words(words, line, keeps_empty=True)
    return [replace(found[0], text=found[0].text.strip()), *found[1:]] if found else []


def _behind_carriers(words: list[str], extra: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """`env X=1 nice -n 5 python ...` → `python ...`."""
    while words and base_name(plain(words[0])) in CARRIERS:
        count = CARRIERS[base_name(plain(words[0]))]
        words = words[1:]
        while words and plain(words[0]).startswith("-") and not plain(words[0]).startswith("--c"):
            takes = plain(words[0]) in WITH_VALUE
            words = words[1 + takes :]
        words = words[count:]
        while words and ASSIGNMENT.fullmatch(plain(words[0])):
            name, _, value = plain(words[0]).partition("=")
            extra = {**extra, name: value}
            words = words[1:]
    return words, extra


def other_script(run: Evaluator, words: list[str], line: int) -> bool | None:
    shown = hide(run.state.marks.shown(words[1])) if len(words) > 1 else plain(words[0])
    if any(word in shown.lower() for word in ("activate", "conda.sh", "bashrc", "profile", "venv")):
        return True
    run.state.note(line, f"{shown} is another script: it was not read")
    if plain(words[0]) in {".", "source"}:
        run.state.other_files = run.state.other_files or line
    return None


def change_folder(run: Evaluator, words: list[str], line: int) -> bool | None:
    named = [word for word in words if not plain(word).startswith("-")]
    if named:
        run.state.go_to(named[0], line)
    return True


def push_folder(run: Evaluator, words: list[str], line: int) -> bool | None:
    run.state.folders.append(run.state.folder)
    return change_folder(run, words, line)


def pop_folder(run: Evaluator, _words: list[str], _line: int) -> bool | None:
    if run.state.folders:
        run.state.folder = run.state.folders.pop()
    return True


def read(run: Evaluator, words: list[str], line: int) -> bool | None:
    """`read`, `mapfile`: what comes from the keyboard or a file. The last words that are names are variables."""
    names = [plain(word) for word in words if re.fullmatch(r"[A-Za-z_]\w*", plain(word))] or ["REPLY"]
    for name in names:
        why = f"${name} is read at the keyboard or from a file"
        run.state.set(name, run.state.marks.unknown(why, line, f"${name}"), line)
    return None


def let(run: Evaluator, words: list[str], line: int) -> bool | None:
    outcome: bool | None = True
    for word in words:
        try:
            outcome = run.words.number(word, line) != 0
        except NotComputed as error:
            outcome = None
            for name in re.findall(r"([A-Za-z_]\w*)\s*[-+*/%]?=(?!=)", plain(word)):
                run.state.set(name, run.state.marks.unknown(error.reason, line, f"${name}"), line)
    return outcome


def test(run: Evaluator, words: list[str], line: int) -> bool | None:
    found = test_words(run.words, words, line)
    run.why = found if isinstance(found, str) else ""
    return None if isinstance(found, str) else found


def shift(run: Evaluator, words: list[str], _line: int) -> bool | None:
    count = plain(words[0]) if words else "1"
    if run.words.arguments is not None and count.isdecimal():
        run.words.arguments = run.words.arguments[int(count[:4]) :]
    return True


def evaluate(run: Evaluator, words: list[str], line: int) -> bool | None:
    """`eval`: its words, joined by blanks, are a script."""
    return run.script_text(" ".join(words), line)


def _leaver(kind: str) -> Callable[[Evaluator, list[str], int], bool | None]:
    def leave(_run: Evaluator, _words: list[str], line: int) -> bool | None:
        raise Left(kind, "", line)

    return leave


def _false(_run: Evaluator, _words: list[str], _line: int) -> bool | None:
    return False


HANDLERS: dict[str, Callable[[Evaluator, list[str], int], bool | None]] = {
    "cd": change_folder, "pushd": push_folder, "popd": pop_folder, "read": read, "mapfile": read, "readarray": read,
    "let": let, "test": test, "shift": shift, "eval": evaluate, "false": _false, "exit": _leaver("exit"),
    "return": _leaver("return"), "break": _leaver("break"), "continue": _leaver("continue"),
}  # fmt: skip

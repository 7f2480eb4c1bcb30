"""Questions. The only door to questionary, opened when a prompt is due; without a terminal nothing ever waits."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from launcher.errors import UsageError
from launcher.ui import ink
from launcher.ui.formats import cells, clean, fit
from launcher.ui.palette import ROLES, columns, is_tty, look_at_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from questionary import Question, Style

T = TypeVar("T")
PathKind = Literal["file", "folder", "any"]
ESCAPE_S = 0.2
POINTER_ROOM, LEAST_HINT = 9, 8  # columns beside a choice's title; a remark that is cut shorter tells nothing
QUOTES = "\"'\u201c\u201d\u2018\u2019"  # typed quotes and those that word processors make of them


class Back(KeyboardInterrupt):
    """^C or Esc in a prompt: one level back. Uncaught it is an interrupt like any other (exit code 130)."""


@dataclass(frozen=True, kw_only=True)
class Choice(Generic[T]):
    """One entry of a list: its value, what it is called, and a remark in a quieter colour.

    `unusable` says in a few words why it cannot be chosen; it is shown all the same.
    """

    value: T
    title: str
    hint: str = ""
    unusable: str = ""


def can_ask() -> bool:
    """Whether somebody can answer: input and output are both a terminal."""
    return is_tty(sys.stdin) and is_tty(sys.stdout)


def ask_choice(
    question: str, choices: Sequence[Choice[T]], *, flag: str, default: T | None = None, yes: bool = False
) -> T:
    """Let the person pick one. `flag` is the command-line word that answers the same question.

    Raises:
        UsageError: nobody can be asked and there is no default.
        Back: ^C.
    """
    if yes or not can_ask():
        return _unasked(question, default, flag)
    import questionary

    signs = look_at_terminal().glyphs
    widest = max(cells(clean(choice.title)) for choice in choices)
    options = [
        questionary.Choice(
            title=_choice_title(choice, widest), value=number, disabled=clean(choice.unusable) or None
        )
        for number, choice in enumerate(choices)
    ]
    start = next((option for option, choice in zip(options, choices, strict=True) if default is not None and choice.value == default), None)  # fmt: skip
    prompt = questionary.select(
        clean(question), options, default=start, qmark=" ", pointer=f" {signs.pointer}", style=_style(),
        instruction="(arrow keys, Enter, Esc)", use_jk_keys=False, use_search_filter=False,
        erase_when_done=True,
    )  # fmt: skip
    chosen = choices[int(_answer(prompt))]
    _keep_answer(question, chosen.title)
    return chosen.value


def ask_text(
    question: str, *, flag: str, default: str | None = None, yes: bool = False,
    check: Callable[[str], str | None] | None = None,
) -> str:  # fmt: skip
    """Ask for a line of text. `check` returns why an answer will not do, or None.

    Raises:
        UsageError: nobody can be asked and there is no default.
        Back: ^C.
    """
    if yes or not can_ask():
        return _unasked(question, default, flag)
    import questionary

    def verdict(text: str) -> bool | str:
        return (check(text.strip()) if check else None) or True

    prompt = questionary.text(
        clean(question), default=default or "", qmark=" ", style=_style(), validate=verdict
    )
    return str(_answer(prompt)).strip()


def ask_path(
    question: str, *, flag: str, kind: PathKind = "any", default: Path | str | None = None, yes: bool = False,
    suffixes: tuple[str, ...] = (),
) -> Path:  # fmt: skip
    """Ask for an existing file or folder: typed with completion, pasted in quotes, or dragged into the window.

    Raises:
        UsageError: nobody can be asked and there is no default.
        Back: ^C.
    """
    if yes or not can_ask():
        return read_path(str(_unasked(question, default, flag)))
    import questionary

    def verdict(text: str) -> bool | str:
        return check_path(text, kind=kind, suffixes=suffixes) or True

    prompt = questionary.path(
        clean(question), default=str(default or ""), qmark=" ", style=_style(), validate=verdict,
        only_directories=kind == "folder", complete_style=_complete_style(),
    )  # fmt: skip
    return read_path(str(_answer(prompt)))


def confirm(question: str, *, flag: str, default: bool = True, yes: bool = False) -> bool:
    """Ask yes or no; with `yes` the answer is yes, without a terminal it is the default.

    Raises:
        Back: ^C.
    """
    if yes or not can_ask():
        return True if yes else bool(_unasked(question, default, flag))
    import questionary

    return bool(_answer(questionary.confirm(clean(question), default=default, qmark=" ", style=_style())))


def pause_for_enter(text: str = "Press Enter to go back to the menu.") -> None:
    """Hold a screen until it has been read; returns at once without a terminal."""
    if not can_ask():
        return
    sys.stdout.write(f"\n  {text}")
    sys.stdout.flush()
    try:
        sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stdout.write("\n")


def read_path(text: str) -> Path:
    r"""The path meant by typed, pasted or dragged text: quotes, `file://`, `~`, `& 'x'` of PowerShell, `\ ` of shells."""
    raw = text.strip().removeprefix("& ").strip()
    while len(raw) >= 2 and raw[0] in QUOTES and raw[-1] in QUOTES:
        raw = raw[1:-1].strip()
    raw = raw.strip(QUOTES) if raw[:1] in QUOTES or raw[-1:] == '"' else raw
    if raw.lower().startswith("file:"):
        return Path(_from_url(raw))
    if os.name != "nt" and "\\ " in raw and not Path(raw).exists():
        raw = raw.replace("\\ ", " ")  # a terminal's way of writing a dragged name with blanks
    return Path(os.path.expandvars(raw)).expanduser() if raw else Path()


def _from_url(url: str) -> str:
    parts = urlsplit(url)
    path = unquote(parts.path)
    if len(path) > 2 and path[0] == "/" and path[2] == ":":  # file:///C:/folder
        path = path[1:]
    if parts.netloc and parts.netloc != "localhost":  # file://server/share
        path = f"//{unquote(parts.netloc)}{path}"
    return path


def check_path(text: str, *, kind: PathKind = "any", suffixes: tuple[str, ...] = ()) -> str | None:
    """Why this answer will not do, in words, or None."""
    if not text.strip().strip(QUOTES).strip():
        return (
            "Please type a path, or drag the folder into this window"
            if kind == "folder"
            else "Please type a path"
        )
    path = read_path(text)
    try:
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, ValueError):
        return "This is not a path that the system understands"
    if not is_there:
        missing = f"There is no such {'folder' if kind == 'folder' else 'file'}"
        return missing if path.parent.is_dir() else f"{missing} (nor the folder {clean(path.parent)})"
    return _wrong_kind(path, kind=kind, suffixes=suffixes, is_folder=is_folder)


def _wrong_kind(path: Path, *, kind: PathKind, suffixes: tuple[str, ...], is_folder: bool) -> str | None:
    if kind == "folder" and not is_folder:
        return "This is a file; a folder is wanted"
    if kind == "file" and is_folder:
        return "This is a folder; a file is wanted"
    if suffixes and not is_folder and path.suffix.lower() not in suffixes:
        return f"A file of this kind is wanted: {' '.join(suffixes)}"
    return None


def _unasked(question: str, default: T | None, flag: str) -> T:
    if default is None:
        raise UsageError(
            f"Nobody can be asked: {clean(question)}", fix=f"give it on the command line: {flag}"
        )
    return default


def _choice_title(choice: Choice[Any], widest: int) -> list[tuple[str, str]]:
    title = [("class:text", clean(choice.title))]
    room = columns() - widest - POINTER_ROOM
    if choice.hint and room >= LEAST_HINT:
        gap = " " * (widest - cells(clean(choice.title)) + 3)
        title.append(("class:hint", gap + fit(clean(choice.hint), room, look_at_terminal().glyphs.ellipsis)))
    return title


def _keep_answer(question: str, answer: str) -> None:
    """A chosen list is taken off the screen; one line of it stays."""
    ink.write([ink.line("  ", (question, "strong"), "  ", (answer.strip(), "accent"))], width=columns() - 1)


def _answer(prompt: Question) -> Any:
    _let_escape_go_back(prompt)
    try:
        return prompt.unsafe_ask()
    except (KeyboardInterrupt, EOFError) as error:
        raise Back from error


def _let_escape_go_back(prompt: Question) -> None:
    from prompt_toolkit.key_binding import KeyBindings, merge_key_bindings

    bindings = KeyBindings()

    @bindings.add("escape")
    def _(event: Any) -> None:
        event.app.exit(exception=KeyboardInterrupt)

    app = prompt.application
    app.key_bindings = merge_key_bindings([*([app.key_bindings] if app.key_bindings else []), bindings])
    # Arrow keys begin with Esc as well: so long is waited for the rest of one (the default is a second and a half).
    app.ttimeoutlen = app.timeoutlen = ESCAPE_S


def _complete_style() -> Any:
    from prompt_toolkit.shortcuts import CompleteStyle

    return CompleteStyle.MULTI_COLUMN


def _style() -> Style:
    """The palette in questionary's words; without colours only bold is left."""
    from questionary import Style

    names = ("accent", "muted", "bad")
    accent, muted, bad = (f"fg:{_hex(name)}" if look_at_terminal().colors else "" for name in names)
    return Style(
        [
            ("qmark", accent), ("question", "bold"), ("answer", accent), ("pointer", f"{accent} bold"),
            ("highlighted", f"{accent} bold"), ("selected", ""), ("instruction", muted), ("hint", muted), ("text", ""),
            ("validation-toolbar", f"{bad} bg:default noreverse bold"), ("disabled", muted), ("completion-menu", "bg:default fg:default"),
            ("completion-menu.completion", f"bg:default {muted}"),
            ("completion-menu.completion.current", f"bg:default {accent} bold noreverse"),
        ]
    )  # fmt: skip


def _hex(role: str) -> str:
    """A colour of the 256-colour cube or grey ramp as #rrggbb."""
    number = ROLES[role].color or 7
    if number >= 232:
        return f"#{8 + 10 * (number - 232):02x}" + f"{8 + 10 * (number - 232):02x}" * 2
    levels = (0, 95, 135, 175, 215, 255)
    number -= 16
    return f"#{levels[number // 36]:02x}{levels[number // 6 % 6]:02x}{levels[number % 6]:02x}"

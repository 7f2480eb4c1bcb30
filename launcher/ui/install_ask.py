"""The questions of an installation: as planned, change something, not now. Each answer that can be given has its reason.

Without a terminal nothing is asked, and what was planned is the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from rich.text import Text

from launcher.errors import LauncherError
from launcher.ui import console, install_screens, prompts
from launcher.ui.formats import clean, count
from launcher.ui.prompts import Back, Choice
from launcher.ui.tables import grid, inset, lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

    from launcher.ui.install_view import InstallView
    from launcher.ui.palette import Glyphs

Changed = Literal["keep", "original", "stop"]
Topic = Literal["trainer", "torch_set", "attention", "source", "tokenizers"]
Where = Literal["default", "mirror", "here"]
RECOMMENDED = "recommended"
MOST_FILES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One answer that can be given. One that cannot has its `problem` in a sentence."""

    value: str
    title: str
    reason: str = ""
    is_recommended: bool = False
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallOptions:
    """What can be chosen from. A list of one or none is not offered for changing."""

    trainers: tuple[Option, ...] = ()
    torch_sets: tuple[Option, ...] = ()
    attentions: tuple[Option, ...] = ()
    has_source: bool = True  # the trainer's code is fetched (the rehearsal's is not)
    has_tokenizers: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class InstallAnswers:
    """What the person wants; None: as the launcher would choose.

    `source` is a folder, a zip file or the address of a mirror; `tokenizers` a folder or the address of a mirror.
    """

    trainer: str | None = None
    torch_set: str | None = None
    attention: str | None = None
    source: str | None = None
    tokenizers: str | None = None


def ask_install(
    view: InstallView, options: InstallOptions, *, answers: InstallAnswers | None = None,
    replan: Callable[[InstallAnswers], tuple[InstallView, InstallOptions]] | None = None,
) -> InstallAnswers | None:  # fmt: skip
    """Show the plan and ask whether to go on; None: not now.

    Args:
        view: of the plan.
        options: what can be changed in it.
        answers: what was given on the command line.
        replan: makes the plan for other answers; what it raises is shown, and the answers before stay.
    """
    answers = answers or InstallAnswers()
    if not prompts.can_ask():
        return answers
    while True:
        install_screens.show_summary(view)
        console.out()
        try:
            decision = _ask_first()
        except Back:
            return None
        if decision != "change":
            return answers if decision == "go" else None
        changed = ask_change(options, answers)
        if changed == answers:
            continue
        if replan is None:
            answers = changed
            continue
        try:
            view, options = replan(changed)
            answers = changed
        except LauncherError as error:
            console.show_error(error)


def _ask_first() -> str:
    return prompts.ask_choice(
        "Set up training now?",
        [
            Choice(value="go", title="As planned", hint=RECOMMENDED),
            Choice(value="change", title="Change something"),
            Choice(value="later", title="Not now"),
        ],
        flag="--yes",
    )  # fmt: skip


def ask_change(options: InstallOptions, answers: InstallAnswers) -> InstallAnswers:
    """Ask what to change, and that. Esc goes from the answer to the question, and from there back to the plan."""
    while True:
        try:
            topic = _ask_topic(options, answers)
        except Back:
            return answers
        if topic is None:
            return answers
        try:
            return _ask_about(topic, options, answers)
        except Back:
            continue


def _ask_topic(options: InstallOptions, answers: InstallAnswers) -> Topic | None:
    rows: list[tuple[Topic, str, str, bool]] = [
        ("torch_set", "PyTorch build", _now(options.torch_sets, answers.torch_set), len(options.torch_sets) > 1),
        ("attention", "Attention", _now(options.attentions, answers.attention), len(options.attentions) > 1),
        ("trainer", "Trainer", _now(options.trainers, answers.trainer), len(options.trainers) > 1),
        ("source", "Where its code comes from", answers.source or "GitHub", options.has_source),
        ("tokenizers", "Where the tokenizers come from", answers.tokenizers or "the hub", options.has_tokenizers),
    ]  # fmt: skip
    choices: list[Choice[Topic | None]] = [
        Choice(value=topic, title=title, hint=hint) for topic, title, hint, is_open in rows if is_open
    ]
    choices.append(Choice(value=None, title="Nothing: back to the plan"))
    return prompts.ask_choice("What should be different?", choices, flag="--help")


def _now(options: Sequence[Option], chosen: str | None) -> str:
    for option in options:
        if option.value == chosen or (chosen is None and option.is_recommended):
            return option.title
    return chosen or ""


def _ask_about(topic: Topic, options: InstallOptions, answers: InstallAnswers) -> InstallAnswers:
    if topic == "torch_set":
        value = _ask_option("Which PyTorch build?", options.torch_sets, answers.torch_set, flag="--cuda")
        return replace(answers, torch_set=value, attention=None)  # another build may not have the same
    if topic == "attention":
        value = _ask_option("Which attention?", options.attentions, answers.attention, flag="--attention")
        return replace(answers, attention=value)
    if topic == "trainer":
        value = _ask_option("Which trainer?", options.trainers, answers.trainer, flag="install NAME")
        return replace(answers, trainer=value, torch_set=None, attention=None, source=None)
    if topic == "source":
        return replace(answers, source=_ask_source())
    return replace(answers, tokenizers=_ask_tokenizers())


def _ask_option(question: str, options: Sequence[Option], chosen: str | None, *, flag: str) -> str:
    """The reasons stand above the list, where they have room; in it a few words are enough."""
    install_screens.put([option_table(options, console.signs())])
    console.out()
    choices = [
        Choice(
            value=option.value, title=option.title, hint=RECOMMENDED if option.is_recommended else "",
            unusable="not here" if option.problem else "",
        )
        for option in options
    ]  # fmt: skip
    recommended = next((option.value for option in options if option.is_recommended), None)
    return prompts.ask_choice(question, choices, flag=flag, default=chosen or recommended)


def option_table(options: Sequence[Option], glyphs: Glyphs) -> RenderableType:
    """Each answer with why one would give it, or why one cannot."""
    table = grid({"width": 1}, {"overflow": "fold", "ratio": 1}, gap=2)
    for option in options:
        sign, role = (glyphs.ring, "muted")
        if option.problem:
            sign, role = glyphs.cross, "bad"
        elif option.is_recommended:
            sign, role = glyphs.dot, "good"
        words = Text.assemble((clean(option.title), "strong" if not option.problem else "muted"))
        words.append("   recommended", "good") if option.is_recommended else None
        for line in filter(None, (option.problem, option.reason)):
            words.append("\n").append_text(lines_of(line, "muted"))
        table.add_row(Text(sign, style=role), words)
    return inset(table)


def _ask_source() -> str | None:
    """Where sd-scripts comes from; whatever it is, its content must be the pinned one."""
    where: Where = prompts.ask_choice(
        "Where should the trainer's code come from?",
        [
            Choice(value="default", title="GitHub", hint=f"{RECOMMENDED}: fetched and checked by itself"),
            Choice(value="here", title="A folder or zip that I have", hint="without a network"),
            Choice(value="mirror", title="A mirror", hint="where GitHub cannot be reached"),
        ],
        flag="--source",
    )  # fmt: skip
    if where == "default":
        return None
    if where == "mirror":
        return _ask_address("Address of the git repository or the zip", flag="--source")
    return str(prompts.ask_path("Folder or zip file", flag="--source", suffixes=(".zip",)))


def _ask_tokenizers() -> str | None:
    where: Where = prompts.ask_choice(
        "Where should the two tokenizers of SDXL come from?",
        [
            Choice(value="default", title="The Hugging Face hub", hint=f"{RECOMMENDED}: a few megabytes, once"),
            Choice(value="mirror", title="A mirror of the hub", hint="where the hub cannot be reached"),
            Choice(value="here", title="A folder that I have", hint="without a network"),
        ],
        flag="--tokenizers",
    )  # fmt: skip
    if where == "default":
        return None
    if where == "mirror":
        return _ask_address("Address of the mirror", flag="--tokenizers")
    return str(prompts.ask_path("Folder with the tokenizers", flag="--tokenizers", kind="folder"))


def _ask_address(question: str, *, flag: str) -> str:
    return prompts.ask_text(question, flag=flag, check=check_address)


def check_address(text: str) -> str | None:
    """Why this is no address to fetch from, or None."""
    try:
        parts = urlsplit(text)
        is_whole = bool(parts.hostname) and not any(char.isspace() for char in text)
    except ValueError:
        is_whole = False
    if not is_whole or parts.scheme not in {"http", "https"}:
        return "An address begins with https:// and has no blanks"
    return None


def ask_changed_source(paths: Sequence[str]) -> Changed:
    """The trainer's files were changed by somebody: what now? Without a terminal: stop, nothing is touched."""
    if not prompts.can_ask():
        return "stop"
    glyphs = console.signs()
    listed = [inset(Text(f"{glyphs.dot} {clean(path)}", style="muted")) for path in paths[:MOST_FILES]]
    if len(paths) > MOST_FILES:
        listed.append(inset(Text(f"and {len(paths) - MOST_FILES} more", style="muted")))
    install_screens.put([inset(Text(f"The trainer's code was changed in {count(len(paths), 'file')}.", style="strong")), *listed])  # fmt: skip
    console.out()
    choices: list[Choice[Changed]] = [
        Choice(value="keep", title="Keep my changes", hint=f"{RECOMMENDED}: if you made them"),
        Choice(value="original", title="Take the original", hint="your changed files stay in the old folder"),
        Choice(value="stop", title="Stop here", hint="nothing is touched"),
    ]
    try:
        return prompts.ask_choice("What with the changed files?", choices, flag="--keep-changes")
    except Back:
        return "stop"

"""The menu's entry for the training environments: which one, then what with it. It starts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.ui import prompts
from launcher.ui.formats import clean
from launcher.ui.menu import MenuAction
from launcher.ui.prompts import Back, Choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.ui.menu import Kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """How the environment of one trainer stands."""

    trainer: str
    title: str
    not_ready: str | None = None  # why it cannot be used
    is_made: bool = False  # something stands there
    has_previous: bool = False  # there is one to go back to
    update: str = ""  # what newer pins would bring; empty: it is up to date


def pick_environment(environments: Sequence[Environment]) -> MenuAction | None:
    """Choose an environment, then what to do with it. None: back to the menu."""
    while True:
        choices: list[Choice[Environment | MenuAction | None]] = [
            Choice(value=one, title=clean(one.title), hint=standing(one)) for one in environments
        ]
        choices.append(
            Choice(value=MenuAction(kind="shortcut"), title="Make a shortcut", hint="desktop, start menu")
        )
        choices.append(Choice(value=None, title="Back"))
        try:
            chosen = prompts.ask_choice("Which environment?", choices, flag="a command (see --help)")
        except Back:
            return None
        if not isinstance(chosen, Environment):
            return chosen
        try:
            action = prompts.ask_choice(
                f"What with {clean(chosen.title)}?", actions(chosen), flag="a command"
            )
        except Back:
            continue
        if action is not None:
            return action


def standing(one: Environment) -> str:
    """`ready`, `not set up`, or what is wrong."""
    if not one.is_made:
        return "not set up"
    if one.not_ready is not None:
        return f"not ready: {one.not_ready}"
    return "ready, an update is there" if one.update else "ready"


def actions(one: Environment) -> list[Choice[MenuAction | None]]:
    """What can be done with it, the one most likely wanted first."""

    def entry(kind: Kind, title: str, hint: str = "") -> Choice[MenuAction | None]:
        return Choice(value=MenuAction(kind=kind, trainer=one.trainer), title=title, hint=hint)

    found: list[Choice[MenuAction | None]] = []
    if not one.is_made:
        found.append(entry("install", "Set it up"))
    elif one.not_ready is not None:
        found.append(entry("repair", "Repair it", "recommended: mends what differs"))
    elif one.update:
        found.append(entry("update", "Update it", clean(one.update)))
    if one.has_previous:
        found.append(entry("rollback", "Go back to the one before", "the present one is kept as well"))
    if one.is_made:
        if one.not_ready is None:
            found.append(entry("repair", "Check everything and mend what differs"))
        found.append(entry("uninstall", "Remove it", "your runs, presets and images stay"))
    found.append(Choice(value=None, title="Back"))
    return found

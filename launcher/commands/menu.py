"""The menu: what one gets without words. Every entry is also a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher import __version__
from launcher.errors import LauncherError

if TYPE_CHECKING:
    from launcher.paths import Paths
    from launcher.ui.menu import MenuAction, MenuView

RECENT = 12


def menu(paths: Paths) -> int:
    """Show the menu until the person leaves."""
    from launcher.ui.menu import main_menu, paint_title

    while True:
        paint_title(__version__, known_machine(paths))
        action = main_menu(look(paths), has_title=True)
        if action.kind == "quit":
            return 0
        try:
            carry_out(paths, action)
        except LauncherError as error:
            from launcher.commands.setup import show_failure

            show_failure(error)
        except KeyboardInterrupt:  # one level back, as in every prompt
            continue


def known_machine(paths: Paths) -> str:
    """The graphics card as it was last seen (`common.machine_of` writes it down): asking the driver takes too long here."""
    try:
        return paths.machine_note.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def look(paths: Paths) -> MenuView:
    """What the first screen shows; costs one small file a run."""
    from launcher.history import list_runs
    from launcher.install import trainer_ready
    from launcher.trainers import DEFAULT_TRAINER, TRAINERS
    from launcher.ui.menu import MenuView

    records = list_runs(paths, limit=RECENT)
    can_train = any(trainer_ready(paths, name) is None for name in TRAINERS)
    return MenuView(
        version=__version__,
        not_ready=None if can_train else trainer_ready(paths, DEFAULT_TRAINER),
        live=tuple(record for record in records if record.status.is_live),
        resumable=tuple(record for record in records if record.status.is_resumable and not record.resumed_by),
        recent=tuple(records),
        has_environments=True,
    )


def carry_out(paths: Paths, action: MenuAction) -> None:
    """One entry: the very command line that one would type. Raises what that command raises."""
    from launcher.ui import prompts

    if action.kind == "train":
        if not _train(paths):
            return  # gone back: there is nothing to read
    elif action.kind == "check":
        if not _check(paths):
            return
    elif action.kind == "history":
        _history(paths)
        return
    elif action.kind == "environments":
        _environments(paths)
        return
    else:
        from launcher.cli import execute

        execute(words_of(action), paths)
    prompts.pause_for_enter()


def words_of(action: MenuAction) -> list[str]:
    """The command line that does the same as an entry of the menu."""
    run = [action.run] if action.run else []
    trainer = [action.trainer] if action.trainer else []
    words = {
        "install": ["install", *trainer],
        "repair": ["repair", *trainer],
        "update": ["update", *trainer],
        "rollback": ["rollback", *trainer],
        "uninstall": ["uninstall", *trainer],
        "shortcut": ["shortcut"],
        "demo": ["demo"],
        "resume": ["resume", *run],
        "watch": ["watch", *run],
        "report": ["report", *run, "--open"],
        "check-up": ["doctor"],
        "tag": ["tag"],
        "import": ["import"],
        "export": ["export"],
        "bench": ["bench"],
    }
    return words[action.kind]


def _train(paths: Paths) -> bool:
    """Ask, show the plan in short (the question stands below it), train. False when the person went back."""
    from launcher.commands import common
    from launcher.commands.guide import ask_for_plan
    from launcher.ui import console, prompts

    plan = ask_for_plan(paths)
    if plan is None:
        return False
    console.show_summary(plan, common.forecast_of(paths, plan))
    try:
        if not prompts.confirm("Start?", flag="--yes"):
            return False
    except prompts.Back:
        return False
    common.check(paths, plan, force=False, yes=False)
    common.follow(paths, common.launch(paths, plan))
    return True


def _check(paths: Paths) -> bool:
    """Images, a model file, or everything about a training; False when the person went back."""
    from launcher.commands import check, model
    from launcher.ui.menu import pick_check

    chosen = pick_check()
    if chosen is None:
        return False
    ways = {"check": check.from_menu, "model": model.from_menu, "preflight": _preflight}
    return ways[chosen.kind](paths)


def _preflight(paths: Paths) -> bool:
    """The same questions as before a training, and every check; False when the person went back."""
    from launcher.commands.guide import ask_for_plan
    from launcher.commands.preflight import look as look_at

    plan = ask_for_plan(paths)
    if plan is None:
        return False
    look_at(paths, plan)
    return True


def _environments(paths: Paths) -> None:
    from launcher.install import trainer_ready
    from launcher.install.pins import load_pins
    from launcher.install.proof import outdated
    from launcher.install.upkeep import has_earlier, known, standing
    from launcher.ui.install_menu import Environment, pick_environment

    made = standing(paths)
    chosen = pick_environment(
        [
            Environment(
                trainer=name, title=load_pins(paths, name).title, not_ready=trainer_ready(paths, name),
                is_made=name in made, has_previous=has_earlier(paths, name), update=outdated(paths, name) or "",
            )
            for name in known(paths)
        ]
    )  # fmt: skip
    if chosen is not None:
        carry_out(paths, chosen)


def _history(paths: Paths) -> None:
    from launcher.history import list_runs
    from launcher.ui.menu import pick_run

    chosen = pick_run(list_runs(paths, limit=RECENT))
    if chosen is not None:
        carry_out(paths, chosen)

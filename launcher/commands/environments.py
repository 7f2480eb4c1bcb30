"""`install`, `repair`, `update`, `rollback`, `uninstall`, `shortcut`, `doctor`, `test`: the environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import InstallError, RunError, Severity
from launcher.paths import command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from launcher.paths import Paths


def install(paths: Paths, options: argparse.Namespace) -> int:
    """Make or complete training environments; a second time it finds nothing to do."""
    from launcher.commands import setup

    return setup.install(paths, options)


def repair(paths: Paths, options: argparse.Namespace) -> int:
    """Find what differs from what was proved and mend it; an environment is made anew beside the old one."""
    from launcher.commands import setup
    from launcher.install import upkeep
    from launcher.ui import console
    from launcher.ui.install_screens import show_changes

    for name in _standing(paths, options.trainer):
        found = upkeep.differences(paths, name)
        if not found:
            console.out(f"The training environment `{name}` is as it was proved: nothing to repair.")
            continue
        show_changes(f"{name}: what differs", [one.what for one in found])
        if any(one.needs_new for one in found):
            setup.carry_out(paths, name, again=True)
        else:
            upkeep.mend_in_place(paths, name)
            console.out("Put right.")
    return 0


def update(paths: Paths, options: argparse.Namespace) -> int:
    """Move environments to newer pins: a new one is made and proved beside the old one, which is kept."""
    from launcher.commands import setup
    from launcher.install.proof import outdated
    from launcher.ui import console, prompts
    from launcher.ui.install_screens import show_changes

    for name in _standing(paths, options.trainer):
        changes = outdated(paths, name)
        if changes is None:
            console.out(f"The training environment `{name}` has the planned versions: nothing to update.")
            continue
        show_changes(f"{name}: what the update changes", [changes])
        if options.yes or not prompts.can_ask() or prompts.confirm("Update?", default=True, flag="--yes"):
            setup.carry_out(paths, name, update=True)
    return 0


def rollback(paths: Paths, options: argparse.Namespace) -> int:
    """Use the environment before the current one again; a second time returns."""
    from launcher.install import upkeep
    from launcher.ui.install_end import Done
    from launcher.ui.install_screens import show_done

    names = (
        [options.trainer]
        if options.trainer
        else [it for it in upkeep.known(paths) if upkeep.has_earlier(paths, it)]
    )
    if not names:
        raise InstallError(
            "There is no earlier environment to go back to.",
            why="Only the last one that was replaced is kept.",
        )
    for name in names:
        now, was = upkeep.roll_back(paths, name)
        show_done(
            Done(
                title=f"{name}: environment {now} is used again", folder=str(paths.generation(name)),
                remarks=(f"Environment {was} is kept: the same command returns to it.",),
            )
        )  # fmt: skip
    return 0


def uninstall(paths: Paths, options: argparse.Namespace) -> int:
    """Remove what was installed; runs, presets, images, models and logs stay."""
    from launcher.install import upkeep
    from launcher.ui import console, prompts
    from launcher.ui.install_end import Gone
    from launcher.ui.install_screens import show_gone

    names = (
        _standing(paths, options.trainer) if options.trainer or not options.all else upkeep.standing(paths)
    )
    _refuse_live(paths, names)
    title = f"{', '.join(names) or 'Everything that was installed'}: removed"
    if not options.yes and prompts.can_ask() and not prompts.confirm(f"Remove {', '.join(names) or 'all'}?", default=False, flag="--yes"):  # fmt: skip
        console.out("Nothing was removed.")
        return 0
    done = upkeep.uninstall(paths, names, with_shared=options.all)
    gone = [*done.removed, *(_remove_shortcuts(paths) if options.all else [])]
    kept = list(done.kept)
    if options.all:
        kept.append(
            f"{paths.launcher_venv} stays: the launcher runs in it. Delete the folder {paths.root} when you are done with everything in it."
        )
    show_gone(Gone(title=title, removed=tuple(gone), freed_bytes=done.freed_bytes, kept=tuple(kept)))
    return 0


def shortcut(paths: Paths, options: argparse.Namespace) -> int:
    """Put the launcher on the desktop and into the start menu, or take it away again."""
    from launcher.install.shell_folders import desktop_folder, menu_folder
    from launcher.install.shortcut import make_shortcuts, shortcut_for
    from launcher.ui import console

    if options.remove:
        for path in _remove_shortcuts(paths):
            console.out(f"removed {path}")
        return 0
    folders = [folder for folder in (desktop_folder(), menu_folder()) if folder]
    for path in make_shortcuts(shortcut_for(paths.root), folders):
        console.out(f"made {path}")
    return 0


def _remove_shortcuts(paths: Paths) -> list[Path]:
    from launcher.install.shell_folders import desktop_folder, menu_folder
    from launcher.install.shortcut import remove_shortcuts, shortcut_for

    return remove_shortcuts(
        shortcut_for(paths.root), [folder for folder in (desktop_folder(), menu_folder()) if folder]
    )


def _standing(paths: Paths, name: str | None) -> list[str]:
    """The one that is named, else all of which anything stands."""
    from launcher.install import upkeep
    from launcher.install.pins import load_pins

    if name:
        load_pins(paths, name)  # an unknown one is named
        return [name]
    found = list(upkeep.standing(paths))
    if not found:
        raise InstallError(
            "No training environment was installed here.", fix=f"Make one: {command('install')}"
        )
    return found


def _refuse_live(paths: Paths, names: Sequence[str]) -> None:
    """A training that runs keeps its environment."""
    from launcher.history import list_runs

    live = [record.id for record in list_runs(paths) if record.status.is_live and record.trainer in names]
    if live:
        raise RunError(
            f"A training is running: {', '.join(live)}.", fix=f"Pause it first: {command('pause', live[0])}"
        )


def doctor(paths: Paths, options: argparse.Namespace) -> int:
    """What this computer has and what is missing; 6 when something keeps it from training."""
    from launcher.commands.checkup import findings, survey
    from launcher.commands.facts import document
    from launcher.ui import console

    seen = survey(paths)
    found = findings(seen)
    if options.json:
        console.write_json(document(seen, found))
    else:
        console.show_doctor(found)
    return (
        InstallError.exit_code
        if any(problem and problem.severity is Severity.ERROR for _, _, problem in found)
        else 0
    )


def test(paths: Paths, options: argparse.Namespace) -> int:
    """Development set-up and the suite."""
    from launcher.install.development import run_tests

    return run_tests(paths, options.pytest)

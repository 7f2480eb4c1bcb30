"""`install`: look, decide, show, ask, carry out, and say what is ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from launcher.errors import LauncherError
    from launcher.install.intent import Intent, Wish
    from launcher.install.trainer import Outcome
    from launcher.paths import Paths
    from launcher.ui.install_ask import InstallAnswers, InstallOptions
    from launcher.ui.install_view import InstallView

REHEARSAL = "rehearsal"


def install(paths: Paths, options: argparse.Namespace) -> int:
    """Make or complete training environments; a second time it finds nothing to do."""
    wish = _wish(options)
    names = [options.trainer] if options.trainer else _names(paths)
    if options.dry_run:
        return _show(paths, names, wish)
    from launcher.install.trainer import is_done
    from launcher.ui import console

    missing = [name for name in names if not is_done(paths, name, wish)]
    if not missing:
        for name in names:
            _say_ready(paths, name)
        return 0
    main = missing[-1]
    if not options.yes:
        asked = _ask(paths, main, wish)
        if asked is None:
            console.out("Nothing was changed.")
            return 0
        missing[-1:] = [asked[0]]
        wish = asked[1]
    for name in missing:
        carry_out(paths, name, wish if name == missing[-1] else None)
    return 0


def carry_out(
    paths: Paths, name: str, wish: Wish | None = None, *, again: bool = False, update: bool = False
) -> Outcome:
    """Install one trainer with its progress, and show the proof and what next.

    Raises:
        LauncherError: it could not be done; shown with the log one key away, and again at the end by the caller.
    """
    from launcher.install.intent import Wish
    from launcher.install.trainer import install as make
    from launcher.ui.progress import install_progress

    with install_progress() as report:
        outcome = make(paths, name, wish or Wish(), report=report, again=again, update=update)
    _show_outcome(paths, name, outcome)
    return outcome


def _names(paths: Paths) -> list[str]:
    """What `install` alone makes: the rehearsal, which needs little, and what a card is good for."""
    from launcher.commands.common import machine_of
    from launcher.commands.preview import recommended

    return list(dict.fromkeys([REHEARSAL, recommended(machine_of(paths).gpu)]))


def _wish(options: argparse.Namespace) -> Wish:
    from launcher.install.intent import Wish

    return Wish(
        cuda=options.cuda, attention=options.attention, engine=options.engine, source=options.source,
        tokenizers=options.tokenizers,
    )  # fmt: skip


def _plan(paths: Paths, name: str, wish: Wish, *, is_full: bool) -> tuple[Intent, InstallView]:
    from launcher.commands.preview import view_of
    from launcher.install.commands import Log
    from launcher.install.intent import decide
    from launcher.install.trainer import make_commands

    commands = make_commands(paths, Log.fresh(paths.logs, f"plan-{name}"))
    intent = decide(paths, name, wish, commands)
    return intent, view_of(intent, commands, is_full=is_full)


def _show(paths: Paths, names: list[str], wish: Wish) -> int:
    from launcher.ui.install_screens import show_plan

    for name in names:
        show_plan(_plan(paths, name, wish, is_full=True)[1])
    return 0


def _ask(paths: Paths, name: str, wish: Wish) -> tuple[str, Wish] | None:
    """The trainer and the wish after the questions; None: not now. Without a terminal nothing is asked."""
    from launcher.commands.preview import options_of
    from launcher.install.intent import Wish
    from launcher.ui import prompts
    from launcher.ui.install_ask import InstallAnswers, ask_install

    if not prompts.can_ask():
        return name, wish

    def wished(answers: InstallAnswers) -> Wish:
        return Wish(
            cuda=answers.torch_set, attention=answers.attention, engine=wish.engine, source=answers.source,
            tokenizers=answers.tokenizers,
        )  # fmt: skip

    def replan(answers: InstallAnswers) -> tuple[InstallView, InstallOptions]:
        intent, view = _plan(paths, answers.trainer or name, wished(answers), is_full=False)
        return view, options_of(paths, intent)

    first = InstallAnswers(
        trainer=name, torch_set=wish.cuda, attention=wish.attention, source=wish.source, tokenizers=wish.tokenizers
    )  # fmt: skip
    view, choices = replan(first)
    answers = ask_install(view, choices, answers=first, replan=replan)
    return None if answers is None else (answers.trainer or name, wished(answers))


def _say_ready(paths: Paths, name: str) -> None:
    from launcher.install.proof import outdated
    from launcher.paths import command
    from launcher.ui import console

    console.out(f"The training environment `{name}` is ready.")
    changes = outdated(paths, name)
    if changes:
        console.out(f"  newer versions are planned ({changes}): {command('update', name)}")


def _show_outcome(paths: Paths, name: str, outcome: Outcome) -> None:
    from launcher.install.pins import load_pins
    from launcher.install.upkeep import has_earlier
    from launcher.paths import command
    from launcher.ui.install_end import Done, next_steps
    from launcher.ui.install_screens import show_done, show_proof

    if outcome.report is None:
        _say_ready(paths, name)
        return
    show_proof(outcome.report)
    versions = outcome.report.versions
    remarks = list(outcome.kept)
    if has_earlier(paths, name):
        remarks.append(f"The environment before is kept: {command('rollback', name)}")
    show_done(
        Done(
            title=f"{load_pins(paths, name).title} is ready", folder=str(outcome.folder), seconds=outcome.seconds,
            facts=(f"torch {versions.get('torch', '')}", f"attention: {outcome.report.attention}", outcome.report.device),
            remarks=tuple(remarks), next_steps=next_steps(can_rehearse=True),
        )
    )  # fmt: skip


def show_failure(error: LauncherError) -> None:
    """The proof's table if there is one, then the error, with the raw log one key away."""
    from launcher.install.findings import ProofError
    from launcher.ui.install_screens import show_failure as show
    from launcher.ui.install_screens import show_proof

    if isinstance(error, ProofError):
        show_proof(error.report)
    show(error)

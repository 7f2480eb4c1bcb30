"""`install`, `repair`, `doctor`, `test`: the environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import InstallError, Severity

if TYPE_CHECKING:
    import argparse

    from launcher.paths import Paths


def install(paths: Paths, options: argparse.Namespace) -> int:
    """Make or complete a training environment; a second time it finds nothing to do."""
    from launcher.install import install_trainer
    from launcher.ui import console
    from launcher.ui.progress import install_progress

    with install_progress() as report:
        install_trainer(paths, options.trainer, cuda=options.cuda, report=report)
    console.out(f"The training environment `{options.trainer}` is ready.")
    return 0


def repair(paths: Paths, options: argparse.Namespace) -> int:
    """Look at everything again, whatever the marker says, and mend what differs."""
    from launcher.install import forget_marker

    forget_marker(paths, options.trainer)
    return install(paths, options)


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

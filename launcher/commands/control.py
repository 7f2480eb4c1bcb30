"""`resume`, `pause`, `stop`, `watch`: control of a run, from any terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from launcher.commands import common
from launcher.errors import RunError
from launcher.paths import COMMAND, RunPaths, command

if TYPE_CHECKING:
    import argparse

    from launcher.errors import Problem
    from launcher.history import RunRecord
    from launcher.paths import Paths
    from launcher.plan import Plan

PAUSE_WAIT_S = 120.0  # a step of a big preset takes seconds, a state of a big LoRA some more


def resume(paths: Paths, options: argparse.Namespace) -> int:
    """Go on from the newest good state of a run and of the runs before it, when nothing speaks against it."""
    from launcher.history import find_run
    from launcher.preflight import check_resume
    from launcher.resume import resume_run
    from launcher.ui import console

    found: list[Problem] = []

    def agree(plan: Plan) -> None:
        with common.images_counted(is_quiet=options.json):
            found.extend(check_resume(paths, plan, common.machine_of(paths)))
        common.decide(found, force=options.force, yes=options.yes, is_json=options.json)

    record = find_run(paths, options.run, resumable=True)
    point, run = resume_run(paths, record, settings=options.settings, agree=agree)
    if options.json:
        problems = [problem.as_json for problem in found]
        console.write_json(
            {"run": run.folder.name, "from": record.id, "step": point.step, "problems": problems}
        )
    else:
        console.show_resume_point(record, point)
    if options.background:
        return common.say_started(run, quiet=options.json)
    return common.follow(paths, run, is_json=options.json)


def pause(paths: Paths, options: argparse.Namespace) -> int:
    """Ask a run to save a state at its next step and exit; wait until it has."""
    from launcher.run import request_pause

    record = _live(paths, options.run)
    request_pause(RunPaths(folder=record.folder))
    return _wait_for_end(record, "pausing at the next step")


def stop(paths: Paths, options: argparse.Namespace) -> int:
    """End a run for good; its last state is kept."""
    from launcher.run import request_stop

    record = _live(paths, options.run)
    request_stop(RunPaths(folder=record.folder))
    return _wait_for_end(record, "stopping")


def watch(paths: Paths, options: argparse.Namespace) -> int:
    """Show a run live, or how it ended."""
    from launcher.history import find_run

    record = find_run(paths, options.run)
    return common.follow(paths, RunPaths(folder=record.folder))


def supervise(paths: Paths, folder: str) -> int:
    """Body of the detached supervisor."""
    from launcher.run import supervise as body

    return body(paths, RunPaths(folder=Path(folder)))


def _live(paths: Paths, text: str | None) -> RunRecord:
    from launcher.history import find_run

    record = find_run(paths, text, live=True)
    if not record.status.is_live:
        raise RunError(
            f"{record.id} is not running: it is {record.status.value.lower()}",
            fix=f"go on with it: {command('resume', record.id)}"
            if record.status.is_resumable
            else f"see `{COMMAND} runs`",
        )
    return record


def _wait_for_end(record: RunRecord, what: str) -> int:
    from launcher.history import load_run
    from launcher.process import wait_until
    from launcher.ui import console

    console.out(f"{record.name}: {what} ...")
    if not wait_until(lambda: not load_run(record.folder).status.is_live, timeout_s=PAUSE_WAIT_S, poll_s=0.2):
        console.out(
            f"It has not answered within {PAUSE_WAIT_S:.0f} s; the request stands. Look at it: {command('watch', record.id)}"
        )
        return RunError.exit_code
    console.show_ending(load_run(record.folder))
    return 0

"""Steps that several commands share: check, start, follow, say how it ended."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from launcher.errors import LauncherError, PreflightError, Severity
from launcher.events import Status
from launcher.paths import RunPaths, command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.errors import Problem
    from launcher.forecast import Forecast
    from launcher.history import RunRecord
    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan


SETTLE_S = 20.0
LORA_SUFFIXES = {".safetensors", ".ckpt", ".pt"}


def machine_of(paths: Paths) -> Machine:
    """Look at this computer, and write its card down for the menu's title."""
    from launcher.files import write_atomic
    from launcher.machine import look_at_machine

    machine = look_at_machine()
    gpu = machine.gpu
    line = f"{gpu.name}, {gpu.total_mib / 1024:.0f} GB" if gpu else "no NVIDIA card: rehearsals only"
    note = paths.machine_note
    with suppress(OSError):  # a full disk shows a title without a card
        note.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(note, line)
    return machine


def check(paths: Paths, plan: Plan, *, force: bool, yes: bool, is_json: bool = False) -> list[Problem]:
    """Run preflight, show every problem, and decide; returns the problems that did not stop it.

    Raises:
        PreflightError: see `decide`.
    """
    from launcher.preflight import check_plan

    with images_counted(is_quiet=is_json):
        problems = check_plan(paths, plan, machine_of(paths))
    decide(problems, force=force, yes=yes, is_json=is_json)
    return problems


@contextmanager
def images_counted(*, is_quiet: bool) -> Iterator[None]:
    """While the context lasts, the check of the images draws how far it is."""
    from launcher.preflight.images import told_to
    from launcher.ui.counting import counting

    with counting("Looking at the images", is_quiet=is_quiet) as tell, told_to(tell):
        yield


def decide(problems: Sequence[Problem], *, force: bool, yes: bool, is_json: bool = False) -> None:
    """Show all problems. Errors stop, forced or not; warnings ask (or pass with --force or --yes); notes only tell.

    Raises:
        PreflightError: there is an error, or somebody said no. Before JSON nothing is shown: it lists the problems.
    """
    from launcher.ui import console, prompts

    errors = errors_of(problems)
    if problems and not is_json:
        console.show_problems(problems)
    if errors:
        raise PreflightError(
            "Nothing was started: see the errors above.", problems=tuple(problems) if is_json else (),
            fix="put them right, then start again",
        )  # fmt: skip
    has_warnings = any(problem.severity is Severity.WARNING for problem in problems)
    if has_warnings and not (force or yes or is_json or prompts.confirm("Start in spite of the warnings?", default=True, flag="--force")):  # fmt: skip
        raise PreflightError("Nothing was started.")


def forecast_of(paths: Paths, plan: Plan) -> Forecast:
    """What the run will need of card, memory, disk and time, held against what is free now."""
    from launcher.forecast import forecast

    return forecast(paths, plan, machine_of(paths))


def launch(paths: Paths, plan: Plan) -> RunPaths:
    """Make the run folder and start its supervisor, which outlives us."""
    from launcher.run import create_run, start_run

    run = create_run(paths, plan)
    start_run(paths, run)
    return run


def follow(paths: Paths, run: RunPaths, *, is_json: bool = False) -> int:
    """Watch a run to its end (or until the viewer leaves) and return the command's exit code.

    On a terminal with somebody at it: the dashboard; elsewhere, and beside JSON, plain lines.
    """
    from launcher.history import is_run_alive
    from launcher.monitor import RunMonitor
    from launcher.run import request_pause, request_stop
    from launcher.ui import dashboard

    monitor = RunMonitor(run, lambda: is_run_alive(run))
    if is_json:
        dashboard.follow_plain(monitor)
        return conclude(paths, run, can_ask=False)
    outcome = dashboard.follow(
        monitor, on_pause=lambda: request_pause(run), on_stop=lambda: request_stop(run)
    )
    if outcome == "detached":
        _say_detached(run)
        return 0
    return conclude(paths, run)


def say_started(run: RunPaths, *, quiet: bool) -> int:
    """After `--background`: what is going on now and how to see it."""
    if not quiet:
        _say_detached(run)
    return 0


def _say_detached(run: RunPaths) -> None:
    from launcher.ui import console

    console.out(f"Training goes on in the background.\n  look again:  {command('watch', run.folder.name)}\n  pause it:    {command('pause', run.folder.name)}")  # fmt: skip


def conclude(paths: Paths, run: RunPaths, *, can_ask: bool = True) -> int:
    """Write the report, say how the run ended and what to do next; 0 unless it failed and nobody goes on with it.

    Raises:
        TrainingError: the run ended without its result, and nobody can be asked.
    """
    from launcher.history import load_run
    from launcher.process import wait_until
    from launcher.ui import console

    # The training's last word comes some tenths of a second before its supervisor's.
    wait_until(lambda: not load_run(run.folder).status.is_live, timeout_s=SETTLE_S)
    record = load_run(run.folder)
    report = write_report(paths, record)
    if record.status is Status.SUCCEEDED:
        console.show_success(record, lora=final_lora(run), report=report)
        return 0
    if record.status in {Status.PAUSED, Status.CANCELLED} or record.status.is_live:
        console.show_ending(record)
        return 0
    from launcher.commands.ending import end

    return end(paths, record, can_ask=can_ask)


def write_report(paths: Paths, record: RunRecord) -> str | None:
    """The report's path, or None (with a word of warning) when it cannot be written: it never spoils a finished run."""
    from launcher.report import write_report as write
    from launcher.ui import console

    try:
        return str(write(paths, RunPaths(folder=record.folder)))
    except LauncherError as error:
        console.out(f"The report could not be written: {error.what} {error.why}".rstrip())
        return None


def final_lora(run: RunPaths) -> str | None:
    """The LoRA that a finished run leaves: the file named like the run, else the newest (`save_model_as` has three forms)."""
    files = sorted(
        (path for path in run.output.glob("*") if path.suffix in LORA_SUFFIXES),
        key=lambda path: ("-step" not in path.stem, path.stat().st_mtime),
    )
    return str(files[-1]) if files else None


def errors_of(problems: Sequence[Problem]) -> list[Problem]:
    """Only the errors."""
    return [problem for problem in problems if problem.severity is Severity.ERROR]

"""What the test suite needs: the development tools, the rehearsal's environment, then pytest."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import InputError
from launcher.files import read_json, write_json
from launcher.install.commands import Commands, Log
from launcher.install.engine import choose_engine
from launcher.install.index import base_python, read_pip_settings
from launcher.install.pins import loads
from launcher.install.steps import Step, StepEvent, StepState, run_steps
from launcher.install.turn import take_turn
from launcher.process import attach

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from launcher.paths import Paths

WAIT_S = 1800.0
GROUP = "dev"
MOST_WORKERS = 4  # each may train, with torch's own threads and about a GiB


def run_tests(
    paths: Paths, words: Sequence[str], *, report: Callable[[StepEvent], None] | None = None
) -> int:
    """Install what is missing, then run pytest in the root with `words`; returns pytest's exit code.

    Without words it is the whole suite, on all cores.

    Raises:
        InstallError: something could not be installed.
    """
    from launcher.install import install_trainer

    report = report or print_plainly
    install_tools(paths, report)
    install_trainer(paths, update=True, report=report)  # the suite tests the planned versions
    return attach([sys.executable, "-X", "utf8", "-m", "pytest", *(words or whole_suite())], cwd=paths.root)


def whole_suite() -> list[str]:
    """Files side by side, each in one process: its tests share trainings. conftest.py says which begin."""
    workers = min(os.cpu_count() or 1, MOST_WORKERS)
    return ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"] if workers > 1 else []


def install_tools(paths: Paths, report: Callable[[StepEvent], None]) -> None:
    """Put the dependency group `dev` into the launcher's own environment."""
    if _missing(paths) is None:
        return
    with take_turn(paths.cache / "development.lock", on_wait=lambda: None, timeout_s=WAIT_S, busy="Another development set-up has not ended for half an hour.") as handle:  # fmt: skip
        settings = read_pip_settings((Path(sys.executable), base_python()), cwd=paths.cache)
        log = Log.fresh(paths.logs, "install-development")
        log.secrets = settings.secrets
        commands = Commands(settings=settings, cache=paths.cache, log=log, lock=handle)

        def install(tell: Callable[[str], None]) -> None:
            engine = choose_engine(commands)
            engine.install(Path(sys.prefix), _group(paths), tell)
            write_json(_marker(), {"project": _project(paths)})

        step = Step(name="development", title="Development tools", check=lambda: _missing(paths), do=install)
        run_steps([step], journal=paths.cache / "development.jsonl", report=report)


def print_plainly(event: StepEvent) -> None:
    """One line for each step that works, on the error stream: pytest's output may be read by a program."""
    if event.state in {StepState.BEGIN, StepState.NOTE, StepState.FAILED}:
        sys.stderr.write(f"{event.title}: {event.detail}\n")


def _marker() -> Path:
    return Path(sys.prefix) / "launcher-development.json"


def _project(paths: Paths) -> str:
    return hashlib.sha256((paths.root / "pyproject.toml").read_bytes()).hexdigest()


def _group(paths: Paths) -> list[str]:
    """The requirements of the group; read here because the pip of many a Python does not know groups yet."""
    table = loads((paths.root / "pyproject.toml").read_text(encoding="utf-8"))
    return list(table["dependency-groups"][GROUP])


def _missing(paths: Paths) -> str | None:
    try:
        made = read_json(_marker())
    except InputError:
        return "they are not installed"
    return (
        None
        if isinstance(made, dict) and made.get("project") == _project(paths)
        else "their list has changed"
    )

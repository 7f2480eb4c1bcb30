"""Makes the launcher's own environment, `.venv`, on a bare Python: standard library only.

Safe to kill at any moment: the marker is written last, and what has no marker is made anew.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import EXIT_INTERRUPTED, InstallError, LauncherError
from launcher.files import write_atomic
from launcher.install import marker
from launcher.install.commands import Commands, Log
from launcher.install.index import PipSettings, base_python, read_pip_settings
from launcher.install.remedy import find_remedy, missing_parts
from launcher.install.steps import Step, StepEvent, StepState, run_steps
from launcher.install.turn import take_turn
from launcher.install.window import hold
from launcher.paths import HOME_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_S = 1800.0
PROGRESS_EVERY_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the environment lies and what it is made from."""

    root: Path
    python: Path
    commands: Commands

    @property
    def venv(self) -> Path:
        return Path(marker.venv_of(str(self.root)))

    @property
    def venv_python(self) -> Path:
        return Path(marker.python_of(str(self.venv)))


def set_up(root_name: str, *, is_double_click: bool) -> int:
    """Make `.venv` ready; returns 0, or an exit code after having said why not."""
    root = Path(root_name)
    log = Log.fresh(_logs(root), "setup")
    _make_stdout_safe()
    try:
        return _set_up(root, log)
    except LauncherError as error:
        _tell_failure(error, log)
        hold(is_double_click=is_double_click)
        return error.exit_code
    except OSError as error:
        _tell_failure(
            InstallError(
                "The launcher's environment could not be written.",
                why=str(error),
                fix="Check that the drive has room and that this folder may be written.",
            ),
            log,
        )
        hold(is_double_click=is_double_click)
        return InstallError.exit_code
    except KeyboardInterrupt:
        print("\nInterrupted; start this again and it begins anew.", file=sys.stderr)
        return EXIT_INTERRUPTED


def _set_up(root: Path, log: Log) -> int:
    cache = root / ".cache"
    with take_turn(
        cache / "setup.lock",
        on_wait=lambda: print(
            "Another window is setting up the launcher; waiting until it is done.", flush=True
        ),
        timeout_s=WAIT_S,
        busy="Another set-up has not ended for half an hour.",
    ) as handle:
        if marker.is_ready(str(root)):
            return 0  # the one we waited for made it
        started = time.monotonic()
        print(f"Setting up the launcher in {root} (only this once, about a minute).", flush=True)
        commands = Commands(settings=PipSettings(), cache=cache, log=log, lock=handle)
        place = Place(root=root, python=base_python(), commands=commands)
        run_steps(steps(place), journal=cache / "setup.jsonl", report=Display().show)
        print(f"Ready after {time.monotonic() - started:.0f} s.\n", flush=True)
    return 0


def steps(place: Place) -> list[Step]:
    """What the launcher's environment needs, in order."""
    return [
        Step(name="python", title="Python", check=_incomplete_python, do=lambda _: _refuse_python(place)),
        Step(name="leftovers", title="Removing what an interrupted set-up left", check=lambda: _leftovers(place), do=lambda _: _remove(place.venv)),
        Step(name="folder", title="Making the folder .venv", check=lambda: _no_folder(place), do=lambda _: _make_folder(place)),
        Step(name="packages", title="Installing the launcher's packages", check=lambda: _not_marked(place), do=lambda tell: _install(place, tell)),
    ]  # fmt: skip


def _logs(root: Path) -> Path:
    home = os.environ.get(HOME_VARIABLE)
    return (Path(home).expanduser() if home else root) / "logs"


# --- steps


def _incomplete_python() -> str | None:
    missing = missing_parts()
    return f"this Python comes without {' and '.join(missing)}" if missing else None


def _refuse_python(place: Place) -> None:
    raise InstallError(
        f"The Python at {place.python} cannot make environments.",
        why=f"It comes without its module {' and '.join(missing_parts())}.",
        fix=find_remedy(),
    )


def _leftovers(place: Place) -> str | None:
    """What we made and did not finish, or what was made for another place or Python.

    A `.venv` that somebody else made (an editor, uv) is never removed: we add our packages to it.
    """
    if not place.venv.exists():
        return None
    if not any(place.venv.iterdir()):
        return "the folder .venv is empty"
    if not (place.venv / marker.OURS).exists():
        return None
    try:
        text = (place.venv / marker.MARKER).read_bytes()
    except OSError:
        return "the folder .venv is half made"
    wanted = marker.expected(str(place.root))
    if wanted is None:
        return "the Python of the folder .venv is gone"
    same_place = marker.without_requirements(text) == marker.without_requirements(wanted)
    return None if same_place else "the folder .venv was made in another place or by another Python"


def _remove(folder: Path) -> None:
    """Free the name first: a removal that is interrupted must not leave something that looks like an environment."""
    folder.rename(folder.with_name(f"{folder.name}.trash-{os.getpid()}"))
    for trash in folder.parent.glob(f"{folder.name}.trash-*"):
        shutil.rmtree(trash, ignore_errors=True)


def _no_folder(place: Place) -> str | None:
    return None if place.venv_python.exists() else f"it does not exist yet (made by {place.python})"


def _make_folder(place: Place) -> None:
    place.venv.mkdir(exist_ok=True)
    (place.venv / marker.OURS).touch()
    finished = place.commands.call(
        [str(place.python), "-X", "utf8", "-m", "venv", str(place.venv)],
        {"PYTHONHOME": None, "PYTHONPATH": None},
    )
    place.commands.need(finished, "The folder .venv could not be made.")


def _not_marked(place: Place) -> str | None:
    return None if marker.is_ready(str(place.root)) else "they are missing, or others than before are wanted"


def _install(place: Place, tell: Callable[[str], None]) -> None:
    """Install, make importable from any folder, try it, and only then write the marker."""
    mark = place.venv / marker.MARKER
    mark.unlink(missing_ok=True)
    _ensure_pip(place)
    # pip reads the user's settings by itself; we only need to know what must not get into the log.
    settings = read_pip_settings((place.venv_python, place.python), cwd=place.commands.cache)
    place.commands.log.secrets = settings.secrets
    words = ["install", "--no-input", "--editable", str(place.root)]
    place.commands.need(
        place.commands.pip(place.venv_python, words, tell), "The launcher's packages could not be installed."
    )
    link_sources(place.root, place.venv)
    _try(place)
    if hasattr(os, "sync"):
        os.sync()  # the marker must not reach the disk before the packages
    wanted = marker.expected(str(place.root))
    if wanted is None:
        raise InstallError("The folder .venv does not work.", why="Its Python cannot be found again.")
    write_atomic(mark, wanted)


def _ensure_pip(place: Place) -> None:
    """A `.venv` of others (uv makes such) may have no pip."""
    if place.commands.pip(place.venv_python, ["--version"]).code == 0:
        return
    finished = place.commands.call([str(place.venv_python), "-X", "utf8", "-m", "ensurepip"])
    place.commands.need(finished, "pip could not be put into the folder .venv.")


def link_sources(root: Path, venv: Path) -> None:
    """Write the link to our sources as a relative path.

    The one that pip writes is absolute and in UTF-8, but Python before 3.13 reads it in the system's code page:
    with a Japanese folder name on Windows no interpreter of this environment would even start.
    """
    for link in sorted(venv.glob("[Ll]ib/**/site-packages/*.pth")):
        if os.fsdecode(link.read_bytes()).strip() == str(root):
            write_atomic(link, os.path.relpath(root, link.parent) + "\n")


def _try(place: Place) -> None:
    """The sources are found, and a light dependency as well."""
    argv = [str(place.venv_python), "-I", "-c", "import launcher.cli, rich, psutil; print(launcher.__file__)"]
    finished = place.commands.need(
        place.commands.call(argv), "The launcher does not start in its new environment."
    )
    if not Path(finished.output.strip()).is_relative_to(place.root):
        raise InstallError(
            "The new environment holds another launcher.", why=f"It was found in {finished.output.strip()}."
        )


# --- words


class Display:
    """Steps as plain lines: there is no rich yet."""

    def __init__(self) -> None:
        self._last = 0.0

    def show(self, event: StepEvent) -> None:
        if event.state is StepState.BEGIN:
            self._last = time.monotonic()
            print(f"  {event.title} ...", flush=True)
        elif event.state is StepState.PROGRESS and time.monotonic() - self._last > PROGRESS_EVERY_S:
            self._last = time.monotonic()
            print(f"    {event.detail[:100]}", flush=True)


def _make_stdout_safe() -> None:
    """A folder name that the console cannot show must not stop the set-up."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _tell_failure(error: LauncherError, log: Log) -> None:
    try:
        log.write(f"FAILED: {error.what}\n{error.why}\n{error.fix}")
        where = error.where or str(log.path)
    except OSError:  # the folder may not be written: the message says so, and there is no log
        where = error.where
    print("\n" + " ".join(part for part in (error.what, error.fix) if part), file=sys.stderr)
    if error.why:
        print(error.why, file=sys.stderr)
    if where:
        print(f"The log: {where}", file=sys.stderr, flush=True)

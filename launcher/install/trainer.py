"""Makes the environment of a trainer: the list of steps, in order."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import InputError, InstallError, LauncherError
from launcher.files import read_json, write_json
from launcher.install import packages, proof
from launcher.install.commands import Commands, Log
from launcher.install.engine import Engine, choose_engine
from launcher.install.index import base_python, read_pip_settings
from launcher.install.pins import Pins, TorchSet, Version, exact, load_pins
from launcher.install.steps import Step, StepEvent, StepState, Tell, run_steps
from launcher.install.torchset import install_set, missing
from launcher.install.turn import take_turn
from launcher.paths import venv_python

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from launcher.paths import Paths

WAIT_S = 3 * 3600.0  # another window may be downloading gigabytes
START_TIMEOUT_S = 60.0
MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One installation: what is to stand where, and who does the work."""

    paths: Paths
    pins: Pins
    torch_set: TorchSet
    python: Path  # the interpreter that the environment is made from
    engine: Engine
    commands: Commands

    @property
    def venv(self) -> Path:
        return self.paths.trainer_venv(self.pins.name)

    def touch(self) -> None:
        """Called before anything in the environment changes: until it is proved again it counts as half made.

        Not earlier: a torch build that cannot be had must not cost the user the one that works.
        """
        proof.forget(self.paths, self.pins.name)
        write_json(self.paths.trainer(self.pins.name) / "choice.json", {"torch_set": self.torch_set.name})


def install(
    paths: Paths, name: str, *, cuda: str | None, engine: str | None, report: Callable[[StepEvent], None]
) -> None:
    """See `launcher.install.install_trainer`."""
    pins = load_pins(paths, name)
    torch_set = pins.torch_set(cuda or _chosen(paths, pins))
    if proof.not_ready(paths, name, torch_set.name) is None:
        return
    log = Log.fresh(paths.logs, f"install-{name}")
    try:
        with _turn(paths, name, report) as handle:
            if proof.not_ready(paths, name, torch_set.name) is None:
                return  # the one we waited for made it
            job = _job(paths, pins, torch_set, engine=engine, log=log, handle=handle)
            run_steps(steps(job), journal=paths.trainer(name) / "install.jsonl", report=report)
    except LauncherError as error:
        error.where = error.where or (str(log.path) if log.path.exists() else "")
        raise
    except OSError as error:
        raise InstallError(
            f"{pins.title}: the training environment could not be written.",
            why=str(error),
            fix="Check that the drive has room and that this folder may be written.",
            where=str(log.path) if log.path.exists() else "",
        ) from error


def steps(job: Job) -> list[Step]:
    """Everything that an environment needs, in order; each step finds out by itself whether it is needed."""
    return [
        Step(name="python", title="Python", check=lambda: _unfit_python(job), do=lambda _: _refuse_python(job)),
        Step(name="space", title="Room on the drive", check=lambda: _no_space(job), do=lambda _: _refuse_space(job)),
        Step(name="venv", title="Folder", check=lambda: _bad_venv(job), do=lambda tell: _make_venv(job, tell)),
        Step(name="heal", title="Leftovers of an interrupted installation", check=lambda: _halves(job), do=lambda tell: _heal(job, tell)),
        Step(name="torch", title=f"PyTorch ({job.torch_set.title})", check=lambda: missing(job.torch_set, packages.installed(job.venv)), do=lambda tell: install_set(job.engine, job.venv, job.torch_set, tell, before=job.touch)),
        Step(name="packages", title="Packages", check=lambda: _wrong_packages(job), do=lambda tell: _install_packages(job, tell)),
        Step(name="accelerate", title="accelerate's configuration", check=lambda: _no_config(job), do=lambda _: proof.write_accelerate_config(job.paths, job.pins.name)),
        Step(name="proof", title="Proof", check=lambda: proof.not_ready(job.paths, job.pins.name, job.torch_set.name), do=lambda tell: _prove(job, tell)),
    ]  # fmt: skip


def _job(paths: Paths, pins: Pins, torch_set: TorchSet, *, engine: str | None, log: Log, handle: int) -> Job:
    paths.cache.mkdir(parents=True, exist_ok=True)
    base = base_python()
    settings = read_pip_settings((venv_python(paths.launcher_venv), base), cwd=paths.cache)
    log.secrets = settings.secrets
    commands = Commands(settings=settings, cache=paths.cache, log=log, lock=handle)
    return Job(
        paths=paths, pins=pins, torch_set=torch_set, python=base,
        engine=choose_engine(commands, engine), commands=commands,
    )  # fmt: skip


def _chosen(paths: Paths, pins: Pins) -> str:
    """The torch build chosen last time: `repair` must not turn a GPU environment into a CPU one."""
    try:
        chosen = read_json(paths.trainer(pins.name) / "choice.json")
    except InputError:
        return pins.default_set
    name = chosen.get("torch_set") if isinstance(chosen, dict) else None
    return name if isinstance(name, str) and name in pins.sets else pins.default_set


def _turn(paths: Paths, name: str, report: Callable[[StepEvent], None]) -> AbstractContextManager[int]:
    words = "another window is installing this; waiting until it is done"
    return take_turn(
        paths.trainer(name) / "install.lock",
        on_wait=lambda: report(
            StepEvent(step="wait", title="Waiting", state=StepState.PROGRESS, detail=words)
        ),
        timeout_s=WAIT_S,
        busy="Another installation has not ended for hours.",
    )


# --- Python and place


def _version_of(job: Job) -> Version:
    """Python of the environment if there is one, else of what it will be made from."""
    return _venv_version(job) or (sys.version_info[0], sys.version_info[1])


def _venv_version(job: Job) -> Version | None:
    site = packages.site_packages(job.venv)
    python = venv_python(job.venv)
    if site is None or not python.exists():
        return None
    try:
        finished = job.commands.call(
            [str(python), "-I", "-c", "import sys; print('python', *sys.version_info[:2])"],
            timeout_s=START_TIMEOUT_S,
        )
    except LauncherError:
        return None
    words = finished.output.split()
    return (int(words[1]), int(words[2])) if finished.code == 0 and words[:1] == ["python"] else None


def _unfit_python(job: Job) -> str | None:
    first, last = job.torch_set.pythons
    found = _version_of(job)
    if not first <= found <= last:
        return f"Python is {found[0]}.{found[1]}"
    return None if sys.maxsize > 2**32 else "this Python is a 32-bit one"


def _refuse_python(job: Job) -> None:
    first, last = ("{}.{}".format(*version) for version in job.torch_set.pythons)
    raise InstallError(
        f"The torch build {job.torch_set.title} needs a 64-bit Python from {first} to {last}.",
        why=f"The launcher runs on Python {sys.version.split()[0]} ({job.python}).",
        fix=f"Install Python {last} (64 bit), delete the folder .venv, and start setup_env.py with it: python{last} setup_env.py",
    )


def _free_mib(job: Job) -> int:
    return shutil.disk_usage(job.paths.trainer(job.pins.name)).free // MIB


def _no_space(job: Job) -> str | None:
    """Room matters while torch is still to come: the rest is small beside it."""
    if missing(job.torch_set, packages.installed(job.venv)) is None:
        return None
    free = _free_mib(job)
    return None if free >= job.torch_set.disk_mib else f"{free} MiB are free"


def _refuse_space(job: Job) -> None:
    raise InstallError(
        f"The drive is too full: about {job.torch_set.disk_mib} MiB are needed, {_free_mib(job)} MiB are free.",
        why=f"The training environment lies in {job.paths.trainer(job.pins.name)}.",
        fix="Make room on this drive, or move the whole folder to another one, then start this again.",
    )


def _bad_venv(job: Job) -> str | None:
    version = _venv_version(job)
    if version is None:
        return "there is none that starts"
    first, last = job.torch_set.pythons
    return None if first <= version <= last else f"it has Python {version[0]}.{version[1]}"


def _make_venv(job: Job, tell: Tell) -> None:
    job.touch()
    remove(job.venv)
    job.engine.make(job.venv, job.python, tell)


def remove(folder: Path) -> None:
    """Remove a folder so that its name is free at once, whatever interrupts us; earlier leftovers go as well."""
    if folder.is_symlink():
        folder.unlink()  # what it leads to is not ours
    elif folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.trash-{os.getpid()}"))
    for leftover in folder.parent.glob(f"{folder.name}.trash-*"):
        shutil.rmtree(leftover, ignore_errors=True)  # a scanner may hold a file: next time


# --- packages


def _halves(job: Job) -> str | None:
    found = [f"{damage.name}: {damage.reason}" for damage in packages.broken(job.venv)]
    return "; ".join(found) or None


def _heal(job: Job, tell: Tell) -> None:
    job.touch()
    found = packages.broken(job.venv)
    job.engine.forget([damage.name for damage in found if damage.is_cut])
    packages.heal(found)
    tell(f"to be installed again: {', '.join(damage.name for damage in found)}")


def _planned(job: Job) -> dict[str, str]:
    """Names and exact versions that the finished environment must have."""
    present = packages.installed(job.venv)
    names = [exact(package)[0] for package in job.torch_set.packages]
    return {
        **job.pins.versions(_version_of(job)),
        **{name: present[name] for name in names if name in present},  # the build that was to be had
    }


def _wrong_packages(job: Job) -> str | None:
    present = packages.installed(job.venv)
    wrong = [name for name, version in _planned(job).items() if present.get(name) != version]
    if wrong:
        return f"missing or in another version: {', '.join(wrong)}"
    return job.engine.check(job.venv)


def _install_packages(job: Job, tell: Tell) -> None:
    wanted = [f"{name}=={version}" for name, version in _planned(job).items()]
    offer = job.engine.look(job.venv, wanted, index=None, alone=False)
    if offer.problem is None:  # otherwise the installation will say it better
        tell(f"to download: {offer.size_in_words}", keep=True)
    job.touch()
    job.engine.install(job.venv, wanted, tell)


# --- proof


def _no_config(job: Job) -> str | None:
    return None if proof.has_accelerate_config(job.paths, job.pins.name) else "it is missing or was changed"


def _prove(job: Job, tell: Tell) -> None:
    tell("trying everything that training needs (the first time takes a while)")
    answer = proof.probe(job.commands, job.paths, job.pins, _planned(job))
    if hasattr(os, "sync"):
        os.sync()  # the marker must not reach the disk before the packages: a power cut would leave it alone
    proof.record(job.paths, job.pins, job.torch_set.name, job.engine.name, answer)

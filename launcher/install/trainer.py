"""Makes the environment of a trainer: the list of steps, in order."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from launcher.errors import InputError, InstallError, LauncherError
from launcher.files import read_json
from launcher.install import generations, packages, proof, tasks, upkeep
from launcher.install.commands import Commands, Log
from launcher.install.index import base_python, read_pip_settings
from launcher.install.intent import Intent, Wish, decide
from launcher.install.job import Job
from launcher.install.pins import load_pins
from launcher.install.steps import Step, StepEvent, StepState, run_steps
from launcher.install.turn import take_turn
from launcher.paths import venv_python

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from launcher.install.findings import Report
    from launcher.paths import Paths

WAIT_S = 3 * 3600.0  # another window may be downloading gigabytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How an installation ended well."""

    changed: bool  # False: everything was there already
    folder: Path  # of the environment that is used from now on
    report: Report | None = None  # its proof, if it was made now
    seconds: float = 0.0
    kept: tuple[str, ...] = ()  # what should have gone and had to stay, in words
    log: Path | None = None


def install(
    paths: Paths, name: str, wish: Wish, *, report: Callable[[StepEvent], None], again: bool = False, update: bool = False
) -> Outcome:  # fmt: skip
    """See `launcher.install.install_trainer`; `again` makes a new environment whatever stands there."""
    load_pins(paths, name)  # an unknown trainer is named before anything else
    if not again and is_done(paths, name, wish, update=update):
        return Outcome(changed=False, folder=paths.generation(name))
    log = Log.fresh(paths.logs, f"install-{name}")
    try:
        with _turn(paths, name, report) as handle:
            if not again and is_done(paths, name, wish, update=update):
                return Outcome(changed=False, folder=paths.generation(name))  # the one we waited for made it
            return _build(paths, name, wish, log=log, handle=handle, report=report)
    except LauncherError as error:
        error.where = error.where or (str(log.path) if log.path.exists() else "")
        raise
    except OSError as error:
        raise InstallError(
            f"The training environment of `{name}` could not be written.",
            why=str(error),
            fix="Check that the drive has room and that this folder may be written.",
            where=str(log.path) if log.path.exists() else "",
        ) from error


def is_done(paths: Paths, name: str, wish: Wish, *, update: bool = False) -> bool:
    """Whether a proved environment stands that is what is wished. Starts nothing."""
    if proof.not_ready(paths, name, wish.cuda) is not None:
        return False
    if wish.attention and _attention_of(paths, name) != wish.attention:
        return False
    return not update or proof.outdated(paths, name) is None


def _attention_of(paths: Paths, name: str) -> str | None:
    try:
        ready = read_json(proof.marker(paths, name))
    except InputError:
        return None
    return ready.get("attention") if isinstance(ready, dict) else None


def _build(
    paths: Paths, name: str, wish: Wish, *, log: Log, handle: int | None, report: Callable[[StepEvent], None]
) -> Outcome:
    began = time.monotonic()
    intent = decide(paths, name, wish, make_commands(paths, log, handle))
    _forget_damage(intent)
    changed = upkeep.precious(paths, name, paths.generation(name))
    job = begin(intent, make_commands(paths, log, handle))
    run_steps(steps(job), journal=paths.trainer(name) / "install.jsonl", report=report)
    kept = generations.prune(paths, name, partial(upkeep.precious, paths, name))
    if changed and (before := generations.before(paths, name)):
        kept.append(
            f"{paths.generation(name, before) / 'code'} holds your changes; the new environment does not: {changed}."
        )
    return Outcome(
        changed=True, folder=job.folder, report=job.report, seconds=time.monotonic() - began,
        kept=tuple(kept), log=log.path,
    )  # fmt: skip


def _forget_damage(intent: Intent) -> None:
    """A file that was cut in the environment is cut in uv's cache too, where they are one by a hard link."""
    damages = packages.broken(intent.paths.trainer_venv(intent.pins.name))
    intent.engine.forget([damage.name for damage in damages if damage.is_cut])


def make_commands(paths: Paths, log: Log, handle: int | None = None) -> Commands:
    """The door to pip, uv and git, in the user's own settings."""
    paths.cache.mkdir(parents=True, exist_ok=True)
    settings = read_pip_settings((venv_python(paths.launcher_venv), base_python()), cwd=paths.cache)
    log.secrets = settings.secrets
    return Commands(settings=settings, cache=paths.cache, log=log, lock=handle)


def begin(intent: Intent, commands: Commands) -> Job:
    """The folder to build in: new, or the one that an interrupted installation left."""
    number = generations.begin(intent.paths, intent.pins.name, intent.key)
    return Job(
        intent=intent, number=number, commands=commands, python=intent.interpreter.path,
        attention=intent.choice.attention, attention_reason=intent.choice.attention_reason,
    )  # fmt: skip


def steps(job: Job) -> list[Step]:
    """Everything that an environment needs, in order; each step finds out by itself whether it is needed."""
    pins, torch_set = job.pins, job.torch_set
    source = [
        Step(name="source", title=f"{pins.title}: the code", check=lambda: tasks.bad_code(job), do=lambda tell: tasks.fetch_code(job, tell)),
    ] if pins.source else []  # fmt: skip
    tokenizers = [
        Step(name="tokenizers", title="Tokenizers of SDXL", check=lambda: tasks.no_tokenizers(job), do=lambda tell: tasks.fetch_tokenizers(job, tell)),
    ] if pins.source else []  # fmt: skip
    return [
        Step(name="space", title="Room on the drive", check=lambda: tasks.no_space(job), do=lambda _: tasks.refuse_space(job)),
        Step(name="python", title="Python", check=lambda: tasks.no_python(job), do=lambda tell: tasks.bring_python(job, tell)),
        *source,
        Step(name="venv", title="Folder", check=lambda: tasks.bad_venv(job), do=lambda tell: tasks.make_venv(job, tell)),
        Step(name="heal", title="Leftovers of an interrupted installation", check=lambda: tasks.halves(job), do=lambda tell: tasks.heal(job, tell)),
        Step(name="wheels", title=f"Download of PyTorch ({torch_set.title})", check=lambda: tasks.no_wheels(job), do=lambda tell: tasks.fetch_wheels(job, tell)),
        Step(name="torch", title=f"PyTorch ({torch_set.title})", check=lambda: tasks.no_torch(job), do=lambda tell: tasks.install_torch(job, tell)),
        Step(name="packages", title="Packages", check=lambda: tasks.wrong_packages(job), do=lambda tell: tasks.install_packages(job, tell)),
        Step(name="accelerate", title="accelerate's configuration (fp8)", check=lambda: tasks.no_config(job), do=lambda tell: tasks.write_config(job, tell)),
        *tokenizers,
        Step(name="proof", title="Proof", check=lambda: tasks.not_proved(job), do=lambda tell: tasks.prove(job, tell)),
        Step(name="current", title="From now on the one that is used", check=lambda: tasks.not_current(job), do=lambda _: tasks.make_current(job)),
    ]  # fmt: skip


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

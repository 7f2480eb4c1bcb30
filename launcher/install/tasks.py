"""The steps of `trainer`, one by one: what each looks at, and what it does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.errors import InstallError, LauncherError
from launcher.install import accelerate, generations, packages, proof
from launcher.install.default_index import with_index
from launcher.install.engine import compile_bytecode, find_uv
from launcher.install.generations import remove
from launcher.install.pins import exact
from launcher.install.wheels import download_of, find_wheels, require_room
from launcher.install.wheels import fetch_wheels as fetch
from launcher.machine import free_disk_mib
from launcher.paths import venv_python

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.install.commands import Commands
    from launcher.install.findings import Report
    from launcher.install.index import PipSettings
    from launcher.install.job import Job
    from launcher.install.pins import Version
    from launcher.install.steps import Tell
    from launcher.install.wheels import Wheel
    from launcher.paths import Paths

START_TIMEOUT_S = 60.0
MIB = 1 << 20
# The proof's imports write the bytecode of most; a training imports more of these. All packages would be 9,700 files,
# 37 s of processor time and 200 MB, nearly all of it never asked for.
COMPILED = ("accelerate", "bitsandbytes", "diffusers", "rich", "safetensors", "torchvision")


# --- room and Python


def no_space(job: Job) -> str | None:
    """Room matters while torch is still to come: the rest is small beside it."""
    if no_torch(job) is None:
        return None
    free = free_disk_mib(job.folder)
    return None if free is None or free >= job.torch_set.disk_mib else f"{free} MiB are free"


def refuse_space(job: Job) -> None:
    raise InstallError(
        f"The drive is too full: about {job.torch_set.disk_mib} MiB are needed, {free_disk_mib(job.folder)} MiB are free.",
        why=f"The training environment lies in {job.folder}.",
        fix="Make room on this drive, or move the whole folder to another one, then start this again.",
    )


def no_python(job: Job) -> str | None:
    return None if job.python is not None else job.intent.interpreter.reason


def bring_python(job: Job, tell: Tell) -> None:
    from launcher.install.interpreter import bring_python as bring

    job.python = bring(job.commands, find_uv(job.commands), job.version, job.paths.pythons, tell)


# --- the trainer's code and its tokenizers


def bad_code(job: Job) -> str | None:
    from launcher.install.source import state_of

    pin, code = job.pins.source, job.code
    if pin is None or code is None:
        return None
    return state_of(code, pin).reason


def fetch_code(job: Job, tell: Tell) -> None:
    from launcher.install.source import ensure_source

    pin, code = job.pins.source, job.code
    if pin is None or code is None:
        return
    ensure_source(
        job.commands, pin, code, given=job.intent.wish.source, cache=job.paths.sources,
        settings=job.commands.settings, tell=tell,
    )  # fmt: skip


def no_tokenizers(job: Job) -> str | None:
    from launcher.install.tokenizers import missing_tokenizers

    return missing_tokenizers(job.paths.tokenizers)


def fetch_tokenizers(job: Job, tell: Tell) -> None:
    from launcher.install.tokenizers import ensure_tokenizers

    given = job.intent.wish.tokenizers
    ensure_tokenizers(
        job.paths.tokenizers, given=given, settings=job.commands.settings,
        tell=tell, log=job.commands.log,
    )  # fmt: skip


# --- the environment's folder


def bad_venv(job: Job) -> str | None:
    version = _venv_version(job)
    if version is None:
        return "there is none that starts"
    return None if version == job.version else f"it has Python {version[0]}.{version[1]}"


def make_venv(job: Job, tell: Tell) -> None:
    if job.python is None:
        raise InstallError("There is no Python to make the environment from.")
    remove(job.venv)
    job.engine.make(job.venv, job.python, tell)


def _venv_version(job: Job) -> Version | None:
    if packages.site_packages(job.venv) is None or not job.venv_python.exists():
        return None
    words = [str(job.venv_python), "-I", "-c", "import sys; print('python', *sys.version_info[:2])"]
    try:
        finished = job.commands.call(words, timeout_s=START_TIMEOUT_S)
    except LauncherError:
        return None
    said = finished.output.split()
    return (int(said[1]), int(said[2])) if finished.code == 0 and said[:1] == ["python"] else None


def halves(job: Job) -> str | None:
    found = [f"{damage.name}: {damage.reason}" for damage in packages.broken(job.venv)]
    return "; ".join(found) or None


def heal(job: Job, tell: Tell) -> None:
    found = packages.broken(job.venv)
    job.engine.forget([damage.name for damage in found if damage.is_cut])
    packages.heal(found)
    tell(f"to be installed again: {', '.join(damage.name for damage in found)}")


# --- torch and packages


def no_torch(job: Job) -> str | None:
    """Why the torch family must be installed, or None. The fallback's build tag does not count: it is what was to be had."""
    present = packages.installed(job.venv)
    wanted = dict(map(exact, job.torch_set.packages))
    if job.attention == "sdpa":  # given up in the proof
        wanted.pop("xformers", None)
    if all(present.get(name) == version for name, version in wanted.items()):
        return None
    spare = dict(map(exact, job.torch_set.fallback))
    if spare and all(present.get(name, "").partition("+")[0] == version for name, version in spare.items()):
        return None
    name, version = next((n, v) for n, v in wanted.items() if present.get(n) != v)
    found = present.get(name)
    return f"{name} is {found} and should be {version}" if found else f"{name} {version} is not installed"


def no_wheels(job: Job) -> str | None:
    if no_torch(job) is None or (job.wheels and all(wheel.is_file() for wheel in job.wheels)):
        return None
    return "it has not been fetched yet"


def fetch_wheels(job: Job, tell: Tell) -> None:
    """Find the exact builds, tell how much they are, and fetch them: an interrupted download goes on where it stopped."""
    settings, folder, log = searching(job.paths, job.commands), job.paths.wheels, job.commands.log
    found = find_wheels(job.torch_set, job.version, settings, folder=folder, tell=tell, log=log)
    tell(f"{', '.join(_names(found))}: {download_of(found).in_words()}", keep=True)
    require_room(found, folder)
    job.remember()
    job.wheels = fetch(found, folder, settings=settings, tell=tell, log=log)


def searching(paths: Paths, commands: Commands) -> PipSettings:
    """The settings for looking through indexes ourselves: with pip's own default index, if the user named none."""
    return with_index(
        commands.settings, commands, python=venv_python(paths.launcher_venv), uv=find_uv(commands)
    )


def _names(wheels: Sequence[Wheel]) -> Iterator[str]:
    """The family's own by name and version, what they bring along by number."""
    own = [wheel for wheel in wheels if not wheel.name.startswith("nvidia-")]
    yield from (f"{wheel.name} {wheel.version} from {wheel.source}" for wheel in own)
    if len(own) < len(wheels):
        yield f"{len(wheels) - len(own)} libraries of NVIDIA"


def install_torch(job: Job, tell: Tell) -> None:
    job.engine.install_files(job.venv, job.wheels, tell)


def wrong_packages(job: Job) -> str | None:
    present = packages.installed(job.venv)
    wrong = [name for name, version in job.planned().items() if present.get(name) != version]
    if wrong:
        return f"missing or in another version: {', '.join(sorted(wrong))}"
    return job.engine.check(job.venv)


def install_packages(job: Job, tell: Tell) -> None:
    """Everything else, each in the one version of the lock, by its hash: nothing is resolved, so nothing is replaced."""
    lock = job.pins.lock_file(job.torch_set.name)
    download = job.engine.look_lock(job.venv, lock).download
    if download:
        tell(f"to download: {download.in_words()}", keep=True)
    coming = download.known_bytes - download.local_bytes if download and not download.unknown else None
    job.engine.install_lock(job.venv, lock, tell, total=coming or None)
    left = job.engine.check(job.venv)
    if left is None:
        return
    # The PyTorch index may give torch other small dependencies than the lock was made with.
    tell(f"completing: {left}", keep=True)
    exactly = [f"{name}=={version}" for name, version in job.planned().items()]
    job.engine.install(job.venv, exactly, tell)


# --- accelerate, proof, swap


def no_config(job: Job) -> str | None:
    return accelerate.wrong_config(job.folder / "accelerate.yaml", job.pins.accelerate)


def write_config(job: Job, tell: Tell) -> None:
    for question in accelerate.QUESTIONS:
        tell(f"{question.text} {question.answer}", keep=True)
    accelerate.write_config(job.folder / "accelerate.yaml", job.pins.accelerate)


def not_proved(job: Job) -> str | None:
    return None if job.report is not None else "it has to show that it works"


def prove(job: Job, tell: Tell) -> None:
    """Try everything that training needs; without xformers if that does not work. Only then the marker is written."""
    tell("trying everything that training needs (the first time takes a while)")
    report = _probe(job, tell)
    if report.must_remove_xformers:
        tell(f"xformers does not work here ({report.attention_reason}): without it, by SDPA", keep=True)
        job.attention, job.attention_reason = report.attention, report.attention_reason
        job.engine.remove(job.venv, ["xformers"], tell)
        report = _probe(job, tell)
    compile_bytecode(job.commands, job.venv, COMPILED, tell, code=job.code)
    if hasattr(os, "sync"):
        os.sync()  # the marker must not reach the disk before the packages: a power cut would leave it alone
    proof.record(job.folder, job.pins, job.torch_set.name, job.engine.name, report)
    job.report = report


def _probe(job: Job, tell: Tell) -> Report:
    planned = job.planned()
    return proof.probe(
        job.commands, job.venv_python, job.code, job.pins, planned, torch_set=job.torch_set,
        attention=job.attention, attention_reason=job.attention_reason, tokenizers=job.paths.tokenizers if job.pins.source else None,
        accelerate_config=job.folder / "accelerate.yaml" if "accelerate" in planned else None, tell=tell,
    )  # fmt: skip


def not_current(job: Job) -> str | None:
    return (
        None if job.paths.generations(job.pins.name)[:1] == (job.number,) else "the new environment is proved"
    )


def make_current(job: Job) -> None:
    generations.make_current(job.paths, job.pins.name, job.number)

"""The packages that run a tagger, and the Python that they run in.

It is the training environment's Python with its numpy, Pillow, OpenCV and torch (whose CUDA libraries onnxruntime
uses), but onnxruntime itself lies in a folder of its own beside the environments, and only the worker looks into it.
Put into the environment it would change what was proved: `repair` compares an environment with its record, an update
makes a new one without it, and a second protobuf or numpy that came along could break a training. Like this an
environment stays as it was proved, and the folder can be thrown away at any time.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import InputError, InstallError
from launcher.files import read_json, write_json
from launcher.paths import command

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.install.commands import Commands
    from launcher.install.steps import Tell
    from launcher.machine import Machine
    from launcher.paths import Paths

TRAINERS = ("sd-scripts", "sd-scripts-fp8", "rehearsal")
CPU, CUDA = "cpu", "cuda12"
OPENCV = "opencv"
OPENCV_PACKAGES = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")
FIRST_WITHOUT_GPU = (3, 14)  # no wheel of the GPU build
SIZES_MB = {CPU: 17, CUDA: 300, OPENCV: 50}  # downloads, as seen


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """What the worker runs in."""

    trainer: str  # whose environment
    python: Path
    packages: Path  # onnxruntime lies here
    locks: tuple[Path, ...]  # what must be in there
    wants_gpu: bool
    note: str = ""  # why not on the graphics card

    @property
    def download_mb(self) -> int:
        return sum(SIZES_MB[lock.stem.removeprefix("tagger-")] for lock in self.locks)

    @property
    def key(self) -> str:
        digest = hashlib.sha256(str(self.python.parent).encode("utf-8", "surrogateescape"))
        for lock in self.locks:
            digest.update(lock.read_bytes())
        return digest.hexdigest()


def choose(paths: Paths, machine: Machine, *, device: str) -> Runtime:
    """The environment and the build of onnxruntime.

    Raises:
        InstallError: no training environment is ready.
    """
    from launcher.install import trainer_ready
    from launcher.install.packages import installed

    trainer = next((name for name in TRAINERS if trainer_ready(paths, name) is None), None)
    if trainer is None:
        raise InstallError(
            "The tagger runs in a training environment, and none is ready.",
            fix=f"Make one: {command('install')}",
        )
    ready = read_json(paths.generation(trainer) / "ready.json")
    version = _version(str(ready.get("python", "")))
    cuda = _cuda_of(paths, trainer, str(ready.get("torch_set")))
    note = (
        "it was asked for (--device cpu)" if device == CPU else _why_not_gpu(machine, trainer, cuda, version)
    )
    build = CPU if note else CUDA
    has_opencv = any(name in installed(paths.trainer_venv(trainer)) for name in OPENCV_PACKAGES)
    parts = (build,) if has_opencv else (build, OPENCV)
    return Runtime(
        trainer=trainer, python=paths.trainer_python(trainer), wants_gpu=not note, note=note,
        packages=paths.tagger / f"{trainer}-{paths.generation(trainer).name}-{build}",
        locks=tuple(paths.pins / "locks" / f"tagger-{part}.txt" for part in parts),
    )  # fmt: skip


def _cuda_of(paths: Paths, trainer: str, torch_set: str) -> str:
    """The CUDA version of an environment's torch; empty for a CPU build."""
    from launcher.install.pins import load_pins

    found = load_pins(paths, trainer).sets.get(torch_set)
    return (found.cuda if found else None) or ""


def _why_not_gpu(machine: Machine, trainer: str, cuda: str, version: tuple[int, ...]) -> str:
    """Why it works on the processor; empty when the card can do it."""
    if machine.gpu is None:
        return "there is no NVIDIA card here"
    if not cuda.startswith("12."):
        have = f"CUDA {cuda}" if cuda else "a CPU build of torch"
        return f"the environment `{trainer}` has {have}, and onnxruntime needs CUDA 12"
    if version >= FIRST_WITHOUT_GPU or machine.arch != "x86_64":
        return "there is no GPU build of onnxruntime for this Python and system"
    return ""


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def missing(runtime: Runtime) -> str | None:
    """Why the packages must be installed, or None."""
    try:
        note = read_json(_marker(runtime))
    except InputError:
        return "they are not installed"
    return None if isinstance(note, dict) and note.get("key") == runtime.key else "other versions are planned"


def install(runtime: Runtime, commands: Commands, tell: Tell) -> None:
    """Put the packages into their folder; the marker comes last.

    Raises:
        InstallError: they cannot be had.
    """
    from launcher.install.engine import choose_engine

    shutil.rmtree(runtime.packages, ignore_errors=True)
    runtime.packages.mkdir(parents=True, exist_ok=True)
    engine = choose_engine(commands)
    words = ["--target", str(runtime.packages), "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    for lock in runtime.locks:
        words += ["--requirement", str(lock.absolute())]
    if engine.name == "uv":
        from launcher.install.uv_engine import FOREIGN, UvEngine

        assert isinstance(engine, UvEngine)  # noqa: S101  (its name says so)
        done = commands.uv(
            engine.program, ["pip", "install", "--python", str(runtime.python), *words], tell, dict.fromkeys(FOREIGN)
        )  # fmt: skip
    else:
        done = commands.pip(runtime.python, ["install", *words], tell)
    commands.need(done, "The packages of the tagger could not be installed.")
    write_json(_marker(runtime), {"key": runtime.key, "locks": [lock.name for lock in runtime.locks]})


def spoil(runtime: Runtime) -> None:
    """They do not work: the next start installs them anew."""
    _marker(runtime).unlink(missing_ok=True)


def _marker(runtime: Runtime) -> Path:
    return runtime.packages / "ready.json"

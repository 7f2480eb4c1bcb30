"""When a training environment counts as ready: it has proved itself, and nothing it was planned from has changed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, InstallError
from launcher.files import read_json, write_atomic, write_json
from launcher.paths import COMMAND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.install.commands import Commands
    from launcher.install.pins import Pins
    from launcher.paths import Paths

VERSION = 2
PROBE = Path(__file__).with_name("probe.py")
PROBE_TIMEOUT_S = 600.0  # the first import of torch compiles thousands of files, on a slow disk for minutes
RESULT = "probe-result "  # before the JSON: libraries print what they like
# Byte for byte what `accelerate config` 0.25.0 writes; 0.25.0, 0.30.0, 1.6.0 and 1.15.0 accept it (install facts,
# section 2.6). fp8 stands here because the user asked for it; every launch line says --mixed_precision again, because
# accelerate 1.6 and later crash on the file alone (section 2.3).
ACCELERATE_CONFIG = """\
compute_environment: LOCAL_MACHINE
debug: false
distributed_type: 'NO'
downcast_bf16: 'no'
gpu_ids: all
machine_rank: 0
main_training_function: main
mixed_precision: fp8
num_machines: 1
num_processes: 1
rdzv_backend: static
same_network: true
tpu_env: []
tpu_use_cluster: false
tpu_use_sudo: false
use_cpu: false
"""


def marker(paths: Paths, name: str) -> Path:
    return paths.generation(name) / "ready.json"


def pins_file(paths: Paths, name: str) -> Path:
    return paths.pins / f"{name}.toml"


def pins_text(raw: bytes) -> str:
    """What is compared of a pins file: not its line ends, which git changes on Windows.

    The text itself, no hash of it: the menu asks at every start, and hashlib would cost it more than the comparison.
    """
    return raw.replace(b"\r\n", b"\n").decode("utf-8", "replace")


def not_ready(paths: Paths, name: str, torch_set: str | None = None) -> str | None:
    """Why the environment cannot be used (for this torch build), or None. Starts nothing."""
    try:
        ready = read_json(marker(paths, name))
        pins = pins_text(pins_file(paths, name).read_bytes())
        has_python = paths.trainer_python(name).exists()
    except (InputError, OSError):
        return "it is not installed, or its installation was not finished"
    if not isinstance(ready, dict):
        return "its record is damaged"
    reasons = {
        "it was made by another version of the launcher": ready.get("v") != VERSION,
        "the versions it is planned from have changed": ready.get("pins") != pins,
        f"it has the torch build `{ready.get('torch_set')}`": torch_set not in {None, ready.get("torch_set")},
        "its Python is gone": not has_python,
        "its accelerate.yaml is missing or was changed": not has_accelerate_config(paths, name),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def has_accelerate_config(paths: Paths, name: str) -> bool:
    try:
        return paths.accelerate_config(name).read_bytes() == ACCELERATE_CONFIG.encode()
    except OSError:
        return False


def write_accelerate_config(paths: Paths, name: str) -> None:
    write_atomic(paths.accelerate_config(name), ACCELERATE_CONFIG.encode())


def forget(paths: Paths, name: str) -> None:
    marker(paths, name).unlink(missing_ok=True)


def record(paths: Paths, pins: Pins, torch_set: str, engine: str, probe: Mapping[str, Any]) -> None:
    """Write the marker: from now on the environment counts as ready."""
    write_json(
        marker(paths, pins.name),
        {
            "v": VERSION,
            "trainer": pins.name,
            "torch_set": torch_set,
            "pins": pins.text,
            "engine": engine,
            "made": round(time.time(), 3),
            **probe,
        },
    )


def probe(commands: Commands, paths: Paths, pins: Pins, planned: Mapping[str, str]) -> dict[str, Any]:
    """Try inside the environment what training will need.

    Returns:
        `python` and `versions` as found there, and what the operations told (`cuda`, `device`).

    Raises:
        InstallError: something does not work, or has another version than planned.
    """
    python = paths.trainer_python(pins.name)
    question = {
        "imports": pins.proof_imports,
        "operations": pins.proof_operations,
        "versions": sorted(planned),
    }
    finished = commands.call(  # -I: nothing beside the probe, in the current folder or in the user's own site is taken
        [str(python), "-I", "-X", "utf8", str(PROBE), json.dumps(question)],
        {"CUDA_MODULE_LOADING": "LAZY"}, timeout_s=PROBE_TIMEOUT_S,
    )  # fmt: skip
    answer = parse_answer(finished.output)
    if finished.code or answer is None:
        commands.need(finished, "The new environment does not start.")
        raise InstallError("The new environment gave no answer.", where=str(commands.log.path))
    problems = [str(problem) for problem in answer.pop("problems", [])]
    found = answer["versions"]
    problems += [
        f"{package} is {found.get(package)} and should be {version}"
        for package, version in planned.items()
        if found.get(package) != version
    ]
    if problems:
        raise InstallError(
            "The new environment does not pass its proof.",
            why="\n".join(problems),
            fix=f"Type `{COMMAND} repair`; if that does not help, send the log along.",
            where=str(commands.log.path),
        )
    return answer


def parse_answer(output: str) -> dict[str, Any] | None:
    """The probe's JSON among what libraries printed."""
    for line in reversed(output.splitlines()):
        if line.startswith(RESULT):
            try:
                answer = json.loads(line.removeprefix(RESULT))
            except ValueError:
                return None
            return answer if isinstance(answer, dict) and isinstance(answer.get("versions"), dict) else None
    return None

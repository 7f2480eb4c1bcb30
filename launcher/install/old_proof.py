"""The proof of 0.1.0, for `trainer.py` as it was; to be deleted together with `old_probe.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InstallError
from launcher.paths import COMMAND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.install.commands import Commands
    from launcher.install.pins import Pins
    from launcher.paths import Paths

PROBE = Path(__file__).with_name("old_probe.py")
PROBE_TIMEOUT_S = 600.0
RESULT = "probe-result "


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

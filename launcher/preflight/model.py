"""Are the base model and the other files that the plan names really there?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity
from launcher.plan import is_there

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan

WITHOUT_MODEL = frozenset({"rehearsal"})  # trainers that bring a small model of their own
MOST_HEADER_BYTES = 100 * 1024 * 1024  # the limit of the safetensors library
FILES = (
    "sample_prompts",
    "vae",
    "network_weights",
    "base_weights",
    "conditioning_data_dir",
    "log_tracker_config",
)


def check_model(_paths: Paths, plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """A trainer that needs a base model has one, and it is a whole safetensors file."""
    if plan.trainer in WITHOUT_MODEL:
        return
    if plan.model is None:
        yield Problem(
            severity=Severity.ERROR, what="no base model is named", why=f"the trainer {plan.trainer} needs one",
            fix="name an SDXL checkpoint: --model FILE.safetensors",
        )  # fmt: skip
        return
    reason = why_no_checkpoint(plan.model)
    if reason:
        yield Problem(
            severity=Severity.ERROR, what=f"the base model cannot be used: {reason}", fix="check the path, or download the file again",
            where=str(plan.model),
        )  # fmt: skip


def why_no_checkpoint(path: Path) -> str | None:  # noqa: PLR0911  (one return for each way to be broken)
    """Why a file is no safetensors checkpoint, or None. Reads the header only."""
    try:
        if path.is_dir():
            return "it is a folder"
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(MOST_HEADER_BYTES, size - 8):
                return "it is not a safetensors file, or only the beginning of one"
            header = json.loads(stream.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except FileNotFoundError:
        return "it is not there"
    except OSError as error:
        return error.strerror or str(error)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return "its header is damaged"
    if not ends or size < 8 + length + max(ends):
        return "its end is missing: the download was interrupted"
    return None


def check_files(_paths: Paths, plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """Files named by options (prompts, VAE, weights to start from) are there."""
    for name in FILES:
        setting = plan.options.get(name)
        if setting is None:
            continue
        for value in setting.value if isinstance(setting.value, list) else [setting.value]:
            if value and not is_there(Path(str(value))):
                yield Problem(
                    severity=Severity.ERROR, what=f"{name} names a file that is not there: {value}",
                    fix="check the path; a relative one starts at the preset's folder", where=f"{setting.source} ({name})",
                )  # fmt: skip

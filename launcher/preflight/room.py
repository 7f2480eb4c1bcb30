"""Will all that a run writes fit on the disk?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import Problem, Severity
from launcher.forecast.disk import SPARE_MIB, cache_bytes, is_beside, writes_of
from launcher.machine import MIB, free_disk_mib
from launcher.plan import parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan


def check_room(paths: Paths, plan: Plan, _machine: Machine) -> Iterator[Problem]:
    """Free space against a forecast of saves, states and caches."""
    yield from _beside(plan)
    free = free_disk_mib(paths.runs)
    if free is None:
        return
    need = writes_of(plan)
    least, total = need.least // MIB + SPARE_MIB, need.total // MIB + SPARE_MIB
    if free < least:
        yield Problem(
            severity=Severity.ERROR, what=f"the disk is nearly full: {free} MiB are free, {least} MiB are needed at least",
            why=f"a save takes {_mib(need.lora)} and a state {_mib(need.state)} MiB", fix="make room, or set LAUNCHER_HOME to a folder on another disk",
            where=str(paths.runs),
        )  # fmt: skip
    elif free < total:
        yield Problem(
            severity=Severity.WARNING, what=f"the disk may become full: {free} MiB are free, the run may write {total} MiB",
            why=f"{need.saves} saves of {_mib(need.lora)} MiB, and {need.states} states of {_mib(need.state)} MiB at a time",
            fix="make room, or save less often: --set save_every_n_steps=…", where=str(paths.runs),
        )  # fmt: skip


def _beside(plan: Plan) -> Iterator[Problem]:
    """Caches that the user wants beside the images need room there."""
    if not is_beside(plan):
        return
    folders = [part.folder.path for part in parts_of(plan.dataset)]
    free = free_disk_mib(folders[0]) if folders else None
    need = _mib(cache_bytes(plan)) + SPARE_MIB
    if free is not None and free < need:
        yield Problem(
            severity=Severity.ERROR, what=f"the disk with the images is nearly full: {free} MiB are free, the caches need {need} MiB",
            fix="make room, or let the caches go to the launcher's own folder: --set launcher.cache_images=folder", where=str(folders[0]),
        )  # fmt: skip


def _mib(size: int) -> int:
    return -(-size // MIB)

"""What is measured around the training beside card and RAM: disks, swap space, battery."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.files import read_json

if TYPE_CHECKING:
    from launcher.paths import RunPaths

MIB = 1 << 20
ASIDE = ".tmp-"  # launcher.states writes aside under such names
OWN_EVERY_S = 30.0  # a look at every file of the run: some hundred at most
CACHE_VARIABLE = "LAUNCHER_CACHE_DIR"


class Surroundings:
    """Whatever cannot be measured is left out or null."""

    def __init__(self, run: RunPaths) -> None:
        self._run = run
        self._cache = cache_elsewhere(run)
        self._own_at: float | None = None

    def look(self) -> dict[str, Any]:
        """Fields of a sample, in MiB: `disk_free_mib`, `swap_used_mib`; `making_mib` (states that are being written or
        removed) when there are any; now and then `own_mib` (what the run holds itself);
        `cache_free_mib` where the caches lie on another disk; `battery` {pct, plugged} on a laptop.
        """
        found: dict[str, Any] = {
            "disk_free_mib": free_mib(self._run.folder),
            "swap_used_mib": swap_used_mib(),
        }
        making = making_mib(self._run.states)
        if making:
            found["making_mib"] = making
        now = time.monotonic()
        if self._own_at is None or now - self._own_at >= OWN_EVERY_S:
            self._own_at = now
            found["own_mib"] = size_mib(self._run.folder)
        if self._cache is not None:
            found["cache_free_mib"] = free_mib(self._cache)
        power = battery()
        if power is not None:
            found["battery"] = power
        return found


def cache_elsewhere(run: RunPaths) -> Path | None:
    """The folder of the run's caches, where that is another disk than the run's."""
    try:
        named = read_json(run.plan)["env"][CACHE_VARIABLE]
        folder = next(path for path in (Path(named), *Path(named).parents) if path.is_dir())
        return folder if folder.stat().st_dev != run.folder.stat().st_dev else None
    except (InputError, KeyError, TypeError, ValueError, OSError, StopIteration):
        return None


def free_mib(folder: Path) -> int | None:
    try:
        return round(shutil.disk_usage(folder).free / MIB)
    except OSError:
        return None


def size_mib(folder: Path) -> int:
    """Size of all files below `folder`, links not followed; what vanishes meanwhile counts as nothing."""
    total, folders = 0, [os.fspath(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return round(total / MIB)


def making_mib(states: Path) -> int:
    """Size of the states that are being written aside, or removed."""
    return sum(size_mib(path) for path in states.glob(f"{ASIDE}*"))


def swap_used_mib() -> int | None:
    import psutil

    try:
        return round(psutil.swap_memory().used / MIB)
    except (OSError, RuntimeError, psutil.Error):  # a Windows whose performance counters are broken
        return None


def battery() -> dict[str, Any] | None:
    """`pct` and `plugged` (null: the system does not know); None without a battery."""
    import psutil

    try:
        found = getattr(psutil, "sensors_battery", lambda: None)()
    except (OSError, RuntimeError, ValueError, psutil.Error):
        return None
    return None if found is None else {"pct": round(found.percent), "plugged": found.power_plugged}

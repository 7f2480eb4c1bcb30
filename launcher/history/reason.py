"""Why a run was paused by itself, and whether that reason has gone: the guard wrote it into the request that it made."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.paths import RunPaths

MIB = 1 << 20
MOST_BYTES = 8 << 10
LONGEST = 500
TITLES = {"disk-full": "the disk was nearly full", "on-battery": "it ran on its battery"}
GONE = {"disk-full": "there is room again", "on-battery": "it is plugged in again"}
STILL = {"disk-full": "still too little room", "on-battery": "still on its battery"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Kind of the warning that paused a run, its words, what to do; `needs_mib`: free space to go on with."""

    kind: str
    message: str
    fix: str = ""
    needs_mib: int | None = None

    @property
    def title(self) -> str:
        """In half a line."""
        return TITLES.get(self.kind, self.message)


def reason_of(run: RunPaths) -> Reason | None:
    """None: somebody asked for it, or nobody did."""
    try:
        with run.pause.open("rb") as stream:
            head, _, rest = stream.read(MOST_BYTES).decode("utf-8", "replace").partition("\n")
        value = json.loads(rest)
    except (OSError, ValueError, RecursionError):
        return None
    if head.strip() != "pause" or not isinstance(value, dict) or not _text(value.get("kind")):
        return None
    needs = value.get("needs_mib")
    return Reason(
        kind=_text(value["kind"]), message=_text(value.get("message")), fix=_text(value.get("fix")),
        needs_mib=needs if isinstance(needs, int) and not isinstance(needs, bool) else None,
    )  # fmt: skip


def has_gone(reason: Reason, folder: Path) -> bool | None:
    """Whether what paused the run of `folder` is over now; None: nobody can tell."""
    if reason.kind == "disk-full" and reason.needs_mib is not None:
        try:
            return shutil.disk_usage(folder).free >= reason.needs_mib * MIB
        except OSError:
            return None
    return _is_plugged() if reason.kind == "on-battery" else None


def standing_of(reason: Reason, folder: Path) -> str:
    """`there is room again`, `still on its battery`; empty where nobody can tell."""
    gone = has_gone(reason, folder)
    return "" if gone is None else (GONE if gone else STILL).get(reason.kind, "")


def _is_plugged() -> bool | None:
    import psutil

    try:
        found = getattr(psutil, "sensors_battery", lambda: None)()
    except (OSError, RuntimeError, ValueError, psutil.Error):
        return None
    return None if found is None or found.power_plugged is None else bool(found.power_plugged)


def _text(value: Any) -> str:
    """One line of printable text: the file may have been written by anybody."""
    return "".join(sign for sign in value if sign.isprintable())[:LONGEST] if isinstance(value, str) else ""

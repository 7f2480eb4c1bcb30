"""`runs` and `report`: what has been trained."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.commands import common
from launcher.errors import RunError

if TYPE_CHECKING:
    import argparse

    from launcher.history import RunRecord
    from launcher.paths import Paths

NEWEST = 20


def runs(paths: Paths, options: argparse.Namespace) -> int:
    """List the runs, newest first."""
    from launcher.history import list_runs
    from launcher.ui import console

    records = list_runs(paths, limit=None if options.all or options.json else NEWEST)
    if options.json:
        console.write_json([run_json(record) for record in records])
    else:
        console.show_runs(records)
    return 0


def run_json(record: RunRecord) -> dict[str, object]:
    """What a program wants to know of a run."""
    from launcher.commands.ending import failure_json

    return {
        "id": record.id,
        "name": record.name,
        "folder": str(record.folder),
        "preset": record.preset,
        "trainer": record.trainer,
        "status": record.status.value,
        "created": record.created,
        "ended": record.ended,
        "step": record.step,
        "total_steps": record.total_steps,
        "last_state": record.last_state,
        "error": record.error,
        "failure": failure_json(record),
        "paused_because": _reason_json(record),
        "parent": record.parent,
        "resumed_by": record.resumed_by,
    }


def _reason_json(record: RunRecord) -> dict[str, object] | None:
    """Why it was paused by itself, and whether that is over; null: somebody paused it, or nobody did."""
    from launcher.history import has_gone

    reason = record.reason
    if reason is None:
        return None
    gone = has_gone(reason, record.folder)
    return {"kind": reason.kind, "message": reason.message, "fix": reason.fix, "has_gone": gone}


def report(paths: Paths, options: argparse.Namespace) -> int:
    """Write the report of a run, and show it when asked."""
    from launcher.history import find_run
    from launcher.ui import console

    path = common.write_report(paths, find_run(paths, options.run))
    if path is None:
        raise RunError("there is no report to show")
    console.out(path)
    if options.open:
        webbrowser.open(Path(path).as_uri())
    return 0

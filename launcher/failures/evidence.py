"""Gathers what a run folder holds of a failure: the shim's error event, the end of the log, the plan's options."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.events import parse_event
from launcher.failures.explain import Explanation, explain, explain_kind
from launcher.failures.rule import Evidence
from launcher.files import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.paths import RunPaths

EVENTS_BYTES = 256 << 10  # an error is among the last events, its traceback has at most 8000 characters
LOG_BYTES = 32 << 10
SAMPLE_BYTES = 32 << 10


def evidence_of(run: RunPaths, failure: Mapping[str, str] | None = None) -> Evidence:
    """All that is known. `failure` is what `state.json` says; the shim's own last error knows more of the same."""
    failure = failure or {}
    event = _last_error(run.events)
    is_same = not failure or event.get("error") == failure.get("error")
    known = event if event and is_same else failure
    return Evidence(
        error=_text(known.get("error")),
        message=_text(known.get("message")),
        traceback=_text(known.get("traceback")),
        phase=_text(known.get("phase")),
        log=_tail(run.log, LOG_BYTES).decode("utf-8", "replace"),
        values=plan_values(run),
        others=_others(run.gpu),
    )


def explain_run(run: RunPaths, failure: Mapping[str, str] | None) -> Explanation | None:
    """How a run failed, in words; None when it did not."""
    if not failure:
        return None
    evidence = evidence_of(run, failure)
    kind = failure.get("kind", "")
    return explain_kind(kind, evidence) if kind else explain(evidence)


def plan_values(run: RunPaths) -> dict[str, object]:
    """The options of the run's plan, the launcher's switches among them (`launcher.NAME`); empty when it is damaged."""
    try:
        plan = read_json(run.plan)
    except InputError:
        return {}
    options = plan.get("options") if isinstance(plan, dict) else None
    if not isinstance(options, dict):
        return {}
    return {str(name): item.get("value") for name, item in options.items() if isinstance(item, dict)}


def _others(samples: Path) -> tuple[str, ...]:
    """Who else was on the card when it was last nearly full, the largest first; among the last minutes' samples."""
    for line in reversed(_tail(samples, SAMPLE_BYTES).splitlines()):
        if b'"others"' not in line:
            continue
        try:
            gpus = json.loads(line)["gpus"]
            return tuple(str(other["name"])[:40] for gpu in gpus for other in gpu.get("others", ()))[:3]
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return ()


def _last_error(path: Path) -> dict[str, Any]:
    for line in reversed(_tail(path, EVENTS_BYTES).splitlines()):
        if b'"error"' not in line:
            continue
        event = parse_event(line)
        if event is not None and event["type"] == "error":
            return event
    return {}


def _tail(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - most))
            return stream.read(most)
    except OSError:
        return b""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

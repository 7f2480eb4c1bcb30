"""How a run ended, when all its processes are gone: from its last event, its exit code, and the end of its log."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.events import Status
from launcher.failures import UNKNOWN, evidence_of, explain

if TYPE_CHECKING:
    from launcher.history.record import Failure
    from launcher.history.tally import Tally
    from launcher.paths import RunPaths

TAIL_BYTES = 32 << 10
MAX_MESSAGE = 500
# `torch.OutOfMemoryError: CUDA ...`; CalledProcessError is accelerate's word for "my child failed" and says nothing.
ERROR_LINE = re.compile(
    r"^(?:[\w.]+\.)?(\w*(?:Error|Exception|Exit|Interrupt|Failure))(?:: (.*))?$", re.MULTILINE
)
KILLED = re.compile(r"died with <Signals\.(\w+): \d+>")
CRASHES = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"}  # the process's own doing
WINDOWS_CRASH = re.compile(
    r"returned non-zero exit status (322\d{7}|-107374\d{4})"
)  # 0xC0000005 and its kind


def conclude(run: RunPaths, tally: Tally, exit_code: int | None) -> tuple[Status, Failure | None]:
    """Status and error, with its kind in `launcher.failures`. `exit_code` is None when nobody was there to see it."""
    status, failure = _end_of(run, tally, exit_code)
    if failure is None:
        return status, None
    kind = explain(replace(evidence_of(run, failure), exit_code=exit_code)).kind
    return status, failure if kind == UNKNOWN else {**failure, "kind": kind}


def _end_of(run: RunPaths, tally: Tally, exit_code: int | None) -> tuple[Status, Failure | None]:
    if tally.ended and not tally.ended.is_live:
        return tally.ended, tally.error if tally.ended is Status.FAILED else None
    if is_stop_requested(run):
        return Status.CANCELLED, None
    if tally.error:  # killed between its error and its end
        return Status.FAILED, tally.error
    return _without_word(read_tail(run), exit_code, was_started=tally.process is not None)


def _without_word(log: str, exit_code: int | None, *, was_started: bool) -> tuple[Status, Failure | None]:
    """The shim said nothing: it was killed, it never came so far, or its disk was full."""
    crash = _crash(log, exit_code)
    if crash:
        return Status.FAILED, {"error": "Crash", "message": crash}
    was_seen_failing = exit_code is not None and exit_code > 0 and not KILLED.search(log)
    own = error_in(log) if was_seen_failing or not was_started else None
    if own:
        return Status.FAILED, own
    if exit_code == 0:
        message = "it ended without an error, and without having trained"
        return Status.FAILED, {"error": "NothingTrained", "message": message}
    if was_seen_failing and not was_started:
        return Status.FAILED, {"error": "Start", "message": f"it never started: {_last_line(log)}"}
    return Status.INTERRUPTED, {"error": "Interrupted", "message": _interruption(log, exit_code)}


def is_stop_requested(run: RunPaths) -> bool:
    """Whether somebody asked this run to end for good."""
    try:
        return run.pause.read_text(encoding="utf-8", errors="replace").split()[:1] == ["stop"]
    except OSError:
        return False


def read_tail(run: RunPaths) -> str:
    """The end of the raw log; empty when there is none."""
    try:
        with run.log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
            return stream.read().decode("utf-8", "replace").replace("\r\n", "\n")
    except OSError:
        return ""


def error_in(log: str) -> Failure | None:
    """The last error that a Python program told in a log, accelerate's own echo of it aside."""
    found = [match for match in ERROR_LINE.finditer(log) if match[1] != "CalledProcessError"]
    if not found:
        return None
    name, message = found[-1][1], found[-1][2] or ""
    return {"error": name, "message": message[:MAX_MESSAGE] or name}


def _crash(log: str, exit_code: int | None) -> str | None:
    name = _signal(log, exit_code)
    if name in CRASHES:
        return f"the training process crashed ({name}): a driver or library fault, not a setting"
    if WINDOWS_CRASH.search(log) or (exit_code is not None and exit_code > 0xC0000000):
        return "the training process crashed (access violation or the like): a driver or library fault, not a setting"
    return None


def _signal(log: str, exit_code: int | None) -> str:
    """The signal that ended the training, by name: accelerate tells it in the log, a process without it by its code."""
    told = KILLED.search(log)
    if told:
        return told[1]
    if exit_code is None or exit_code >= 0:
        return ""
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"


def _interruption(log: str, exit_code: int | None) -> str:
    name = _signal(log, exit_code)
    if name == "SIGKILL":
        return "the training process was killed from outside (SIGKILL): by hand, or by the system for want of RAM"
    if name:
        return f"the training process was ended from outside ({name})"
    return "the process is gone and left no word: power cut, restart, or killed from outside"


def _last_line(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1][:MAX_MESSAGE] if lines else "its log is empty"

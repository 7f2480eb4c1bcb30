"""What to do next, in words: for how a run ended, and for what made it fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.events import Status
from launcher.failures import UNKNOWN, Evidence, Explanation, explain, explain_kind
from launcher.paths import command

if TYPE_CHECKING:
    from launcher.monitor import Failure


def explain_failure(failure: Failure) -> Explanation:
    """What a training error means; by its recorded kind where there is one (that has seen the log)."""
    evidence = Evidence(
        error=failure.error, message=failure.message, traceback=failure.traceback, phase=failure.phase
    )
    return explain_kind(failure.kind, evidence) if failure.kind else explain(evidence)


def error_words(failure: Failure) -> tuple[str, str]:
    """What happened and what to do, as short as the dashboard has room for."""
    found = explain_failure(failure)
    if found.kind == UNKNOWN:
        return (f"{failure.error}: {failure.message}" if failure.error else failure.message), found.fix
    return f"{found.what} {found.why}", found.fix


def next_step(status: Status, name: str, *, can_resume: bool = True) -> tuple[str, str]:
    """How it stands (words) and the command to go on with ("" when nothing is left to do)."""
    resume = command("resume", name)
    if status in {Status.PENDING, Status.RUNNING}:
        return "", ""
    if status is Status.SUCCEEDED:
        return "Finished. The report shows curves and samples:", command("report", name, "--open")
    words = {
        Status.PAUSED: "Paused.",
        Status.CANCELLED: "Stopped.",
        Status.INTERRUPTED: "The training was cut off; nothing that was saved is lost.",
        Status.FAILED: "Failed.",
    }[status]
    return f"{words} Go on from the last state with:" if can_resume else f"{words} Start again with:", resume

"""What to do next, in words: for how a run ended, and for the training errors that people meet most."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.events import Status
from launcher.paths import command

if TYPE_CHECKING:
    from launcher.monitor import Failure

# The first pattern that matches the error's name and message wins.
KNOWN = (
    (r"out ?of ?memory|OutOfMemory", "The card is full: close the browser and other programs, or lower the resolution or network_dim."),
    (r"No space left|disk full|ENOSPC", "The disk is full: make room, then resume."),
    (r"\bnan\b|not a number", "The loss broke down: lower the learning rate, or train with bf16."),
    (r"MemoryError|Cannot allocate|paging file", "The computer ran out of memory: close programs, or enlarge the paging file."),
    (r"CUDA|cuDNN|device-side|driver", "The graphics card gave up: restart the computer, then resume; if it comes again, update its driver."),
    (r"Permission|Access is denied|being used by another", "A file is held by another program (the LoRA in a web UI?): close it, then resume."),
)  # fmt: skip


def error_advice(failure: Failure) -> str:
    """One sentence on a training error."""
    text = f"{failure.error} {failure.message}"
    for pattern, words in KNOWN:
        if re.search(pattern, text, re.IGNORECASE):
            return words
    return "The whole story is at the end of train.log in the run's folder."


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

"""What the proof of an environment found, as records; and how a process ended, in words."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OK, SKIPPED, FAILED, FELL_BACK = "ok", "skipped", "failed", "fell back"
CHECK_LIMIT_S = (
    300.0  # one check: the first import of torch reads thousands of files, on a slow disk for minutes
)
TAIL_LINES = 3
TITLES = {
    "packages": "Packages",
    "torch": "PyTorch",
    "card": "Graphics card",
    "bf16": "Arithmetic in 16 bits",
    "fp8": "Weights stored in fp8",
    "fp8_file": "fp8 weights in a file",
    "sdpa": "Attention by PyTorch (SDPA)",
    "xformers": "Attention by xformers",
    "optimizer": "8-bit optimizer",
    "arrays": "Arrays (numpy)",
    "images": "Images (OpenCV)",
    "vision": "Operators of torchvision",
    "tokenizers": "Tokenizers",
}
# What is tried when a package of that name is planned; in this order, cheap things first.
CHECKS_OF = {
    "torch": ("torch", "card", "bf16", "fp8", "sdpa"),
    "safetensors": ("fp8_file",),
    "xformers": ("xformers",),
    "bitsandbytes": ("optimizer",),
    "numpy": ("arrays",),
    "opencv-python": ("images",),
    "opencv-python-headless": ("images",),
    "torchvision": ("vision",),
}
CRASHES = {  # codes of processes that Windows ended
    0xC0000005: "access violation",
    0xC000001D: "illegal instruction: this processor is too old for the build",
    0xC0000135: "a DLL is missing",
    0xC0000409: "it ended itself",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One line of the proof."""

    title: str
    value: str = ""  # what was found
    state: str = OK  # ok, skipped, failed, fell back
    detail: str = ""  # why it was skipped or what went wrong

    def to_json(self) -> dict[str, str]:
        return {"title": self.title, "value": self.value, "state": self.state, "detail": self.detail}


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What the proof found: the table to show, and what others need to know of the environment."""

    checks: tuple[Check, ...]
    python: str
    versions: Mapping[str, str]
    attention: str  # xformers or sdpa: what training may use here
    attention_reason: str
    cuda: str | None  # of torch's build
    device: str  # name of the card, or `cpu`
    capability: tuple[int, int] | None

    @property
    def must_remove_xformers(self) -> bool:
        """It is there and does not work: the environment is to be proved again without it."""
        return any(check.state == FELL_BACK for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        return {
            "python": self.python,
            "versions": dict(self.versions),
            "attention": self.attention,
            "attention_reason": self.attention_reason,
            "cuda": self.cuda,
            "device": self.device,
            "capability": list(self.capability) if self.capability else None,
            "checks": [check.to_json() for check in self.checks],
        }


class ProofError(InstallError):
    """The environment does not do what training needs; `report` has all findings, for the table."""

    def __init__(self, what: str, *, why: str, fix: str, where: str, report: Report) -> None:
        super().__init__(what, why=why, fix=fix, where=where)
        self.report = report


def death(code: int, lines: Sequence[str]) -> str:
    """How a process ended that should not have, in words."""
    if any(line.startswith("Timeout (") for line in lines):  # faulthandler's first line
        return f"it did not end within {CHECK_LIMIT_S:.0f} s"
    if code & 0xFFFFFFFF in CRASHES:
        return f"it crashed ({CRASHES[code & 0xFFFFFFFF]})"
    if code < 0:
        name = (
            signal.Signals(-code).name
            if -code in {known.value for known in signal.Signals}
            else f"signal {-code}"
        )
        return f"it crashed ({name}{': perhaps the memory was full' if name == 'SIGKILL' else ''})"
    return " / ".join(line.strip() for line in lines[-TAIL_LINES:]) or f"it ended with code {code}"

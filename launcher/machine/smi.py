"""nvidia-smi, the last to be asked: a program that takes a second, and tells the least."""

from __future__ import annotations

import re

from launcher.errors import LauncherError
from launcher.machine.cards import Cards, NoAnswerError, cards_of, first_file
from launcher.machine.records import Gpu
from launcher.process import Finished, run

TIMEOUT_S = 10.0  # without its persistence daemon the driver wakes every card first
FIELDS = ("name", "driver_version", "memory.total", "memory.free")
CAPABILITY = "compute_cap"  # only drivers from about 510 on know it
BY_NAME = (  # NVIDIA's list of compute capabilities, for drivers that do not tell
    (r"\bRTX (PRO )?50\d\d|RTX PRO \d000 Blackwell", (12, 0)), (r"\b(B100|B200|GB200)\b", (10, 0)),
    (r"\b(H100|H200|GH200)\b", (9, 0)), (r"\bRTX 40\d\d|\bL4\b|\bL40S?\b|Ada Generation", (8, 9)),
    (r"\bA100|\bA30\b", (8, 0)), (r"\bRTX 30\d\d|\bRTX A\d000|\bA(2|10|16|40)\b", (8, 6)),
    (r"\bRTX 20\d\d|\bGTX 16\d\d|\bTITAN RTX|\bQuadro RTX|\bT4\b|\bT\d00\b", (7, 5)),
    (r"\bV100|\bTITAN V\b", (7, 0)), (r"\bP100", (6, 0)), (r"\bGTX 10\d\d|\bTITAN Xp?\b|\bP40?\b|\bQuadro P", (6, 1)),
    (r"\bGTX 9\d\d|\bM40|\bM60|\bQuadro M", (5, 2)), (r"\bGTX 7[45]0", (5, 0)),
)  # fmt: skip


def ask_smi(places: tuple[str, ...], *, timeout_s: float = TIMEOUT_S) -> Cards:
    """The cards as nvidia-smi lists them, from the first of these absolute paths that is there.

    Raises:
        NoAnswerError: it is not there, cannot be started, fails, or does not end.
    """
    program = first_file(places)
    if program is None:
        raise NoAnswerError("it is in none of the folders where the driver puts it")

    def ask(*fields: str) -> Finished:
        words = [str(program), f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
        try:
            return run(words, cwd=program.parent, timeout_s=timeout_s)
        except LauncherError as error:
            raise NoAnswerError(error.what) from error

    finished = ask(*FIELDS, CAPABILITY)
    has_capability = finished.code == 0
    if not has_capability and CAPABILITY in finished.output:  # "is not a valid field to query"
        finished = ask(*FIELDS)
    if finished.code:
        lines = finished.output.strip().splitlines()
        raise NoAnswerError(lines[0] if lines else f"it ended with code {finished.code}")
    found = [parse_line(line, has_capability=has_capability) for line in finished.output.splitlines() if line.strip()]  # fmt: skip
    driver = next((card.driver for card in found if isinstance(card, Gpu)), None)
    return cards_of(found, driver=driver, source=str(program))


def parse_line(line: str, *, has_capability: bool) -> Gpu | str:
    """One card; or why its line says too little. The name comes first and may hold a comma."""
    parts = [part.strip() for part in line.rsplit(",", len(FIELDS) - (0 if has_capability else 1))]
    try:
        name, driver, total, free = parts[:4]
        capability = _capability(parts[4]) if has_capability else None
        return Gpu(
            name=name, driver=driver, total_mib=int(float(total)), free_mib=int(float(free)),
            capability=capability or capability_by_name(name),
        )  # fmt: skip
    except (ValueError, LookupError):
        return f"nvidia-smi says too little about one card: {line.strip()[:100]}"


def _capability(text: str) -> tuple[int, int] | None:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None


def capability_by_name(name: str) -> tuple[int, int]:
    """What a card of this name has.

    Raises:
        LookupError: the name is not in the list.
    """
    for pattern, capability in BY_NAME:
        if re.search(pattern, name, re.IGNORECASE):
            return capability
    raise LookupError(name)

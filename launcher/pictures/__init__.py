"""Image files, really decoded: what each one is, what is wrong with it, which ones are copies of each other."""

from __future__ import annotations

from launcher.pictures.copies import Copies, alike, same_files
from launcher.pictures.looking import look_at
from launcher.pictures.record import DAMAGED, EMPTY, FAULTS, HUGE, NO_IMAGE, UNREADABLE, UNREADABLE_NAME, Look

__all__ = [
    "DAMAGED",
    "EMPTY",
    "FAULTS",
    "HUGE",
    "NO_IMAGE",
    "UNREADABLE",
    "UNREADABLE_NAME",
    "Copies",
    "Look",
    "alike",
    "look_at",
    "same_files",
]

"""Names of runs: they become folders and files on every system, so they are checked for the strictest."""

from __future__ import annotations

import re
import unicodedata

MAX_BYTES = (
    80  # with the time stamp, `-step00000100-state` and Japanese this stays below Windows' 260 characters
)
RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))}
)
SEPARATORS = "/\\"
NOT_ON_WINDOWS = '<>:"|?*'
JOINERS = "\u200c\u200d"  # they join letters of some scripts, and emoji


def check_name(name: str) -> str | None:
    """Why a run cannot be called so, in one sentence; None when it can."""
    if not name.strip():
        return "the name is empty"
    if any(char in SEPARATORS for char in name):
        return "a name cannot have / or \\ in it: it is a name, not a path"
    for char in name:
        if char in NOT_ON_WINDOWS:
            return f"a name cannot have {char} in it: Windows does not allow it in file names"
        if _is_invisible(char):
            return "the name has an invisible control character in it"
    return _check_edges(name)


def _check_edges(name: str) -> str | None:
    if name != name.strip() or name.endswith("."):
        return "a name cannot begin or end with a space, or end with a dot: Windows would drop it"
    if name.startswith((".", "-")):
        return f"a name cannot begin with {name[0]}"
    if name.partition(".")[0].strip().lower() in RESERVED:
        return f"{name} is a device on Windows, not a file name"
    length = len(name.encode("utf-8"))
    if length > MAX_BYTES:
        return f"the name is {length} bytes long; at most {MAX_BYTES} leave room for what is added to it"
    return None


def make_name(*parts: str) -> str:
    """A name that `check_name` accepts, made of texts that may have anything in them."""
    text = "-".join(part for part in (_clean(part) for part in parts) if part)
    text = text.encode("utf-8")[:MAX_BYTES].decode("utf-8", "ignore").rstrip(" .")
    return text if text and check_name(text) is None else _clean(f"lora-{text}")[:MAX_BYTES] or "lora"


def _clean(text: str) -> str:
    kept = "".join(
        " " if _is_invisible(char) or char in SEPARATORS + NOT_ON_WINDOWS else char for char in text
    )
    return re.sub(r"\s+", " ", kept).strip(" .-")


def _is_invisible(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and char not in JOINERS

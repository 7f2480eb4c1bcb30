"""The log of an unexpected error: versions and traceback, ready to paste into a report."""

from __future__ import annotations

import platform
import sys
import tempfile
import time
import traceback
from pathlib import Path

from launcher import __version__
from launcher.files import write_atomic


def write_log(folder: Path, error: BaseException) -> Path:
    """Write the log and return its path; falls back to the temporary folder when `folder` cannot be written."""
    name = f"error-{time.strftime('%Y%m%d-%H%M%S')}.log"
    text = describe(error)
    for place in (folder, Path(tempfile.gettempdir())):
        try:
            place.mkdir(parents=True, exist_ok=True)
            write_atomic(place / name, text)
        except OSError:
            continue
        return place / name
    return Path(name)


def describe(error: BaseException) -> str:
    """Versions, system and traceback. The command line is left out: it may carry private paths."""
    lines = [
        f"launcher {__version__}",
        f"Python {sys.version}",
        f"system {platform.platform()}",
        "",
        *traceback.format_exception(error),
    ]
    return "\n".join(lines)

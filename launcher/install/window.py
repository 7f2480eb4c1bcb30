"""The window that we run in: keep it open while its message is unread, make one where there is none (pythonw).

Decisions are pure functions of what was found; the calls into Windows are thin and never raise. The console's code
page is left alone: Python writes to a console in UTF-16 whatever it says, and it belongs to the shell behind us.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # setup_env.py's fast path: importing `typing` costs 4 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OWN_PROCESSES = 2  # the Python launcher (py.exe) and Python itself; a shell would be one more
INTERRUPTED = 130
TITLE = "SDXL LoRA launcher"
# Python, its launchers (py.exe, the install manager's py and pymanager), and those that start a script for one.
OURS = ("python", "pythonw", "py", "pyw", "pymanager", "pywmanager", "py-manager", "pyw-manager", "setup_env")
PROCESSED, WRAP, ESCAPES = 0x1, 0x2, 0x4  # output modes of a console


def should_hold(
    *, is_double_click: bool, is_terminal: bool, console_processes: int, names: Sequence[str] | None = None,
    code: int = 1,
) -> bool:  # fmt: skip
    """Whether the window would vanish with something unread in it.

    `names`: programs beside us in this console; None when Windows does not tell, then their number decides (0: there
    is no console of our own). A window that opened for typed words (PyManager opens one) is kept after a success, too.
    """
    if not is_terminal or code == INTERRUPTED or console_processes == 0:
        return False
    if names is None:
        return is_double_click and code != 0 and console_processes <= OWN_PROCESSES
    return is_own_window(names) and (code != 0 or not is_double_click)


def is_own_window(names: Sequence[str]) -> bool:
    """Whether all programs in a console are Python's: a shell among them keeps the window by itself."""
    return all(_is_python(name) for name in names)


def _is_python(name: str) -> bool:
    stem = name.replace("\\", "/").rpartition("/")[2].lower().removesuffix(".exe")
    return stem in OURS or stem.rstrip("0123456789.-td") in OURS  # python3.12.exe, python3.13t.exe


def hold(*, is_double_click: bool, code: int = 1) -> None:
    """Wait for Enter if the window would vanish with its message; otherwise return at once."""
    if sys.platform != "win32" or not (sys.stdin and sys.stdin.isatty()):
        return
    from launcher.install import console_mode

    pids = console_mode.console_pids()
    if should_hold(
        is_double_click=is_double_click, is_terminal=True, console_processes=len(pids), names=console_mode.names_of(pids),
        code=code,
    ):  # fmt: skip
        sys.stderr.write("\nPress Enter to close this window.\n")
        sys.stderr.flush()
        try:
            sys.stdin.readline()
        except KeyboardInterrupt:
            return


def ensure_console() -> str | None:
    """Give a windowless start (pythonw, a .pyw association) a console with standard streams.

    None when there are streams to talk through; else why not, in words, which a message box has told already.
    """
    if not lacks_console(sys.platform, sys.stdout, sys.stderr):
        return None
    from launcher.install import console_mode

    if console_mode.open_console():
        return None
    words = (
        "Python was started without a window and none could be opened. Start setup_env.py with python.exe."
    )
    console_mode.message_box(words)
    return words


def lacks_console(platform: str, stdout: object, stderr: object) -> bool:
    """Whether this is Windows' windowless Python with nothing to write to (with redirected streams it has something)."""
    return platform == "win32" and stdout is None and stderr is None


def console_python(python: Path) -> Path:
    """The Python with a console that belongs to a windowless one; any other as it is."""
    name = python.name.lower()
    if not name.startswith("pythonw"):
        return python
    beside = python.with_name("python" + python.name[len("pythonw") :])
    return beside if beside.exists() else python


def escapes_mode(mode: int) -> int:
    """A console's output mode with escape sequences understood; wrapping at the end of lines stays on."""
    return mode | PROCESSED | WRAP | ESCAPES

# ruff: noqa: PTH120  (pathlib would cost the fast path more than all the rest of it)
"""The fast path of setup_env.py: a few file reads, then the launcher in its own environment.

Only `os` and `sys` are imported until something is missing.
"""

import os
import sys

from launcher import __version__
from launcher.install import marker

HANDED_OVER = (
    "launcher"  # `-X launcher`: set by us on the command line of the second interpreter, not inherited
)
FOREIGN = (
    "PYTHONHOME",
    "PYTHONPATH",
    "__PYVENV_LAUNCHER__",
)  # of another Python: they would mix with `.venv`


def prepare(words: "list[str]", script: str) -> "int | None":
    """Get into a ready environment. None: we are in it, go on; else the exit code (POSIX: does not return).

    The second interpreter runs this same script by its path, so that `launcher` is imported from beside it:
    `-m` would look into the current folder first, and a .pth file may not survive a non-ASCII path.
    """
    if words == ["--version"]:
        sys.stdout.write(f"launcher {__version__}\n")
        return 0
    if HANDED_OVER in sys._xoptions:  # noqa: SLF001  (documented; it has no other name)
        return None
    root = os.path.dirname(script)
    if not marker.is_ready(root):
        from launcher.install.bootstrap import set_up

        code = set_up(root, is_double_click=not words)
        if code:
            return code
    return _hand_over(root, script, words)


def _hand_over(root: str, script: str, words: "list[str]") -> int:
    python = marker.python_of(marker.venv_of(root))
    argv = [python, "-X", "utf8", "-X", HANDED_OVER, script, *words]
    sys.stdout.flush()
    if os.name != "nt":
        kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        os.execve(python, argv, kept)  # noqa: S606  (no shell: that is the point)
    # exec on Windows starts a second process and lets the console go on without us.
    from launcher.install.window import hold
    from launcher.process import attach

    code = attach(argv, env=dict.fromkeys(FOREIGN))
    hold(is_double_click=not words, code=code)
    return code

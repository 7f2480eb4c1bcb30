#!/usr/bin/env python3
"""Start here: makes the launcher's own environment if it is missing, then runs the launcher in it.

    python setup_env.py              set up what is missing, then the menu (this is the double-click)
    python setup_env.py WORDS ...    the same, then `launcher WORDS ...`

Standard library only. Everything up to the version guard must parse on Python 2.7, which says so instead of
failing with a syntax error; the rest is in launcher/install/.
"""

import os
import sys

if sys.version_info < (3, 10):
    if sys.stderr:  # pythonw has none
        sys.stderr.write(
            "This needs Python 3.10 or newer, but it was started with Python %d.%d (%s): "
            "install a newer Python, then run it with that one, for example: python3.12 setup_env.py\n"
            % (sys.version_info[0], sys.version_info[1], sys.executable)
        )
    if (
        os.name == "nt" and len(sys.argv) == 1 and sys.stdin and sys.stdin.isatty()
    ):  # a double-click: its window would close
        sys.stderr.write("Press Enter to close this window.\n")
        sys.stdin.readline()
    sys.exit(1)

SCRIPT = os.path.realpath(__file__)
# `launcher` comes from beside this file, whatever the current folder.
sys.path.insert(0, os.path.dirname(SCRIPT))  # noqa: PTH120  (pathlib would cost the fast path more than all the rest)

if os.name == "nt" and sys.stdout is None:  # pythonw: there is no window to talk in
    from launcher.install.window import ensure_console

    if ensure_console():
        sys.exit(1)

from launcher.install import entry  # noqa: E402  (below the guard: older Pythons cannot even parse it)

code = entry.prepare(sys.argv[1:], SCRIPT)
if code is None:  # we are inside the environment and it is ready
    from launcher.__main__ import main
    from launcher.install import dropped

    code = main(dropped.words_for(sys.argv[1:]))
sys.exit(code)

"""Runs `launcher WORDS` under a guard: any process start, socket, or write outside of one folder ends it at once.

    python -m tests.guarded_run FOLDER WORDS ...

Exit code 99 and a line on stderr when something was tried. An audit hook cannot be taken out again (PEP 578). Looking at
this computer is stood in for: it asks the driver and other programs, and is no part of reading a script.
"""

import os
import sys
from pathlib import Path

STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn", "os.startfile", "ctypes.dlopen")  # fmt: skip
SOCKETS = ("socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo")
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown", "shutil.rmtree")  # fmt: skip
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def guard(folder):
    """Install the hook."""
    inside = os.path.realpath(folder)

    def hook(event, args):
        if (
            event in STARTS
            or event in SOCKETS
            or (event in CHANGES and not all(is_inside(arg) for arg in args if isinstance(arg, (str, bytes))))
            or (
                event == "open"
                and isinstance(args[0], (str, bytes))
                and is_write(args)
                and not is_inside(args[0])
            )
        ):
            stop(event, args)

    def is_inside(place):
        return (
            os.path.realpath(os.fsdecode(place)).startswith(inside + os.sep)
            or os.fsdecode(place) == os.devnull
        )

    def is_write(args):
        return any(sign in (args[1] or "") for sign in "wax+") or bool((args[2] or 0) & WRITES)

    sys.addaudithook(hook)


def stop(event, args):
    os.write(2, f"GUARD: {event} {args!r}\n"[:500].encode("utf-8", "replace"))
    os._exit(99)


def main():
    from launcher import machine
    from launcher.__main__ import main as launch

    card_free = machine.Machine(
        os="Linux", cores=2, ram_mib=8000, free_ram_mib=4000, gpus=(), gpu_note="none",
        has_bf16=machine.Fact(value=False, reason="none"),
    )  # fmt: skip
    machine.look_at_machine = lambda: card_free
    sys.dont_write_bytecode = True
    guard(Path(sys.argv[1]))
    return launch(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())

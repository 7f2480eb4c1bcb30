"""The only door to other programs: argument lists, no shell, whole trees stopped politely."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import psutil

TERMINATE_GRACE_S = 10.0
KILL_GRACE_S = 5.0
START_TIME_TOLERANCE_S = 1.0  # psutil's start time is exact on one boot; JSON keeps it to the millisecond
TAIL_LINES = 20
Child = subprocess.Popen[
    bytes
]  # what `start` gives: for others to name the type without importing subprocess


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessId:
    """A process known by pid *and* start time: pids are used again, after a reboot above all."""

    pid: int
    started: float  # seconds since the epoch

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The running process `pid`, or None if there is none."""
        import psutil

        try:
            return cls(pid=pid, started=psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    @classmethod
    def from_json(cls, value: object) -> ProcessId | None:
        """Read back what `to_json` wrote; None for anything else."""
        if not isinstance(value, dict):
            return None
        pid, started = value.get("pid"), value.get("started")
        if isinstance(pid, int) and pid > 0 and isinstance(started, (int, float)):
            return cls(pid=pid, started=float(started))
        return None

    def to_json(self) -> dict[str, float]:
        return {"pid": self.pid, "started": round(self.started, 3)}

    def find(self) -> psutil.Process | None:
        """The live process, or None when it is gone, a zombie, or another one wears its pid."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) <= START_TIME_TOLERANCE_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

    @property
    def is_alive(self) -> bool:
        return self.find() is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A command that has ended."""

    argv: tuple[str, ...]
    code: int
    output: str  # both streams, in the order they came


class CommandError(LauncherError):
    """A command that had to succeed did not; `finished` has its whole output."""

    def __init__(self, finished: Finished, *, what: str, fix: str = "", where: str = "") -> None:
        tail = "\n".join(finished.output.strip().splitlines()[-TAIL_LINES:])
        super().__init__(
            what,
            why=f"`{show(finished.argv)}` ended with code {finished.code}:\n{tail}",
            fix=fix,
            where=where,
        )
        self.finished = finished


def show(argv: Sequence[str]) -> str:
    """The command as one would type it (for logs and dry runs, never to be executed)."""
    return subprocess.list2cmdline(argv) if os.name == "nt" else shlex.join(argv)


def environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment with UTF-8 forced and `changes` applied; None removes a variable."""
    merged: dict[str, str] = {**os.environ, "PYTHONUTF8": "1"}
    for name, value in (changes or {}).items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    return merged


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    on_line: Callable[[str], None] | None = None,
    timeout_s: float | None = None,
    keep_open: Sequence[int] = (),
    most_lines: int | None = None,
) -> Finished:
    """Run a command to its end and return what it said; `on_line` sees each line as it comes.

    `most_lines`: only the last so many are returned, for a command that says much and is followed by `on_line`.

    `keep_open` are handles that the command inherits: a lock handed on in this way is held until the command
    has ended too, even when we are killed before it. (Windows has no such handles; there it is not honoured.)

    Raises:
        LauncherError: it cannot be started, or is not done after `timeout_s` (it is then stopped with its children).
    """
    words = tuple(str(word) for word in argv)
    try:
        child = subprocess.Popen(
            words, cwd=cwd, env=environment(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace",
            pass_fds=() if os.name == "nt" else tuple(keep_open),
        )  # fmt: skip
    except OSError as error:
        raise LauncherError(f"{words[0]} cannot be started: {error.strerror or error}") from error
    with child:
        try:
            output = _collect(child, on_line, timeout_s, most_lines)
        except BaseException:
            child.kill()
            raise
    return Finished(argv=words, code=child.returncode, output=output)


def _collect(
    child: subprocess.Popen[str], on_line: Callable[[str], None] | None, timeout_s: float | None,
    most_lines: int | None,
) -> str:  # fmt: skip
    """Read to the end; a timer ends the child (and its children) when the time is up."""
    words = show(child.args) if isinstance(child.args, (list, tuple)) else ""
    is_late = threading.Event()
    timer = threading.Timer(timeout_s or 0, _give_up, args=(child.pid, is_late))
    if timeout_s is not None:
        timer.daemon = True
        timer.start()
    lines: deque[str] = deque(maxlen=most_lines)
    assert child.stdout is not None  # noqa: S101  (PIPE was asked for above)
    for line in child.stdout:
        lines.append(line)
        if on_line:
            on_line(line.rstrip("\r\n"))
    child.wait()
    timer.cancel()
    if is_late.is_set():
        raise LauncherError(f"`{words}` did not end within {timeout_s:.0f} s and was stopped")
    return "".join(lines)


def _give_up(pid: int, is_late: threading.Event) -> None:
    is_late.set()
    process = ProcessId.of(pid)
    if process:
        stop_tree([process], terminate_s=1.0)


def attach(
    argv: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str | None] | None = None
) -> int:
    """Run a command in our own terminal and return its exit code; ^C is the command's to answer."""
    words = [str(word) for word in argv]
    try:
        child = subprocess.Popen(words, cwd=cwd, env=environment(env))
    except OSError as error:
        raise LauncherError(f"{words[0]} cannot be started: {error.strerror or error}") from error
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:  # the whole console got it; the command decides when it is done
            continue


def start(argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str | None], log: Path) -> Child:
    """Start a program that outlives us: own session (group on Windows), no terminal, both streams appended to `log`.

    The streams go straight to the file, not through a pipe: when we die, nothing breaks in the program.
    """
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    words = [str(word) for word in argv]
    with log.open("ab") as stream:
        return subprocess.Popen(
            words, cwd=cwd, env=environment(env), stdin=subprocess.DEVNULL, stdout=stream,
            stderr=subprocess.STDOUT, start_new_session=True, creationflags=flags,
        )  # fmt: skip


def stop_tree(
    roots: Sequence[ProcessId], *, terminate_s: float = TERMINATE_GRACE_S, kill_s: float = KILL_GRACE_S
) -> bool:
    """End processes and all their descendants: terminate, wait, kill, wait. True when none is left.

    Descendants are collected before the first signal: accelerate does not forward one, and a dead parent's
    children can no longer be found.
    """
    import psutil

    tree: list[psutil.Process] = []
    for root in roots:
        process = root.find()
        if process:
            tree += [process, *_descendants(process)]
    for process in tree:
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(tree, timeout=terminate_s)
    for process in alive:
        _quietly(process.kill)
    _, alive = psutil.wait_procs(alive, timeout=kill_s)
    return not alive


def find_by_arguments(*words: str) -> list[ProcessId]:
    """All processes but this one that have all `words` among their arguments: finds orphans that nobody wrote down."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and set(words) <= set(process.cmdline()):
                found.append(ProcessId(pid=process.pid, started=process.create_time()))
        except psutil.Error:
            continue
    return found


def find_running_from(folder: Path) -> list[ProcessId]:
    """Processes that were started from inside `folder` (their first word lies there): it must not go away under them."""
    import psutil

    inside = os.path.normcase(f"{folder}{os.sep}")  # Windows does not care how the path was spelt
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if words and os.path.normcase(words[0]).startswith(inside):
                found.append(ProcessId(pid=process.pid, started=process.create_time()))
        except psutil.Error:
            continue
    return found


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    import psutil

    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _quietly(action: Callable[[], None]) -> None:
    import psutil

    try:
        action()
    except psutil.Error:
        return


def wait_until(condition: Callable[[], bool], *, timeout_s: float, poll_s: float = 0.05) -> bool:
    """Poll `condition` until it holds; False when it still does not after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll_s)
    return True

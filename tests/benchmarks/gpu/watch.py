"""Runs one command and samples, from outside, the memory of its process tree and of the card."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

PERIOD_S = 0.05
SETTLED = 4  # samples
MIB = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """MiB of the whole tree at one moment; `card` is what the driver says this tree holds (None: it does not say)."""

    t: float
    anonymous: float
    mapped: float
    card: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    code: int
    seconds: float
    samples: list = field(repr=False)


def run(argv, *, cwd, env, log, timeout_s):
    """Start, sample until the end (or kill the tree at `timeout_s`, code -9)."""
    began = time.time()
    with log.open("ab") as stream:
        child = subprocess.Popen(
            argv, cwd=cwd, env=env, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    samples, over = [], threading.Event()
    sampler = threading.Thread(target=sample_until, args=(over, child.pid, samples), daemon=True)
    sampler.start()
    try:
        code = child.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        kill(child)
        code = -9
    except BaseException:
        kill(child)
        raise
    finally:
        over.set()
        sampler.join()
    return Watched(code=code, seconds=round(time.time() - began, 1), samples=samples)


def kill(child):
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def sample_until(over, pid, samples):
    card, seen = Card(), {}
    while not over.wait(PERIOD_S):
        pids = settled(tree(pid), seen)
        anonymous, mapped = map(sum, zip(*(resident(one) for one in pids), strict=True))
        samples.append(Sample(t=time.time(), anonymous=anonymous, mapped=mapped, card=card.used(pids)))


def settled(pids, seen):
    """Without what has just begun: a fork looks as large as its parent until it becomes another program."""
    for pid in pids:
        seen[pid] = seen.get(pid, 0) + 1
    return [pid for pid in pids if seen[pid] >= SETTLED or pid == pids[0]]


def tree(pid):
    """A process and all below it (Linux)."""
    found, ahead = [], [pid]
    while ahead:
        one = ahead.pop()
        found.append(one)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                ahead += [int(word) for word in (task / "children").read_text().split()]
    return found


def resident(pid):
    """(anonymous, file-mapped) MiB of one process."""
    try:
        return parse_status(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0, 0.0


def parse_status(text):
    """Of `/proc/PID/status`: RssAnon and RssFile + RssShmem, in MiB."""
    rows = dict(line.split(":", 1) for line in text.splitlines() if line.startswith("Rss"))
    kib = {name: int(value.split()[0]) for name, value in rows.items()}
    return kib.get("RssAnon", 0) / 1024, (kib.get("RssFile", 0) + kib.get("RssShmem", 0)) / 1024


class Card:
    """Asks the driver; silent where there is none."""

    def __init__(self):
        try:
            import pynvml

            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
            self._nvml = pynvml
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        except Exception:  # noqa: BLE001  (no library, no driver, no card: each raises its own)
            self._nvml = None

    def used(self, pids):
        if self._nvml is None:
            return None
        try:
            found = [
                process
                for handle in self._handles
                for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)
            ]
        except self._nvml.NVMLError:
            return None
        mine = [process.usedGpuMemory for process in found if process.pid in pids]
        return sum(mine) / MIB if mine and None not in mine else None


def read_marks(path):
    """Lines of the probe; an unfinished last one is left out."""
    marks = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            marks.append(json.loads(line))
    return marks

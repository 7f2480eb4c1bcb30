"""Lets several training processes take turns, some steps each, so that whatever else the machine does weighs on all alike.

BENCH_RING=FOLDER,NAME,PLACE,SIZE,WARMUP,BLOCK: the process NAME is number PLACE of SIZE; behind step WARMUP and then
behind every BLOCK steps it hands the turn (the file FOLDER/turn) to the next one and waits for its own. Who leaves
(ends, or fails) says so in a file; turns pass over it.
"""

import atexit
import os
import sys
import time
from pathlib import Path

POLL_S = 0.002
PATIENCE_S = 300.0  # longest wait for the others to load


class Ring:
    def __init__(self, probe):
        words = os.environ.get("BENCH_RING", "").split(",")
        self._is_in = len(words) == 6
        if not self._is_in:
            return
        self._probe = probe
        self._folder, self._name = Path(words[0]), words[1]
        self._place, self._size, self._warmup, self._block = (int(word) for word in words[2:])
        atexit.register(self._leave)

    def wait(self, step):
        """Behind a step. True when there was a wait."""
        if not self._is_in or step < self._warmup or (step - self._warmup) % self._block:
            return False
        if step == self._warmup:
            (self._folder / f"ready-{self._place}").touch()
            self._until(self._is_begun)
        else:
            self._pass_on()
        self._until(lambda: self._turn() == self._place)
        self._probe.write("turn", step=step)
        return True

    def _is_begun(self):
        """All have loaded, and whoever started them lets them go."""
        return (self._folder / "go").exists() and all(self._is_there(place) for place in range(self._size))

    def _is_there(self, place):
        return (self._folder / f"ready-{place}").exists() or self._is_gone(place)

    def _is_gone(self, place):
        return (self._folder / f"gone-{place}").exists()

    def _turn(self):
        try:
            turn = int((self._folder / "turn").read_text())
        except (OSError, ValueError):
            turn = 0
        while self._is_gone(turn) and turn != self._place:
            turn = (turn + 1) % self._size
        return turn

    def _pass_on(self):
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.synchronize()
        aside = self._folder / f"turn-{self._place}"
        aside.write_text(str((self._place + 1) % self._size))
        aside.replace(self._folder / "turn")

    def _until(self, is_so):
        deadline = time.monotonic() + PATIENCE_S
        while not is_so() and time.monotonic() < deadline:
            time.sleep(POLL_S)

    def _leave(self):
        (self._folder / f"gone-{self._place}").touch()
        if self._turn() == self._place:
            self._pass_on()

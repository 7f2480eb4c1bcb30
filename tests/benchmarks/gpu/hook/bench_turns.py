"""Rows take turns inside one training (bench_stage): some steps to settle, some timed, some whose kernels are counted."""

import functools
import statistics
import sys
import time

import bench_stage

MIB = 1 << 20


class Turns:
    """`before_step` at the beginning of a step, `after_step` behind the optimizer's. One micro-batch is one step."""

    def __init__(self, probe, kernels, stage):
        orders = stage.orders
        self._probe, self._kernels, self._stage = probe, kernels, stage
        self._is_asked = bool(orders.get("turns") or orders.get("gradients"))
        self._rows, self._ahead = orders.get("rows", []), list(orders.get("turns", []))
        self._warmup, self._steps = orders.get("warmup", 3), orders.get("steps", 4)
        self._profiled = orders.get("profiled", 2)
        self._now, self._seen = None, {}
        stage.listeners.append(self._listen)

    def _listen(self, stage):
        """The shim's first `accumulate` calls us; those behind it come to us first."""
        accelerator = stage.scene.accelerator
        accumulate = accelerator.accumulate

        @functools.wraps(accumulate)
        def watched(*models):
            self.before_step()
            return accumulate(*models)

        accelerator.accumulate = watched
        self._stage.clear()

    def before_step(self):
        while self._now is None and self._ahead and self._probe.steps > 0:
            self._begin(*self._ahead.pop(0))
        if self._now is None and self._probe.steps > 0 and self._is_asked:
            self._stage.end()  # nothing is left to measure, and nobody wants what was trained

    def _begin(self, place, is_profiled):
        try:
            put = self._stage.put(self._rows[place])
        except Exception as error:  # noqa: BLE001  (a row that cannot begin must not end the others)
            self._tell(place, {"error": f"{type(error).__name__}: {error}"})
            return
        if same := bench_stage.same(self._seen, self._rows[place], put):
            self._tell(place, {**put, "same": same})
            return
        self._now = Turn(place=place, put=put, is_profiled=is_profiled and self._kernels.can)
        self._probe.is_disturbed = True
        reset_memory()
        self._probe.last = time.perf_counter()

    def after_step(self, seconds, is_clean):
        turn = self._now
        if turn is None:
            return
        turn.done += 1
        if is_clean and self._warmup < turn.done <= self._warmup + self._steps:
            turn.seconds.append(round(seconds, 6))
        if turn.done == self._warmup + self._steps:
            turn.memory = memory()
            if turn.is_profiled:
                self._kernels.start()
        if turn.done >= self._warmup + self._steps + (self._profiled if turn.is_profiled else 0):
            self._end(turn)

    def _end(self, turn):
        if turn.is_profiled:
            turn.kernels = self._kernels.stop(self._profiled)
        losses = self._probe.losses[-turn.done :]
        self._tell(turn.place, {
            **turn.put, "failed": self._stage.failed(turn.put), "seconds": turn.seconds, "kernels": turn.kernels,
            **turn.memory, "loss": round(statistics.fmean(losses), 6) if losses else None,
        })  # fmt: skip
        self._now = None
        self._probe.is_disturbed = True

    def _tell(self, place, fields):
        self._probe.write(
            "boosts", row=place, name=self._rows[place]["name"], step=self._probe.steps, **fields
        )


class Turn:
    def __init__(self, *, place, put, is_profiled):
        self.place, self.put, self.is_profiled = place, put, is_profiled
        self.done, self.seconds, self.kernels, self.memory = 0, [], {}, {}


def cuda():
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def reset_memory():
    """Peaks from now on; what other rows left reserved is given back."""
    card = cuda()
    if card is not None:
        card.synchronize()
        card.empty_cache()
        card.reset_peak_memory_stats()


def memory():
    """MiB: peaks since the turn began. `retries`: how often torch gave memory back to get some."""
    card = cuda()
    if card is None:
        return {}
    return {"allocated": round(card.max_memory_allocated() / MIB), "reserved": round(card.max_memory_reserved() / MIB),
            "retries": card.memory_stats().get("num_alloc_retries", 0)}  # fmt: skip

"""Counts what the card did in some steps: kernels and their time, copies apart. Only while it looks, and only CUDA events."""

import os

COPIES = ("Memcpy", "Memset")
LONGEST = 12


class Kernels:
    """By BENCH_PROFILE=A,N on its own: N steps from behind step A on; or by `start` and `stop`."""

    def __init__(self, probe):
        begin, _, count = os.environ.get("BENCH_PROFILE", "").partition(",")
        self._begin, self._count = (int(begin), int(count)) if count else (None, 0)
        self._probe = probe
        self._profile = None

    @property
    def is_on(self):
        return self._profile is not None

    @property
    def can(self):
        import torch

        return torch.cuda.is_available()

    def after_step(self, step):
        if self._begin is None or not self.can:
            return
        if step == self._begin:
            self.start()
        elif self.is_on and step == self._begin + self._count:
            self._probe.write("kernels", **self.stop(self._count))

    def start(self):
        import torch

        torch.cuda.synchronize()
        self._profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
        self._profile.start()

    def stop(self, steps):
        """What there was since `start`, a step of `steps`."""
        import torch

        torch.cuda.synchronize()
        profile, self._profile = self._profile, None
        profile.stop()
        self._probe.is_disturbed = True
        return counted(torch, profile.profiler.kineto_results.events(), steps)


def counted(torch, events, steps):
    kernels = copies = copy_ns = 0
    names = {}
    for event in events:
        if event.device_type() != torch.autograd.DeviceType.CUDA or is_note(event):
            continue
        if event.name().startswith(COPIES):
            copies, copy_ns = copies + 1, copy_ns + event.duration_ns()
        else:
            kernels += 1
            names[event.name()] = names.get(event.name(), 0) + event.duration_ns()
    longest = sorted(names.items(), key=lambda item: -item[1])[:LONGEST]
    return {
        "steps": steps, "launches": kernels // steps, "ms": round(sum(names.values()) / steps / 1e6, 3),
        "copies": copies // steps, "copy_ms": round(copy_ns / steps / 1e6, 3),
        "longest": {name[:120]: round(ns / steps / 1e6, 3) for name, ns in longest},
    }  # fmt: skip


def is_note(event):
    """A span that somebody drew over kernels, not work of the card."""
    ask = getattr(event, "is_user_annotation", None)
    return bool(ask and ask())

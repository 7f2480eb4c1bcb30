"""Counts what the card did in some steps: kernels and their time, copies apart. Only while it looks, and only CUDA events."""

import os

COPIES = ("Memcpy", "Memset")


class Kernels:
    def __init__(self, probe):
        begin, _, count = os.environ.get("BENCH_PROFILE", "").partition(",")
        self._begin, self._count = (int(begin), int(count)) if count else (None, 0)
        self._probe = probe
        self._profile = None

    @property
    def is_on(self):
        return self._profile is not None

    def after_step(self, step):
        if self._begin is None:
            return
        import torch

        if not torch.cuda.is_available():
            return
        if step == self._begin:
            torch.cuda.synchronize()
            self._profile = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
            self._profile.start()
        elif self.is_on and step == self._begin + self._count:
            torch.cuda.synchronize()
            self._profile.stop()
            self._tell(torch)
            self._profile = None
            self._probe.is_disturbed = True

    def _tell(self, torch):
        kernels = copies = 0
        kernel_ns = copy_ns = 0
        for event in self._profile.profiler.kineto_results.events():
            if event.device_type() != torch.autograd.DeviceType.CUDA or is_note(event):
                continue
            if event.name().startswith(COPIES):
                copies, copy_ns = copies + 1, copy_ns + event.duration_ns()
            else:
                kernels, kernel_ns = kernels + 1, kernel_ns + event.duration_ns()
        steps = self._count
        self._probe.write(
            "kernels", steps=steps, launches=kernels // steps, ms=round(kernel_ns / steps / 1e6, 3),
            copies=copies // steps, copy_ms=round(copy_ns / steps / 1e6, 3),
        )  # fmt: skip


def is_note(event):
    """A span that somebody drew over kernels, not work of the card."""
    ask = getattr(event, "is_user_annotation", None)
    return bool(ask and ask())

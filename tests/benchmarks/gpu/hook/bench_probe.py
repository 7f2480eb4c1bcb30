"""Measures inside a training process. Environment variables say what:

BENCH_MARKS=FILE      where to write, one JSON line for each mark
BENCH_CAP_MIB=N       torch's allocator gets no more (as on a smaller card)
BENCH_PROFILE=A,N     kernels of N steps are counted, from behind step A on
BENCH_WAIT=FILE       nothing is loaded before this file is there
BENCH_RING=...        takes turns with other processes (bench_ring)
BENCH_BOOSTS=FILE     boosts change while it trains (bench_stage, bench_turns, bench_gradients)
BENCH_SEED=N          latents are the VAE's mean, and all generators begin anew behind the caching: what it draws differs
                      from way to way
BENCH_ATTENTION=KIND  from the first step on torch may use this attention only (bench_attention)
BENCH_SMALL=1         shrinks the model (tests/real/shrink), for a try without a card

A phase begins with its mark. Peaks are those of torch's caching allocator; whoever resets its peaks meanwhile (the
shim does, for its own phases) is overheard, so that both ways are measured by the same clock and the same meter.
"""

import atexit
import functools
import json
import os
import sys
import time
from pathlib import Path

import bench_after
import bench_kernels

MIB = 1 << 20
PATIENCE_S = 300.0
CACHING = ("cache latents", "cache text")


class Probe:
    def __init__(self, path):
        self._stream = Path(path).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115  (until the process ends)
        self.phase = ""
        self.allocated = self.reserved = 0.0
        self.steps = 0
        self.losses = []
        self.is_disturbed = False  # something but training happened since the last step
        self.last = None
        self.reset = lambda: None  # torch's own way to forget peaks, as soon as torch is there

    def write(self, kind, **fields):
        self._stream.write(
            json.dumps({"t": time.time(), "cpu": time.process_time(), "kind": kind, **fields}) + "\n"
        )

    def fold(self):
        """Take over the allocator's peaks before they are reset."""
        cuda = ready_cuda()
        if cuda is not None:
            self.allocated = max(self.allocated, cuda.max_memory_allocated() / MIB)
            self.reserved = max(self.reserved, cuda.max_memory_reserved() / MIB)

    def mark(self, phase):
        """The phase before is over: write down its peaks; returns its name."""
        before, cuda = self.phase, ready_cuda()
        self.fold()
        self.write("phase", name=before, allocated=round(self.allocated, 1), reserved=round(self.reserved, 1),
                   next=phase, **allocator(cuda))  # fmt: skip
        self.phase, self.allocated, self.reserved = phase, 0.0, 0.0
        if cuda is not None:
            self.reset()
        return before


def ready_cuda():
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    return cuda if cuda is not None and cuda.is_initialized() else None


def allocator(cuda):
    if cuda is None:
        return {}
    stats = cuda.memory_stats()
    return {"retries": stats.get("num_alloc_retries", 0), "ooms": stats.get("num_ooms", 0),
            "resting": round(stats.get("allocated_bytes.all.current", 0) / MIB, 1)}  # fmt: skip


PROBE = Probe(os.environ["BENCH_MARKS"])


def around(owner, name, phase, after=None):
    """The method `name` is a phase of its own; behind it the phase before goes on, or `after` begins."""
    original = getattr(owner, name, None)
    if original is None:
        return

    @functools.wraps(original)
    def marked(*args, **more):
        before = PROBE.mark(phase)
        try:
            return original(*args, **more)
        finally:
            PROBE.is_disturbed = True
            PROBE.mark(after or before)
            if phase in CACHING:
                begin_anew()

    setattr(owner, name, marked)


def vae(module):
    """The shim seeds each batch, stock draws: without chance both cache the same."""
    if os.environ.get("BENCH_SEED"):
        module.DiagonalGaussianDistribution.sample = lambda self, *_, **_more: self.mode()


def begin_anew():
    """So that the LoRA, the order and the noise are the same with and without the shim."""
    if seed := os.environ.get("BENCH_SEED"):
        import random

        import numpy as np
        import torch

        random.seed(int(seed))
        np.random.seed(int(seed))  # noqa: NPY002  (the generator that others draw from)
        torch.manual_seed(int(seed))
        PROBE.write("seed", seed=int(seed))


def torch(module):
    """Cap and meter. Queued until CUDA starts, so that nothing starts it earlier than without us."""
    memory = module.cuda.memory
    original = PROBE.reset = memory.reset_peak_memory_stats

    def reset(*args, **more):
        PROBE.fold()
        return original(*args, **more)

    memory.reset_peak_memory_stats = module.cuda.reset_peak_memory_stats = reset
    cap = float(os.environ.get("BENCH_CAP_MIB") or 0)
    if cap and module.cuda.is_available():
        module.cuda._lazy_call(functools.partial(set_cap, module, cap))
        module.cuda.mem_get_info = memory.mem_get_info = functools.partial(small_card, memory, int(cap * MIB))


def set_cap(module, cap_mib):
    total = module.cuda.get_device_properties(0).total_memory
    module.cuda.set_per_process_memory_fraction(min(1.0, cap_mib * MIB / total), 0)


def small_card(memory, cap, _device=None):
    """(free, total) bytes of a card that has only what the cap allows."""
    return max(cap - memory.memory_reserved(), 0), cap


def wait_for(file):
    """The checkpoint may still be written while the trainer imports its packages."""
    deadline = time.monotonic() + PATIENCE_S
    while file and not os.path.exists(file):  # noqa: PTH110  (in a loop, in somebody else's process)
        if time.monotonic() > deadline:
            raise TimeoutError(file)
        time.sleep(0.05)


def train_util(module):
    around(module.DatasetGroup, "new_cache_latents", "cache latents")
    around(module.DatasetGroup, "new_cache_text_encoder_outputs", "cache text", after="prepare")
    if not hasattr(module.DatasetGroup, "new_cache_latents"):  # the fork
        around(module.DatasetGroup, "cache_latents", "cache latents")
        around(module.DatasetGroup, "cache_text_encoder_outputs", "cache text", after="prepare")
    around(module, "calculate_sha256", "checksum")
    prepare = module.prepare_accelerator

    def prepared(*args, **more):
        result = prepare(*args, **more)
        wait_for(os.environ.get("BENCH_WAIT"))
        PROBE.mark("load")
        return result

    module.prepare_accelerator = prepared
    begin = module.LossRecorder.__init__

    def begun(self, *args, **more):
        if PROBE.phase != "first step" and not PROBE.steps:
            PROBE.mark("first step")
            allow_attention()
        begin(self, *args, **more)

    module.LossRecorder.__init__ = begun
    add = module.LossRecorder.add

    def added(self, *args, **more):
        PROBE.losses.append(float(more["loss"]))
        PROBE.write("loss", loss=PROBE.losses[-1])
        return add(self, *args, **more)

    module.LossRecorder.add = added
    sample = module.sample_images_common

    def sampled(*args, **more):
        before = PROBE.phase
        try:
            return sample(*args, **more)
        finally:
            if PROBE.phase == "sample":
                PROBE.is_disturbed = True
                PROBE.mark(before)

    module.sample_images_common = sampled


def allow_attention():
    """Behind all caching, so that every run trains on the same latents."""
    import bench_attention

    if kind := os.environ.get("BENCH_ATTENTION"):
        bench_attention.allow(kind)
        PROBE.write("attention", name=kind)


def pipeline(module):
    """Made by the sampling only, and only when there is something to sample."""
    make = module.SdxlStableDiffusionLongPromptWeightingPipeline.__init__

    def made(self, *args, **more):
        PROBE.mark("sample")
        make(self, *args, **more)

    module.SdxlStableDiffusionLongPromptWeightingPipeline.__init__ = made


def accelerator(module):
    around(module.Accelerator, "save_state", "save")


def optimizer(module, *, kernels, turns):
    import bench_ring

    step = module.AcceleratedOptimizer.step
    ring = bench_ring.Ring(PROBE)

    def stepped(self, *args, **more):
        result = step(self, *args, **more)
        PROBE.steps += 1
        end_step(kernels, turns)
        if ring.wait(PROBE.steps):
            PROBE.is_disturbed = True
            PROBE.last = time.perf_counter()
        return result

    module.AcceleratedOptimizer.step = stepped


def end_step(kernels, turns):
    """Seconds from one optimizer step to the next: the trainer reads each loss, so both ends are in step with the card."""
    now = time.perf_counter()
    is_clean, PROBE.is_disturbed = not (PROBE.is_disturbed or kernels.is_on), False
    if PROBE.steps == 1:
        PROBE.mark("steps")
    elif PROBE.last is not None:
        PROBE.write("step", step=PROBE.steps, seconds=round(now - PROBE.last, 6), clean=is_clean)
        if turns:
            turns.after_step(now - PROBE.last, is_clean)
    kernels.after_step(PROBE.steps)
    PROBE.last = time.perf_counter()


def ordered(kernels):
    """The parts that BENCH_BOOSTS asks for: tables of modules to change, and what counts turns."""
    import bench_gradients
    import bench_stage
    import bench_turns

    orders = json.loads(Path(os.environ["BENCH_BOOSTS"]).read_text(encoding="utf-8"))
    stage = bench_stage.Stage(PROBE, orders)
    turns = bench_turns.Turns(PROBE, kernels, stage)
    bench_gradients.Gradients(PROBE, stage)
    return stage.tables, turns


def end():
    PROBE.mark("end")


def arm():
    PROBE.phase = "imports"
    PROBE.write("start", argv=sys.orig_argv, pid=os.getpid())
    atexit.register(end)
    kernels = bench_kernels.Kernels(PROBE)
    more, turns = ordered(kernels) if os.environ.get("BENCH_BOOSTS") else ({}, None)
    tables = [more, {
        "torch": torch, "library.train_util": train_util, "library.sdxl_lpw_stable_diffusion": pipeline,
        "accelerate.accelerator": accelerator, "diffusers.models.autoencoders.vae": vae,
        "accelerate.optimizer": functools.partial(optimizer, kernels=kernels, turns=turns),
    }]  # fmt: skip
    if os.environ.get("BENCH_SMALL"):
        import shrink_sizes

        tables.append(shrink_sizes.AFTER)
    bench_after.install(*tables)

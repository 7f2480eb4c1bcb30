"""Gradients of one step, computed again and again with other operations, against the same step in fp32 (bench_stage).

Batch, noise, timestep and LoRA are the same each time: the trainer's own `process_batch` is called with its own arguments
and the random state of its first call. The reference is the stock code with the exact values of the stored weights cast
to fp32, no autocast, no TF32, plain attention. Twice: as the training begins (`up` is zero, so `down` has no gradient),
and with small random numbers in `up`. Everything is as it was afterwards. Trainers with a `process_batch` only (v0.10.1).
"""

import contextlib
import functools
import inspect
import os
import random
import statistics
import time

import bench_attention
import bench_stage
import bench_turns

UP_DEVIATION = 0.02
SEED = 20261124
REFERENCE = {"name": "reference"}


class Gradients:
    def __init__(self, probe, stage):
        self._probe, self._stage = probe, stage
        self._rows = stage.orders.get("gradients", [])
        if self._rows:
            stage.listeners.insert(0, self._listen)

    def _listen(self, stage):
        owner = stage.scene.context.trainer_class
        original = getattr(owner, "process_batch", None)
        if original is None:
            self._probe.write("gradients", name="", error="this trainer has no process_batch")
            return

        @functools.wraps(original)
        def process_batch(trainer, *args, **more):
            owner.process_batch = original
            words = inspect.signature(original).bind(trainer, *args, **more)
            with unchanged(stage.scene):
                self._all(
                    inspect.unwrap(original), words
                )  # the shim's own wrapper gives a loss without its graph
            return original(trainer, *args, **more)

        owner.process_batch = process_batch

    def _all(self, process_batch, words):
        scene = self._stage.scene
        step = Step(scene, process_batch, words)
        draws = range(self._stage.orders.get("draws", 1))
        many = len(draws) > 1
        states = [
            (f"{state}, draw {draw}" if many else state, up, draw)
            for state, up in (("first step", None), ("up filled", UP_DEVIATION))
            for draw in draws
        ]
        for state, deviation, draw in states:
            if deviation:
                step.fill_up(deviation)
            step.draw(draw)
            self._stage.clear()
            try:
                with in_fp32(scene):
                    right = step.gradients(weight_dtype=fp32())
            except Exception as error:  # noqa: BLE001  (without a reference there is nothing to compare)
                self._tell(state, REFERENCE, error=f"{type(error).__name__}: {error}")
                continue
            self._tell(state, REFERENCE, **norms(right))
            seen = {}
            for row in self._rows:
                self._row(step, state, row, right, seen)

    def _row(self, step, state, row, right, seen):
        from launcher.shim.boosts.before import Autocast

        began, autocast = time.perf_counter(), Autocast.of(self._stage.scene.machine.device.type)
        try:
            with bench_attention.allowed(row.get("attention")):
                put = self._stage.put(row)
                if first := bench_stage.same(seen, row, put):
                    self._tell(state, row, **put, same=first)
                    return
                found = step.gradients()
                failed = self._stage.failed(put)
        except Exception as error:  # noqa: BLE001  (one row must not end the others)
            autocast.restore()  # accelerate's stays on when an error goes through it, with the weights that it has cast
            self._tell(state, row, error=f"{type(error).__name__}: {error}")
            return
        finally:
            self._stage.clear()
            bench_turns.reset_memory()
        self._tell(state, row, **put, failed=failed, **compared(found, right), took_s=round(time.perf_counter() - began, 2))  # fmt: skip

    def _tell(self, state, row, **fields):
        self._probe.write("gradients", state=state, name=row["name"], **fields)


class Step:
    """One step that can be computed again."""

    def __init__(self, scene, process_batch, words):
        self._scene, self._process_batch, self._words = scene, process_batch, words
        self._random = self._own = random_state()
        self._weights = [(n, p) for n, p in scene.network.named_parameters() if p.requires_grad]

    def draw(self, number):
        """Noise and timestep: the training's own for 0, else others, the same in every process."""
        self._random = self._own
        if number:
            import torch

            torch.manual_seed(SEED + number)
            random.seed(SEED + number)
            self._random = random_state()

    def fill_up(self, deviation):
        import torch

        chance = self._scene.generator(SEED)
        with torch.no_grad():
            for name, weight in self._weights:
                if "lora_up" in name:
                    noise = torch.randn(weight.shape, generator=chance, device=weight.device)
                    weight.copy_(noise * deviation)

    def gradients(self, **changed):
        """(loss, gradients by module: fp32 copies, unscaled). `changed`: arguments other than the trainer's."""
        accelerator = self._scene.accelerator
        scaler = getattr(accelerator, "scaler", None)
        scale = scaler.get_scale() if scaler is not None and scaler.is_enabled() else 1.0
        put_random_state(self._random)
        words = bound_with(self._words, **changed)
        loss = self._process_batch(*words.args, **words.kwargs)
        (loss * scale if scale != 1.0 else loss).backward()
        found = {}
        for name, weight in self._weights:
            if weight.grad is not None:
                module = name.rpartition(".lora_")[0] or name
                found.setdefault(module, []).append(weight.grad.detach().float().flatten() / scale)
        self._scene.optimizer.zero_grad(set_to_none=True)
        self._scene.network.zero_grad(set_to_none=True)
        forget_inputs(self._words.arguments["batch"])
        return float(loss.detach()), found


def fp32():
    import torch

    return torch.float32


def bound_with(words, **changes):
    made = inspect.BoundArguments(words.signature, dict(words.arguments))
    made.arguments.update(changes)
    return made


def forget_inputs(batch):
    """Cached text outputs get gradients too, because checkpointing wants inputs that need some."""
    for one in batch.get("text_encoder_outputs_list") or []:
        if getattr(one, "grad", None) is not None:
            one.grad = None


def compared(found, right):
    """Relative errors: of all gradients as one vector, and over the modules."""
    import torch

    (loss, found), (right_loss, right) = found, right
    rows = []
    for module, parts in right.items():
        b = torch.cat(parts)
        mine = found.get(module)
        a = torch.cat(mine) if mine is not None else torch.zeros_like(b)
        a = a if a.shape == b.shape else a.new_full(b.shape, float("inf"))
        rows.append((module, (a - b).double().pow(2).sum(), b.double().pow(2).sum()))
    squares = torch.stack([torch.stack(row[1:]) for row in rows]).cpu()
    errors = (squares[:, 0] / squares[:, 1].clamp_min(1e-60)).sqrt().tolist()
    worst = max(range(len(rows)), key=lambda place: errors[place])
    sums = squares.sum(0)
    return {
        "loss": loss, "loss_off": abs(loss - right_loss), "whole": float((sums[0] / sums[1].clamp_min(1e-60)).sqrt()),
        "median": statistics.median(errors), "worst": errors[worst], "worst_module": rows[worst][0],
        "modules": len(rows), "lost": sorted(set(right) - set(found))[:3],
    }  # fmt: skip


def norms(right):
    import torch

    loss, found = right
    sizes = [float(torch.cat(parts).norm()) for parts in found.values()]
    return {"loss": loss, "modules": len(sizes), "smallest": min(sizes), "largest": max(sizes)}


@contextlib.contextmanager
def unchanged(scene):
    """Random states and LoRA weights as they were; the training goes on as if nothing had happened."""
    import torch

    before = random_state()
    weights = [(p, p.detach().clone()) for p in scene.network.parameters()]
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, value in weights:
                weight.copy_(value)
                weight.grad = None
        put_random_state(before)


@contextlib.contextmanager
def in_fp32(scene):
    """The stored values of the U-Net in fp32, no autocast, no TF32, plain attention, the whole card."""
    import torch

    kept = [(one, one.data) for one in (*scene.unet.parameters(), *scene.unet.buffers())
            if one.is_floating_point() and one.dtype != torch.float32]  # fmt: skip
    enter, leave = torch.autocast.__enter__, torch.autocast.__exit__
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    set_cap(1.0)
    try:
        for one, data in kept:
            one.data = data.float()
        torch.autocast.__enter__ = lambda self: self
        torch.autocast.__exit__ = lambda *_: False
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        with bench_attention.allowed("math"):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
        torch.autocast.__enter__, torch.autocast.__exit__ = enter, leave
        for one, data in kept:
            one.data = data
        bench_turns.reset_memory()
        set_cap()


def set_cap(fraction=None):
    """Without a fraction: what BENCH_CAP_MIB says."""
    import torch

    cap = float(os.environ.get("BENCH_CAP_MIB") or 0)
    if not cap or not torch.cuda.is_available():
        return
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(fraction or min(1.0, cap * bench_turns.MIB / total), 0)


def random_state():
    import numpy as np
    import torch

    cards = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), cards  # noqa: NPY002  (the generator that others draw from)


def put_random_state(state):
    import numpy as np
    import torch

    random.setstate(state[0])
    np.random.set_state(state[1])  # noqa: NPY002
    torch.set_rng_state(state[2])
    if state[3]:
        torch.cuda.set_rng_state_all(state[3])

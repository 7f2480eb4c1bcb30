"""Runs inside a training environment: steps that fail and are made again, against a run without failures; prints JSON.

A trainer of two layers with upstream's two calls, `process_batch` and `accelerator.backward`, around real autograd, a
real accelerator, and gradient checkpointing; dropout and noise draw from torch's, numpy's and python's generators.
"""

import contextlib
import gc
import json
import random
import sys
import warnings
import weakref
from pathlib import Path
from types import SimpleNamespace

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402  (after the path)
import torch  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

STEPS = 4


class Keeper:
    kept_mib = 1.0

    def __init__(self, times):
        self.left = times

    def lower(self):
        self.left -= 1
        return self.left >= 0


class Fails(torch.autograd.Function):
    """Computes nothing; raises what was planned for this forward or backward."""

    @staticmethod
    def forward(ctx, x, world):
        ctx.world = world
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        ctx.world.strike("backward")
        return grad.clone(), None


@contextlib.contextmanager
def autocast():
    """As accelerate's of 1.6 (sd-scripts' version): not left when an error goes through it."""
    entered = torch.autocast("cpu", dtype=torch.bfloat16)
    entered.__enter__()
    yield
    entered.__exit__(None, None, None)


class World:
    """`plan`: what is raised, by micro-batch and place: [(micro, "forward" or "backward", error), ...]."""

    def __init__(self, plan=(), *, times=9, accumulation=1, processes=1, version="v0.10.1"):
        from accelerate import Accelerator

        from launcher.shim.boosts.repeat import Repeat
        from launcher.shim.boosts.scene import Machine, Scene

        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002  (what upstream draws from)
        random.seed(0)
        self.plan, self.micro, self.accumulation = list(plan), 0, accumulation
        self.alive, self.most = [], 0
        self.warnings, self.losses, self.seen = [], [], []
        self.network = torch.nn.ModuleList([torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)])
        self.network.multiplier = 1.0
        self.network.set_multiplier = lambda value: setattr(self.network, "multiplier", value)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.01)
        world = self

        class Trainer:
            def process_batch(self, batch, is_train=True):  # noqa: ARG002  (as upstream's)
                return world.process_batch(batch)

        self.trainer = Trainer()
        context = SimpleNamespace(trainer_class=Trainer, version=version, warn=self.warnings.append)
        self.accelerator = Accelerator(
            cpu=True, mixed_precision="bf16", gradient_accumulation_steps=accumulation
        )
        inner = self.accelerator.backward

        def watched(loss, **more):
            self.losses.append(loss.detach())
            return inner(loss, **more)

        repeat = Repeat(context)
        self.accelerator.backward = watched
        repeat.wrap(self.accelerator)
        self.scene = Scene(
            context=context, machine=Machine.of(torch.device("cpu")), accelerator=self.accelerator, unet=None,
            network=self.network, optimizer=self.optimizer, dtype=torch.float32, processes=processes, ops=None,
        )  # fmt: skip
        self.scene.shared["keeper"] = self.keeper = Keeper(times)
        self.scene.undo["lora"] = lambda: self.seen.append("lora is out")
        repeat.scene = self.scene

    def strike(self, place):
        for one in self.plan:
            if one[:2] == (self.micro, place):
                self.plan.remove(one)
                raise one[2]

    def process_batch(self, batch):
        noise = torch.randn_like(batch) * (1 + np.random.rand() + random.random())  # noqa: NPY002
        x = (batch + noise).requires_grad_()
        for layer in self.network:
            x = checkpoint(self.block, layer, x, use_reentrant=False)
        self.network.set_multiplier(0.0)
        with autocast():
            activation = x + self.network[1](x).float()
            self.alive = [one for one in self.alive if one() is not None] + [weakref.ref(activation)]
            self.most = max(self.most, len(self.alive))
            self.strike("forward")
        self.network.set_multiplier(1.0)
        return (activation**2).mean()

    def block(self, layer, x):
        y = torch.nn.functional.dropout(layer(x) * self.network.multiplier, 0.2)
        return Fails.apply(y, self) if layer is self.network[0] else y

    def train(self):
        data = torch.Generator()
        data.manual_seed(5)
        sums = []
        for _ in range(STEPS):
            for _ in range(self.accumulation):
                loss = self.trainer.process_batch(torch.randn(4, 8, generator=data), is_train=True)
                self.accelerator.backward(loss)
                self.micro += 1
            sums.append(loss.detach().item())
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return self.result(sums)

    def result(self, sums):
        chance = [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002
        return {
            "weights": [one.detach().flatten().tolist() for one in self.network.parameters()],
            "losses": [float(one) for one in self.losses], "logged": sums, "warnings": self.warnings,
            "chance": chance, "seen": self.seen,
            "lowered": 9 - self.keeper.left, "most": self.most, "left": len(self.plan),
        }  # fmt: skip


def oom():
    return torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


def failing():
    from launcher.shim.boosts.repeat import BoostError

    boost = BoostError("lora", ValueError("no kernel"))
    return {
        "forward": [(1, "forward", oom())],
        "backward": [(1, "backward", oom())],
        "twice": [
            (1, "forward", oom()),
            (1, "backward", oom()),
            (1, "backward", oom()),
            (2, "forward", oom()),
        ],
        "first": [(0, "backward", oom())],
        "words": [
            (2, "backward", RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"))
        ],
        "boost": [(1, "backward", boost)],
        "boost in forward": [(1, "forward", BoostError("lora", ValueError("no kernel")))],
    }


def repeated():
    gc.collect()
    found = {}
    for accumulation in (1, 3):
        found[f"stock {accumulation}"] = World(accumulation=accumulation, version="v0.9.1").train()
        found[f"calm {accumulation}"] = World(accumulation=accumulation).train()
        for name, plan in failing().items():
            found[f"{name} {accumulation}"] = World(plan, accumulation=accumulation).train()
    return found


def raised():
    """What nothing can be done about goes on as it was."""
    found = {}
    for name, (plan, more) in {
        "nothing to lower": ([(1, "backward", oom())], {"times": 0}),
        "processes": ([(1, "backward", oom())], {"processes": 2}),
        "version": ([(1, "backward", oom())], {"version": "v0.9.1"}),
        "other": ([(1, "forward", ValueError("a bug"))], {}),
        "unknown boost": ([(1, "backward", named(RuntimeError("what"), "attention"))], {}),
        "for ever": ([(1, "backward", oom()) for _ in range(40)], {"times": 1000}),
    }.items():
        world = World(plan, **more)
        try:
            world.train()
        except Exception as error:  # noqa: BLE001  (the point)
            found[name] = [type(error).__name__, world.micro, len(world.plan)]
    world = World([(1, "backward", oom())], accumulation=3)
    world.network[0].weight.register_post_accumulate_grad_hook(lambda _: None)
    try:
        world.train()
    except torch.cuda.OutOfMemoryError:
        found["hooks"] = ["OutOfMemoryError", world.micro, len(world.plan)]
    return found


def named(error, name):
    error.boost = name
    return error


if __name__ == "__main__":
    print(json.dumps({"repeated": repeated, "raised": raised}[sys.argv[1]]()))

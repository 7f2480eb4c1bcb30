"""Runs inside a training environment: weights updated and clipped together against one by one; prints one JSON line.

python tests/boost_optimizer_probe.py together | clip | checks [FOLDER]

FOLDER has a bitsandbytes whose 8-bit optimizers run on a CPU (0.50 and later do). Without it a stand-in takes its place:
the edge that the boost holds on to (hooks, `init_state`, `update_step`, states and their names), with states quantised
in blocks of 256; then layout and fallbacks are what is tested, not bitsandbytes' arithmetic.
"""

import copy
import io
import json
import sys
import types
import warnings
from pathlib import Path
from types import SimpleNamespace

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402  (after the path)

SHAPES = ((32, 320), (640, 32), (16, 16), (4, 16), (32, 1280), (33, 100))  # the last: no whole blocks of 256


def standin():
    """bitsandbytes.optim.optimizer, as far as the boost touches it."""

    class Base(torch.optim.Optimizer):
        def __init__(self, params, lr=1e-3, betas=(0.9, 0.99), eps=1e-8, weight_decay=1e-2):
            super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
            self.initialized = False
            self.args = SimpleNamespace(percentile_clipping=100, max_unorm=0.0, min_8bit_size=4096)
            self.mng = SimpleNamespace(pid2config={}, index2config={}, module_weight_config_triple=[])
            self.updates = 0

        @torch.no_grad()
        def step(self):
            self.initialized = True
            for gindex, group in enumerate(self.param_groups):
                for pindex, p in enumerate(group["params"]):
                    if p.grad is None:
                        continue
                    if not self.state[p]:
                        self.init_state(group, p, gindex, pindex)
                    self.update_step(group, p, gindex, pindex)

        @torch.no_grad()
        def update_step(self, group, p, gindex, pindex):  # noqa: ARG002  (as there)
            self.updates += 1
            state = self.state[p]
            state["step"] += 1
            p.mul_(1 - group["lr"] * group["weight_decay"])
            moments = []
            for number, value in ((1, p.grad), (2, p.grad * p.grad)):
                if f"state{number}" not in state:
                    continue
                kept, beta = state[f"state{number}"], group["betas"][number - 1]
                if kept.dtype != torch.uint8:
                    moments.append(kept.lerp_(value, 1 - beta))
                    continue
                scale, levels = state[f"absmax{number}"], state[f"qmap{number}"]
                rows = levels[kept.long()].view(scale.numel(), -1) * scale[:, None]
                rows.lerp_(value.reshape(rows.shape), 1 - beta)
                scale.copy_(rows.abs().amax(1))
                places = (
                    ((rows / scale[:, None].clamp_min(1e-30) + 1) * 127.5)
                    .round()
                    .nan_to_num()
                    .to(torch.uint8)
                )
                kept.copy_(places.view(kept.shape))
                moments.append(rows.view(p.shape))
            p.sub_(
                group["lr"]
                * moments[0]
                / ((moments[1].abs().sqrt() if len(moments) > 1 else 1) + group["eps"])
            )

    class Optimizer2State(Base):
        optimizer_name, count = "adam", 2

        def init_state(self, group, p, gindex, pindex):  # noqa: ARG002  (as there)
            state = self.state[p]
            state["step"] = 0
            is_small = p.numel() < self.args.min_8bit_size or p.numel() % 256
            for number in range(1, self.count + 1):
                state[f"state{number}"] = torch.zeros_like(
                    p, dtype=torch.float32 if is_small else torch.uint8
                )
                if not is_small:
                    state[f"state{number}"].fill_(128)
                    state[f"qmap{number}"] = MAP
                    state[f"absmax{number}"] = torch.zeros(p.numel() // 256)

        update_step = Base.update_step

    class Optimizer1State(Optimizer2State):
        optimizer_name, count = "lion", 1

    MAP = torch.arange(256).sub(127.5).div(127.5)  # noqa: N806
    library = types.ModuleType("bitsandbytes.optim.optimizer")
    library.Optimizer1State, library.Optimizer2State = Optimizer1State, Optimizer2State
    sys.modules["bitsandbytes.optim.optimizer"] = library
    return {
        "AdamW8bit": type("AdamW8bit", (Optimizer2State,), {}),
        "Lion8bit": type("Lion8bit", (Optimizer1State,), {}),
    }


def kinds(folder):
    if folder is None:
        return standin()
    sys.path.insert(0, folder)
    import bitsandbytes

    names = ("AdamW8bit", "Lion8bit", "PagedAdamW8bit", "AdamW")
    return {name: getattr(bitsandbytes.optim, name) for name in names}


class Pair:
    """The same weights twice: one by one, and laid out together in a scene with the boosts."""

    def __init__(self, kind, name="optimizer"):
        from launcher.shim.boosts import clip, optimizer
        from launcher.shim.boosts.scene import Machine, Scene

        torch.manual_seed(0)
        values = [torch.randn(shape) * 0.1 for shape in SHAPES]
        self.apart = [torch.nn.Parameter(value.clone()) for value in values]
        self.together = [torch.nn.Parameter(part) for part in self.views(values)]
        self.stock, self.ours = (
            kind([{"params": weights[:4]}, {"params": weights[4:], "lr": 3e-3}], lr=1e-3, weight_decay=0.05)
            for weights in (self.apart, self.together)
        )
        self.schedulers = [
            torch.optim.lr_scheduler.LambdaLR(one, lambda step: min(1.0, step / 5))
            for one in (self.stock, self.ours)
        ]
        self.told = []
        self.scene = Scene(
            context=None, machine=Machine.of(torch.device("cpu")), unet=None, network=None, optimizer=self.ours,
            dtype=torch.float32, processes=1, ops=None, accelerator=SimpleNamespace(
                distributed_type="NO", clip_grad_norm_=torch.nn.utils.clip_grad_norm_),
        )  # fmt: skip
        self.scene.tell = lambda *words: self.told.append(words)
        self.scene.undo["reduce"] = lambda: None
        self.boost = {"optimizer": optimizer, "clip": clip}[name]
        self.calls = 0
        update = self.ours.update_step

        def counted(*args):
            self.calls += 1
            return update(*args)

        self.reason = self.boost.reason_against(self.scene)
        self.check = self.boost.check(self.scene)
        self.ours.update_step = counted

    @staticmethod
    def views(tensors):
        flat = torch.cat([one.reshape(-1) for one in tensors])
        parts = flat.split([one.numel() for one in tensors])
        return [part.view(one.shape) for part, one in zip(parts, tensors, strict=True)]

    def install(self):
        self.scene.undo[self.boost.NAME] = self.boost.install(self.scene)

    def gradients(self, step, *, scattered=(), missing=(), bad=()):
        torch.manual_seed(1000 + step)
        found = [torch.randn(shape) for shape in SHAPES]
        for at in bad:
            found[at][0, 1] = float("nan")
        laid = self.views(found)
        for at, grad in enumerate(found):
            self.apart[at].grad = None if at in missing else grad
            self.together[at].grad = None if at in missing else grad.clone() if at in scattered else laid[at]

    def step(self, step, **how):
        self.gradients(step, **how)
        self.calls = 0
        given = [weight.grad for weight in self.together]
        for one in (self.stock, self.ours):
            one.step()
        for one in self.schedulers:
            one.step()
        after = [weight.grad for weight in self.together]
        assert all(one is other for one, other in zip(given, after, strict=True)), (
            "gradients are not where they were"
        )
        return self.calls

    def same(self):
        """Weights and everything that a state file has, to the last bit (a NaN is a NaN)."""
        weights = all(equal(one, other) for one, other in zip(self.apart, self.together, strict=True))
        return weights and equal(self.stock.state_dict(), self.ours.state_dict())

    def reload(self):
        """As accelerate's save_state and load_state do it. Gives the sizes of both files."""
        sizes = []
        for one in (self.stock, self.ours):
            stream = io.BytesIO()
            torch.save(one.state_dict(), stream)
            sizes.append(stream.tell())
            stream.seek(0)
            one.load_state_dict(torch.load(stream, map_location="cpu", weights_only=False))
        return sizes


def equal(one, other):
    if isinstance(one, torch.Tensor):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        return torch.equal(one.contiguous().view(torch.uint8), other.contiguous().view(torch.uint8))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def together(folder):
    """Twenty steps of each optimizer: how many calls each took, and whether all is the same bits behind it."""
    seen = {}
    for name, kind in kinds(folder).items():
        pair = Pair(kind)
        pair.install()
        calls, same, sizes = {}, [], None
        ways = {
            7: {"scattered": (1,)}, 9: {"missing": (2,)}, 10: {}, 11: {"missing": range(6)}, 13: {"bad": (0, 3)}, 14: {},
        }  # fmt: skip
        for step in range(20):
            if step == 5:
                sizes = pair.reload()
            calls[step] = pair.step(step, **ways.get(step, {}))
            same.append(pair.same())
        keys = sorted({key for state in pair.ours.state.values() for key in state})
        seen[name] = {
            "reason": pair.reason, "check": pair.check, "calls": calls, "same": same, "sizes": sizes, "told": pair.told,
            "keys": keys, "states": len(pair.ours.state), **ended(pair), **moved(kind), **failed(kind),
        }  # fmt: skip
    return seen


def ended(pair):
    """Taken out again: every state has memory of its own, and training goes on."""
    pair.scene.undo.pop("optimizer")()
    storages = {state["state1"].untyped_storage().data_ptr() for state in pair.ours.state.values()}
    calls = pair.step(20)
    return {
        "own": len(storages) == len(SHAPES),
        "undone": [calls, pair.same()],
    }


def moved(kind):
    """Another boost lets go of the weights in the midst of it: they lie apart, and are updated one by one."""
    pair = Pair(kind)
    pair.install()
    before = [pair.step(step) for step in range(3)]
    for weight in pair.together:
        weight.data = weight.data.clone()
    return {"moved": [before[-1], pair.step(3), pair.same()]}


def failed(kind):
    """The update of a run fails: the stock step does it, gradients are given back, the boost is out."""
    pair = Pair(kind)
    pair.install()
    pair.step(0)
    update = pair.ours.update_step

    def fails(group, p, gindex, pindex):
        if p.dim() == 1:
            raise RuntimeError("no kernel image")
        return update(group, p, gindex, pindex)

    pair.ours.update_step = fails
    pair.ours.register_step_pre_hook(lambda *_: None)  # others' hooks behind ours go on being called
    pair.ours.register_step_post_hook(lambda *_: None)
    calls = [pair.step(1), pair.step(2)]
    return {
        "failed": [calls, pair.same(), pair.told, pair.scene.is_on("optimizer")],
        "raised": raised(pair.ours),
    }


def raised(ours):
    """A step that raises never comes to its end: what was hidden must not come back over the next gradients."""
    from launcher.shim.boosts import optimizer

    steps = optimizer.Together(SimpleNamespace(initialized=False, state=ours.state))
    weight = torch.nn.Parameter(torch.zeros(2))
    steps._hidden = [(weight, torch.ones(2))]
    weight.grad = torch.full((2,), 5.0)
    steps.before()
    steps.after()
    return weight.grad.tolist()


def distance(one, other):
    from launcher.shim.boosts.scene import relative_error

    if one is None or bool(one.isnan().all()):
        return 0.0 if one is other or bool(other.isnan().all()) else float("inf")
    return relative_error(one, other)


def clipped(folder):
    """Norm and clipped gradients against torch's, for gradients that lie together, apart, are missing, are no numbers."""
    kind = kinds(folder)["AdamW8bit"]
    ways = ({}, {"scattered": (1,)}, {"missing": (2,)}, {"bad": (0,)}, {"missing": range(6)})
    pair = Pair(kind, "clip")
    lengths = []
    stock = pair.scene.accelerator.clip_grad_norm_

    def counted(weights, *args, **more):
        lengths.append(len(weights))
        return stock(weights, *args, **more)

    pair.scene.accelerator.clip_grad_norm_ = counted
    pair.install()
    errors = []
    for max_norm in (0.5, 1e9):
        for step, how in enumerate(ways):
            pair.gradients(step, **how)
            right = torch.nn.utils.clip_grad_norm_(pair.apart, max_norm)
            found = pair.scene.accelerator.clip_grad_norm_((one for one in pair.together), max_norm)
            both = zip(
                [found, *(one.grad for one in pair.together)],
                [right, *(one.grad for one in pair.apart)],
                strict=True,
            )
            errors.append(max(distance(one, other) for one, other in both))
    pair.scene.undo.pop("clip")()
    return {
        "reason": pair.reason, "check": pair.check, "errors": errors, "lengths": lengths, "told": pair.told,
        "back": pair.scene.accelerator.clip_grad_norm_ is counted,
    }  # fmt: skip


def reasons(folder):
    """Why each boost says no; None where it does not."""
    offered = kinds(folder)
    found = {}
    pair = Pair(offered["AdamW8bit"])
    for name, change in {
        "apart": lambda scene: setattr(scene, "optimizer", pair.stock),
        "torch": lambda scene: setattr(scene, "optimizer", torch.optim.AdamW(pair.together)),
        "unorm": lambda scene: setattr(scene.optimizer.args, "max_unorm", 1.0),
        "percentile": lambda scene: setattr(scene.optimizer.args, "percentile_clipping", 5),
        "override": lambda scene: scene.optimizer.mng.index2config.update({(0, 0): {"lr": 1.0}}),
        "copies": lambda scene: setattr(scene, "undo", {}),
        "name": lambda scene: setattr(scene.optimizer, "optimizer_name", "ademamix"),
    }.items():
        scene = copy.copy(pair.scene)
        scene.optimizer = Pair(offered["AdamW8bit"]).ours
        change(scene)
        found[name] = pair.boost.reason_against(scene)
        scene.optimizer and getattr(scene.optimizer, "mng", pair.ours.mng).index2config.clear()
    return found


if __name__ == "__main__":
    folder = sys.argv[2] if len(sys.argv) > 2 else None
    print(json.dumps({"together": together, "clip": clipped, "reasons": reasons}[sys.argv[1]](folder)))

"""Runs inside a training environment: the upload beside the making of the network; prints one JSON line.

python tests/upload_probe.py whole | broken | raising | refused | other | ending

A processor stands in for the card (`load.CARDS`).
"""

import atexit
import copy
import json
import sys
import threading
import types
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
MAIN = threading.main_thread()


def small_unet(torch):
    torch.manual_seed(3)
    blocks = [
        torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3), torch.nn.GroupNorm(2, 8), torch.nn.Linear(8, 8))
        for _ in range(12)
    ]
    for block in blocks:
        block.register_buffer("table", torch.randn(5))
    blocks[7][2].weight = blocks[0][
        2
    ].weight  # shared: its object is moved once and found done the second time
    return torch.nn.Sequential(*blocks).to(torch.float16)


class Trainer:
    """A trainer of the known shape: loads, makes its network, casts."""

    def load_target_model(self, _args, _dtype, _accelerator):
        return "version", [self.encoder], self.vae, self.unet


class Rig:
    """Upload and moments around a small U-Net; every move is noted with its thread."""

    def __init__(self, *, processes=1, encoder=None, fail_at=None, make=None, cards=("cuda", "cpu")):
        import torch

        from launcher.shim.memory import load, upload
        from launcher.shim.memory.models import Moments

        self.torch, self.load, self.moves, self.warnings = torch, load, [], []
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.reached = threading.Event()
        load.CARDS = cards
        stock = load.move.__wrapped__ if hasattr(load.move, "__wrapped__") else load.move

        def move(module, cast):
            is_main = threading.current_thread() is MAIN
            if not is_main and len(self.moves) == fail_at:
                self.reached.set()
                self.goes_on.wait(30)
                first = next(iter(module._parameters.values()), None)
                if first is not None:
                    first.data = cast(first)  # the error comes in the middle of a module
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            stock(module, cast)
            self.moves.append((module, is_main))

        move.__wrapped__ = stock
        load.move = move
        self.network = types.ModuleType("networks.lora")
        self.network.create_network = make or self.make_nothing
        sys.modules["networks.lora"] = self.network
        args = types.SimpleNamespace(network_module="networks.lora", fp8_base=True)
        self.trainer = type("Trainer", (Trainer,), {})()
        context = types.SimpleNamespace(
            args=args, trainer_class=type(self.trainer), warn=self.warnings.append
        )
        self.moments = Moments(context)
        self.upload = upload.install(context, self.moments)
        self.moments.place = load.place_tensor_by_tensor(0, self.upload)
        self.seen = []
        self.moments.before_cast.append(
            lambda _models, dtype: self.seen.append((str(dtype), len(self.moves)))
        )
        self.moments.wrap()
        self.trainer.unet = self.unet = small_unet(torch)
        self.trainer.vae, self.trainer.encoder = torch.nn.Linear(2, 2), encoder or torch.nn.Linear(2, 2)
        self.modules = list(self.unet.modules())
        self.right = copy.deepcopy(self.unet)
        accelerator = types.SimpleNamespace(device=torch.device("cpu"), num_processes=processes)
        self.trainer.load_target_model(args, torch.bfloat16, accelerator)

    def make_nothing(self, *_args, **_more):
        return "network"

    def cast(self, dtype=None):
        dtype = dtype or self.torch.float8_e4m3fn
        self.unet.to(dtype=dtype)
        self.right.to(dtype=dtype)

    def found(self):
        ours, right = self.unet.state_dict(), self.right.state_dict()
        bits = self.torch.uint8
        return {
            "same": ours.keys() == right.keys()
            and all(
                ours[name].dtype == value.dtype
                and self.torch.equal(ours[name].contiguous().view(bits), value.contiguous().view(bits))
                for name, value in right.items()
            ),
            "in_order": [module for module, _ in self.moves] == self.modules,
            "beside": sum(not is_main for _, is_main in self.moves),
            "moves": len(self.moves),
            "modules": len(self.modules),
            "shared": self.unet[0][2].weight is self.unet[7][2].weight,
            "hook": self.seen,
            "told": self.warnings,
        }


def whole():
    """The thread does everything; the main thread draws random numbers and freezes the model meanwhile."""
    import torch

    drawn = {}

    def make(*args, **more):
        drawn["words"] = [list(args), more]
        drawn["numbers"] = torch.rand(1000)
        rig.unet.requires_grad_(requires_grad=False)
        return "network"

    rig = Rig(make=make)
    own = [*rig.unet.parameters()]
    torch.manual_seed(11)
    right, after = torch.rand(1000), torch.get_rng_state()
    torch.manual_seed(11)
    made = rig.network.create_network(1.0, unet="unet")
    rig.upload._thread.join()
    beside = len(rig.moves)
    rig.cast()
    return {
        **rig.found(), "made": made, "words": drawn["words"], "at_the_cast": beside,
        "numbers": torch.equal(drawn["numbers"], right), "chance": torch.equal(torch.get_rng_state(), after),
        "objects": all(a is b for a, b in zip(own, rig.unet.parameters(), strict=True)),
        "frozen": not any(weight.requires_grad for weight in rig.unet.parameters()),
        "name": rig.network.create_network.__name__,
    }  # fmt: skip


def broken():
    """Out of memory in the middle of the 20th module: the main thread goes on from there."""
    rig = Rig(fail_at=20)
    rig.network.create_network()
    rig.cast()
    return rig.found()


def raising():
    """The network cannot be made: the thread begins no further module. A trainer that went on would lose nothing."""

    def make():
        rig.reached.wait(30)
        raise ValueError("no such dim")

    rig = Rig(make=make)
    stock = rig.load.move

    def slow(module, cast):
        stock(module, cast)
        if threading.current_thread() is not MAIN and len(rig.moves) == 5:
            rig.reached.set()
            rig.goes_on.wait(30)

    rig.goes_on.clear()
    rig.load.move = slow
    try:
        rig.network.create_network()
    except ValueError as error:
        said = str(error)
    rig.goes_on.set()
    rig.upload._thread.join()
    stopped = len(rig.moves)
    rig.cast()
    return {**rig.found(), "said": said, "stopped": stopped}


def refused():
    """Where the thread does not begin, everything is done at the cast."""
    import torch

    card = types.SimpleNamespace(device=types.SimpleNamespace(type="cuda"))
    on_the_card = types.SimpleNamespace(parameters=lambda: [card], buffers=list)
    found = {}
    for name, more in {
        "processes": {"processes": 2}, "encoder": {"encoder": on_the_card}, "device": {"cards": ("cuda",)},
    }.items():  # fmt: skip
        rig = Rig(**more)
        rig.network.create_network()
        began = rig.upload._thread is not None
        rig.cast()
        found[name] = {**rig.found(), "began": began, "holds": rig.upload._models is not None}
    rig = Rig(encoder=torch.nn.Linear(2, 2, device="meta"))  # one that is gone already
    rig.network.create_network()
    rig.cast()
    return {**found, "gone": {**rig.found(), "began": rig.upload._thread is not None}}


def other():
    """Another type than the thread has cast to must not be trained with."""
    from launcher.errors import LauncherError

    rig = Rig()
    rig.network.create_network()
    try:
        rig.cast(rig.torch.bfloat16)
    except LauncherError as error:
        return {"said": str(error), "fix": error.fix}
    return {"said": None}


def ending():
    """The process ends while the thread works: it must have stopped before Python takes torch down."""
    atexit.register(lambda: print(json.dumps({"alive": thread.is_alive(), "moves": len(rig.moves)})))
    rig = Rig()
    stock = rig.load.move

    def slow(module, cast):
        stock(module, cast)
        rig.reached.set()
        threading.Event().wait(0.2)

    rig.load.move = slow
    rig.network.create_network()
    thread = rig.upload._thread
    rig.reached.wait(30)
    return {"modules": len(rig.modules)}


if __name__ == "__main__":
    commands = {f.__name__: f for f in (whole, broken, raising, refused, other, ending)}
    print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])), flush=True)

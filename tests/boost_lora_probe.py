"""Runs inside a training environment: the boost `lora` against the stock layers; prints one JSON line.

python tests/boost_lora_probe.py gradients | closeness | behaviour | failures
python tests/boost_lora_probe.py upstream CODE      (the real networks/lora.py)
"""

import importlib
import json
import math
import sys
import warnings
from pathlib import Path

import torch
from torch.utils.checkpoint import checkpoint

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from boost_scene import apart, exact, learn, make, make_scene, put_in  # noqa: E402

from launcher.shim.boosts import lora  # noqa: E402
from launcher.shim.boosts.adapters import adapter_of  # noqa: E402
from launcher.shim.boosts.ops import Ops  # noqa: E402


def pictures(seed=5):
    return torch.randn((2, 24, 64), generator=torch.Generator().manual_seed(seed))


def gradients():
    """gradcheck in fp64, for each choice of what is asked for."""
    unet, network = make(torch.float64, torch.float64)
    scene, _ = make_scene(unet, network, torch.float64)
    frozen = lora.Frozen(scene, unet.wide.weight, unet.wide.bias, 0.7, torch.float64)
    module = network.unet_loras[0]
    found = {}
    for asked in ("111", "011", "100", "110", "001"):
        x, down, up = (
            part.detach().double().clone().requires_grad_(flag == "1")
            for part, flag in zip((pictures()[:, :3], module.lora_down.weight, module.lora_up.weight), asked, strict=True)
        )  # fmt: skip
        found[asked] = torch.autograd.gradcheck(
            lambda *parts: lora.Product.apply(*parts, frozen), (x, down, up)
        )
    return found


def closeness():
    """Errors against fp64 of stock and boosted, under autocast and in plain fp32; every stored type."""
    rows = []
    kinds = [
        (stored, torch.float32, torch.bfloat16)
        for stored in (torch.float8_e4m3fn, torch.bfloat16, torch.float32)
    ]
    kinds += [(torch.float32, torch.float32, None), (torch.bfloat16, torch.bfloat16, torch.bfloat16)]
    for stored, trained, autocast in kinds:
        for seed in range(8):
            unet, network = make(stored, trained, seed)
            right = exact(unet, network, pictures(seed))
            stock = learn(unet, network, pictures(seed), autocast=autocast)
            scene, told = make_scene(unet, network, autocast or torch.float32)
            reason = put_in(scene, lora)
            ours = learn(unet, network, pictures(seed), autocast=autocast)
            rows.append({
                "stored": str(stored), "autocast": str(autocast), "reason": reason, "told": told,
                "types": [a.dtype == b.dtype and a.shape == b.shape for a, b in zip(ours, stock, strict=True)],
                "stock": apart(stock, right), "ours": apart(ours, right), "same": all(map(torch.equal, ours, stock)),
            })  # fmt: skip
    return rows


def behaviour():
    unet, network = make()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    layer, module = unet.wide, network.unet_loras[0]
    forward, kind, names = layer.forward, type(module), sorted(module.__dict__)
    network.unet_loras[1].rank_dropout = 0.1
    random = torch.get_rng_state()
    scene, told = make_scene(unet, network)
    found = {"reason": put_in(scene, lora), "random": torch.equal(random, torch.get_rng_state())}
    found["partly"] = scene.shared["lora.partly"]
    found["taken"] = [type(one) is not kind for one in network.unet_loras]
    found["name"] = type(module).__name__
    found["adapter"] = adapter_of(layer).module is module
    found["state"] = all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())
    found["state"] &= list(before) == list(network.state_dict())
    network.unet_loras[1].rank_dropout = None
    x = pictures()
    plain = learn(unet, network, x, autocast=torch.bfloat16)
    again = learn(unet, network, x, autocast=torch.bfloat16)
    network.zero_grad()
    given = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = checkpoint(unet, given, use_reentrant=True)
    (y.float() * torch.linspace(-1, 1, y.numel()).view(y.shape)).sum().backward()
    kept = [y.detach(), given.grad, *(weight.grad for weight in network.parameters())]
    found["repeats"] = all(map(torch.equal, plain, again))
    found["checkpoint"] = all(map(torch.equal, plain, kept))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found["no_grad"] = torch.equal(unet(x), plain[0])
    errors = []
    for multiplier in (0.0, -0.5, 2, torch.tensor(0.5)):
        module.multiplier = multiplier
        errors.append(
            max(apart(learn(unet, network, x, autocast=torch.bfloat16), exact(unet, network, x))[:4])
        )
    found["multipliers"] = [error for error in errors if not math.isnan(error)]  # at 0 a gradient is 0 / 0
    module.multiplier = 1.0
    scene.undo.pop("lora")()
    found["undone"] = layer.forward == forward and type(module) is kind and sorted(module.__dict__) == names
    found["told"] = told
    return found


class Failing(Ops):
    """The n-th cast from now raises."""

    left = -1

    def cast(self, weight, dtype):
        self.left -= 1
        if self.left == 0:
            raise self.error
        return super().cast(weight, dtype)


def failures():
    found = {}
    for name, at in (("forward", 2), ("backward", 3), ("late", 4)):
        unet, network = make(torch.float8_e4m3fn)
        x = pictures()
        right = exact(unet, network, x)
        stock = learn(unet, network, x, autocast=torch.bfloat16)
        scene, told = make_scene(unet, network, ops=Failing())
        reason = put_in(scene, lora)
        scene.ops.left, scene.ops.error = at, ValueError("a kernel broke\nsecond line")
        ours = learn(unet, network, x, autocast=torch.bfloat16)
        after = learn(unet, network, x, autocast=torch.bfloat16)
        found[name] = {
            "reason": reason, "told": told, "on": scene.is_on("lora"), "after": all(map(torch.equal, after, stock)),
            "ours": apart(ours, right), "stock": apart(stock, right),
        }  # fmt: skip
    unet, network = make(torch.float8_e4m3fn)
    scene, _ = make_scene(unet, network, ops=Failing())
    scene.ops.left, scene.ops.error = 2, ValueError("only backwards")
    try:
        found["check"] = put_in(scene, lora)
    except ValueError as error:  # as whoever starts boosts takes it
        found["check"] = str(error)
    scene, told = make_scene(unet, network, ops=Failing())
    put_in(scene, lora)
    raised = []
    for at in (1, 3):  # forward, backward
        scene.ops.left, scene.ops.error = at, torch.cuda.OutOfMemoryError("CUDA out of memory")
        try:
            learn(unet, network, pictures(), autocast=torch.bfloat16)
        except torch.cuda.OutOfMemoryError:
            raised.append(at)
    found["memory"] = {"raised": raised, "on": scene.is_on("lora"), "told": told}
    return found


def upstream(code):
    """The real network on a block that bears the name it looks for."""
    sys.path.insert(0, code)
    networks = importlib.import_module("networks.lora")
    unet, _ = make(torch.float8_e4m3fn)
    for one in (unet.wide, unet.back):
        del one.forward
    holder = torch.nn.Module()
    holder.body = type("Transformer2DModel", (torch.nn.Module,), {"forward": lambda self, x: self.unet(x)})()
    holder.body.unet = unet
    network = networks.LoRANetwork([], holder, lora_dim=8, alpha=4)
    network.apply_to([], holder, apply_text_encoder=False, apply_unet=True)
    generator = torch.Generator().manual_seed(1)
    for one in network.unet_loras:
        one.lora_up.weight.data = torch.randn(one.lora_up.weight.shape, generator=generator) / 5
    names = list(network.state_dict())
    x = pictures()
    stock = learn(unet, network, x, autocast=torch.bfloat16)
    scene, told = make_scene(holder, network)
    reason = put_in(scene, lora)
    ours = learn(unet, network, x, autocast=torch.bfloat16)
    return {
        "reason": reason, "count": sum(1 for one in network.unet_loras if type(one) is not networks.LoRAModule),
        "apart": max(apart(ours, stock)), "same": all(map(torch.equal, ours, stock)),
        "names": names == list(network.state_dict()), "told": told,
    }  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))

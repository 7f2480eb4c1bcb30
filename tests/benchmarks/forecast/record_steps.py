"""Records what a training step puts on the card, from the trainers' own classes and without a card.

    PYTHON tests/benchmarks/forecast/record_steps.py CODE OUT.json [KIND ...]

PYTHON is a training environment's (torch 2.5 or newer, diffusers, transformers), CODE its sd-scripts folder; OUT is
`launcher/forecast/recordings.json`. sd-scripts' U-Net and networks.lora make one forward and backward pass on fake tensors
(shapes without data): every storage that comes or goes is written down in order. The sides are numbers that occur nowhere in
the architecture, so that each size can be read as a multiple of batch, latent pixels, network_dim or conv_dim.
About a minute for each of the 32 kinds (`fp8=1,ckpt=1,att=1,full=0,conv=0`); without KIND all of them.

A card's autocast does what a processor's does not, and is imitated: layer and group norm, and softmax, in float32. Its
softmax also multiplies gradient and output into a tensor of its own (softmax_backward_data, SoftMax.cu).
"""

import base64
import itertools
import json
import logging
import sys
import weakref
import zlib
from collections import Counter
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812  (as everybody calls it)
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

BATCH, HEIGHT, WIDTH, DIM, CONV = 5, 176, 208, 17, 13
TOKENS = 77
HALF = torch.bfloat16
TINY = 4096  # bytes at dim 32 and batch 1: what is smaller moves nothing
TYPICAL = {"1": 1, "B": 1, "d": 32, "dB": 32, "c": 16, "cB": 16}
NAMES = {(0, 0, 0, 0): "1", (1, 0, 0, 0): "B", (1, 1, 0, 0): "T", (1, 2, 0, 0): "Q", (0, 0, 1, 0): "d", (1, 0, 1, 0): "dB",
         (1, 1, 1, 0): "dT", (0, 0, 0, 1): "c", (1, 0, 0, 1): "cB", (1, 1, 0, 1): "cT"}  # fmt: skip


def known_sides():
    """What a side of a tensor stands for: powers of batch, pixels, dim and conv dim, and a factor."""
    sides = {
        BATCH: ("B", 1), DIM: ("d", 1), CONV: ("c", 1),
        **{BATCH * times: ("B", times) for times in (TOKENS, 10, 20)},  # heads are laid beside the batch
    }  # fmt: skip
    for step in (1, 2, 4):
        height, width = HEIGHT // step, WIDTH // step
        sides |= {height: ("h", 1 / step), width: ("w", 1 / step), height * width: ("hw", 1 / step**2)}
        sides[BATCH * height * width] = ("T", 1 / step**2)
    return sides


SIDES = known_sides()


def symbol(shape):
    """(name, numbers for each unit of it) of a tensor's shape."""
    powers, factor = Counter(), 1
    for side in shape:
        name, times = SIDES.get(side, ("", side))
        powers[name] += 1
        factor *= times
    assert powers["h"] == powers["w"], shape
    both = powers["T"]
    return NAMES[powers["B"] + both, powers["hw"] + powers["h"] + both, powers["d"], powers["c"]], factor


class Watch(TorchDispatchMode):
    """Storages as they come and go; those of weights that were there before are none of the step's."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights  # held, so that no address comes again
        self.live = {weight.untyped_storage()._cdata: 0 for weight in weights}
        self.events, self.sizes, self.count = [], {}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        beside = None
        if function is torch.ops.aten._softmax_backward_data.default:
            beside = torch.empty_like(args[0])
            self.see(beside)
        out = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.see(leaf)
        del beside
        return out

    def see(self, tensor):
        storage = tensor.untyped_storage()
        if storage._cdata in self.live or not storage.nbytes():
            return
        self.count += 1
        self.live[storage._cdata] = self.count
        name, factor = symbol(tuple(tensor.shape))
        self.sizes[self.count] = (
            name,
            round(factor * tensor.element_size() * storage.nbytes() / tensor.nbytes, 4),
        )
        self.events.append(self.count)
        weakref.finalize(storage, self.gone, storage._cdata, self.count)

    def gone(self, address, number):
        self.live.pop(address, None)
        self.events.append(-number)


def imitate_card():
    """What autocast on a card does in float32, and on a processor does not."""
    layer, group, softmax = F.layer_norm, F.group_norm, torch.Tensor.softmax

    def wide(value):
        return (
            value.float() if isinstance(value, torch.Tensor) and torch.is_autocast_enabled("cpu") else value
        )

    F.layer_norm = lambda x, shape, w=None, b=None, eps=1e-5: layer(wide(x), shape, wide(w), wide(b), eps)
    F.group_norm = lambda x, groups, w=None, b=None, eps=1e-5: group(wide(x), groups, wide(w), wide(b), eps)
    torch.Tensor.softmax = lambda x, dim: softmax(x.float(), dim)


def record(kind, unet_module, lora_module):
    """Events and sizes of one forward and backward pass."""
    with FakeTensorMode():
        unet = unet_module.SdxlUNet2DConditionModel()
        more = {"conv_dim": CONV, "conv_alpha": 1} if kind["conv"] else {}
        network = lora_module.create_network(1.0, DIM, DIM / 2, None, [], unet, **more)
        network.apply_to([], unet, False, True)
        unet.requires_grad_(False).to(torch.float8_e4m3fn if kind["fp8"] else HALF)
        network.requires_grad_(True).to(HALF if kind["full"] else torch.float32)
        unet.train()
        unet.set_use_sdpa(bool(kind["att"]))
        if kind["ckpt"]:
            unet.enable_gradient_checkpointing()
        with Watch([*unet.parameters(), *unet.buffers(), *network.parameters(), *network.buffers()]) as watch:
            step(unet, is_checkpointed=kind["ckpt"])
    return watch


def step(unet, *, is_checkpointed):
    latents = torch.randn(BATCH, 4, HEIGHT, WIDTH)
    texts, sizes = torch.randn(BATCH, TOKENS, 2048).to(HALF), torch.randn(BATCH, 2816).to(HALF)
    times, noise = torch.randint(0, 1000, (BATCH,)), torch.randn_like(latents)
    noisy = (latents + noise).to(HALF)
    if is_checkpointed:
        noisy.requires_grad_(True)
    with torch.autocast("cpu", dtype=HALF):
        out = unet(noisy, times, texts, sizes).float()
    F.mse_loss(out, noise, reduction="none").mean([1, 2, 3]).mean().backward()


def packed(watch):
    """As `launcher.forecast.recording` reads it: sizes by number; of a free, how many younger tensors live."""
    kinds, live, numbers = {}, [], []
    for event in watch.events:
        name, size = watch.sizes[abs(event)]
        if name in TYPICAL and size * TYPICAL[name] < TINY:
            continue
        if event > 0:
            numbers.append(2 * kinds.setdefault((name, size), len(kinds)))
            live.append(event)
        else:
            place = live.index(-event)
            numbers.append(2 * (len(live) - 1 - place) + 1)
            live.pop(place)
    sizes = [[name, int(size) if size == int(size) else size] for name, size in kinds]
    return {"sizes": sizes, "events": base64.b85encode(zlib.compress(as_bytes(numbers), 9)).decode()}


def as_bytes(numbers):
    found = bytearray()
    for number in numbers:
        left = number
        while left >= 128:
            found.append(left & 127 | 128)
            left >>= 7
        found.append(left)
    return bytes(found)


def main():
    code, out, *keys = sys.argv[1:]
    sys.path.insert(0, code)
    logging.disable(logging.WARNING)
    imitate_card()
    from library import sdxl_original_unet
    from networks import lora

    out = Path(out)
    about = f"sd-scripts v0.10.1, torch {torch.__version__}: tests/benchmarks/forecast/record_steps.py"
    known = json.loads(out.read_text(encoding="utf-8"))["recordings"] if out.exists() else {}
    names = ("fp8", "ckpt", "att", "full", "conv")
    everything = (",".join(f"{n}={v}" for n, v in zip(names, values, strict=True)) for values in itertools.product((1, 0), repeat=5))  # fmt: skip
    for key in keys or everything:
        kind = {name: int(value) for name, value in (pair.split("=") for pair in key.split(","))}
        known[key] = packed(record(kind, sdxl_original_unet, lora))
        out.write_text(json.dumps({"about": about, "recordings": known}, indent=0) + "\n", encoding="utf-8")
        print(key, flush=True)


if __name__ == "__main__":
    main()

"""A scene for boosts, small and our own: layers with LoRAs hung on as networks/lora.py does, under the names it uses."""

import types

import torch


class LoRAModule(torch.nn.Module):
    """The attributes that adapters.py reads; the same mathematics as upstream's."""

    def __init__(self, layer, rank, alpha, generator, dtype=torch.float32):
        super().__init__()
        outs, ins = layer.weight.shape[:2]
        self.lora_down = torch.nn.Linear(ins, rank, bias=False)
        self.lora_up = torch.nn.Linear(rank, outs, bias=False)
        for part, size in ((self.lora_down, ins), (self.lora_up, rank * 4)):
            part.weight.data = (torch.randn(part.weight.shape, generator=generator) / size**0.5).to(dtype)
        self.scale = alpha / rank
        self.multiplier = 1.0
        self.dropout = self.rank_dropout = self.module_dropout = None
        self.org_forward = layer.forward
        layer.forward = self.forward

    def forward(self, x):
        return self.org_forward(x) + self.lora_up(self.lora_down(x)) * self.multiplier * self.scale


class Network(torch.nn.Module):
    def __init__(self, layers, generator, dtype=torch.float32):
        super().__init__()
        self.unet_loras = torch.nn.ModuleList(LoRAModule(one, 8, 4.0, generator, dtype) for one in layers)


class Norm(torch.nn.LayerNorm):
    """In fp32, as autocast has it on a card; a processor's autocast leaves it alone."""

    def forward(self, x):
        wide = torch.promote_types(x.dtype, torch.float32)
        parts = (part.to(wide) for part in (self.weight, self.bias))
        return torch.nn.functional.layer_norm(x.to(wide), self.normalized_shape, *parts, self.eps)


class Unet(torch.nn.Module):
    """Norm (fp32 under autocast), two layers, a residual."""

    def __init__(self, generator, dtype):
        super().__init__()
        self.norm = Norm(64)
        self.wide = torch.nn.Linear(64, 160)
        self.back = torch.nn.Linear(160, 64, bias=False)
        self.plain = torch.nn.Linear(64, 64)
        for weight in self.parameters():
            weight.data = torch.randn(weight.shape, generator=generator) / 8
        self.norm.weight.data += 1
        self.requires_grad_(requires_grad=False).to(dtype)

    def forward(self, x):
        return x + self.back(torch.nn.functional.gelu(self.wide(self.norm(x)))) + self.plain(x)


def make(stored=torch.bfloat16, trained=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    unet = Unet(generator, stored)
    return unet, Network([unet.wide, unet.back], generator, trained)


def make_scene(unet, network, dtype=torch.bfloat16, switches=None, **changes):
    from launcher.shim.boosts.ops import Ops
    from launcher.shim.boosts.scene import Machine, Scene

    told = []
    context = types.SimpleNamespace(switches=switches or {}, args=types.SimpleNamespace(), warn=told.append)
    machine = Machine.of(torch.device("cpu"))
    given = {
        "context": context, "machine": machine, "accelerator": None, "unet": unet, "network": network,
        "optimizer": None, "dtype": dtype, "processes": 1, "ops": Ops(), **changes,
    }  # fmt: skip
    scene = Scene(**given)
    scene.tell = lambda name, reason: told.append(f"{name}: {reason}")
    return scene, told


def put_in(scene, boost):
    """As starting.py does. Returns what speaks against it, or None."""
    reason = boost.reason_against(scene) or boost.check(scene)
    if reason is None:
        scene.undo[boost.NAME] = boost.install(scene)
    return reason


def learn(unet, network, x, *, autocast=None):
    """Output, gradient of x and of all LoRA weights."""
    x = x.clone().requires_grad_()
    for weight in network.parameters():
        weight.grad = None
    with torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None):
        y = unet(x)
    (y.float() * torch.linspace(-1, 1, y.numel()).view(y.shape)).sum().backward()
    return [y.detach(), x.grad, *(weight.grad for weight in network.parameters())]


def exact(unet, network, x):
    """The same in fp64, from the very numbers that are stored."""
    wide, loras = make(torch.float64, torch.float64)
    for mine, theirs in zip(wide.parameters(), unet.parameters(), strict=True):
        mine.data = theirs.data.double()
    for mine, theirs in zip(loras.parameters(), network.parameters(), strict=True):
        mine.data = theirs.data.double()
    for mine, theirs in zip(loras.unet_loras, network.unet_loras, strict=True):
        mine.multiplier = theirs.multiplier
    return learn(wide, loras, x.double())


def apart(found, right):
    return [
        float((a.double() - b.double()).norm() / b.double().norm()) for a, b in zip(found, right, strict=True)
    ]

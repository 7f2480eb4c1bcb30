"""Runs inside a training environment: boost `convolutions` on a small U-Net (boost_unet.py); prints one JSON line.

python tests/boost_convolutions_probe.py own          our own U-Net
python tests/boost_convolutions_probe.py real CODE    upstream's, shrunk (shrink/ on PYTHONPATH)
"""

import contextlib
import json
import sys
import types
import warnings
from dataclasses import replace
from pathlib import Path

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from launcher.shim.boosts import convolutions  # noqa: E402
from launcher.shim.boosts.ops import Ops  # noqa: E402
from launcher.shim.boosts.scene import Machine  # noqa: E402
from tests import boost_unet  # noqa: E402
from tests.boost_scene import apart, make_scene, put_in  # noqa: E402
from tests.boost_unet import seeded  # noqa: E402

BF16, FP8 = torch.bfloat16, torch.float8_e4m3fn


class OtherOps(Ops):
    """Torch's, by another name: as a card with Triton would choose the layout."""

    name = "other"


def cast_fp8(unet):
    """Stock's layers with fp8 weights cast them (autocast does, on a card)."""
    for layer in unet.modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear, torch.nn.GroupNorm, torch.nn.LayerNorm)):
            layer.__class__ = casting(type(layer))


def casting(kind):
    class Casting(kind):
        def forward(self, x):
            kept = dict(self._parameters)
            wide = torch.float32 if "Norm" in kind.__name__ else BF16
            self._parameters.update(
                {name: None if one is None else one.to(wide) for name, one in kept.items()}
            )
            try:
                return super().forward(x.to(wide))
            finally:
                self._parameters.update(kept)

    Casting.__name__ = kind.__name__
    return Casting


def scene_of(unet, loras=None, dtype=BF16, *, last=False, autocast=True, ops=None):
    machine = Machine.of(torch.device("cpu"))
    more = {"ops": ops or OtherOps(), "machine": replace(machine, capability=(8, 6))} if last else {}
    accelerator = types.SimpleNamespace(mixed_precision="bf16" if autocast else "no")
    return make_scene(unet, loras, dtype, accelerator=accelerator, **more)


def step(unet, loras, given, *, autocast=True, wants_inputs=True):
    """Output, gradients of latents, of the vector (through the embedding), of the text, and of all LoRA weights together.

    Not of each: where there is one token only, those of queries and keys are zero but for rounding.
    """
    latents, times, text, vector = (one.clone() for one in given)
    if wants_inputs:
        latents.requires_grad_()
        vector.requires_grad_()
        text.requires_grad_()
    for weight in loras.parameters():
        weight.grad = None
    with torch.autocast("cpu", BF16) if autocast else contextlib.nullcontext():
        out = unet(latents, times, text, vector)
    (out.float() * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum().backward()
    inputs = [latents.grad, vector.grad, text.grad] if wants_inputs else []
    grads = torch.cat([weight.grad.flatten() for weight in loras.parameters()])
    return [out.detach(), *inputs, grads]


def inputs(batch=2, side=(8, 12), dtype=torch.float32, context=boost_unet.CONTEXT, vector=12):
    chance = seeded(7)
    made = (
        torch.randn((batch, 4, *side), generator=chance), torch.arange(batch) * 300 + 5,
        torch.randn((batch, 7, context), generator=chance), torch.randn((batch, vector), generator=chance),
    )  # fmt: skip
    return tuple(one.to(dtype) if one.is_floating_point() else one for one in made)


def whole(dtype=torch.float32, wants=boost_unet.inside_transformers):
    unet = boost_unet.make(dtype)
    return unet, boost_unet.hang(unet, wants)


def fp32():
    """Largest relative error against stock in fp32, for layouts, sizes, batches, checkpoints, what asks for gradients."""
    found = {}
    for last in (False, True):
        for batch, side, checkpointing, wants_inputs in (
            (1, (4, 4), True, True), (2, (8, 12), True, True), (3, (4, 20), False, True), (2, (12, 8), True, False),
            (1, (2, 2), False, True),
        ):  # fmt: skip
            unet, loras = whole()
            unet.set_gradient_checkpointing(checkpointing)
            given = inputs(batch, side)
            more = {"autocast": False, "wants_inputs": wants_inputs or checkpointing}
            right = step(unet, loras, given, **more)
            scene, told = scene_of(unet, loras, torch.float32, last=last, autocast=False)
            reason = put_in(scene, convolutions)
            mine = step(unet, loras, given, **more)
            for block in scene.shared["convolutions"]:
                block.keeps_h = False
            again = step(unet, loras, given, **more)
            used = scene.is_on("convolutions")
            scene.undo.pop("convolutions")()
            back = step(unet, loras, given, **more)
            found[f"{last} {batch} {side} {checkpointing} {wants_inputs}"] = {
                "reason": reason, "told": told, "used": used, "error": max(apart(mine, right)),
                "dropped": all(map(torch.equal, mine, again)), "back": all(map(torch.equal, back, right)),
                "count": len(mine),
            }  # fmt: skip
    return found


def fp64():
    """The same in fp64 (norms stay fp32)."""
    unet, loras = whole(torch.float64)
    loras.double()
    given = inputs(dtype=torch.float64)
    right = step(unet, loras, given, autocast=False)
    scene, told = scene_of(unet, loras, torch.float64, last=True, autocast=False)
    reason = put_in(scene, convolutions)
    return {
        "reason": reason,
        "told": told,
        "error": max(apart(step(unet, loras, given, autocast=False), right)),
    }


def rounding():
    """Errors against fp32 of stock and boosted under autocast, for weights stored in bf16 and fp8."""
    found = {}
    for stored in (BF16, FP8):
        for last in (False, True):
            unet, loras = whole()
            for weight in unet.parameters():  # the numbers that are stored, in fp32
                weight.data = weight.data.to(stored).float()
            given = inputs(1, (16, 16), BF16)
            truth = step(
                unet, loras, tuple(one.float() if one.is_floating_point() else one for one in given), autocast=False
            )  # fmt: skip
            unet.to(stored)
            if stored is FP8:
                cast_fp8(unet)
            stock = step(unet, loras, given)
            scene, told = scene_of(unet, loras, last=last)
            reason = put_in(scene, convolutions)
            mine = step(unet, loras, given)
            names = ("output", "latents", "vector", "text", "loras")
            errors = zip(apart(stock, truth), apart(mine, truth), strict=True)
            found[f"{stored} {last}"] = {
                "reason": reason, "told": told, "parts": dict(zip(names, errors, strict=True)),
            }  # fmt: skip
    return found


class Broken(OtherOps):
    """Fails at the n-th norm or gradient of one after it is told so."""

    left = types.MappingProxyType({})

    def break_at(self, error=RuntimeError, **left):
        self.left, self.error = left, error

    def count(self, way):
        if way not in self.left:
            return
        self.left[way] -= 1
        if self.left[way] == 0:
            raise self.error("made to fail")

    def group_norm(self, *given, **more):
        self.count("forward")
        return super().group_norm(*given, **more)

    def group_norm_backward(self, *given, **more):
        self.count("backward")
        return super().group_norm_backward(*given, **more)


def failing():
    """Every place where a norm can fail: the step must be stock's but for rounding, the boost out, its traces too."""
    found = {}
    for way in ("forward", "backward"):
        for at in (1, 3, 6, 8, 99):
            unet, loras = whole()
            given = inputs()
            right = step(unet, loras, given, autocast=False)
            scene, told = scene_of(unet, loras, torch.float32, last=True, autocast=False, ops=Broken())
            reason = put_in(scene, convolutions)
            scene.ops.break_at(**{way: at})
            mine = step(unet, loras, given, autocast=False)
            is_on = scene.is_on("convolutions")
            strides = [weight.is_contiguous() for weight in unet.parameters()]
            back = step(unet, loras, given, autocast=False)
            found[f"{way} {at}"] = {
                "reason": reason, "told": told, "on": is_on, "error": max(apart(mine, right)),
                "back": all(map(torch.equal, back, right)), "contiguous": all(strides),
                "forwards": sum("forward" in module.__dict__ for module in unet.modules()) - len(loras),
            }  # fmt: skip
    return found


def memory():
    """Out of memory is raised, in forward and backward, and turns nothing off."""
    found = {}
    for way in ("forward", "backward"):
        unet, loras = whole()
        scene, told = scene_of(unet, loras, torch.float32, last=True, autocast=False, ops=Broken())
        put_in(scene, convolutions)
        scene.ops.break_at(**{way: 2}, error=torch.cuda.OutOfMemoryError)
        try:
            step(unet, loras, inputs(), autocast=False)
            raised = ""
        except torch.cuda.OutOfMemoryError as error:
            raised = str(error)
        found[way] = {"raised": raised, "on": scene.is_on("convolutions"), "told": told}
    return found


def places():
    """Which blocks stay stock, what remains of fp8 weights, what happens without gradients."""
    found = {}
    unet, loras = whole(wants=lambda name, layer: "input_blocks.3.0.in_layers.2" in name or boost_unet.inside_transformers(name, layer))  # fmt: skip
    given = inputs()
    right = step(unet, loras, given, autocast=False)
    scene, told = scene_of(unet, loras, torch.float32, last=True, autocast=False)
    reason = put_in(scene, convolutions)
    found["lora"] = {
        "reason": reason, "partly": scene.shared["convolutions.partly"], "blocks": len(scene.shared["convolutions"]),
        "error": max(apart(step(unet, loras, given, autocast=False), right)), "told": told,
    }  # fmt: skip
    unet, loras = whole(wants=lambda name, _: "layers" in name)
    found["every lora"] = convolutions.reason_against(scene_of(unet, loras)[0])
    found["stored"] = stored()
    found["offloaded"] = offloaded()
    found["without"] = without()
    return found


def stored():
    """fp8 parameters: the same objects, the same bytes, other strides; all as before when undone."""
    unet, loras = whole(FP8)
    before = {name: (id(one), one.detach().clone(), one.stride()) for name, one in unet.named_parameters()}
    scene, told = scene_of(unet, loras, last=True)
    cast_fp8(unet)
    reason = put_in(scene, convolutions)
    last = sum(one.dim() == 4 and not one.is_contiguous() for one in unet.parameters())
    values = [torch.equal(one.view(torch.uint8), before[name][1].view(torch.uint8)) for name, one in unet.named_parameters()]  # fmt: skip
    scene.undo.pop("convolutions")()
    after = {name: (id(one), one.stride()) for name, one in unet.named_parameters()}
    return {
        "reason": reason, "last": last, "values": all(values), "told": told,
        "back": all(after[name] == (one[0], one[2]) for name, one in before.items()),
        "dtype": sorted({str(one.dtype) for one in unet.parameters()}),
    }  # fmt: skip


def offloaded():
    from launcher.shim.memory.offload import offload

    unet, loras = whole()
    given = inputs()
    right = step(unet, loras, given, autocast=False)
    taken = offload(unet, torch.float32, torch.device("cpu"), 1, lambda weight: weight)
    scene, told = scene_of(unet, loras, torch.float32, last=True, autocast=False)
    reason = put_in(scene, convolutions)
    mine = step(unet, loras, given, autocast=False)
    left = sum("weight" not in layer._parameters for layer in unet.modules() if isinstance(layer, torch.nn.Conv2d))  # fmt: skip
    scene.undo.pop("convolutions")()
    back = step(unet, loras, given, autocast=False)
    return {
        "reason": reason, "taken": taken, "convolutions": left, "error": max(apart(mine, right)), "told": told,
        "back": all(map(torch.equal, back, right)),
    }  # fmt: skip


def without():
    """Samples: nothing of ours runs, the weights' layout changes no number but by rounding."""
    unet, loras = whole()
    given = inputs()
    scene, told = scene_of(unet, loras, torch.float32, last=True, autocast=False, ops=Broken())
    with torch.no_grad():
        right = unet.eval()(*given)
        put_in(scene, convolutions)
        scene.ops.break_at(forward=1)
        mine = unet(*given)
    return {"error": max(apart([mine], [right])), "on": scene.is_on("convolutions"), "told": told}


def formats():
    """channels_last goes through the whole U-Net: what each part gets and gives, and how many convolutions there are."""
    unet, loras = whole()
    unet.to(BF16)
    scene, told = scene_of(unet, loras, last=True)
    reason = put_in(scene, convolutions)
    wrong = []

    def look(name):
        def hook(_module, given, out):
            for what, one in (("in", given[0]), ("out", out)):
                if one.dim() == 4 and not one.is_contiguous(memory_format=torch.channels_last):
                    wrong.append(f"{name} {what}")

        return hook

    kinds = ("ResnetBlock2D", "Downsample2D", "Upsample2D", "Transformer2DModel")
    parts = [(name, one) for name, one in unet.named_modules() if type(one).__name__ in kinds]
    hooks = [one.register_forward_hook(look(name)) for name, one in parts]
    step(unet, loras, inputs(2, (8, 12), BF16))
    for hook in hooks:
        hook.remove()
    counts = {}
    for name in ("boosted", "stock"):
        counts[name] = count(unet, loras)
        if name == "boosted":
            scene.undo.pop("convolutions")()
    return {"reason": reason, "told": told, "wrong": wrong, "parts": len(parts), **counts}


def count(unet, loras):
    """Operations of one step, and convolutions among them, as torch's profiler counts them."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        step(unet, loras, inputs(2, (8, 12), BF16))
    by_name = {event.key: event.count for event in seen.key_averages() if event.key.startswith("aten::")}
    return {
        "operations": sum(by_name.values()), "convolutions": by_name.get("aten::convolution", 0),
        "backward": by_name.get("aten::convolution_backward", 0), "copies": by_name.get("aten::copy_", 0),
    }  # fmt: skip


def real(code):
    """Upstream's U-Net: errors of stock and boosted against fp32, operations of both."""
    sys.path.insert(0, code)
    import shrink_sizes
    from library.sdxl_original_unet import SdxlUNet2DConditionModel

    found = {}
    for last in (False, True):
        torch.manual_seed(0)
        unet = SdxlUNet2DConditionModel().requires_grad_(requires_grad=False).to(BF16).float().train()
        unet.set_use_sdpa(True)
        unet.enable_gradient_checkpointing()
        loras = boost_unet.hang(unet, boost_unet.inside_transformers)
        given = inputs(2, (16, 24), BF16, shrink_sizes.CONTEXT, unet.label_emb[0][0].in_features)
        truth = step(unet, loras, tuple(one.float() if one.is_floating_point() else one for one in given), autocast=False)  # fmt: skip
        scene, told = scene_of(unet, loras, torch.float32, last=last, autocast=False)
        reason = put_in(scene, convolutions)
        exact = apart(step(unet, loras, tuple(one.float() if one.is_floating_point() else one for one in given), autocast=False), truth)  # fmt: skip
        scene.undo.pop("convolutions")()
        unet.to(BF16)
        stock = apart(step(unet, loras, given), truth)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as before:
            step(unet, loras, given)
        scene, more_told = scene_of(unet, loras, last=last)
        reason = reason or put_in(scene, convolutions)
        mine = apart(step(unet, loras, given), truth)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as after:
            step(unet, loras, given)
        found[str(last)] = {
            "reason": reason, "told": told + more_told, "exact": max(exact), "blocks": len(scene.shared["convolutions"]),
            "parts": [stock, mine],
            "partly": scene.shared.get("convolutions.partly"),
            "operations": [
                sum(event.count for event in seen.key_averages() if event.key.startswith("aten::")) for seen in (before, after)
            ],
        }  # fmt: skip
    return found


def own():
    return {one.__name__: one() for one in (fp32, fp64, rounding, failing, memory, places, formats)}


if __name__ == "__main__":
    commands = {one.__name__: one for one in (own, real)}
    print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])))

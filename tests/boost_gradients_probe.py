"""Runs inside a training environment: boost `gradients` on a small U-Net (boost_unet.py); prints one JSON line.

python tests/boost_gradients_probe.py                 our own U-Net
python tests/boost_gradients_probe.py real CODE       upstream's, shrunk (shrink/ on PYTHONPATH)
"""

import json
import sys
import types
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from launcher.shim.boosts import gradients  # noqa: E402
from tests import boost_unet  # noqa: E402
from tests.boost_scene import make_scene, put_in  # noqa: E402
from tests.boost_unet import seeded  # noqa: E402

BF16 = torch.bfloat16


def scene_of(unet, loras, dtype=BF16):
    optimizer = torch.optim.SGD(loras.parameters(), lr=1.0)
    accelerator = types.SimpleNamespace(mixed_precision="bf16" if dtype is BF16 else "no")
    return make_scene(unet, loras, dtype, optimizer=optimizer, accelerator=accelerator)


def step(unet, loras, given):
    """What upstream's step does: inputs that ask for gradients, autocast, loss. Loss, gradients, what was warned."""
    latents, times, text, vector = (one.clone() for one in given)
    latents.requires_grad_()
    text.requires_grad_()
    for weight in loras.parameters():
        weight.grad = None
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with torch.autocast("cpu", BF16):
            out = unet(latents.to(BF16), times, text.to(BF16), vector.to(BF16))
        loss = out.float().square().mean()
        loss.backward()
    return {
        "loss": loss.detach(),
        "grads": [weight.grad for weight in loras.parameters()],
        "inputs": [latents.grad, text.grad],
        "told": [str(one.message)[:80] for one in told if "requires_grad" in str(one.message)],
    }


def compare(unet, loras, given):
    """Stock, boosted, and stock again after undoing."""
    attempts = [step(unet, loras, given)]
    flags = [getattr(module, "gradient_checkpointing", None) for module in unet.modules()]
    scene, _ = scene_of(unet, loras)
    reason = put_in(scene, gradients)
    if reason:
        return {"reason": reason}
    boosted_flags = [getattr(module, "gradient_checkpointing", None) for module in unet.modules()]
    attempts.append(step(unet, loras, given))
    ops = [count(unet, loras, given)]
    unet.eval()
    with torch.no_grad(), torch.autocast("cpu", BF16):
        shape = list(unet(given[0].to(BF16), given[1], given[2].to(BF16), given[3].to(BF16)).shape)
    unet.train()
    scene.undo.pop("gradients")()
    ops.insert(0, count(unet, loras, given))
    attempts.append(step(unet, loras, given))
    stock, boosted, again = attempts
    hooks = sum(len(module._forward_pre_hooks) for module in unet.modules())
    return {
        "reason": None, "same": same(stock, boosted), "again": same(stock, again),
        "count": sum(grad is not None for grad in boosted["grads"]), "of": len(boosted["grads"]),
        "not zero": sum(bool(grad.any()) for grad in boosted["grads"] if grad is not None),
        "stock inputs": [grad is not None for grad in stock["inputs"]],
        "inputs": [grad is not None for grad in boosted["inputs"]], "told": boosted["told"],
        "flags back": flags == [getattr(module, "gradient_checkpointing", None) for module in unet.modules()],
        "turned": sum(a != b for a, b in zip(flags, boosted_flags, strict=True)), "hooks": hooks,
        "ops": ops, "shape": shape,
    }  # fmt: skip


def count(unet, loras, given):
    """Operations of a step, as torch's profiler counts them."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        step(unet, loras, given)
    return sum(event.count for event in seen.key_averages() if event.key.startswith("aten::"))


def same(one, other):
    return torch.equal(one["loss"], other["loss"]) and all(
        (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b))
        for a, b in zip(one["grads"], other["grads"], strict=True)
    )


def inputs(batch=2, side=(8, 12), context=boost_unet.CONTEXT, vector=12):
    chance = seeded(7)
    return (
        torch.randn((batch, 4, *side), generator=chance), torch.arange(batch) * 300 + 5,
        torch.randn((batch, 7, context), generator=chance), torch.randn((batch, vector), generator=chance),
    )  # fmt: skip


def late(name, layer):
    """Only the middle's attention: what is before it runs without a graph, its first block gets the anchor."""
    return "middle_block" in name and "attn2.to_" in name and isinstance(layer, torch.nn.Linear)


def convolutions_too(name, layer):
    return boost_unet.inside_transformers(name, layer) or name.endswith(("in_layers.2", ".op"))


def own():
    found = {}
    wanted = {
        "transformers": boost_unet.inside_transformers, "late": late, "convolutions": convolutions_too,
        "time": lambda name, _: "time_embed" in name,
    }  # fmt: skip
    for name, wants in wanted.items():
        for checkpointing in (True, False):
            unet = boost_unet.make(BF16)
            unet.set_gradient_checkpointing(checkpointing)
            loras = boost_unet.hang(unet, wants)
            found[f"{name} {checkpointing}"] = compare(unet, loras, inputs())
    found["refused"] = refused()
    return found


def refused():
    unet = boost_unet.make(BF16)
    loras = boost_unet.hang(unet, boost_unet.inside_transformers)
    encoder = torch.nn.Linear(3, 3)
    others = boost_unet.hang(torch.nn.Sequential(encoder), lambda *_: True)
    reasons = {}
    for name, trained in {"text encoder": torch.nn.ModuleList([loras, others]), "nothing": None}.items():
        scene, _ = scene_of(unet, trained or loras)
        if trained is None:
            scene.optimizer.param_groups[0]["params"] = []
        reasons[name] = gradients.reason_against(scene)
    unet.out[2].requires_grad_()
    reasons["unet"] = gradients.reason_against(scene_of(unet, loras)[0])
    return reasons


def real(code):
    sys.path.insert(0, code)
    import shrink_sizes
    from library.sdxl_original_unet import SdxlUNet2DConditionModel

    torch.manual_seed(0)
    unet = SdxlUNet2DConditionModel().requires_grad_(requires_grad=False).to(BF16).train()
    unet.set_use_sdpa(True)
    unet.enable_gradient_checkpointing()
    loras = boost_unet.hang(unet, boost_unet.inside_transformers)
    vector = unet.label_emb[0][0].in_features
    return compare(unet, loras, inputs(2, (8, 16), shrink_sizes.CONTEXT, vector))


if __name__ == "__main__":
    print(json.dumps({"real": real, "own": own}[sys.argv[1] if sys.argv[1:] else "own"](*sys.argv[2:])))

"""Runs inside a training environment: the boost `fp8_matmul`; prints one JSON line.

python tests/boost_fp8_probe.py numbers | products | together | failures | reasons | disagreement
TRITON_INTERPRET=1 python tests/boost_fp8_probe.py kernels    (where Triton is there)
python tests/boost_fp8_probe.py card    (on a card: self-check, and ms and errors at the U-Net's sizes)
"""

import functools
import json
import sys
import warnings
from pathlib import Path

import torch

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from boost_scene import apart, exact, learn, make, make_scene, put_in  # noqa: E402

from launcher.shim.boosts import fp8_matmul, lora, matmul  # noqa: E402
from launcher.shim.boosts.scene import Machine, relative_error  # noqa: E402

E4M3 = torch.float8_e4m3fn
SWITCHES = {"boost_blocks": "auto"}


def emulated(x, other, *, bias=None, out_dtype=None, scale_a=None, scale_b=None, use_fast_accum=False):
    """What the cores do, for a processor whose torch has it not."""
    assert x.shape[1] % 16 == 0
    assert other.shape[0] % 16 == 0
    assert other.shape[1] % 16 == 0
    assert x.is_contiguous()
    assert other.t().is_contiguous()
    found = (x.float() @ other.float()) * scale_a * scale_b
    return (found if bias is None else found + bias.float()).to(out_dtype)


def ready():
    """Is the product torch's own?"""
    try:
        one = torch.ones((16, 16)).to(E4M3)
        torch._scaled_mm(
            one, one.t(), scale_a=torch.ones(()), scale_b=torch.ones(()), out_dtype=torch.bfloat16
        )
    except (AttributeError, NotImplementedError, RuntimeError):
        torch._scaled_mm = emulated
        return False
    return True


def samples():
    generator = torch.Generator().manual_seed(3)
    plain = torch.randn((48, 320), generator=generator)
    spread = plain * torch.logspace(-6, 6, 48).unsqueeze(1)
    odd = plain.clone()
    odd[3], odd[4, 5], odd[5] = 0, 448, 1e-30
    odd[6, 0] = 57344
    return {
        "plain": plain.bfloat16(),
        "spread": spread.bfloat16(),
        "odd": odd.bfloat16(),
        "half": plain.half(),
    }


def numbers():
    """Rounding to fp8: the scale is a power of two, nothing overflows, errors are those of the format."""
    found = {}
    for name, x in samples().items():
        for by_row in (True, False):
            q, scale = fp8_matmul.Numbers().quantise(x, by_row=by_row)
            back = q.float() * scale
            rows = (back - x.float()).norm(dim=1) / x.float().norm(dim=1).clamp_min(1e-20)
            found[f"{name} {by_row}"] = {
                "power": bool((torch.frexp(scale)[0] == 0.5).all()), "finite": bool(q.float().isfinite().all()),
                "all": relative_error(back, x), "worst_row": float(rows.max()), "shape": list(scale.shape),
            }  # fmt: skip
    broken = torch.randn((4, 16))
    broken[1, 2] = float("inf")
    q, scale = fp8_matmul.Numbers().quantise(broken, by_row=True)
    found["inf"] = (q.float() * scale).isfinite().all(dim=1).tolist()
    return found


def kernels():
    """Triton's against torch's, bit for bit."""
    import triton

    from launcher.shim.boosts import kernels_fp8

    found = {
        "version": triton.__version__,
        "scales": [],
        "others": 0,
        "halved": 0,
        "different": 0,
        "count": 0,
    }
    for x in (*samples().values(), torch.randn((300, 5120)).bfloat16()):
        for by_row in (True, False):
            right, right_scale = fp8_matmul.Numbers().quantise(x, by_row=by_row)
            ours, scale = kernels_fp8.quantise(x, by_row=by_row)
            found["scales"].append(torch.equal(scale, right_scale))
            # Triton's interpreter rounds halves up, cuts the smallest off, and forgets a carry (127.7 -> 64)
            codes, right_codes = (part.view(torch.uint8).int() for part in (ours, right))
            halved = ours.float() * 2 == right.float()
            found["halved"] += int(halved.sum())
            found["others"] += int((((codes - right_codes).abs() > 1) & ~halved).sum())
            found["different"] += int((codes != right_codes).sum())
            found["count"] += x.numel()
    weight = (torch.randn((96, 208)) / 4).to(E4M3)
    found["turned"] = torch.equal(
        kernels_fp8.turn(weight).view(torch.uint8), fp8_matmul.Numbers().turn(weight).view(torch.uint8)
    )
    return found


def long_pictures(seed=5):
    return torch.randn((2, 150, 64), generator=torch.Generator().manual_seed(seed))


def products():
    """Through the boost `lora`, as a card would: errors of everything; both kinds of scale."""
    found = {"real": ready()}
    for by_row in (True, False):
        unet, network = make(E4M3)
        x = long_pictures()
        right = exact(unet, network, x)
        scene, told = make_scene(unet, network, switches=SWITCHES)
        scene.undo["lora"] = lora.install(scene)
        checked = fp8_matmul._differs(scene, fp8_matmul.Scaled(scene, by_row=by_row))
        plain = learn(unet, network, x, autocast=torch.bfloat16)
        scene.shared["fp8_matmul.by_row"] = by_row
        scene.undo["fp8_matmul"] = fp8_matmul.install(scene)
        ours = learn(unet, network, x, autocast=torch.bfloat16)
        short = learn(unet, network, x[:, :3], autocast=torch.bfloat16)
        scene.undo.pop("fp8_matmul")()
        found[str(by_row)] = {
            "checked": checked, "errors": apart(ours, right), "plain": apart(plain, right), "told": told,
            "undone": all(map(torch.equal, learn(unet, network, x, autocast=torch.bfloat16), plain)),
            "short": all(map(torch.equal, learn(unet, network, x[:, :3], autocast=torch.bfloat16), short)),
        }  # fmt: skip
    return found


def together():
    """lora, then fp8_matmul, then blocks, as in a training: errors against stock, largest first."""
    import boost_blocks_probe

    from launcher.shim.boosts import blocks

    ready()
    boost_blocks_probe.TOKENS = 150  # of two images: enough rows
    training = boost_blocks_probe.Training()
    scene, found = training.scene, {}
    stock = training.step()
    for name, boost in (("lora", lora), ("fp8_matmul", fp8_matmul), ("blocks", blocks)):
        assert boost.check(scene) is None
        scene.undo[name] = boost.install(scene)
        found[name] = max(map(relative_error, training.step(), stock))
    scene.undo.pop("fp8_matmul")()
    found["without"] = max(map(relative_error, training.step(), stock))
    return found


def failures():
    """A product that raises, in the forward or the backward: lora goes on, fp8 does not."""
    found = {}
    for name, at in (("forward", 2), ("backward", 3)):
        torch._scaled_mm = emulated
        unet, network = make(E4M3)
        x = long_pictures()
        scene, told = make_scene(unet, network, switches=SWITCHES)
        scene.undo["lora"] = lora.install(scene)
        plain = learn(unet, network, x, autocast=torch.bfloat16)
        scene.undo["fp8_matmul"] = fp8_matmul.install(scene)
        calls = []

        def failing(*given, at=at, calls=calls, **more):
            calls.append(1)
            if len(calls) == at:
                raise RuntimeError("CUBLAS_STATUS_NOT_SUPPORTED")
            return emulated(*given, **more)

        torch._scaled_mm = failing
        ours = learn(unet, network, x, autocast=torch.bfloat16)
        found[name] = {
            "told": told, "on": [scene.is_on(one) for one in ("lora", "fp8_matmul")], "calls": len(calls),
            "apart": max(apart(ours, plain)), "stock": type(matmul.of(scene)).__name__,
            "after": all(map(torch.equal, learn(unet, network, x, autocast=torch.bfloat16), plain)),
        }  # fmt: skip
    return found


def reasons():
    ready()
    found = []
    cards = [
        ((8, 9), True, E4M3),
        ((8, 6), True, E4M3),
        ((12, 0), True, torch.bfloat16),
        ((9, 0), False, E4M3),
    ]
    for capability, has_lora, stored in cards:
        unet, network = make(stored)
        machine = Machine(
            device=torch.device("cpu"), name="a card", capability=capability, torch=(2, 8), has_triton=False, platform="linux"
        )  # fmt: skip
        scene, _ = make_scene(unet, network, switches={"boost_blocks": "off"}, machine=machine)
        if has_lora:
            scene.undo["lora"] = lora.install(scene)
        found.append(put_in(scene, fp8_matmul))
        if found[-1] is None:
            found.append(scene.shared["fp8_matmul.by_row"])
    scene.dtype = torch.float32
    found.append(fp8_matmul.reason_against(scene))
    return found


def disagreement():
    """A product that is wrong is found by the self-check; one that is refused, too."""
    found = []
    for product in (
        lambda *given, **more: emulated(*given, **more) * 1.2,
        lambda *given, **more: emulated(*given, **more).fill_(float("nan")),
        lambda *_, **__: torch.zeros(()).view(2),
    ):
        torch._scaled_mm = product
        unet, network = make(E4M3)
        scene, _ = make_scene(unet, network, switches=SWITCHES)
        found.append(fp8_matmul.check(scene))
    return found


SIZES = ((4096, 640, 1920), (4096, 640, 5120), (4096, 2560, 640), (1024, 1280, 1280), (1024, 1280, 3840),
         (1024, 1280, 10240), (1024, 5120, 1280))  # fmt: skip


def card(device="cuda", shrink="1"):
    """Rows, in, out: stock (cast and multiply) beside fp8, by tensor and by row, with rounding and turning in it."""
    from launcher.shim.boosts import tuning
    from launcher.shim.boosts.starting import choose_ops

    device, shrink = torch.device(device), int(shrink)
    unet, network = make(E4M3)
    scene, told = make_scene(unet, network, switches=SWITCHES, machine=Machine.of(device))
    scene.ops = choose_ops(scene)
    found = {"card": scene.machine.name, "torch": torch.__version__, "ops": scene.ops.name, "told": told}
    found["reason"] = fp8_matmul.check(scene)
    found["by_row"] = scene.shared.get("fp8_matmul.by_row")
    kinds = {"stock": matmul.Matmul(scene.ops)}
    kinds.update({f"by_row {one}": fp8_matmul.Scaled(scene, by_row=one) for one in (False, True)})
    for size in SIZES:
        rows, ins, outs = (one // shrink for one in size)
        x, grad = (torch.randn((rows, n), device=device).to(scene.dtype) for n in (ins, outs))
        weight = (torch.randn((outs, ins), device=device) / ins**0.5).to(E4M3)
        right = x.float() @ weight.float().t(), grad.float() @ weight.float()
        for name, kind in kinds.items():
            forward = functools.partial(kind.forward if name == "stock" else kind.scaled_forward, x, weight)
            backward = functools.partial(
                kind.input_gradient if name == "stock" else kind.scaled_gradient, grad, weight
            )
            try:
                seen = [relative_error(forward(), right[0]), relative_error(backward(), right[1])]
                seen += [tuning.milliseconds(call, device) for call in (forward, backward)]
            except (RuntimeError, ValueError) as error:
                seen = str(error)[:200]
            found[f"{rows} {ins} {outs} {name}"] = seen
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))

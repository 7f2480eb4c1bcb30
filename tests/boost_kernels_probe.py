"""Runs inside a training environment: elementary operations and the boosts `cast` and `norms`; prints one JSON line.

python tests/boost_kernels_probe.py ops                  torch's own operations against fp64
python tests/boost_kernels_probe.py kernels | chosen     Triton's, in its interpreter (TRITON_INTERPRET=1), or why not
python tests/boost_kernels_probe.py compiled             every kernel compiled for several cards, or why not
python tests/boost_kernels_probe.py boosts               `cast` and `norms` on small models of our own
python tests/boost_kernels_probe.py real CODE            ... on upstream's U-Net and LoRA (shrink/ on PYTHONPATH)
"""

import json
import sys
import types
import warnings
from functools import partial
from pathlib import Path

import torch

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from boost_scene import make_scene, put_in  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from launcher.shim.boosts import cast, norms  # noqa: E402
from launcher.shim.boosts.adapters import adapter_of  # noqa: E402
from launcher.shim.boosts.ops import Ops  # noqa: E402
from launcher.shim.boosts.scene import relative_error  # noqa: E402

EPS = 1e-5


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Sample:
    """Random numbers of one type and size; every operation with its result in fp64."""

    def __init__(self, dtype, *, rows, columns, image, groups, layout, offset=0.0):
        random = partial(torch.randn, generator=seeded(rows + columns))
        self.dtype, self.groups = dtype, groups
        self.x, self.y, self.grad = (random(rows, columns).to(dtype) for _ in range(3))
        self.x += offset
        self.hidden, self.y_bias = random(rows, 2 * columns).to(dtype), random(columns).to(dtype)
        self.weight, self.bias = random(columns), random(columns)
        self.picture, self.picture_grad = (
            (random(image) * 2 + offset).to(dtype).contiguous(memory_format=layout) for _ in range(2)
        )
        self.picture_weight, self.picture_bias = random(image[1]), random(image[1])

    def calls(self, ops):
        x, y, grad, w, b = self.x, self.y, self.grad, self.weight, self.bias
        _, mean, rstd = Ops().layer_norm(x, w, b, EPS)
        found = {
            "layer_norm": ops.layer_norm(x, w, b, EPS)[0],
            "statistics": torch.cat(ops.layer_norm(x, w, b, EPS)[1:], dim=1),
            "layer_norm_backward": ops.layer_norm_backward(grad, x, mean, rstd, w),
            "layer_norm_backward, residual": ops.layer_norm_backward(grad, x, mean, rstd, w, y),
            "geglu": ops.geglu(self.hidden),
            "geglu_backward": ops.geglu_backward(grad, self.hidden),
            "add": ops.add(x, y.clone(), self.y_bias),
        }
        found["total"], found["norm of total"], _, _ = ops.add_layer_norm(x, y.clone(), w, b, EPS)
        _, mean, rstd = Ops().group_norm(self.picture, *self._group(), silu=False)
        for silu in (False, True):
            normed, *statistics = ops.group_norm(self.picture, *self._group(), silu=silu)
            gradient = ops.group_norm_backward(
                self.picture_grad, self.picture, mean, rstd, self.picture_weight, self.picture_bias, self.groups, silu=silu
            )  # fmt: skip
            found |= {f"group_norm {silu}": normed, f"group_norm_backward {silu}": gradient}
            found[f"group statistics {silu}"] = torch.cat(statistics)
            assert normed.stride() == gradient.stride() == self.picture.stride()
        return found

    def _group(self):
        return self.picture_weight, self.picture_bias, self.groups, EPS

    def exact(self):
        """The same names in fp64 from the numbers as they are."""
        x, y, grad, w, b = (one.double() for one in (self.x, self.y, self.grad, self.weight, self.bias))
        columns = (x.shape[1],)
        norm, gate = (
            partial(F.layer_norm, normalized_shape=columns, weight=w, bias=b, eps=EPS),
            self.hidden.double(),
        )
        dx = _gradient(norm, x, grad)
        found = {
            "layer_norm": norm(x), "statistics": _statistics(x, 1), "layer_norm_backward": dx,
            "layer_norm_backward, residual": dx + y, "geglu": _gated(gate), "geglu_backward": _gradient(_gated, gate, grad),
            "add": x + (self.y + self.y_bias).double(), "total": x + y, "norm of total": norm((self.x + self.y).double()),
        }  # fmt: skip
        picture, weights = self.picture.double(), (self.picture_weight.double(), self.picture_bias.double())
        for silu in (False, True):
            forward = partial(_group_norm, groups=self.groups, weights=weights, silu=silu)
            found[f"group_norm {silu}"] = forward(picture)
            found[f"group_norm_backward {silu}"] = _gradient(forward, picture, self.picture_grad.double())
            found[f"group statistics {silu}"] = torch.cat(
                [
                    part.view(len(picture), -1)
                    for part in _statistics(picture.reshape(len(picture) * self.groups, -1), 1).unbind(1)
                ]
            )
        return found


def _gradient(forward, x, grad):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(forward(x), x, grad)[0]


def _gated(hidden):
    value, gate = hidden.chunk(2, dim=-1)
    return value * F.gelu(gate)


def _group_norm(x, *, groups, weights, silu):
    normed = F.group_norm(x, groups, *weights, EPS)
    return F.silu(normed) if silu else normed


def _statistics(x, dim):
    mean, variance = x.mean(dim), x.var(dim, correction=0)
    return torch.stack([mean, (variance + EPS).rsqrt()], dim=1)


FIRST, LAST = torch.contiguous_format, torch.channels_last
SIZES = {
    "odd": {"rows": 3, "columns": 41, "image": (2, 12, 5, 7), "groups": 4, "layout": FIRST},
    "odd last": {"rows": 1, "columns": 7, "image": (1, 12, 9, 11), "groups": 6, "layout": LAST},
    "640": {"rows": 2, "columns": 640, "image": (1, 32, 36, 32), "groups": 8, "layout": FIRST},
    "1280": {"rows": 2, "columns": 1280, "image": (1, 80, 12, 8), "groups": 2, "layout": LAST},
    "far from zero": {
        "rows": 2, "columns": 640, "image": (1, 16, 12, 12), "groups": 4, "layout": LAST, "offset": 60.0,
    },
}  # fmt: skip


def compared(ops, dtype, sizes):
    """For each operation: relative error against fp64, in units of the type's rounding."""
    sample = Sample(dtype, **SIZES[sizes])
    right, found = sample.exact(), sample.calls(ops)
    return {name: relative_error(found[name], right[name]) / torch.finfo(dtype).eps for name in right}


def ops():
    return {
        f"{str(dtype).removeprefix('torch.')} {sizes}": compared(Ops(), dtype, sizes)
        for dtype in (torch.float32, torch.bfloat16, torch.float16)
        for sizes in SIZES
    }


def why_no_triton():
    """Triton 3.1's interpreter computes nothing with numpy 2: one kernel shows whether this one works."""
    try:
        from launcher.shim.boosts.kernels import casts

        found = casts.cast(torch.full((16,), 1.5).to(torch.float8_e4m3fn), torch.float16)
    except ImportError:
        return "no Triton"
    except Exception as error:  # noqa: BLE001
        return f"Triton's interpreter fails here: {type(error).__name__}: {error}"
    return None if bool((found == 1.5).all()) else "Triton's interpreter computes nothing here"


def kernels():
    if (reason := why_no_triton()) is not None:
        return {"skip": reason}
    from launcher.shim.boosts.kernels.operations import TritonOps

    told = []
    triton = TritonOps(lambda *words: told.append(words))
    # (its bf16 is cut off, not rounded, so closeness is seen in the other types)
    kinds = [(torch.float16, name) for name in SIZES] + [(torch.float32, "odd"), (torch.bfloat16, "odd last")]
    found = {
        f"{str(dtype).removeprefix('torch.')} {sizes}": compared(triton, dtype, sizes)
        for dtype, sizes in kinds
    }
    assert told == []
    return {
        "failing": _failing(),
        "errors": found,
        "casts": _casts(triton),
        "left to torch": _left_to_torch(triton),
    }


def _casts(triton):
    """Counts of numbers with other bits; the strides; which shapes the kernel took."""
    from launcher.shim.boosts.kernels import casts

    rows = {}
    for kind in (torch.float8_e4m3fn, torch.float8_e5m2):
        codes = torch.arange(256, dtype=torch.int32).to(torch.uint8).repeat(21)[: 16 * 321]
        square = codes[: 16 * 320].view(kind)
        shapes = {
            "flat": codes.view(kind), "matrix": square.view(64, 80), "turned": square.view(64, 80).t(),
            "image": square.view(16, 20, 4, 4), "image last": _last(square.view(16, 20, 4, 4)),
            "row": square.view(64, 80)[3], "part": square.view(64, 80)[:, 16:48], "odd": codes[:37].view(kind),
        }  # fmt: skip
        for name, weight in shapes.items():
            for dtype in (torch.bfloat16, torch.float16):
                right, found = weight.to(dtype), triton.cast(weight, dtype)
                into = triton.cast_into(weight, torch.empty(weight.shape, dtype=dtype))
                rows[f"{kind} {dtype} {name}"] = {
                    "wrong": _different(found, right) + _different(into, right),
                    "strides": found.stride() == right.stride(), "kernel": casts.cast(weight, dtype) is not None,
                }  # fmt: skip
    return rows


def _last(weight):
    return weight.view(torch.uint8).contiguous(memory_format=LAST).view(weight.dtype)


def _different(found, right):
    same = found.contiguous().view(torch.int16) == right.contiguous().view(torch.int16)
    return int((~(same | (found.isnan() & right.isnan()))).sum())


def _left_to_torch(triton):
    """What the kernels do not do is done all the same: other strides, other types, nothing at all."""
    x, w = torch.randn((4, 6, 8), generator=seeded())[:, 1], torch.ones(8)
    image = torch.randn((2, 8, 6, 10), generator=seeded())[:, :, :, ::2]
    right, plain = Ops(), torch.zeros(8)
    return {
        "strided rows": torch.equal(triton.layer_norm(x, w, plain, EPS)[0], right.layer_norm(x, w, plain, EPS)[0]),
        "strided image": torch.equal(
            triton.group_norm(image, w, plain, 2, EPS, silu=True)[0], right.group_norm(image, w, plain, 2, EPS, silu=True)[0]
        ),
        "no rows": list(triton.layer_norm(torch.empty(0, 8), w, plain, EPS)[0].shape),
        "fp32": triton.cast(w, torch.float64).dtype == torch.float64,
    }  # fmt: skip


def _failing():
    """A kernel that raises: torch's from then on, told once; running out of memory is raised."""
    from launcher.shim.boosts.kernels import layers
    from launcher.shim.boosts.kernels.operations import TritonOps

    told, calls, stock = [], [], layers.layer_norm
    triton, sample = TritonOps(lambda *words: told.append(words)), Sample(torch.float32, **SIZES["odd"])
    right = Ops().layer_norm(sample.x, sample.weight, sample.bias, EPS)[0]

    def raising(error):
        def layer_norm(*_):
            calls.append(1)
            raise error

        return layer_norm

    layers.layer_norm = raising(torch.cuda.OutOfMemoryError("full"))
    try:
        triton.layer_norm(sample.x, sample.weight, sample.bias, EPS)
        is_raised = False
    except torch.cuda.OutOfMemoryError:
        is_raised = True
    layers.layer_norm = raising(RuntimeError("no such instruction\nmore"))
    found = [triton.layer_norm(sample.x, sample.weight, sample.bias, EPS)[0] for _ in range(3)]
    layers.layer_norm = stock
    return {
        "memory": is_raised, "told": told, "calls": len(calls), "same": all(torch.equal(one, right) for one in found),
        "given up": triton.given_up,
    }  # fmt: skip


def chosen():
    """choose() itself, with a kernel that computes something else."""
    if (reason := why_no_triton()) is not None:
        return {"skip": reason}
    from launcher.shim.boosts.kernels import checks, choose, gates

    told = []
    scene = types.SimpleNamespace(
        machine=types.SimpleNamespace(device=torch.device("cpu"), capability=(0, 0)), dtype=torch.float16,
        tell=lambda *words: told.append(words), generator=seeded,
    )  # fmt: skip
    checks.IMAGE, checks.COLUMNS, gates.geglu = (1, 8, 4, 4), 48, lambda hidden: hidden[:, ::2] * 1.01
    found = choose(scene)
    scene.machine.capability, scene.dtype = (7, 5), torch.bfloat16  # Turing: the casts only
    gates.geglu = None
    return {"told": told, "given up": found.given_up, "turing": choose(scene).given_up}


def compiled():
    """Which kernels do not become machine code, and which move fewer than 16 bytes at a time."""
    try:
        import triton
    except ImportError:
        return {"skip": "no Triton"}
    del triton
    from launcher.shim.boosts.kernels import casts, gates, group_gradients, group_kernels, layers

    tile, line, join = {"ROWS": 64, "COLUMNS": 64}, {"SIZE": 1024}, {"PARTS": 32, "WIDTH": 128}
    jobs = [
        (casts.cast_kernel, {"IS_E5M2": False, "IS_BF16": True, "BLOCK": 1024}, ()),
        (layers.layer_norm_kernel, {"HAS_Y": True, "BLOCK": 1024}, ("columns",)),
        (layers.layer_norm_backward_kernel, {"HAS_RESIDUAL": True, "BLOCK": 2048}, ("columns",)),
        *((one, {"ROWS": 16, "COLUMNS": 128}, ("columns",)) for one in (
            gates.geglu_kernel, gates.geglu_backward_kernel, gates.add_kernel,
        )),
        *((one, tile, ("channels",)) for one in (
            group_kernels.moments_last, group_kernels.apply_last, group_gradients.sums_last, group_gradients.spread_last,
        )),
        *((one, line, ("channels", "positions")) for one in (
            group_kernels.moments_first, group_kernels.apply_first, group_gradients.sums_first,
            group_gradients.spread_first,
        )),
        *((one, join, ("channels",)) for one in (group_kernels.join_moments, group_gradients.join_sums)),
    ]  # fmt: skip
    found = {}
    for capability in (75, 86, 89, 90):
        for jit, constants, multiples in jobs:
            half = "*fp16" if capability == 75 and jit is not casts.cast_kernel else "*bf16"
            found[f"{jit.fn.__name__} {capability}"] = _machine_code(
                jit, constants, multiples, half, capability
            )
    return found


TYPES = {
    **dict.fromkeys(("rows", "columns", "channels", "positions", "steps", "each", "parts", "width", "silu"), "i32"),
    **dict.fromkeys(("weight", "bias", "mean", "rstd", "means", "squares", "mean_out", "rstd_out"), "*fp32"),
    **dict.fromkeys(("scale_out", "shift_out", "scale", "shift", "plain", "along", "factors"), "*fp32"),
    "images": "i32", "quads": "i32", "eps": "fp32", "source": "*u8",
}  # fmt: skip


def _machine_code(jit, constants, multiples, half, capability):
    """ "" or what is wrong. All tensors begin at multiples of 16 bytes, `multiples` are of 16."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = list(jit.arg_names)
    signature = {name: TYPES.get(name, half) for name in names if name not in constants}
    known = [at for at, name in enumerate(names) if signature.get(name, "")[:1] == "*" or name in multiples]
    if tuple(int(part) for part in triton.__version__.split(".")[:2]) < (3, 3):
        from triton.compiler.compiler import AttrsDescriptor

        source = ASTSource(jit, signature, constants, AttrsDescriptor(tuple(known), ()))
    else:
        signature = {name: signature.get(name, "constexpr") for name in names}
        values = {(names.index(name),): value for name, value in constants.items()}
        source = ASTSource(jit, signature, values, {(at,): [["tt.divisibility", 16]] for at in known})
    try:
        made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 4})
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {str(error)[:300]}"
    moves = ".v4." in made.asm["ptx"] or jit.fn.__name__.startswith("join")
    return "" if made.asm["cubin"] and moves else "no vectorised access"


class Counting(Ops):
    """As the kernels would be."""

    name = "counting"

    def __init__(self):
        self.casts, self.norms = 0, 0

    def cast(self, weight, dtype):
        self.casts += 1
        return super().cast(weight, dtype)

    def layer_norm(self, *given):
        self.norms += 1
        return super().layer_norm(*given)

    def group_norm(self, *given, **named):
        self.norms += 1
        return super().group_norm(*given, **named)


def boosts():
    return {"cast": _cast_boost(), "norms": {f"{ops.name}": _norms_boost(ops) for ops in (Ops(), Counting())}}


class Layers(torch.nn.Module):
    """A convolution and three layers, of which one has a LoRA and one is too small to be worth it."""

    def __init__(self, stored):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 64, 3, padding=1)
        self.one, self.two = torch.nn.Linear(64, 96), torch.nn.Linear(96, 64, bias=False)
        self.small = torch.nn.Linear(64, 4)
        for weight in self.parameters():
            weight.data = torch.randn(weight.shape, generator=seeded(weight.numel())) / 8
        self.requires_grad_(requires_grad=False).to(stored)

    def forward(self, x):
        return self.small(self.two(self.one(self.conv(x).flatten(2).transpose(1, 2)).relu()))


def _cast_boost():
    from boost_scene import LoRAModule, learn

    cast.FEW = 1000
    unet = Layers(torch.float8_e4m3fn)
    network = torch.nn.ModuleList([LoRAModule(unet.two, 8, 4.0, seeded(1))])
    x = torch.randn((2, 8, 4, 6), generator=seeded(2))
    before = [dict(module.__dict__) for module in (*unet.modules(), *network)]
    stock = learn(unet, network, x, autocast=torch.bfloat16)
    scene, told = make_scene(unet, network, ops=Counting())
    reason = put_in(scene, cast)
    scene.ops.casts = 0
    found = {
        "reason": reason,
        "known": [adapter_of(layer) is not None for layer in (unet.conv, unet.one, unet.two)],
    }
    ours = learn(unet, network, x, autocast=torch.bfloat16)
    found |= {"same": all(map(torch.equal, ours, stock)), "casts": scene.ops.casts, "told": list(told)}
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        found["without gradients"] = torch.equal(unet(x), stock[0])
    found["casts then"] = scene.ops.casts
    scene.undo.pop("cast")()
    found["back"] = before == [dict(module.__dict__) for module in (*unet.modules(), *network)]
    scene.ops = Ops()
    found["without kernels"] = cast.reason_against(scene)
    scene.ops, scene.unet = Counting(), Layers(torch.bfloat16)
    found["without fp8"] = cast.reason_against(scene)
    return found | _cast_fails(unet, network, x, stock)


def _cast_fails(unet, network, x, stock):
    """A cast that raises at run time; a forward that somebody else has taken."""
    from boost_scene import learn

    scene, told = make_scene(unet, network, ops=Counting())
    assert put_in(scene, cast) is None
    scene.ops.cast = _raise
    ours = learn(unet, network, x, autocast=torch.bfloat16)
    found = {
        "failing": all(map(torch.equal, ours, stock)),
        "failing told": told,
        "is on": scene.is_on("cast"),
    }
    unet.one.forward = lambda x: x
    scene, _ = make_scene(unet, network, ops=Counting())
    assert put_in(scene, cast) is None
    return found | {"partly": scene.shared["cast.partly"], "taken": "lambda" in unet.one.forward.__qualname__}


def _raise(*_given, **_named):
    raise RuntimeError("the kernel is gone")


class Normed(torch.nn.Module):
    def __init__(self, stored):
        super().__init__()
        self.group, self.layer = torch.nn.GroupNorm(8, 32, eps=1e-6), torch.nn.LayerNorm(32)
        for seed, weight in enumerate(self.parameters()):
            weight.data = torch.randn(weight.shape, generator=seeded(seed))
        self.requires_grad_(requires_grad=False).to(stored)

    def forward(self, x):
        return self.layer(self.group(x).flatten(2).transpose(1, 2))


def _as_on_a_card(norms_, x, cut):
    """Autocast on a card: norms in fp32, cast to `cut` before what is multiplied (here: the next norm's input)."""
    weights = [weight.to(torch.promote_types(cut, torch.float32)) for weight in norms_.parameters()]
    wide = weights[0].dtype
    x = F.group_norm(x.to(wide), 8, *weights[:2], 1e-6).to(cut)
    return F.layer_norm(x.flatten(2).transpose(1, 2).to(wide), (32,), *weights[2:], 1e-5).to(cut)


def _norms_boost(ops):
    rows = []
    for stored in (torch.float8_e4m3fn, torch.bfloat16, torch.float32):
        for layout in (FIRST, LAST):
            unet = Normed(stored)
            x = torch.randn((2, 32, 6, 10), generator=seeded(9)).bfloat16().contiguous(memory_format=layout)
            grad = torch.randn((2, 60, 32), generator=seeded(8)).bfloat16()
            right = _learn(partial(_as_on_a_card, unet, cut=torch.float64), x.double(), grad.double())
            stock = _learn(partial(_as_on_a_card, unet, cut=torch.bfloat16), x, grad)
            before = [dict(module.__dict__) for module in unet.modules()]
            scene, told = make_scene(unet, None, ops=ops)
            reason = put_in(scene, norms)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                ours = _learn(unet, x, grad)
                with torch.no_grad():
                    again = unet(x)
            scene.undo.pop("norms")()
            rows.append({
                "reason": reason, "told": told, "types": [str(one.dtype) for one in ours], "again": torch.equal(again, ours[0]),
                "ours": [relative_error(*pair) for pair in zip(ours, right, strict=True)],
                "stock": [relative_error(*pair) for pair in zip(stock, right, strict=True)],
                "back": before == [dict(module.__dict__) for module in unet.modules()],
            })  # fmt: skip
    return {"rows": rows, "calls": getattr(ops, "norms", 0)} | _norms_fail()


def _learn(forward, x, grad):
    x = x.clone().requires_grad_()
    y = forward(x)
    return [y.detach(), *torch.autograd.grad(y, x, grad.to(y.dtype))]


def _norms_fail():
    """What raises in the forward, and what raises in the backward only."""
    found = {}
    for where in ("layer_norm", "layer_norm_backward", "group_norm", "group_norm_backward"):
        unet = Normed(torch.bfloat16)
        x = torch.randn((2, 32, 6, 10), generator=seeded(9)).bfloat16()
        grad = torch.randn((2, 60, 32), generator=seeded(8)).bfloat16()
        scene, told = make_scene(unet, None, ops=Counting())
        assert put_in(scene, norms) is None
        with torch.autocast("cpu", dtype=torch.bfloat16):
            right = _learn(unet, x, grad)
            setattr(scene.ops, where, _raise)
            ours = _learn(unet, x, grad)
        errors = [relative_error(*pair) for pair in zip(ours, right, strict=True)]
        found[where] = {
            "errors": errors,
            "told": told,
            "is on": scene.is_on("norms"),
            "left": len(unet.layer.__dict__),
        }
    plain, scene = Normed(torch.bfloat16), make_scene(None, None)[0]
    scene.unet = plain.requires_grad_(requires_grad=True)
    found["trained"] = norms.reason_against(scene)
    return {"failing": found}


def real(code):
    sys.path.insert(0, code)
    import shrink_sizes
    from library.sdxl_original_unet import SdxlUNet2DConditionModel
    from networks.lora import create_network

    torch.manual_seed(0)
    unet = SdxlUNet2DConditionModel().requires_grad_(requires_grad=False).to(torch.bfloat16).train()
    for module in unet.modules():
        if isinstance(module, (torch.nn.LayerNorm, torch.nn.GroupNorm)):
            module.to(torch.float32)  # norms of fp8 a processor cannot
        elif isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            module.to(torch.float8_e4m3fn)
    unet.set_use_sdpa(True)
    unet.enable_gradient_checkpointing()
    network = create_network(1.0, 4, 4.0, None, [], unet, conv_dim="4", conv_alpha="2")
    network.apply_to([], unet, apply_text_encoder=False, apply_unet=True)
    for weight in network.parameters():
        weight.data = torch.randn(weight.shape) / 20
    random = partial(torch.randn, generator=seeded())
    vector = unet.label_emb[0][0].in_features
    given = (
        random((2, 4, 8, 16)),
        torch.tensor([3, 700]),
        random((2, 77, shrink_sizes.CONTEXT)),
        random((2, vector)),
    )
    forwards = [module.__dict__.get("forward") for module in unet.modules()]
    stock, again = _step(unet, network, given), _step(unet, network, given)
    cast.FEW = 0
    scene, told = make_scene(unet, network, ops=Counting())
    found = {"repeats": all(map(torch.equal, stock, again)), "cast": put_in(scene, cast)}
    scene.ops.casts = 0
    ours = _step(unet, network, given)
    found |= {
        "same": all(map(torch.equal, ours, stock)),
        "casts": scene.ops.casts,
        "shared": dict(scene.shared),
    }
    found |= {"norms": put_in(scene, norms), "loras": len(network.unet_loras)}
    scene.ops.norms = 0
    ours = _step(unet, network, given)
    # all gradients as one: some of so small a model are zero but for rounding
    joined = [torch.cat([one.flatten() for one in step[1:]]) for step in (ours, stock)]
    found["apart"] = [relative_error(ours[0], stock[0]), relative_error(*joined)]
    found["sizes"] = [float(one.float().norm()) for one in (stock[0], joined[1])]
    found |= {"norms called": scene.ops.norms, "told": told, "gradients": len(stock) - 1}
    for undo in list(scene.undo.values()):
        undo()
    found["back"] = forwards == [module.__dict__.get("forward") for module in unet.modules()]
    return found | {"then": all(map(torch.equal, _step(unet, network, given), stock))}


def _step(unet, network, given):
    """Output, and the gradients of all LoRA weights."""
    for weight in network.parameters():
        weight.grad = None
    x, times, context, vector = given
    x, context = x.clone().requires_grad_(), context.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = unet(x, times, context, vector)
    (y.float() * torch.linspace(-1, 1, y.numel()).view(y.shape)).sum().backward()
    return [y.detach(), *(weight.grad for weight in network.parameters())]


if __name__ == "__main__":
    asked = {
        "ops": ops, "kernels": kernels, "chosen": chosen, "compiled": compiled, "boosts": boosts, "real": real,
    }  # fmt: skip
    print(json.dumps(asked[sys.argv[1]](*sys.argv[2:])))

"""Runs inside a training environment: the boost `attention`, with candidates of our own; prints one JSON line.

python tests/boost_attention_probe.py choice | memory FOLDER | behaviour | full | reasons | upstream CODE
python tests/boost_attention_probe.py card    (on a card: ms of each that works, forward and backward)
"""

import importlib
import json
import os
import sys
import types
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812  (as upstream's module has it)
from torch.utils.checkpoint import checkpoint

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from boost_scene import make_scene  # noqa: E402

from launcher.shim.boosts import attention, tuning  # noqa: E402
from launcher.shim.boosts.scene import Machine  # noqa: E402


class Attention(torch.nn.Module):
    """The attributes and paths that the boost looks at."""

    def __init__(self, width, text, heads):
        super().__init__()
        self.heads = heads
        self.to_q = torch.nn.Linear(width, width, bias=False)
        self.to_k = torch.nn.Linear(text or width, width, bias=False)
        self.use_sdpa, self.use_memory_efficient_attention_xformers = True, False

    def forward_sdpa(self, x, context=None):
        context = x if context is None else context
        q, k = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.to_q(x), self.to_k(context))
        )
        return F.scaled_dot_product_attention(q, k, k).transpose(1, 2).flatten(2)


class Unet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.own, self.cross = Attention(64, None, 2), Attention(64, 48, 2)
        self.requires_grad_(requires_grad=False).to(torch.bfloat16)

    def forward(self, x, text):
        return self.cross.forward_sdpa(self.own.forward_sdpa(x), text)


def made(**switches):
    torch.manual_seed(0)
    unet = Unet()
    scene, told = make_scene(unet, unet, switches=switches)
    scene.context.args = types.SimpleNamespace(resolution="128,64", train_batch_size=2, max_token_length=150)
    return unet, scene, told


def right(q, k, v):
    scores = (q.float() * q.shape[-1] ** -0.5) @ k.float().transpose(-1, -2)
    return (scores.softmax(dim=-1) @ v.float()).to(q.dtype)


def slow(q, k, v):
    return right(q, k, v)


def wrong(q, k, v):
    return right(q, k, v) * 1.01


def chancy(q, k, v):
    torch.rand(1)
    return right(q, k, v)


def broken(q, k, v):
    raise RuntimeError("no kernel image is available")


TRIED = {"right": right, "slow": slow, "wrong": wrong, "chancy": chancy, "broken": broken}


def choice():
    """Which are fit to be measured, and which is chosen from times that are given."""
    _, scene, _ = made()
    attention.candidates = lambda _: TRIED
    found = {"shapes": [shape.key for shape in attention.shapes(scene)]}
    random = torch.get_rng_state()
    found["works"] = [
        name for name, call in TRIED.items() if attention.works(scene, call, attention.shapes(scene)[1])
    ]
    found["random"] = torch.equal(random, torch.get_rng_state())
    times = attention.measure(
        scene, attention.shapes(scene)[0], {"torch": F.scaled_dot_product_attention, **TRIED}
    )
    found["measured"] = sorted(times)
    found["positive"] = min(times.values()) > 0
    given = iter([{"torch": 1.0, "right": 0.9, "slow": 3.0}, {"torch": 1.0, "right": 0.99}])
    attention.measure = lambda *_: next(given)
    found["reason"] = attention.check(scene)
    found["choices"] = [[*place, call.__name__] for place, call in scene.shared["attention.choices"].items()]
    found["said"] = scene.shared["attention.partly"]
    found["resolutions"] = [
        attention.resolution_of(one) for one in (None, 512, "768", (640, 1024), "1024,768")
    ]
    return found


def words_for_numbers(place):
    before = json.loads(place.read_text(encoding="utf-8"))
    card = next(reversed(before))
    return json.dumps({**before, card: {key: {"torch": 1.0, "right": "x"} for key in before[card]}})


def memory(folder):
    """Measured once; a damaged file is measured over; another card's numbers stay."""
    place = Path(folder) / "deeper" / "tuning.json"
    os.environ["LAUNCHER_TUNING"] = str(place)
    attention.candidates = lambda _: {"right": right}
    counts = []
    measure = attention.measure
    attention.measure = lambda *given: counts.append(1) or measure(*given)
    found = {}
    for name, content in (
        ("first", None),
        ("second", None),
        ("damaged", "{"),
        ("other", '{"another card": {"x": {}}}'),
        ("hostile", words_for_numbers),
        ("unsayable", '{"\\ud800": {}}'),
    ):
        if content is not None:
            place.write_text(content if isinstance(content, str) else content(place), encoding="utf-8")
        counts.clear()
        _, scene, _ = made()
        attention.check(scene)
        found[name] = len(counts)
        if name == "other":
            good = place.read_text(encoding="utf-8")
    place.write_text(good, encoding="utf-8")
    kept = json.loads(place.read_text(encoding="utf-8"))
    found["cards"], found["keys"] = len(kept), sorted(kept[next(reversed(kept))])
    del os.environ["LAUNCHER_TUNING"]
    os.environ["LAUNCHER_CACHE_DIR"] = str(Path(folder) / "cache" / "images-1")
    found["beside"] = tuning.file() == Path(folder) / "cache" / "tuning.json"
    del os.environ["LAUNCHER_CACHE_DIR"]
    found["nowhere"] = tuning.file()
    (Path(folder) / "taken").write_text("a file", encoding="utf-8")
    os.environ["LAUNCHER_TUNING"] = str(Path(folder) / "taken" / "tuning.json")
    found["unwritable"] = attention.check(made()[1])
    return found


def learn(unet, seed=1, tokens=32):
    generator = torch.Generator().manual_seed(seed)
    x, text = torch.randn((2, tokens, 64), generator=generator), torch.randn((2, 7, 48), generator=generator)
    x, text = x.bfloat16().requires_grad_(), text.bfloat16()
    y = checkpoint(unet, x, text, use_reentrant=True)
    y.float().square().sum().backward()
    return [y.detach(), x.grad]


def far(found, best):
    return max(
        float((a.float() - b.float()).norm() / b.float().norm()) for a, b in zip(found, best, strict=True)
    )


def full():
    """No memory for the trial of a new shape."""
    unet, scene, told = made()
    stock = learn(unet)
    left, calls = [True], []

    def finds_no_memory(q, k, v):
        if left:
            left.clear()
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        calls.append(1)
        return right(q, k, v)

    scene.shared["attention.choices"] = {(2, True): finds_no_memory}
    scene.undo["attention"] = attention.install(scene)
    return {
        "apart": far(learn(unet), stock),
        "on": scene.is_on("attention"),
        "calls": len(calls),
        "told": told,
    }


def behaviour():
    unet, scene, told = made()
    stock = learn(unet)
    calls = []

    def counted(q, k, v):
        calls.append((q.shape[2], k.shape[2]))
        return right(q, k, v)

    scene.shared["attention.choices"] = {(2, True): counted}
    scene.undo["attention"] = attention.install(scene)
    shared = scene.shared["attention"]
    found = {"apart": far(learn(unet), stock), "calls": len(calls), "own": all(q == k for q, k in calls)}
    parts = [torch.randn((2, 2, 9, 32), dtype=torch.bfloat16) for _ in range(3)]
    mask = torch.zeros((9, 9), dtype=torch.bfloat16)
    calls.clear()
    functional = sys.modules[__name__].F
    functional.scaled_dot_product_attention(*parts, mask)
    for more in ({"attn_mask": mask}, {"is_causal": True}, {"dropout_p": 0.5}):
        functional.scaled_dot_product_attention(*parts, **more)
    functional.scaled_dot_product_attention(*(part.float() for part in parts))
    found["left"] = len(calls)  # torch's: they never came here
    functional.scaled_dot_product_attention(*parts, attn_mask=None, dropout_p=0.0, is_causal=False)
    found["taken"] = len(calls)  # one trial, one call
    found["gelu"] = functional.gelu is torch.nn.functional.gelu
    with torch.no_grad():
        found["shared"] = far([shared(*parts)], [torch.nn.functional.scaled_dot_product_attention(*parts)])
    found["told"] = list(told)

    def fails_when_odd(q, k, v):
        if q.shape[2] % 2:
            raise RuntimeError("No valid execution plans built")
        return right(q, k, v)

    scene.undo.pop("attention")()
    found["undone"] = F is torch.nn.functional and "attention" not in scene.shared
    scene.shared["attention.choices"] = {(2, True): fails_when_odd}
    scene.undo["attention"] = attention.install(scene)
    found["odd"] = far(learn(unet, tokens=31), learn_stock(unet, 31))
    found["odd_on"] = scene.is_on("attention")
    broke = []

    def breaks_later(q, k, v):
        broke.append(1)
        if len(broke) > 2:
            raise RuntimeError("device says no")
        return right(q, k, v)

    scene.undo.pop("attention")()
    scene.shared["attention.choices"] = {(2, True): breaks_later}
    scene.undo["attention"] = attention.install(scene)
    found["late"] = far(learn(unet), stock)
    found["late_on"], found["late_told"] = scene.is_on("attention"), told
    found["after"] = all(map(torch.equal, learn(unet), stock))
    return found


def learn_stock(unet, tokens):
    module = sys.modules[__name__]
    kept, module.F = module.F, torch.nn.functional
    try:
        return learn(unet, tokens=tokens)
    finally:
        module.F = kept


def upstream(code):
    """The real attention, taken and left."""
    sys.path.insert(0, code)
    module = importlib.import_module("library.sdxl_original_unet")
    torch.manual_seed(0)
    unet = torch.nn.ModuleList(
        [module.CrossAttention(640, None, 10, 64), module.CrossAttention(640, 2048, 10, 64)]
    )
    unet.to(torch.bfloat16)
    scene, told = make_scene(unet, unet)
    before = attention.reason_of_options(scene)
    for one in unet:
        one.set_use_sdpa(True)
    x, text = torch.randn((1, 64, 640)).bfloat16(), torch.randn((1, 77, 2048)).bfloat16()
    stock = unet[1](unet[0](x), text)
    found = {"before": before, "reason": attention.reason_of_options(scene)}
    found["shapes"] = [shape.key for shape in attention.shapes(scene)]
    calls = []

    def counted(q, k, v):
        calls.append(k.shape[2])
        return right(q, k, v)

    scene.shared["attention.choices"] = {(10, True): counted, (10, False): counted}
    scene.undo["attention"] = attention.install(scene)
    found["apart"], found["calls"] = far([unet[1](unet[0](x), text)], [stock]), calls[:]
    scene.undo.pop("attention")()
    found["undone"] = torch.equal(unet[1](unet[0](x), text), stock) and module.F is torch.nn.functional
    return {**found, "told": told}


def reasons():
    found = []
    unet, scene, _ = made()
    found.append(attention.reason_against(scene))
    found.append(attention.reason_of_options(scene))
    unet.own.use_memory_efficient_attention_xformers = True
    found.append(attention.reason_of_options(scene))
    scene.dtype = torch.float32
    found.append(attention.reason_of_options(scene))
    scene.dtype, scene.unet = torch.bfloat16, torch.nn.Linear(2, 2)
    found.append(attention.reason_of_options(scene))
    return found


def card(device="cuda", shrink="1"):
    """The shapes of SDXL at 1024, one image."""
    unet, scene, _ = made()
    scene, _ = make_scene(unet, unet, machine=Machine.of(torch.device(device)))
    calls = {"torch": F.scaled_dot_product_attention, **attention.candidates(scene)}
    found = {"card": scene.machine.name, "torch": torch.__version__}
    for heads, full in ((10, 4096), (20, 1024)):
        tokens = full // int(shrink)
        for keys in (tokens, 77, 152, 227):
            shape = attention.Shape(1, heads, tokens, keys, 64)
            found[shape.key] = attention.measure(scene, shape, calls)
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))

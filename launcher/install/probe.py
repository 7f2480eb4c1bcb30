"""Runs inside a training environment: does everything that training needs work there?

Started by its path with one word of JSON; says before each check that it begins, and after it what came out, each as
one line of JSON. It ends at the first failure (a GPU error poisons all that follows in a process): whoever started it
starts it again with the checks that are left. Imports nothing of the launcher.
"""

from __future__ import annotations

import faulthandler
import importlib.metadata
import json
import os
import platform
import re
import sys
import traceback
from importlib import import_module as load
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

BEGIN, RESULT, LAUNCHED = "probe-begin ", "probe-result ", "probe-launched "
# What drivers and torch say when the card is there but has no room or no time for us.
BUSY = ("out of memory", "busy or unavailable", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
# What both tokenizers of SDXL make of `a photo of a cat`.
TOKENS = [49406, 320, 1125, 539, 320, 2368, 49407]  # fmt: skip
TOKENIZERS = ("openai_clip-vit-large-patch14", "laion_CLIP-ViT-bigG-14-laion2B-39B-b160k")
SHAPE = (1, 1024, 10, 64)  # batch, tokens, heads, channels: the larger attention of SDXL
MOST_WORDS = 300  # characters of an error, for the table: all of it is in the log
TOLERANCE = 0.03  # of the largest value; one bf16 step is 0.004 of it, a wrong kernel is off by the whole


class Skip(Exception):  # noqa: N818  (not an error: the check does not apply here, and says why)
    """The check cannot or need not be made here."""


Answer = tuple[str, dict[str, Any]]  # what to show, and facts to remember


def main(question: dict[str, Any]) -> None:
    faulthandler.enable()  # where it crashed, for the log
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetErrorMode(0x8003)  # a broken DLL: an error, no box that waits for a click
    for name in question["checks"]:
        say(BEGIN, name)
        # The only alarm that rings while C code holds Python up; it ends the process.
        faulthandler.dump_traceback_later(float(question["limit_s"]), exit=True)
        answer = attempt(check_of(name), question)
        faulthandler.cancel_dump_traceback_later()
        say(RESULT, {"check": name, **answer})
        if answer["state"] == "failed":
            break
    os._exit(0)  # some libraries crash while they are unloaded: that is nobody's concern


def say(prefix: str, value: object) -> None:
    """One line of its own, whatever a library has printed without ending its line."""
    sys.stdout.write(f"\n{prefix}{json.dumps(value)}\n")
    sys.stdout.flush()


def attempt(check: Callable[[dict[str, Any]], Answer], question: dict[str, Any]) -> dict[str, Any]:
    """Anything may go wrong in foreign code, and every failure is a finding."""
    try:
        value, facts = check(question)
    except Skip as reason:
        return {"state": "skipped", "value": "", "detail": str(reason), "facts": {}}
    except (Exception, SystemExit) as error:  # noqa: BLE001  (a broken package may raise anything)
        traceback.print_exc()  # for the log
        text = re.split(r"\n(?:Search for|CUDA kernel errors)", f"{type(error).__name__}: {error}")[0]
        words = " ".join(text.split())[:MOST_WORDS]  # without the advice that CUDA gives to programmers
        is_busy = any(sign.lower() in words.lower() for sign in BUSY)
        return {"state": "failed", "value": "", "detail": words, "facts": {}, "busy": is_busy}
    return {"state": "ok", "value": value, "detail": "", "facts": facts}


def check_of(name: str) -> Callable[[dict[str, Any]], Answer]:
    if name.startswith("import "):
        return lambda _: ("", {"module": load(name.removeprefix("import ")).__name__})
    return CHECKS[name]


def packages(question: dict[str, Any]) -> Answer:
    """Versions as the packages' own records have them; nothing is imported."""
    found = importlib.metadata.distributions
    versions = {name: next((it.version for it in found(name=name)), None) for name in question["versions"]}
    return platform.python_version(), {"python": platform.python_version(), "versions": versions}


# --- torch and the card


def torch_build(_: dict[str, Any]) -> Answer:
    torch, cuda = load("torch"), load("torch").version.cuda
    build = f"CUDA {cuda}" if cuda else "for the CPU"
    return f"{torch.__version__}, {build}", {"torch": str(torch.__version__), "cuda": cuda}


def card(question: dict[str, Any]) -> Answer:
    """The card is there, and this build has kernels for it."""
    torch = load("torch")
    if not torch.cuda.is_available():
        if question["cuda"]:
            torch.zeros(1, device="cuda")  # says why
            raise RuntimeError("torch.cuda.is_available() is False")
        raise Skip("no card that this torch can use")
    capability = torch.cuda.get_device_capability(0)
    name, builds = torch.cuda.get_device_name(0), torch.cuda.get_arch_list()
    words = "{}.{}".format(*capability)
    if not any(serves(build, capability) for build in builds):
        known = ", ".join(builds)
        raise RuntimeError(f"{name} has compute capability {words}, this torch has kernels for {known} only")
    float(torch.ones(8, device="cuda").sum())  # a kernel really runs
    return f"{name}, compute capability {words}", {"device": name, "capability": list(capability)}


def serves(build: str, capability: tuple[int, int]) -> bool:
    """Whether code of a build (`sm_86`, `sm_90a`, `compute_90`) runs on a card.

    Machine code runs on its own major version from its minor one upwards (install facts, section 1.1), PTX on all
    later cards; a letter behind the number binds the code to exactly that card.
    """
    if not (found := re.fullmatch(r"(sm|compute)_(\d+)(\d)([a-z]?)", build)):
        return False
    number = (int(found[2]), int(found[3]))
    if found[4] == "a":
        return number == capability
    return number <= capability and (found[1] == "compute" or number[0] == capability[0])


def where(torch: Any) -> tuple[str, Any]:
    """The device, and the 16-bit format that it computes in: cards before Ampere have no bf16."""
    if not torch.cuda.is_available():
        return "cpu", torch.bfloat16
    return "cuda", torch.bfloat16 if torch.cuda.get_device_capability(0) >= (8, 0) else torch.float16


def bf16(_: dict[str, Any]) -> Answer:
    """A product in 16 bits with its gradient."""
    torch = load("torch")
    device, dtype = where(torch)
    weight = torch.ones(8, 8, dtype=dtype, device=device, requires_grad=True)
    (torch.ones(8, 8, dtype=dtype, device=device) @ weight).sum().backward()
    if weight.grad is None or float(weight.grad[0, 0]) != 8.0:
        raise ArithmeticError(f"the {dtype} gradient is wrong")
    return f"{str(dtype).removeprefix('torch.')} on {device}", {}


def fp8(_: dict[str, Any]) -> Answer:
    """Storing weights in fp8 and computing with them in 16 bits: what `fp8_base` does."""
    torch = load("torch")
    device, dtype = where(torch)
    values = torch.tensor([0.5, -1.5, 448.0])  # exactly representable; 448 is the largest of float8_e4m3fn
    stored = values.to(torch.float8_e4m3fn).to(device)  # cast before it moves, as the trainer does
    if not torch.equal(values, stored.to(dtype).float().cpu()):
        raise ArithmeticError(f"fp8 storage gave {stored.float().tolist()}")
    if device == "cpu":  # which cannot compute with them
        return "float8_e4m3fn on cpu", {}
    layers = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.GroupNorm(8, 64)).to(torch.float8_e4m3fn)
    given = torch.ones(4, 64, device=device, requires_grad=True)
    with torch.autocast(device, dtype):
        layers.to(device)(given).square().sum().backward()
    if not bool(given.grad.isfinite().all()):
        raise ArithmeticError("the gradient through fp8 weights is not finite")
    return f"float8_e4m3fn on {device}, computing in {str(dtype).removeprefix('torch.')}", {}


def fp8_file(_: dict[str, Any]) -> Answer:
    """A state keeps the weights as they are: old safetensors knows no fp8."""
    torch, library = load("torch"), load("safetensors.torch")
    values = {"weight": torch.tensor([0.5, 448.0]).to(torch.float8_e4m3fn)}
    if not torch.equal(library.load(library.save(values))["weight"].float(), values["weight"].float()):
        raise ArithmeticError("other values came back")
    return f"safetensors {importlib.metadata.version('safetensors')}", {}


# --- attention


def sdpa(_: dict[str, Any]) -> Answer:
    torch = load("torch")

    def attend(q: Any, k: Any, v: Any) -> Any:
        turned = (tensor.transpose(1, 2) for tensor in (q, k, v))
        return torch.nn.functional.scaled_dot_product_attention(*turned).transpose(1, 2)

    return compare_attention(torch, attend), {}


def xformers(_: dict[str, Any]) -> Answer:
    torch = load("torch")
    operations = load("xformers.ops")
    loading = getattr(load("xformers._cpp_lib"), "_cpp_library_load_exception", None)
    if loading is not None:
        raise RuntimeError(f"its compiled part does not load: {loading}")
    if not torch.cuda.is_available():
        raise Skip("xformers computes on NVIDIA cards only; it is installed and loads")
    return compare_attention(torch, operations.memory_efficient_attention), {}


def compare_attention(torch: Any, attend: Callable[..., Any]) -> str:
    """Attention and its gradients against the formula itself in fp32."""
    device, dtype = where(torch)
    noise = torch.Generator().manual_seed(0)
    made = [torch.randn(SHAPE, generator=noise).to(device, dtype) for _ in range(4)]
    results = []
    for function, cast in ((attend, dtype), (formula, torch.float32)):
        q, k, v = (tensor.to(cast, copy=True).requires_grad_() for tensor in made[:3])
        out = function(q, k, v)
        out.backward(made[3].to(cast))
        results.append([tensor.detach().float() for tensor in (out, q.grad, k.grad, v.grad)])
    worst = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(*results, strict=True))
    if not worst <= TOLERANCE:  # NaN fails too
        raise ArithmeticError(f"the result is off by {worst:.3g} of its largest value")
    return f"{str(dtype).removeprefix('torch.')} on {device}, off by at most {worst:.1g}"


def formula(q: Any, k: Any, v: Any) -> Any:
    q, k, v = (tensor.transpose(1, 2) for tensor in (q, k, v))
    weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
    return (weights @ v).transpose(1, 2)


# --- libraries


def optimizer(_: dict[str, Any]) -> Answer:
    """A step of AdamW whose state is kept in 8 bits."""
    torch = load("torch")
    library = load("bitsandbytes")
    device, _dtype = where(torch)
    weight = torch.nn.Parameter(torch.ones(128, 128, device=device))
    steps = library.optim.AdamW8bit([weight], lr=0.1)
    weight.grad = torch.ones_like(weight)
    try:
        steps.step()
    except Exception as error:
        if device == "cpu":
            raise Skip("this bitsandbytes needs a card for it; it is installed and loads") from error
        raise
    kept = steps.state[weight]["state1"].dtype
    if kept is not torch.uint8 or not float(weight.mean()) < 0.95:
        raise ArithmeticError(f"the state is {kept}, and the weights became {float(weight.mean()):.3g}")
    return f"AdamW8bit on {device}", {}


def arrays(_: dict[str, Any]) -> Answer:
    """Arrays pass between numpy and torch: a torch built for the other numpy has no way."""
    torch, numpy = load("torch"), load("numpy")
    if torch.from_numpy(numpy.arange(3)).numpy().sum() != 3:
        raise ArithmeticError("the sum is wrong")
    return f"numpy {numpy.__version__}", {}


def images(_: dict[str, Any]) -> Answer:
    """OpenCV imports (old wheels crash on numpy 2) and resizes."""
    numpy, library = load("numpy"), load("cv2")
    small = library.resize(numpy.full((8, 8, 3), 7, numpy.uint8), (4, 4), interpolation=library.INTER_AREA)
    if small.shape != (4, 4, 3) or small.max() != 7:
        raise ArithmeticError("the picture is wrong")
    return f"OpenCV {library.__version__}", {}


def vision(_: dict[str, Any]) -> Answer:
    """The compiled operators of torchvision exist: from another channel than torch they do not."""
    torch, library = load("torch"), load("torchvision")
    device, _dtype = where(torch)
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], device=device)
    kept = library.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)
    if kept.tolist() != [0, 2]:
        raise ArithmeticError(f"nms kept {kept.tolist()}")
    return f"torchvision {library.__version__}", {}


def tokenizers(question: dict[str, Any]) -> Answer:
    """Both tokenizers of SDXL, from the folder that `tokenizer_cache_dir` will name."""
    library = load("transformers")
    for name in TOKENIZERS:
        folder = os.path.join(question["tokenizers"], name)  # noqa: PTH118
        found = library.CLIPTokenizer.from_pretrained(folder)("a photo of a cat").input_ids
        if found != TOKENS:
            raise ArithmeticError(f"{name} gave {found}")
    return "both of SDXL", {}


CHECKS: dict[str, Callable[[dict[str, Any]], Answer]] = {
    "packages": packages, "torch": torch_build, "card": card, "bf16": bf16, "fp8": fp8, "fp8_file": fp8_file, "sdpa": sdpa,
    "xformers": xformers, "optimizer": optimizer, "arrays": arrays, "images": images, "vision": vision,
    "tokenizers": tokenizers,
}  # fmt: skip

if __name__ == "__main__":
    if sys.argv[1:] == ["launched"]:  # by `accelerate launch`: what did it hand down?
        say(LAUNCHED, {name: value for name, value in os.environ.items() if name.startswith("ACCELERATE_")})
    else:
        main(json.loads(sys.argv[1]))

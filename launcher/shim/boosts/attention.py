"""The fastest attention of this card, measured once for each shape that the training has, and remembered.

Candidates are torch's own kernels, called directly (to choose one by `sdpa_kernel` costs more than some of them run),
and xformers where it can be imported. A candidate must be as close to fp32 as torch's choice, leave random numbers
alone, and be faster by `GAIN`. A shape that is new in mid-training is tried forward and backward before it counts.
Only for trainings that ask for `sdpa`: who asks for xformers gets xformers.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812  (everybody calls it so)

from launcher.shim.boosts import tuning
from launcher.shim.boosts.records import Kind
from launcher.shim.boosts.scene import relative_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from launcher.shim.boosts.scene import Scene

    Attention = Callable[[Tensor, Tensor, Tensor], Tensor]  # (batch, heads, tokens, dim) each

NAME = "attention"
KIND = Kind.ROUNDING
ABOUT = "the fastest attention of this card"
STOCK = "torch"  # what torch chooses
GAIN = 0.97  # of its time: less is noise
MARGIN = 1.1  # of its error
FIRST_WIDTH = (
    320  # channels of SDXL's first level, an eighth of the image's sides; twice as many on half of that
)
TEXT_TOKENS = {None: 77, 75: 77, 150: 152, 225: 227}  # by max_token_length
HALVES = (torch.bfloat16, torch.float16)


@dataclass(frozen=True, slots=True)
class Shape:
    """q has (batch, heads, queries, dim), k and v have `keys` in place of queries."""

    batch: int
    heads: int
    queries: int
    keys: int
    dim: int

    @property
    def place(self) -> tuple[int, bool]:
        """Where in the U-Net, whatever the image's size: heads, and whether it attends to itself."""
        return self.heads, self.queries == self.keys

    @property
    def key(self) -> str:
        return f"{self.batch}x{self.heads}x{self.queries}x{self.keys}x{self.dim}"


def _kernel(name: str, *more: Any) -> Attention:
    """One of torch's; `more` comes before whether the backward will need the sums of each row."""
    operation = getattr(torch.ops.aten, f"_scaled_dot_product_{name}_attention").default

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        rest = (*more, torch.is_grad_enabled()) if more else ()
        found: Tensor = operation(q, k, v, *rest)[0]
        return found

    return call


def _xformers(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    parts = (part.transpose(1, 2) for part in (q, k, v))
    found: Tensor = import_module("xformers.ops").memory_efficient_attention(*parts).transpose(1, 2)
    return found


def candidates(scene: Scene) -> dict[str, Attention]:
    """What may be there; what does not work here raises when tried."""
    found = {"flash": _kernel("flash"), "efficient": _kernel("efficient", None), "xformers": _xformers}
    if scene.machine.torch >= (
        2,
        6,
    ):  # before, it was young: plans that could not be built, another interface
        found["cudnn"] = _kernel("cudnn", None)
    return found


def reason_against(scene: Scene) -> str | None:
    if scene.machine.device.type != "cuda":
        return "there is no card"
    return reason_of_options(scene)


def reason_of_options(scene: Scene) -> str | None:
    """What in the training itself speaks against it."""
    if scene.dtype not in HALVES:
        return "the training does not compute in 16 bits"
    modules = attentions(scene)
    if not modules:
        return "the U-Net has no attention of the kind that is known"
    if not all(module.use_sdpa and not module.use_memory_efficient_attention_xformers for module in modules):
        return "the training asks for another attention than sdpa"
    if getattr(home_of(modules[0]), "F", None) is not F:
        return "the U-Net's code calls attention in an unknown way"
    return None


def attentions(scene: Scene) -> list[Any]:
    return [
        module
        for module in scene.unet.modules()
        if hasattr(module, "forward_sdpa") and hasattr(module, "heads")
    ]


def home_of(module: Any) -> Any:
    """The Python module that its class stands in."""
    return sys.modules[type(module).__module__]


def shapes(scene: Scene) -> list[Shape]:
    """One for each place, for an image of the training's resolution."""
    args = scene.context.args
    width, height = resolution_of(getattr(args, "resolution", None))
    batch = int(getattr(args, "train_batch_size", None) or 1)
    text = TEXT_TOKENS.get(getattr(args, "max_token_length", None), 77)
    found: dict[tuple[int, bool], Shape] = {}
    for module in attentions(scene):
        outs, ins = module.to_q.weight.shape
        side = 8 * max(1, int(ins) // FIRST_WIDTH)
        queries = max(16, (width // side) * (height // side))
        is_self = module.to_k.weight.shape[1] == ins
        shape = Shape(
            batch, int(module.heads), queries, queries if is_self else text, int(outs) // int(module.heads)
        )
        found.setdefault(shape.place, shape)
    return list(found.values())


def resolution_of(value: Any) -> tuple[int, int]:
    parts = value.split(",") if isinstance(value, str) else value
    parts = parts if isinstance(parts, (tuple, list)) else [parts or 1024]
    return int(parts[0]), int(parts[-1])


def check(scene: Scene) -> str | None:
    """Chooses: what was measured before on such a card, or measures now. What is chosen must agree with torch's."""
    calls = {STOCK: F.scaled_dot_product_attention, **candidates(scene)}
    known, measured = tuning.remembered(scene.machine), {}
    chosen: dict[tuple[int, bool], str] = {}
    for shape in shapes(scene):
        key = f"attention {scene.dtype} {shape.key}"
        times = known.get(key)
        if not isinstance(times, dict) or STOCK not in times:
            times = measured[key] = measure(scene, shape, calls)
        name = min((one for one in times if one in calls), key=times.__getitem__)
        is_worth_it = times[name] < GAIN * times[STOCK] and works(scene, calls[name], shape)
        chosen[shape.place] = name if is_worth_it else STOCK
    with contextlib.suppress(OSError, UnicodeError):  # measured again next time
        tuning.remember(scene.machine, measured)
    scene.shared[f"{NAME}.choices"] = {place: calls[name] for place, name in chosen.items() if name != STOCK}
    said = (f"{heads} heads {'self' if own else 'cross'} {name}" for (heads, own), name in chosen.items())
    scene.shared[f"{NAME}.partly"] = ", ".join(said)
    return None


def measure(scene: Scene, shape: Shape, calls: dict[str, Attention]) -> dict[str, float]:
    """Milliseconds of forward and backward of each that works, at the real size."""
    parts = tensors(scene, shape)
    return {
        name: tuning.milliseconds(partial(_run, call, parts), scene.machine.device)
        for name, call in calls.items()
        if name == STOCK or works(scene, call, shape)
    }


def works(scene: Scene, call: Attention, shape: Shape) -> bool:
    """As close to fp32 as torch's choice, at a small and odd size; random numbers where they were."""
    small = Shape(shape.batch, shape.heads, 200, 200 if shape.place[1] else shape.keys, shape.dim)
    device = scene.machine.device
    parts = tensors(scene, small)
    before = _random_state(device)
    try:
        ours = _run(call, parts)
    except Exception:  # noqa: BLE001  (not built in, not for this card, not for this shape)
        return False
    if not torch.equal(before, _random_state(device)):
        _set_random_state(device, before)
        return False
    stock = _run(F.scaled_dot_product_attention, parts)
    right = _run(_plain, [part.float() for part in parts])
    return all(
        relative_error(mine, best) <= MARGIN * relative_error(theirs, best) + 1e-6
        for mine, theirs, best in zip(ours, stock, right, strict=True)
    )


def _plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).softmax(dim=-1) @ v


def tensors(scene: Scene, shape: Shape) -> list[Tensor]:
    """q, k, v and a gradient, laid out as a linear layer leaves them."""
    generator = scene.generator()
    return [
        torch.randn(
            (shape.batch, tokens, shape.heads, shape.dim), generator=generator, device=scene.machine.device
        ).to(scene.dtype).transpose(1, 2)
        for tokens in (shape.queries, shape.keys, shape.keys, shape.queries)
    ]  # fmt: skip


def _run(call: Attention, parts: list[Tensor]) -> list[Tensor]:
    given = [part.detach().requires_grad_() for part in parts[:3]]
    with torch.enable_grad(), torch.autocast(given[0].device.type, enabled=False):
        found = call(*given)
        return [found, *torch.autograd.grad(found, given, parts[3])]


def _random_state(device: Any) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_random_state(device: Any, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)


class Chooser:
    """Attention by place in the U-Net; torch's own where nothing better was found."""

    def __init__(self, scene: Scene, choices: dict[tuple[int, bool], Attention]) -> None:
        self.scene = scene
        self.choices = choices
        self._tried: dict[tuple[Any, ...], bool] = {}

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(batch, heads, tokens, dim) each; the result like q. With torch's own gradient."""
        call = self.choices.get((q.shape[1], q.shape[2] == k.shape[2]))
        if call is None or q.dtype not in HALVES or not self._is_safe(call, q, k):
            return F.scaled_dot_product_attention(q, k, v)
        return call(q, k, v)

    def _is_safe(self, call: Attention, q: Tensor, k: Tensor) -> bool:
        """Forward and backward of this very shape have been seen to run: a backward that fails cannot be caught."""
        key = (q.shape, k.shape, q.dtype)
        if key not in self._tried:
            shape = Shape(q.shape[0], q.shape[1], q.shape[2], k.shape[2], q.shape[3])
            try:
                _run(call, tensors(self.scene, shape))
            except torch.cuda.OutOfMemoryError:
                return False  # for this once: what the step itself needs may fit
            except Exception:  # noqa: BLE001  (then this shape is torch's)
                self._tried[key] = False
            else:
                self._tried[key] = True
        return self._tried[key]


class Functional:
    """torch.nn.functional for the U-Net's code, with another attention."""

    def __init__(self, attention: Attention) -> None:
        self._attention = attention

    def __getattr__(self, name: str) -> Any:
        return getattr(F, name)

    def scaled_dot_product_attention(
        self, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **more: Any
    ) -> Tensor:
        """Where anything beside q, k and v matters (a mask, dropout, a scale) it is torch's."""
        if any(isinstance(one, torch.Tensor) or one for one in (*rest, *more.values())):
            found: Tensor = F.scaled_dot_product_attention(query, key, value, *rest, **more)
            return found
        return self._attention(query, key, value)


def install(scene: Scene) -> Callable[[], None]:
    chooser = Chooser(scene, scene.shared[f"{NAME}.choices"])
    attention = scene.guarded(NAME, chooser, F.scaled_dot_product_attention)
    home = home_of(attentions(scene)[0])
    home.F = Functional(attention)
    scene.shared[NAME] = attention

    def undo() -> None:
        home.F = F
        scene.shared.pop(NAME, None)

    return undo

"""Each kernel against torch's own operation on a few random numbers, before the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.kernels.operations import CASTS
from launcher.shim.boosts.ops import Ops
from launcher.shim.boosts.scene import relative_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.shim.boosts.kernels.operations import TritonOps
    from launcher.shim.boosts.scene import Scene

# Relative error, in units of the type's rounding: torch's sequences round up to three times, the kernels once or twice.
ALLOWED = 2.0
IN_FP32 = 1e-5  # where nothing is rounded to 16 bits: sums in another order
ROWS, COLUMNS, IMAGE, GROUPS = 4, 640, (1, 32, 36, 32), 8


def disagreements(scene: Scene, ops: TritonOps) -> Iterator[tuple[str, str]]:
    """Names of the operations that differ from torch's, and by how much.

    Every one is called twice: the second call starts the kernel past Triton's own analysis (see `launching`).
    """
    numbers = _Numbers(scene)
    for name, call in _calls(numbers).items():
        right = _listed(call(Ops()))
        for _ in range(2):
            if name in ops.given_up:
                break
            found = _listed(call(ops))
            worst = max(relative_error(one, other) for one, other in zip(found, right, strict=True))
            bound = 0.0 if name in CASTS else max(ALLOWED * torch.finfo(scene.dtype).eps, IN_FP32)
            if not worst <= bound:
                yield name, f"differs from torch's by {worst:.1e}"
                break


class _Numbers:
    """Random tensors; the training's generators are not touched."""

    def __init__(self, scene: Scene) -> None:
        self.generator = scene.generator()
        self.device = scene.machine.device
        self.dtype = scene.dtype

    def typed(self, *shape: int) -> Any:
        return self.wide(*shape).to(self.dtype)

    def wide(self, *shape: int) -> Any:
        return torch.randn(*shape, generator=self.generator, device=self.device)


def _calls(numbers: _Numbers) -> dict[str, Callable[[Ops], Any]]:
    x, y, grad = (numbers.typed(ROWS, COLUMNS) for _ in range(3))
    hidden, y_bias = numbers.typed(ROWS, 2 * COLUMNS), numbers.typed(COLUMNS)
    weight, bias = numbers.wide(COLUMNS), numbers.wide(COLUMNS)
    _, mean, rstd = Ops().layer_norm(x, weight, bias, 1e-5)
    return {
        "cast": lambda ops: _cast_all(ops, numbers),
        "cast_into": lambda ops: _cast_all_into(ops, numbers),
        "layer_norm": lambda ops: ops.layer_norm(x, weight, bias, 1e-5),
        "add_layer_norm": lambda ops: ops.add_layer_norm(x, y.clone(), weight, bias, 1e-5),
        "layer_norm_backward": lambda ops: ops.layer_norm_backward(grad, x, mean, rstd, weight, y),
        "add": lambda ops: ops.add(x, y.clone(), y_bias),
        "geglu": lambda ops: ops.geglu(hidden),
        "geglu_backward": lambda ops: ops.geglu_backward(grad, hidden),
        **_group_calls(numbers),
    }


def _group_calls(numbers: _Numbers) -> dict[str, Callable[[Ops], Any]]:
    weight, bias = numbers.wide(IMAGE[1]), numbers.wide(IMAGE[1])
    first = numbers.typed(*IMAGE), numbers.typed(*IMAGE)
    last = tuple(one.contiguous(memory_format=torch.channels_last) for one in first)
    _, mean, rstd = Ops().group_norm(first[0], weight, bias, GROUPS, 1e-5, silu=False)

    def forward(ops: Ops) -> list[Any]:
        return [
            one
            for x, _ in (first, last)
            for silu in (False, True)
            for one in ops.group_norm(x, weight, bias, GROUPS, 1e-5, silu=silu)
        ]

    def backward(ops: Ops) -> list[Any]:
        return [
            ops.group_norm_backward(grad, x, mean, rstd, weight, bias, GROUPS, silu=silu)
            for x, grad in (first, last)
            for silu in (False, True)
        ]

    return {"group_norm": forward, "group_norm_backward": backward}


def _cast_all(ops: Ops, numbers: _Numbers) -> list[Any]:
    """Every code of both formats."""
    return [part for code in _codes(numbers) for part in _parts(ops.cast(code, numbers.dtype))]


def _cast_all_into(ops: Ops, numbers: _Numbers) -> list[Any]:
    return [
        part
        for code in _codes(numbers)
        for part in _parts(ops.cast_into(code, torch.empty_like(code, dtype=numbers.dtype)))
    ]


def _codes(numbers: _Numbers) -> list[Any]:
    codes = torch.arange(256, dtype=torch.int32, device=numbers.device).to(torch.uint8)
    return [codes.view(torch.float8_e4m3fn), codes.view(torch.float8_e5m2)]


def _parts(found: Any) -> tuple[Any, Any, Any]:
    """What must be equal: which are no numbers (not which of those), the numbers, the signs (of 0 too)."""
    return found.isnan(), found.nan_to_num(), found.signbit() & ~found.isnan()


def _listed(found: Any) -> list[Any]:
    return list(found) if isinstance(found, (list, tuple)) else [found]

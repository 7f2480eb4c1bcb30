"""Boost `clip`: gradients that lie together (those of a transformer block, see `blocks`) are clipped as one tensor.

Clipping stays torch's: it gets the few flat gradients in place of the many that they consist of. The norm of a whole is
the norm of its parts' norms, rounded elsewhere.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.records import Kind
from launcher.shim.boosts.runs import Run, reason_apart, runs_of
from launcher.shim.boosts.scene import relative_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from launcher.shim.boosts.scene import Scene

NAME = "clip"
KIND = Kind.ROUNDING
ABOUT = "one norm of all gradients that lie together"
KNOWN = {"NO", "MULTI_GPU", "MULTI_CPU"}  # ways to distribute in which accelerate hands over to torch


def reason_against(scene: Scene) -> str | None:
    way = scene.accelerator.distributed_type
    if getattr(way, "name", str(way)) not in KNOWN:
        return f"gradients are clipped by {way}"
    weights = [weight for group in scene.optimizer.param_groups for weight in group["params"]]
    return reason_apart(scene, [weights])


def check(scene: Scene) -> str | None:
    clip, generator = torch.nn.utils.clip_grad_norm_, scene.generator()
    device = scene.machine.device
    flat = torch.randn(3 * 4096, device=device, generator=generator)
    gradients = [torch.randn(129, device=device, generator=generator), *flat.view(3, 64, 64).unbind()]
    weights = [_weight(torch.empty_like(one), one.clone()) for one in gradients]
    right = clip(weights, 0.5)
    laid = [_weight(one, grad) for one, grad in zip(_adjacent(weights[1:]), gradients[1:], strict=True)]
    short = Gradients().of([_weight(weights[0].detach(), gradients[0]), *laid])
    if len(short) != 2:
        return "gradients that lie together are not seen"
    errors = [relative_error(clip(short, 0.5), right)]
    errors += [relative_error(one, weight.grad) for one, weight in zip(gradients, weights, strict=True)]
    return None if max(errors) < 1e-5 else f"the norm differs by {max(errors):.1e}"


def install(scene: Scene) -> Callable[[], None]:
    accelerator, gradients = scene.accelerator, Gradients()
    was_own = "clip_grad_norm_" in vars(accelerator)
    stock = accelerator.clip_grad_norm_
    # Only what is clipped is chosen by us: nothing has been changed yet if that fails.
    shorter = scene.guarded(NAME, gradients.of, lambda weights: weights)

    def clip_grad_norm_(parameters: Any, max_norm: float, norm_type: float = 2) -> Any:
        parameters = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
        return stock(shorter(parameters), max_norm, norm_type=norm_type)

    def undo() -> None:
        if was_own:
            accelerator.clip_grad_norm_ = stock
        else:
            vars(accelerator).pop("clip_grad_norm_", None)

    accelerator.clip_grad_norm_ = clip_grad_norm_
    return undo


class Gradients:
    """Finds the gradients that lie together; which weights do is remembered."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._runs: list[Run] = []
        self._single: list[Any] = []

    def of(self, weights: list[Any]) -> list[Any]:
        """Things with a `grad`, as few as possible, that have the gradients of all these weights."""
        ids = [id(weight) for weight in weights]
        if ids != self._ids:
            self._ids, self._runs = ids, runs_of(weights)
            together = {id(member) for run in self._runs for member in run.members}
            self._single = [weight for weight in weights if id(weight) not in together]
        found = list(self._single)
        for run in self._runs:
            gradients = [weight.grad for weight in run.members]
            flat = None if any(one is None for one in gradients) else run.flat(gradients)
            found.extend(run.members if flat is None else [SimpleNamespace(grad=flat)])
        return found


def _weight(value: torch.Tensor, grad: torch.Tensor) -> torch.nn.Parameter:
    made = torch.nn.Parameter(value)
    made.grad = grad
    return made


def _adjacent(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    tensors = list(tensors)
    flat = torch.cat([one.detach().reshape(-1) for one in tensors])
    parts = flat.split([one.numel() for one in tensors])
    return [part.view(one.shape) for part, one in zip(parts, tensors, strict=True)]

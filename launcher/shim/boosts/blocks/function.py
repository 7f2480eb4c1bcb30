"""A laid-out block in torch's graph: what is kept from forward to backward, and what happens where either fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.blocks.compute import ALL, NOTHING, Pass

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from launcher.shim.boosts.blocks.compute import Kept
    from launcher.shim.boosts.blocks.layout import Laid
    from launcher.shim.boosts.scene import Scene


@dataclass(kw_only=True, slots=True)
class Plan:
    """How one block is computed. `place`: its number among the blocks, in the order of the model."""

    scene: Scene
    laid: Laid
    place: int
    body: Callable[..., Any]  # upstream's own
    is_installed: bool = False  # before that, in the self-check, a failure is raised

    def forward(
        self, hidden_states: Tensor, context: Tensor | None = None, timestep: Tensor | None = None
    ) -> Any:
        """In the place of the block's own forward; upstream's where nothing is trained or anything is unusual."""
        if context is None or hidden_states.dtype != self.scene.dtype or not torch.is_grad_enabled():
            return self._stock(hidden_states, context, timestep)
        try:
            self.laid = self.laid.in_place()
            keeper = self.scene.shared.get("keeper")
            level = NOTHING if keeper is None else keeper.level(self, hidden_states)
            return BlockFunction.apply(self, level, hidden_states, context, *self.laid.params)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001  (whatever a library of somebody else's raises)
            self.scene.turn_off("blocks", error)
        return self._stock(hidden_states, context, timestep)

    def _stock(self, hidden_states: Tensor, context: Tensor | None, timestep: Tensor | None) -> Any:
        block = self.laid.block
        return type(block).forward(block, hidden_states, context, timestep)

    def passing(self, images: int) -> Pass:
        from launcher.shim.boosts.blocks import tools_of

        return Pass(self.laid, tools_of(self.scene), images=images)


class BlockFunction(torch.autograd.Function):  # type: ignore[misc]
    """(plan, what to keep, (images, tokens, width), (images, tokens of the text, its width), *LoRA weights)."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, level: int, x: Tensor, text: Tensor, *_params: Tensor) -> Tensor:
        ctx.plan, ctx.level = plan, level
        ctx.save_for_backward(x, text)
        with torch.autocast(x.device.type, enabled=False):
            rows, words = _rows(x), _rows(text.to(x.dtype))
            one = plan.passing(x.shape[0])
            result, kept = one.forward(rows, words, keep=level)
        ctx.kept = kept if level > NOTHING else None
        ctx.scales = one.scales
        return result.view(x.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        (x, text), plan, kept = ctx.saved_tensors, ctx.plan, ctx.kept
        ctx.kept = None
        needs_text = ctx.needs_input_grad[3]
        if plan.is_installed and not plan.scene.is_on("blocks"):  # another block has failed since
            return (None, None, *_stock_backward(plan, grad, x, text, needs_text=needs_text))
        try:
            return (
                None,
                None,
                *_backward(plan, grad, x, text, kept, scales=ctx.scales, needs_text=needs_text),
            )
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            if not plan.is_installed:
                raise
            plan.scene.turn_off("blocks", error)
        return (None, None, *_stock_backward(plan, grad, x, text, needs_text=needs_text))


def _backward(
    plan: Plan,
    grad: Tensor,
    x: Tensor,
    text: Tensor,
    kept: Kept | None,
    *,
    scales: list[float],
    needs_text: bool,
) -> tuple[Any, ...]:
    """`scales`: those of the forward. Upstream changes the multiplier in between for some batches."""
    with torch.autocast(x.device.type, enabled=False), torch.no_grad():
        one, rows, words = plan.passing(x.shape[0]), _rows(x), _rows(text.to(x.dtype))
        one.scales = scales
        if kept is None:
            _, kept = one.forward(rows, words, keep=ALL)
        grad_x, grad_text, flat = one.backward(
            _rows(grad.to(x.dtype)), rows, words, kept, needs_text=needs_text
        )
        laid = plan.laid
        flat = torch.empty_like(laid.loras).copy_(flat)  # of their own: the scratch serves the next block
        grads = [
            flat[start:end].view(param.shape) if param.requires_grad else None
            for (start, end), param in zip(laid.spans, laid.params, strict=True)
        ]
        if grad_text is not None:
            grad_text = grad_text.view(text.shape).to(text.dtype)
        return grad_x.view(x.shape), grad_text, *grads


def _stock_backward(
    plan: Plan, grad: Tensor, x: Tensor, text: Tensor, *, needs_text: bool
) -> tuple[Any, ...]:
    """Computes the block once more by upstream's code, and lets torch differentiate that."""
    from launcher.shim.boosts.blocks import autocast

    inputs = [x.detach().requires_grad_(), text.detach().requires_grad_(needs_text)]
    with torch.enable_grad(), autocast(plan.scene):
        result = plan.body(*inputs)
    wanted = [inputs[0], *inputs[1:][: int(needs_text)], *plan.laid.params]
    found = list(torch.autograd.grad(result, wanted, grad.to(result.dtype), allow_unused=True))
    grad_text = found.pop(1) if needs_text else None
    return found[0], grad_text, *found[1:]


def _rows(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])

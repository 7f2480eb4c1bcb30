"""The mathematics of one transformer block with LoRA on all its layers, forward and backward.

    x1 = x + out1(attention(q, k, v of norm1(x)))
    x2 = x1 + out2(attention(q of norm2(x1), k and v of the text))
    y  = x2 + ff2(geglu(ff1(norm3(x2))))

Everything is two-dimensional, (rows, columns), rows = images * tokens, in the computing type. What a backward needs and
was not kept is computed again; the frozen weights are cast again, never kept in 16 bits.

The forward rounds where upstream's does: base and bias, then the LoRA on top, then the residual. One sum less rounded would be
nearer to fp32 and further from the training that people know: small and same-signed differences add up in a loss curve.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.blocks.layout import FF1, FF2, KV2, OUT1, OUT2, Q2, QKV
from launcher.shim.boosts.blocks.scratch import scratch_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from launcher.shim.boosts.blocks.layout import Laid
    from launcher.shim.boosts.blocks.scratch import Scratch
    from launcher.shim.boosts.ops import Ops

NOTHING, ATTENTION, ALL = range(3)  # what a forward keeps for its backward


@dataclass(kw_only=True, slots=True)
class Kept:
    """Results of a forward. Pairs are (what entered attention, what came out), with torch's own graph between them."""

    qkv: Tensor = None
    attended1: Tensor = None
    x1: Tensor = None
    q2: Tensor = None
    kv2: Tensor = None
    attended2: Tensor = None
    x2: Tensor = None
    hidden: Tensor = None  # of the feed-forward: four times as large as all others but qkv
    statistics: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # of the three norms
    lows: dict[int, Tensor] = field(default_factory=dict)  # what each group's down gave


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """What the mathematics is made with."""

    ops: Ops
    dtype: Any
    attention: Callable[[Tensor, Tensor, Tensor], Tensor]
    scratches: dict[Any, Scratch]
    matmul: Any = None  # multiplies by the stored weights themselves (the boost fp8_matmul)


class Pass:
    """One block in one pass, which fills the scratch with the block's weights."""

    def __init__(self, laid: Laid, tools: Tools, *, images: int) -> None:
        self.laid, self.tools, self.images = laid, tools, images
        self.groups = laid.groups
        self.scales = [group.scale for group in laid.groups]
        scratch = scratch_of(tools.scratches, laid, tools.dtype, has_weights=tools.matmul is None)
        self.views, self.grads = scratch.views, scratch.grads
        scratch.loras.copy_(laid.loras)
        if scratch.cast is not None:
            tools.ops.cast_into(laid.weights, scratch.cast)

    # One group of layers

    def layers(self, place: int, x: Tensor, kept: Kept) -> Tensor:
        """(rows, ins) -> (rows, count * outs), bias and LoRA included."""
        group, views, scale = self.groups[place], self.views[place], self.scales[place]
        low = kept.lows[place] = _scaled_mm(x, views.down_t, scale)  # the scale is in it for good
        if self.tools.matmul is not None:
            y = self.tools.matmul.forward(x, group.weight(self.laid.weights), group.bias)
        elif group.bias is None:
            y = torch.mm(x, views.weight_t)
        else:
            y = torch.addmm(group.bias, x, views.weight_t)
        if group.count == 1:
            return y.addmm_(low, views.up_t)
        _split(y, group.count).baddbmm_(_split(low, group.count), views.up_t)
        return y

    def layers_backward(
        self, place: int, grad: Tensor, x: Tensor, kept: Kept, *, needs_x: bool = True
    ) -> Tensor | None:
        """Writes the LoRA's gradients into the scratch and gives that of x."""
        group, views, scale = self.groups[place], self.views[place], self.scales[place]
        low = kept.lows[place]
        if group.count == 1:
            grad_low = _scaled_mm(grad, views.up, scale)
            self._multiply(grad.t(), low, views.up_grad)
        else:
            grad_low = torch.empty_like(low)
            parts, lows, grad_lows = (_split(one, group.count) for one in (grad, low, grad_low))
            torch.baddbmm(grad_lows, parts, views.up, beta=0, alpha=scale, out=grad_lows)
            self._multiply(parts.transpose(1, 2), lows, views.up_grad)
        self._multiply(grad_low.t(), x, views.down_grad)
        if not needs_x:
            return None
        found = torch.mm(grad_low, views.down)
        if self.tools.matmul is not None:
            return found.add_(self.tools.matmul.input_gradient(grad, group.weight(self.laid.weights)))
        return found.addmm_(grad, views.weight)

    def _multiply(self, a: Tensor, b: Tensor, into: Tensor) -> None:
        """`into = a @ b`, unrounded where `into` is wider and the card's library can."""
        product = torch.mm if a.dim() == 2 else torch.bmm
        if into.dtype == a.dtype:
            product(a, b, out=into)
        else:
            product(a, b, out_dtype=into.dtype, out=into)

    # Attention

    def attend_self(self, qkv: Tensor, *, with_graph: bool) -> tuple[Tensor, Tensor]:
        """(rows, 3 * width) -> itself as a leaf of torch's graph, and (rows, width)."""
        leaf = qkv.detach().requires_grad_(with_graph)
        with torch.set_grad_enabled(with_graph):
            q, k, v = self._heads(leaf, 3).unbind(2)
            return leaf, self._attend(q, k, v)

    def attend_text(self, q: Tensor, kv: Tensor, *, with_graph: bool) -> tuple[Tensor, Tensor, Tensor]:
        q, kv = q.detach().requires_grad_(with_graph), kv.detach().requires_grad_(with_graph)
        with torch.set_grad_enabled(with_graph):
            k, v = self._heads(kv, 2).unbind(2)
            return q, kv, self._attend(self._heads(q, 1).squeeze(2), k, v)

    def _heads(self, x: Tensor, count: int) -> Tensor:
        """(images * tokens, count * width) -> (images, tokens, count, heads, width of a head)"""
        return x.view(self.images, -1, count, self.laid.heads, self.laid.width // self.laid.heads)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        found = self.tools.attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return found.transpose(1, 2).reshape(-1, self.laid.width)

    # The block

    def forward(self, x: Tensor, text: Tensor, *, keep: int) -> tuple[Tensor, Kept]:
        """x: (rows, width), text: (images * its tokens, its width). The result never shares memory with x."""
        ops, norms, kept = self.tools.ops, self.laid.norms, Kept()
        with_graph = keep > NOTHING
        normed, *statistics = ops.layer_norm(x, *norms[0])
        kept.statistics.append(tuple(statistics))
        kept.qkv, kept.attended1 = self.attend_self(self.layers(QKV, normed, kept), with_graph=with_graph)
        out = self.layers(OUT1, kept.attended1.detach(), kept)
        kept.x1, normed, *statistics = ops.add_layer_norm(x, out, *norms[1])
        kept.statistics.append(tuple(statistics))
        q, kv = self.layers(Q2, normed, kept), self.layers(KV2, text, kept)
        kept.q2, kept.kv2, kept.attended2 = self.attend_text(q, kv, with_graph=with_graph)
        out = self.layers(OUT2, kept.attended2.detach(), kept)
        kept.x2, normed, *statistics = ops.add_layer_norm(kept.x1, out, *norms[2])
        kept.statistics.append(tuple(statistics))
        kept.hidden = self.layers(FF1, normed, kept)
        out = self.layers(FF2, ops.geglu(kept.hidden), kept)
        result = ops.add(kept.x2, out, None)
        if keep == ATTENTION:
            kept.hidden = None
        return result, kept

    def backward(
        self, grad: Tensor, x: Tensor, text: Tensor, kept: Kept, *, needs_text: bool
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Gradients of x, of the text (None where not asked for), and of the LoRA weights: flat, in the scratch."""
        grad = self._feed_forward_backward(grad, kept)
        grad, grad_text = self._text_backward(grad, kept, text, needs_text=needs_text)
        return self._self_backward(grad, x, kept), grad_text, self.grads

    def _feed_forward_backward(self, grad: Tensor, kept: Kept) -> Tensor:
        ops, (weight, bias, eps) = self.tools.ops, self.laid.norms[2]
        normed = ops.layer_norm(kept.x2, weight, bias, eps)[0]
        if kept.hidden is None:
            kept.hidden = self.layers(FF1, normed, kept)
        found = self.layers_backward(FF2, grad, ops.geglu(kept.hidden), kept)
        found = ops.geglu_backward(found, kept.hidden)
        kept.hidden = None  # the largest one: its memory serves what comes next
        found = self.layers_backward(FF1, found, normed, kept)
        return ops.layer_norm_backward(found, kept.x2, *kept.statistics[2], weight, grad)

    def _text_backward(
        self, grad: Tensor, kept: Kept, text: Tensor, *, needs_text: bool
    ) -> tuple[Tensor, Tensor | None]:
        ops, (weight, bias, eps) = self.tools.ops, self.laid.norms[1]
        found = self.layers_backward(OUT2, grad, kept.attended2.detach(), kept)
        grad_q, grad_kv = torch.autograd.grad(kept.attended2, (kept.q2, kept.kv2), found)
        kept.attended2 = kept.q2 = kept.kv2 = None
        grad_text = self.layers_backward(KV2, grad_kv, text, kept, needs_x=needs_text)
        normed = ops.layer_norm(kept.x1, weight, bias, eps)[0]
        found = self.layers_backward(Q2, grad_q, normed, kept)
        return ops.layer_norm_backward(found, kept.x1, *kept.statistics[1], weight, grad), grad_text

    def _self_backward(self, grad: Tensor, x: Tensor, kept: Kept) -> Tensor:
        ops, (weight, bias, eps) = self.tools.ops, self.laid.norms[0]
        found = self.layers_backward(OUT1, grad, kept.attended1.detach(), kept)
        (grad_qkv,) = torch.autograd.grad(kept.attended1, (kept.qkv,), found)
        kept.attended1 = kept.qkv = None
        normed = ops.layer_norm(x, weight, bias, eps)[0]
        found = self.layers_backward(QKV, grad_qkv, normed, kept)
        return ops.layer_norm_backward(found, x, *kept.statistics[0], weight, grad)


def _split(x: Tensor, count: int) -> Tensor:
    """(rows, count * n) -> (count, rows, n), the same memory."""
    return x.view(x.shape[0], count, -1).transpose(0, 1)


def _scaled_mm(a: Tensor, b: Tensor, scale: float) -> Tensor:
    """`scale * a @ b`, in one multiplication."""
    into = torch.empty((a.shape[0], b.shape[1]), dtype=a.dtype, device=a.device)
    return torch.addmm(into, a, b, beta=0, alpha=scale, out=into)

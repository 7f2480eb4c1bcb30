"""Puts what one transformer block needs side by side: its frozen weights in one tensor, its LoRA weights in another.

Layers with the same input form a group, multiplied as one: q, k and v of self-attention, k and v of cross-attention.
Parameters stay what they are; only their data moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.adapters import Adapter, ForeignError, adapter_of

if TYPE_CHECKING:
    from torch import Tensor

GROUPS = (
    ("attn1.to_q", "attn1.to_k", "attn1.to_v"),
    ("attn1.to_out.0",),
    ("attn2.to_q",),
    ("attn2.to_k", "attn2.to_v"),
    ("attn2.to_out.0",),
    ("ff.net.0.proj",),
    ("ff.net.2",),
)
QKV, OUT1, Q2, KV2, OUT2, FF1, FF2 = range(len(GROUPS))
NORMS = ("norm1", "norm2", "norm3")
SAVES = "blocks.saves"  # in `scene.shared`: whether states hold copies


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Layers multiplied as one. `weight_at`, `down_at`, `up_at`: where they begin in the flat tensors.

    Of the flat weights `count * outs` rows of `ins`; of the flat LoRA weights `count * rank` rows of `ins` (down), then
    `count` times `outs` rows of `rank` (up).
    """

    count: int
    ins: int
    outs: int
    rank: int
    weight_at: int
    down_at: int
    up_at: int
    bias: Tensor | None  # in the computing type
    adapters: tuple[Adapter, ...]

    @property
    def scale(self) -> float:
        """Raises ForeignError where the layers of a group have different ones, or such as are no number."""
        found = self.adapters[0].scale
        for adapter in self.adapters[1:]:
            if adapter.scale != found:
                raise ForeignError("LoRA scales that differ within q, k and v")
        return found

    def weight(self, flat: Tensor) -> Tensor:
        """(count * outs, ins)"""
        rows = self.count * self.outs
        return flat[self.weight_at : self.weight_at + rows * self.ins].view(rows, self.ins)

    def down(self, flat: Tensor) -> Tensor:
        """(count * rank, ins)"""
        rows = self.count * self.rank
        return flat[self.down_at : self.down_at + rows * self.ins].view(rows, self.ins)

    def up(self, flat: Tensor) -> Tensor:
        """(count, outs, rank)"""
        size = self.count * self.outs * self.rank
        return flat[self.up_at : self.up_at + size].view(self.count, self.outs, self.rank)


@dataclass(frozen=True, kw_only=True, slots=True)
class Laid:
    """One block, ready: `weights` as stored, `loras` in the network's type, `params` in the order of `loras`."""

    block: Any
    groups: tuple[Group, ...]
    first: Tensor  # of the layers' weights, as the block has it
    weights: Tensor
    loras: Tensor
    params: tuple[Any, ...]
    spans: tuple[tuple[int, int], ...]  # of each parameter in `loras`
    norms: tuple[tuple[Tensor, Tensor, float], ...]  # weight and bias in fp32, eps
    heads: int

    @property
    def sizes(self) -> tuple[tuple[int, ...], ...]:
        """Blocks with the same ones are computed in the same memory."""
        return tuple((group.count, group.ins, group.outs, group.rank) for group in self.groups)

    @property
    def width(self) -> int:
        return self.groups[OUT1].outs

    def in_place(self) -> Laid:
        """Itself; laid out anew where the frozen weights were moved, as sampling does that makes a U-Net in fp16 and back.

        What moves one parameter's data moves all of them (an optimizer, `Module.to`).

        Raises:
            ForeignError: the LoRA's weights were moved, or the frozen ones are elsewhere or of another type now.
        """
        _insist(self.params[0].data_ptr() == self.loras.data_ptr(), "something has moved its LoRA's weights")
        if self.first.data_ptr() == self.weights.data_ptr():
            return self
        layers = [self.block.get_submodule(name) for names in GROUPS for name in names]
        kinds = {(layer.weight.dtype, layer.weight.device) for layer in layers}
        _insist(kinds == {(self.weights.dtype, self.weights.device)}, "something has moved its weights away")
        firsts = [self.block.get_submodule(names[0]) for names in GROUPS]
        groups = [
            group if group.bias is None else replace(group, bias=layer.bias.detach().to(group.bias.dtype))
            for group, layer in zip(self.groups, firsts, strict=True)
        ]
        return replace(
            self, groups=tuple(groups), first=layers[0].weight, weights=_gather([layer.weight for layer in layers]),
            norms=tuple(_norm(getattr(self.block, name)) for name in NORMS),
        )  # fmt: skip


def lay(block: Any, dtype: Any) -> Laid:
    """Arrange a block.

    Raises:
        ForeignError: it is not made as expected; nothing was changed then.
    """
    _insist("forward" not in block.__dict__, "a forward that is somebody else's")
    found = [[_layer(block, name) for name in names] for names in GROUPS]
    layers = [layer for group in found for layer, _ in group]
    _insist(len({layer.weight.dtype for layer in layers}) == 1, "weights of several types")
    _insist(len({layer.weight.device for layer in layers}) == 1, "weights in several places")
    _insist(not any(layer.weight.requires_grad for layer in layers), "weights that are trained themselves")
    params = [param for group in found for param in _params([adapter for _, adapter in group])]
    _insist(len({param.dtype for param in params}) == 1, "LoRA weights of several types")
    _insist(all(param.device == layers[0].weight.device for param in params), "LoRA weights elsewhere")
    norms = tuple(_norm(getattr(block, name)) for name in NORMS)
    groups, weight_at, lora_at = [], 0, 0
    for group in found:
        made = _group(group, dtype, weight_at, lora_at)
        groups.append(made)
        weight_at += made.count * made.outs * made.ins
        lora_at = made.up_at + made.count * made.outs * made.rank
    return Laid(
        block=block, groups=tuple(groups), first=layers[0].weight, weights=_gather([layer.weight for layer in layers]), loras=_gather(params),
        params=tuple(params), spans=_spans(params), norms=norms, heads=int(block.attn1.heads),
    )  # fmt: skip


def save_as_copies(scene: Any) -> None:
    """Make accelerate's states hold copies in RAM: it leaves out of a file what shares its storage with another.

    Stays for good, as the layout does. `state_dict` goes on to give the weights themselves: upstream's
    `scale_weight_norms` shrinks them there.
    """
    if not scene.shared.get(SAVES):
        scene.accelerator.register_save_state_pre_hook(_copy_shared)
        scene.shared[SAVES] = True


def _copy_shared(_models: list[Any], weights: list[dict[str, Any]], _folder: str) -> None:
    for state in weights:
        for name, value in state.items():
            if (
                isinstance(value, torch.Tensor)
                and value.untyped_storage().nbytes() != value.numel() * value.element_size()
            ):
                state[name] = value.detach().to("cpu", copy=True)


def _layer(block: Any, name: str) -> tuple[Any, Adapter]:
    layer = block.get_submodule(name)
    _insist(type(layer) is torch.nn.Linear, f"{name} is a {type(layer).__name__}")
    adapter = adapter_of(layer)
    if adapter is None:
        raise ForeignError(f"{name} has no LoRA")
    return layer, adapter


def _params(adapters: list[Adapter]) -> list[Any]:
    return [*(adapter.down for adapter in adapters), *(adapter.up for adapter in adapters)]


def _group(pairs: list[tuple[Any, Adapter]], dtype: Any, weight_at: int, lora_at: int) -> Group:
    layers, adapters = [layer for layer, _ in pairs], tuple(adapter for _, adapter in pairs)
    first, rank = layers[0], adapters[0].rank
    for layer, adapter in pairs:
        _insist(layer.weight.shape == first.weight.shape, "q, k and v of several sizes")
        is_pair = adapter.down.shape == (rank, first.in_features) and adapter.up.shape == (
            first.out_features,
            rank,
        )
        _insist(is_pair, "LoRAs of several ranks, or not of this layer")
        _insist((layer.bias is None) == (first.bias is None), "q, k and v with and without a bias")
    _insist(len(pairs) == 1 or first.bias is None, "q, k and v with a bias")
    return Group(
        count=len(pairs), ins=first.in_features, outs=first.out_features, rank=rank, weight_at=weight_at,
        down_at=lora_at, up_at=lora_at + len(pairs) * rank * first.in_features,
        bias=None if first.bias is None else first.bias.detach().to(dtype), adapters=adapters,
    )  # fmt: skip


def _norm(norm: Any) -> tuple[Any, Any, float]:
    _insist(type(norm) is torch.nn.LayerNorm and norm.elementwise_affine, "a norm of another kind")
    _insist(not norm.weight.requires_grad, "a norm that is trained itself")
    bias = (
        torch.zeros_like(norm.weight, dtype=torch.float32)
        if norm.bias is None
        else norm.bias.detach().float()
    )
    return norm.weight.detach().float(), bias, float(norm.eps)


def _gather(tensors: list[Any]) -> Any:
    """One flat tensor of all; each becomes a view of its part, with the same values."""
    flat = torch.cat([tensor.detach().reshape(-1).view(torch.uint8) for tensor in tensors]).view(
        tensors[0].dtype
    )
    at = 0
    for tensor in tensors:
        tensor.data = flat[at : at + tensor.numel()].view(tensor.shape)
        at += tensor.numel()
    return flat


def _spans(params: list[Any]) -> tuple[tuple[int, int], ...]:
    spans, at = [], 0
    for param in params:
        spans.append((at, at + param.numel()))
        at += param.numel()
    return tuple(spans)


def _insist(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise ForeignError(otherwise)

"""Which modules of the U-Net are replaced, and how each is put back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.adapters import ForeignError, adapter_of
from launcher.shim.boosts.convolutions.residual import Residual
from launcher.shim.boosts.convolutions.single import Normed, Single

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from launcher.shim.boosts.convolutions.frame import Frame
    from launcher.shim.boosts.scene import Scene

NAME = "convolutions"


def named(unet: Any, kind: str) -> list[Any]:
    """Modules by the name of their class, in the order of the U-Net."""
    return [module for module in unet.modules() if type(module).__name__ == kind]


def why_stock(*layers: Any) -> str | None:
    """Why layers cannot be computed in one piece, or None."""
    for layer in layers:
        try:
            if adapter_of(layer) is not None:
                return "a LoRA on a convolution or the embedding beside it"
        except ForeignError as error:
            return str(error)
        if any(weight.requires_grad for weight in layer.parameters()):
            return "weights that are trained themselves"
        if isinstance(layer, torch.nn.Conv2d) and (
            layer.padding_mode != "zeros" or isinstance(layer.padding, str)
        ):
            return "a convolution with an unusual border"
    return None


def why_residual_stays(module: Any) -> str | None:
    parts = (module.in_layers, module.emb_layers, module.out_layers)
    if [len(part) for part in parts] != [3, 2, 4] or not callable(getattr(module, "forward_body", None)):
        return "a residual block of another build"
    skip = module.skip_connection
    is_plain = isinstance(skip, torch.nn.Identity) or (
        isinstance(skip, torch.nn.Conv2d)
        and skip.kernel_size == skip.stride == (1, 1)
        and skip.padding == (0, 0)
        and skip.groups == 1
    )
    norms = (module.in_layers[0], module.out_layers[0])
    convs = (module.in_layers[2], module.out_layers[3])
    if not (is_plain and all(map(_is_norm, norms)) and all(map(_is_convolution, convs))):
        return "a residual block of another build"
    linear = module.emb_layers[1]
    layers = [*convs, linear, *([] if isinstance(skip, torch.nn.Identity) else [skip])]
    return why_stock(*layers) or _why_norm_stays(*norms)


def _is_norm(layer: Any) -> bool:
    return isinstance(layer, torch.nn.GroupNorm) and layer.weight is not None


def _is_convolution(layer: Any) -> bool:
    return isinstance(layer, torch.nn.Conv2d)


def _why_norm_stays(*layers: Any) -> str | None:
    if any(weight.requires_grad for layer in layers for weight in layer.parameters()):
        return "norms that are trained themselves"
    return None


class Place:
    """Puts forwards in the place of those of modules, and takes them back."""

    def __init__(self, scene: Scene, frame: Frame) -> None:
        self.scene, self.frame = scene, frame
        self.left: list[str] = []  # why a part stays stock, one a part
        self.residuals: list[Residual] = []
        self._undo: list[Callable[[], None]] = []

    def failed(self, error: BaseException) -> None:
        """A backward could not be computed in one piece."""
        self.scene.turn_off(NAME, error)

    def undo(self) -> None:
        while self._undo:
            self._undo.pop()()

    def put(self, module: Any, fast: Callable[..., Any], *, inputs: int = 1, any_type: bool = False) -> None:
        """`fast` where gradients are computed and nothing unusual is asked for; else what stood there.

        `any_type`: it casts its input itself, as autocast does.
        """
        stock, dtype = module.forward, self.frame.dtype
        guarded = self.scene.guarded(NAME, fast, stock)

        def forward(*args: Any, **more: Any) -> Any:
            is_usual = not more and len(args) == inputs and (any_type or args[0].dtype == dtype)
            return guarded(*args) if is_usual and torch.is_grad_enabled() else stock(*args, **more)

        self.exchange(module, forward)

    def exchange(self, module: Any, forward: Callable[..., Any]) -> None:
        own = module.__dict__.get("forward")
        module.forward = forward

        def put_back() -> None:
            if own is None:
                del module.forward
            else:
                module.forward = own

        self._undo.append(put_back)

    def lay_out(self, layer: Any) -> None:
        """The weight's numbers in the layout of the frame; the parameter stays the same object."""
        weight = layer._parameters.get("weight")  # noqa: SLF001  (an offloaded one is none)
        if not self.frame.is_last or weight is None:
            return
        weight.data = _strided(weight.data, torch.channels_last)
        self._undo.append(lambda: _set(weight, _strided(weight.data, torch.contiguous_format)))

    def residual(self, module: Any) -> None:
        if (reason := why_residual_stays(module)) is not None:
            self.left.append(reason)
            return
        block = Residual(module, self.frame, self.failed)
        for conv in (block.conv1, block.conv2, *([block.skip] if block.skip else [])):
            self.lay_out(conv.layer)
        self.residuals.append(block)
        self.put(module, block, inputs=2)

    def single(self, module: Any, layer: Any, *, doubled: bool = False) -> None:
        """A module that is `layer`, or that has it beside a change of size."""
        reason = why_stock(layer) if _is_convolution(layer) else "a convolution of another build"
        if reason is not None:
            self.left.append(reason)
            return
        self.lay_out(layer)
        stock = module.forward if module is layer else module.forward_body
        self.put(module, Single(layer, self.frame, stock, self.failed, doubled=doubled), any_type=True)

    def output(self, layers: Any) -> None:
        """The last norm, SiLU and convolution, three modules: the norm does SiLU as well."""
        norm, act, conv = layers
        is_known = _is_norm(norm) and isinstance(act, torch.nn.SiLU) and _is_convolution(conv)
        reason = (why_stock(conv) or _why_norm_stays(norm)) if is_known else "an output of another build"
        if reason is not None:
            self.left.append(reason)
            return
        stock_norm = norm.forward
        both = Normed(norm, self.frame, lambda x: torch.nn.functional.silu(stock_norm(x)), self.failed, silu=True)  # fmt: skip
        done: list[Any] = []

        def fast(x: Tensor) -> Tensor:
            found = both(x)
            done[:] = [found]
            return found

        self.put(norm, fast)
        stock_act = act.forward
        self.exchange(act, lambda x: x if done and done.pop() is x else stock_act(x))
        self.single(conv, conv)


def _set(weight: Any, data: Tensor) -> None:
    weight.data = data


def _strided(data: Tensor, to: torch.memory_format) -> Tensor:
    """The same numbers in other strides; bytes are moved as bytes (not every torch moves fp8)."""
    if data.element_size() != 1:
        return data.contiguous(memory_format=to)
    return data.view(torch.uint8).contiguous(memory_format=to).view(data.dtype)

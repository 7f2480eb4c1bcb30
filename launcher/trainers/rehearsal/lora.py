"""LoRA for the U-Net, with the modules, names and files of kohya's `networks.lora`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "lora_unet"
LAYERS_PER_BLOCK = 2


class LoraModule(torch.nn.Module):  # type: ignore[misc]  # torch is not installed beside mypy
    """Low-rank addition to one linear layer: `up(down(x)) * alpha / dim`."""

    def __init__(self, base: Any, dim: int, alpha: float, dropout: float) -> None:
        super().__init__()
        self.lora_down = torch.nn.Linear(base.in_features, dim, bias=False)
        self.lora_up = torch.nn.Linear(dim, base.out_features, bias=False)
        torch.nn.init.kaiming_uniform_(self.lora_down.weight, a=math.sqrt(5))
        torch.nn.init.zeros_(self.lora_up.weight)
        self.register_buffer("alpha", torch.tensor(float(alpha)))
        self._scale = float(alpha) / dim
        self._dropout = dropout

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        inner = self.lora_down(inputs)
        if self._dropout and self.training:
            inner = torch.nn.functional.dropout(inner, p=self._dropout)
        return self.lora_up(inner) * self._scale


class LoraNetwork(torch.nn.Module):  # type: ignore[misc]  # as above
    """All LoRA modules of a U-Net; its state dict is what a LoRA file holds."""

    def __init__(self, unet: Any, *, dim: int, alpha: float, dropout: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        self._hooks: list[Any] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for name, layer in find_layers(unet):
                module = LoraModule(layer, dim, alpha, dropout)
                self.add_module(name, module)
                self._attach(layer, module)

    def _attach(self, layer: Any, module: LoraModule) -> None:
        # A forward hook runs outside the layer's own forward, so it does not touch the fp8 casting in there.
        def add(_layer: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
            return output + module(inputs[0])

        self._hooks.append(layer.register_forward_hook(add))

    def detach(self) -> None:
        """The U-Net is the plain base again."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()


def find_layers(unet: Any) -> Iterator[tuple[str, Any]]:
    """Kohya's name and the layer itself, for every linear layer inside a `Transformer2DModel`: 722 for SDXL's layout.

    Source of the choice: kohya-ss/sd-scripts v0.10.1 networks/lora.py, UNET_TARGET_REPLACE_MODULE.
    """
    for block, transformer in unet.named_modules():
        if type(transformer).__name__ != "Transformer2DModel":
            continue
        for path, layer in transformer.named_modules():
            if isinstance(layer, torch.nn.Linear):
                yield f"{PREFIX}_{sgm_block(block)}_{path.replace('.', '_')}", layer


def sgm_block(diffusers_name: str) -> str:
    """The name that Stability's own code gives a block: `down_blocks.1.attentions.0` is `input_blocks_4_1`.

    Every level of SDXL has two layers and a down- or upsampler, in a row of numbers: 3 a level.
    """
    side, *numbers = diffusers_name.split(".")
    if side == "mid_block":
        return "middle_block_1"
    level, layer = int(numbers[0]), int(numbers[2])
    if side == "down_blocks":
        return f"input_blocks_{1 + level * (LAYERS_PER_BLOCK + 1) + layer}_1"
    return f"output_blocks_{level * (LAYERS_PER_BLOCK + 1) + layer}_1"

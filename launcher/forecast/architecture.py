"""SDXL's layers as the trainers build them: how many numbers each holds, and how many a LoRA puts beside it.

A table of levels and a few loops in place of the classes, because the launcher has no torch. The order is that of
`SdxlUNet2DConditionModel` in `library/sdxl_original_unet.py` and of transformers' CLIP (v0.10.1 and the fp8 fork have
the same layers); `tests/test_forecast.py` counts the real classes where they are installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 320  # channels of the first level; 640 and 1280 follow
TIME, LABEL, TEXT = 1280, 2816, 2048  # channels of the embeddings
DEPTHS = (0, 2, 10)  # transformer blocks of each attention, level by level
VAE_NUMBERS = 83_653_863  # counted once from diffusers' AutoencoderKL with SDXL's configuration
TEXT_ENCODERS = ((768, 3072, 12, 0), (1280, 5120, 32, 1280))  # width, inner width, layers, projection
WORDS, PLACES = 49408, 77


@dataclass(frozen=True, slots=True)
class Layer:
    """A weight with two sides, or a normalisation (`ins` is 0).

    `kernel`: side of a convolution, 0 for a linear layer. `family`: which LoRA takes it, `linear` (network_dim),
    `conv` (only with conv_dim, in which linear layers of the same blocks come along as `beside conv`), or none.
    """

    ins: int
    outs: int
    kernel: int = 0
    has_bias: bool = True
    family: str = ""

    @property
    def weight(self) -> int:
        """Numbers of the weight alone."""
        return max(self.ins, 1) * self.outs * max(self.kernel, 1) ** 2

    @property
    def numbers(self) -> int:
        """Weight and bias."""
        return self.weight + (self.outs if self.has_bias else 0)

    def lora(self, dim: int, conv_dim: int) -> tuple[int, int] | None:
        """Numbers of the two matrices that a LoRA adds; None: it adds none."""
        rank = {"linear": dim, "beside conv": dim if conv_dim else 0, "conv": conv_dim}.get(self.family, 0)
        return (self.ins * max(self.kernel, 1) ** 2 * rank, rank * self.outs) if rank else None


def _norm(channels: int) -> Layer:
    return Layer(0, channels)


def _residual(ins: int, outs: int) -> Iterator[Layer]:
    yield from (_norm(ins), Layer(ins, outs, 3, family="conv"), Layer(TIME, outs, family="beside conv"))
    yield from (_norm(outs), Layer(outs, outs, 3, family="conv"))
    if ins != outs:
        yield Layer(ins, outs, 1, family="beside conv")


def _attention(width: int, depth: int) -> Iterator[Layer]:
    if depth == 0:
        return
    yield from (_norm(width), Layer(width, width, family="linear"))
    for _ in range(depth):
        for source in (width, TEXT):
            for ins in (width, source, source):
                yield Layer(ins, width, has_bias=False, family="linear")
            yield Layer(width, width, family="linear")
        yield from (Layer(width, 8 * width, family="linear"), Layer(4 * width, width, family="linear"))
        yield from (_norm(width), _norm(width), _norm(width))
    yield Layer(width, width, family="linear")


def _resample(width: int) -> Layer:
    return Layer(width, width, 3, family="conv")


@cache
def unet() -> tuple[Layer, ...]:
    """All layers of the U-Net."""
    return tuple(_unet())


def _unet() -> Iterator[Layer]:
    yield from (Layer(WIDTH, TIME), Layer(TIME, TIME), Layer(LABEL, TIME), Layer(TIME, TIME))
    yield Layer(4, WIDTH, 3)
    widths = [WIDTH * 2**level for level in range(3)]
    kept, now = [WIDTH], WIDTH
    for level, width in enumerate(widths):
        for _ in range(2):
            yield from (*_residual(now, width), *_attention(width, DEPTHS[level]))
            now = width
            kept.append(now)
        if level < 2:
            yield _resample(now)
            kept.append(now)
    yield from (*_residual(now, now), *_attention(now, DEPTHS[2]), *_residual(now, now))
    for level in (2, 1, 0):
        width = widths[level]
        for _ in range(3):
            yield from (*_residual(now + kept.pop(), width), *_attention(width, DEPTHS[level]))
            now = width
        if level > 0:
            yield _resample(now)
    yield from (_norm(WIDTH), Layer(WIDTH, 4, 3))


@cache
def text_encoder(number: int) -> tuple[Layer, ...]:
    """All layers of text encoder 0 (CLIP ViT-L) or 1 (OpenCLIP ViT-bigG); embeddings first."""
    width, inner, depth, projection = TEXT_ENCODERS[number]
    layers = [Layer(1, WORDS * width, has_bias=False), Layer(1, PLACES * width, has_bias=False)]
    for _ in range(depth):
        layers += [Layer(width, width, family="linear") for _ in range(4)]
        layers += [Layer(width, inner, family="linear"), Layer(inner, width, family="linear")]
        layers += [_norm(width), _norm(width)]
    layers.append(_norm(width))
    return (*layers, Layer(width, projection, has_bias=False)) if projection else tuple(layers)


def text_encoders() -> tuple[Layer, ...]:
    """Both, one behind the other."""
    return (*text_encoder(0), *text_encoder(1))


def numbers(layers: tuple[Layer, ...]) -> int:
    """Parameters of these layers."""
    return sum(layer.numbers for layer in layers)


def embedding_numbers() -> int:
    """Parameters of the embeddings of both text encoders, which are not rounded to fp8."""
    return sum((WORDS + PLACES) * width for width, *_ in TEXT_ENCODERS)


def lora_matrices(layers: tuple[Layer, ...], dim: int, conv_dim: int = 0) -> list[int]:
    """Numbers of each matrix of a LoRA for these layers."""
    return [size for layer in layers for size in layer.lora(dim, conv_dim) or ()]


def lora_numbers(dim: int, conv_dim: int = 0, *, has_unet: bool = True, has_text: bool = False) -> int:
    """Parameters of a LoRA (networks.lora)."""
    parts = (unet() if has_unet else (), text_encoders() if has_text else ())
    return sum(sum(lora_matrices(part, dim, conv_dim)) for part in parts)

"""What a training step puts on the card, moment by moment: recorded once from the trainers' own classes.

`recordings.json` holds, for each kind of step, the order in which tensors come and go, and of each tensor the bytes as
a multiple of something known: of the batch, of the latent pixels, of network_dim. It was made without a card by
`tests/benchmarks/forecast/record_steps.py`, which runs sd-scripts' U-Net and LoRA on tensors that have no data.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "recordings.json"
FEATURES = ("1", "B", "T", "Q", "d", "dB", "dT", "c", "cB", "cT")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """Which recording: what changes the order of the step's tensors and not only their sizes."""

    is_fp8: bool  # the U-Net's weights are cast when they are used
    is_checkpointed: bool
    has_attention: bool  # sdpa, xformers, mem_eff_attn: no matrix of all pixels by all pixels
    is_half: bool  # full_bf16, full_fp16: the LoRA itself in half precision
    has_conv: bool  # conv_dim

    @property
    def key(self) -> str:
        """Its name in the file."""
        parts = {
            "fp8": self.is_fp8,
            "ckpt": self.is_checkpointed,
            "att": self.has_attention,
            "full": self.is_half,
        }
        return ",".join(f"{name}={int(value)}" for name, value in {**parts, "conv": self.has_conv}.items())


@dataclass(frozen=True, slots=True)
class Recording:
    """`events`: number of a size (twice, so even) for an allocation; odd, how many younger ones live, for a free."""

    sizes: tuple[tuple[int, float], ...]  # which feature, bytes for each unit of it
    events: tuple[int, ...]

    def bytes_of(self, *, batch: int, pixels: int, dim: int, conv_dim: int) -> list[int]:
        """Bytes of each size. `pixels`: of the latents of one image."""
        area = batch * pixels
        values = (1, batch, area, area * pixels, dim, dim * batch, dim * area, conv_dim, conv_dim * batch, conv_dim * area)  # fmt: skip
        return [int(values[feature] * factor) for feature, factor in self.sizes]


@cache
def load_recording(kind: Kind) -> Recording:
    """The recording of this kind of step."""
    found = _file()[kind.key]
    sizes = tuple((FEATURES.index(name), factor) for name, factor in found["sizes"])
    return Recording(sizes, tuple(_numbers(zlib.decompress(base64.b85decode(found["events"])))))


@cache
def _file() -> dict[str, Any]:
    read = json.loads(FILE.read_text(encoding="utf-8"))
    return dict(read["recordings"])


def _numbers(packed: bytes) -> list[int]:
    """Seven bits to a byte, the lowest first; the eighth says that there are more."""
    found, now, shift = [], 0, 0
    for byte in packed:
        now |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(now)
            now = shift = 0
    return found

"""The rehearsal's "VAE": a fixed linear map from 8 x 8 pixel patches to four numbers, and roughly back.

The numbers are brightness, two colour differences and how much brighter the upper half of the patch is, scaled to
about unit variance on photographs. A trained autoencoder would be a download; this one keeps the layout and the
colours of the pictures, which is what a model of this size can learn at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from launcher.trainers.rehearsal.images import fit, load_image

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.trainers.rehearsal.buckets import Size

PATCH = 8  # pixels of one latent, as in SDXL
REDUCTION = 8  # every pixel size of a real run is divided by this before it is used
MIN_SIDE = 4  # latents; the U-Net halves twice
VERSION = 1  # part of the caches' fingerprints

# Rows: brightness and colour differences of ITU-R BT.601, for red, green, blue in -1..1.
_COLOURS = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
_SCALES = torch.tensor([2.0, 5.0, 5.0, 8.0])


def latent_size(bucket: Size) -> Size:
    """Width and height in latents for a bucket given in pixels of a real run."""
    width, height = (max(MIN_SIDE, round(side / (PATCH * REDUCTION))) for side in bucket)
    return width, height


def encode(pixels: torch.Tensor) -> torch.Tensor:
    """Pixels (3, H, W) in -1..1, sides divisible by 8, to latents (4, H / 8, W / 8)."""
    colours = torch.einsum("kc,chw->khw", _COLOURS, pixels)
    halves = torch.nn.functional.avg_pool2d(colours, (PATCH // 2, PATCH))
    upper, lower = halves[:, 0::2], halves[:, 1::2]
    mean = (upper + lower) / 2
    latents = torch.cat([mean, (upper[:1] - lower[:1]) / 2])
    return latents * _SCALES[:, None, None]


def decode(latents: torch.Tensor) -> torch.Tensor:
    """Latents (4, h, w) to pixels (3, 32 h, 32 w) in -1..1: half the size asked for, and smooth, as only means were kept."""
    colours = (latents.float().cpu() / _SCALES[:, None, None])[:3]
    size = [side * PATCH * REDUCTION // 2 for side in latents.shape[1:]]
    planes = torch.nn.functional.interpolate(colours[None], size=size, mode="bicubic", align_corners=False)[0]
    return torch.einsum("ck,khw->chw", torch.linalg.inv(_COLOURS), planes).clamp(-1, 1)


def encode_file(path: Path, bucket: Size) -> dict[str, torch.Tensor]:
    """`latents` (4, h, w) of an image file, cut to its bucket.

    Raises:
        InputError: the image is damaged.
    """
    width, height = latent_size(bucket)
    image = fit(load_image(path), (width * PATCH, height * PATCH))
    pixels = torch.from_numpy(np.asarray(image, dtype=np.float32)).permute(2, 0, 1) / 127.5 - 1
    return {"latents": encode(pixels).contiguous()}


def to_image(latents: torch.Tensor) -> Image.Image:
    """A picture of latents (4, h, w)."""
    pixels = (decode(latents) + 1) * 127.5
    return Image.fromarray(pixels.round().clamp(0, 255).permute(1, 2, 0).to(torch.uint8).numpy())

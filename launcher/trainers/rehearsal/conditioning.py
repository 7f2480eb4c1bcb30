"""What the U-Net is told about one image: its latents, its caption's vectors, its sizes. Variations are a pure function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from launcher.trainers.rehearsal import latents, text

if TYPE_CHECKING:
    import random

    from launcher.trainers.rehearsal.buckets import Size
    from launcher.trainers.rehearsal.cache import TensorCache
    from launcher.trainers.rehearsal.dataset import Item


class Conditioning:
    """Latents and text vectors of items, each through its cache."""

    def __init__(self, latent_cache: TensorCache, text_cache: TensorCache) -> None:
        self._latents = latent_cache
        self._texts = text_cache

    def latents_of(self, item: Item) -> torch.Tensor:
        """(4, h, w). Raises: InputError, if the image is damaged."""
        found = item.path.stat()
        fingerprint = {
            "kind": "latents", "version": latents.VERSION, "path": str(item.path.resolve()),
            "bytes": found.st_size, "mtime_ns": found.st_mtime_ns, "bucket": item.bucket,
        }  # fmt: skip
        return self._latents.get(fingerprint, lambda: latents.encode_file(item.path, item.bucket))["latents"]

    def text_of(self, caption: str) -> dict[str, torch.Tensor]:
        """`context` (77, 64) and `pooled` (40,)."""
        fingerprint = {"kind": "text", "version": text.VERSION, "caption": caption}
        return self._texts.get(fingerprint, lambda: text.encode(caption))

    def batch(self, items: list[Item], chance: random.Random) -> dict[str, torch.Tensor]:
        """One micro-batch of one bucket; `chance` decides flips, shuffled tags and dropped captions."""
        rows = [self._row(item, chance) for item in items]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, item: Item, chance: random.Random) -> dict[str, torch.Tensor]:
        picture = self.latents_of(item)
        if item.subset.flip_aug and chance.random() < 0.5:
            picture = picture.flip(-1)
        return {
            "latents": picture,
            **self.text_of(vary_caption(item, chance)),
            "time_ids": time_ids(item.size, item.bucket),
        }


def vary_caption(item: Item, chance: random.Random) -> str:
    """The caption as this step sees it: dropped, shuffled behind `keep_tokens`, or as it is written."""
    subset = item.subset
    if subset.caption_dropout_rate and chance.random() < subset.caption_dropout_rate:
        return ""
    if not subset.shuffle_caption:
        return item.caption
    tags = [tag.strip() for tag in item.caption.split(subset.caption_separator)]
    kept, rest = tags[: subset.keep_tokens], tags[subset.keep_tokens :]
    chance.shuffle(rest)
    return f"{subset.caption_separator.strip()} ".join(kept + rest)


def time_ids(size: Size, bucket: Size) -> torch.Tensor:
    """SDXL's six numbers: original height and width, crop (none), target height and width, in pixels of a real run."""
    return torch.tensor([size[1], size[0], 0, 0, bucket[1], bucket[0]], dtype=torch.float32)


def for_prompt(conditioning: Conditioning, prompt: str, size: Size, device: Any) -> dict[str, torch.Tensor]:
    """The condition of one sample image, as a batch of one."""
    row = {**conditioning.text_of(prompt), "time_ids": time_ids(size, size)}
    return {name: value[None].to(device) for name, value in row.items()}

"""Text conditioning: every word has a fixed random vector in each of two "text encoders", as SDXL has two.

It depends on the caption's words and nothing else, so that captions really steer the training and nothing has to be
downloaded. Shapes: context (77, 64), made of 24 + 40 columns as SDXL's is of 768 + 1280; pooled (40,).
"""

from __future__ import annotations

import functools
import hashlib
import re

import torch

TOKENS = 77
WIDTHS = (24, 40)
CONTEXT_WIDTH = sum(WIDTHS)
POOLED_WIDTH = WIDTHS[1]
VERSION = 1  # part of the caches' fingerprints


def encode(caption: str) -> dict[str, torch.Tensor]:
    """`context` (77, 64) and `pooled` (40,), float32; unused places are zero."""
    words = re.findall(r"\w+|[^\w\s]", caption.lower())[: TOKENS - 2]
    rows = [_vector("<start>"), *map(_vector, words), _vector("<end>")]
    context = torch.zeros(TOKENS, CONTEXT_WIDTH)
    context[: len(rows)] = torch.stack(rows)
    pooled = context[:, WIDTHS[0] :].sum(dim=0) / len(rows) ** 0.5
    return {"context": context, "pooled": pooled}


@functools.lru_cache(maxsize=4096)
def _vector(word: str) -> torch.Tensor:
    digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.randn(CONTEXT_WIDTH, generator=generator)

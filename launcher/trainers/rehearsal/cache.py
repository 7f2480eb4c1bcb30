"""Tensors that are computed once: in memory, or as files whose name is a fingerprint of what they were made from.

A changed image, caption or resolution has another fingerprint, so a stale file is never read. Nothing is ever
written into the folder of the user's images.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch

from launcher.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

CACHE_VARIABLE = "LAUNCHER_CACHE_DIR"

logger = logging.getLogger(__name__)


def cache_folder(output_dir: Path) -> Path:
    """Where the launcher wants caches, or beside the output when nobody said."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else output_dir / "cache"


class TensorCache:
    """Small named groups of tensors, kept in memory and, with a folder, on disk too."""

    def __init__(self, folder: Path | None) -> None:
        """`folder`: where files go; None keeps everything in memory."""
        self._folder = folder
        self._kept: dict[str, dict[str, torch.Tensor]] = {}

    def get(
        self, fingerprint: Mapping[str, Any], make: Callable[[], dict[str, torch.Tensor]]
    ) -> dict[str, torch.Tensor]:
        """The tensors for `fingerprint` (plain JSON data); `make` computes them if they are not there."""
        text = json.dumps(fingerprint, sort_keys=True, ensure_ascii=False)
        name = hashlib.sha256(text.encode()).hexdigest()[:40]
        path = self._folder / f"{fingerprint['kind']}-{name}.safetensors" if self._folder else None
        if path is None:
            if name not in self._kept:
                self._kept[name] = make()
            return self._kept[name]
        tensors = _read(path)
        if tensors is None:
            tensors = make()
            path.parent.mkdir(parents=True, exist_ok=True)  # somebody may tidy up while a long training runs
            write_atomic(path, safetensors.torch.save(tensors, {"fingerprint": text}))
        return tensors


def _read(path: Path) -> dict[str, torch.Tensor] | None:
    try:
        tensors: dict[str, torch.Tensor] = safetensors.torch.load(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
        logger.warning("a damaged cache file is made again: %s (%s)", path.name, error)
        return None
    return tensors

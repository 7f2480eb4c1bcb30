"""Encoded sample prompts on disk: the next start of the same training reads in milliseconds what takes seconds to compute.

One file for each model, type and way of encoding, in the cache folder of the images; its name follows from all of
that, so that nothing in it is ever stale. What cannot be read is computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.files import replace
from launcher.shim.upstream.caching import CACHE_VARIABLE
from launcher.shim.upstream.fingerprints import DIGEST_BYTES, model_identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.shim.context import Context
    from launcher.shim.memory.models import Models

PRESENT = "present"  # in the metadata: for each prompt which of its outputs there are


@dataclass(frozen=True, slots=True)
class PromptStore:
    """`path` None: nothing is kept."""

    path: Path | None

    @classmethod
    def of(cls, context: Context, models: Models) -> PromptStore:
        import torch
        import transformers

        folder, args = os.environ.get(CACHE_VARIABLE), context.args
        if not folder:
            return cls(None)
        made_from = {
            "version": context.version, "model": model_identity(args.pretrained_model_name_or_path),
            "type": str(models.weight_dtype), "clip_skip": args.clip_skip, "length": args.max_token_length,
            "merged": [model_identity(path) for path in getattr(args, "base_weights", None) or ()],
            "strengths": getattr(args, "base_weights_multiplier", None),
            "fp8": bool(args.fp8_base), "torch": torch.__version__, "transformers": transformers.__version__,
        }  # fmt: skip
        text = json.dumps(made_from, sort_keys=True)
        digest = hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()
        return cls(Path(folder) / f"prompts-{digest}.safetensors")

    def load(self) -> dict[str, tuple[Any, ...]]:
        """Outputs by prompt (see `name_of`); nothing where there is no file, or none that can be read."""
        from safetensors import safe_open

        if self.path is None or not self.path.is_file():
            return {}
        try:
            with safe_open(str(self.path), framework="pt") as file:
                present = json.loads((file.metadata() or {})[PRESENT])
                return {
                    name: tuple(file.get_tensor(f"{name}.{at}") if is_there else None for at, is_there in enumerate(outputs))
                    for name, outputs in present.items()
                }  # fmt: skip
        except Exception:  # noqa: BLE001  (torn, or not ours: the library and json raise what they like)
            return {}

    def save(self, known: Mapping[str, tuple[Any, ...]]) -> None:
        """Raises OSError, or safetensors' own error (a full disk gives that)."""
        from safetensors.torch import save_file

        if self.path is None:
            return
        present = {name: [output is not None for output in outputs] for name, outputs in known.items()}
        tensors = {
            f"{name}.{at}": output.contiguous()
            for name, outputs in known.items()
            for at, output in enumerate(outputs)
            if output is not None
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            save_file(tensors, str(aside), metadata={PRESENT: json.dumps(present)})
            replace(aside, self.path)
        finally:
            aside.unlink(missing_ok=True)


def name_of(key: tuple[object, ...]) -> str:
    """Of what went into the encoders: bytes of tokens and weights, and flags."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in key:
        raw = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(f"{len(raw)}:".encode() + raw)
    return digest.hexdigest()

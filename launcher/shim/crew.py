"""The processes that train together: one writes, all leave together."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """This process among those that train (environment variables of torch's launchers)."""

    rank: int = 0
    size: int = 1

    @classmethod
    def find(cls) -> Crew:
        return cls(rank=_number("RANK", 0), size=_number("WORLD_SIZE", 1))

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def agree(self, value: int) -> int:
        """The first process's value, in all of them. Every process must call this at the same place."""
        torch = sys.modules.get("torch")
        if self.size == 1 or torch is None or not torch.distributed.is_initialized():
            return value
        on_cards = torch.distributed.get_backend() == "nccl"
        word = torch.tensor([value], dtype=torch.int32, device="cuda" if on_cards else "cpu")
        torch.distributed.broadcast(word, 0)
        return int(word.item())


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default

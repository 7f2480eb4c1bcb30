"""What could not be counted, read from `constants.toml`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from launcher.forecast.setup import Setup

FILE = Path(__file__).parent / "constants.toml"
MIB = 1 << 20
HOPPER = (9, 0)
MOST_OFFLOADED = 2000  # MiB: then hardly a weight is cast on the card


@dataclass(frozen=True, kw_only=True, slots=True)
class Constants:
    """The file's tables, for a card of this compute capability."""

    tables: dict[str, Any]
    capability: tuple[int, int] = HOPPER

    def __getitem__(self, table: str) -> Any:
        return self.tables[table]

    @property
    def context(self) -> float:
        """MiB that the card loses to CUDA itself."""
        return float(self["context"]["hopper" if self.capability == HOPPER else "other"])

    @property
    def workspace(self) -> float:
        """MiB of one cuBLAS workspace."""
        return float(self["training"]["workspace_hopper" if self.capability == HOPPER else "workspace"])

    def residents(self) -> list[int]:
        """Bytes that rest on the card while training, beside weights and LoRA."""
        return [int(self.workspace * MIB)] * self["training"]["workspaces"] + [MIB] * self["training"][
            "beside"
        ]

    def gaps(self, setup: Setup) -> float:
        """MiB that torch takes beyond what the replay of its allocator finds."""
        table = self["training"]
        is_cast = (
            setup.is_lean and setup.is_unet_fp8 and not setup.is_half and setup.offload_mib < MOST_OFFLOADED
        )
        lean = table["lean_gaps"] if is_cast else 0
        slope = table["gaps"]["expandable" if setup.is_expandable else "stock"]
        return float(lean + slope * setup.batch * setup.image_pixels / MIB)


@cache
def load_constants(capability: tuple[int, int] = HOPPER) -> Constants:
    """The constants for a card."""
    return Constants(tables=tomllib.loads(FILE.read_text(encoding="utf-8")), capability=capability)

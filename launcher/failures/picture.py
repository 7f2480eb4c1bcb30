"""What held the graphics card's memory when it was full: from torch's own words and from the plan."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.failures.rule import Evidence

SIZE = r"([\d.]{1,12}) (bytes|KiB|MiB|GiB)"
UNITS = {"bytes": 1 / (1 << 20), "KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0}
ASKED = re.compile(rf"Tried to allocate {SIZE}")
TOTAL = re.compile(rf"total capac[i]?ty of {SIZE}|; {SIZE} total capacity")  # 2.1 to 2.3 have a misprint
FREE = re.compile(rf"of which {SIZE} is free|; {SIZE} free")
OWN = re.compile(rf"this process has {SIZE} memory in use")
ALLOCATED = re.compile(rf"allocated memory {SIZE} is allocated by PyTorch|; {SIZE} already allocated")
RESERVED = re.compile(rf"; {SIZE} reserved in total")
UNUSED = re.compile(rf"and {SIZE} is reserved by PyTorch but unallocated")
OTHER = re.compile(rf"Process \d{{1,10}} has {SIZE} memory in use")
# SDXL, counted at v0.10.1: U-Net 2567.5 M parameters; LoRA 2.66 M for each unit of network_dim, U-Net only.
UNET_MILLIONS, LORA_MILLIONS_PER_DIM, TEXT_MILLIONS = 2567.5, 2.66, 817.8
PHASES = {
    "load_models": "while the base model was loaded",
    "cache_latents": "while the images were encoded (latents)",
    "cache_text_encoder_outputs": "while the captions were encoded",
    "train_loop": "while training",
    "sampling": "while a sample image was painted",
    "sample_images": "while a sample image was painted",
    "hash_model": "while the base model was read",
    "save": "while saving",
    "save_state": "while a state was saved",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryPicture:
    """The card at the moment of failure, in MiB; None is not known."""

    asked: float | None = None
    total: float | None = None
    free: float | None = None
    own: float | None = None
    allocated: float | None = None
    gaps: float | None = None
    others: float | None = None

    @property
    def missing(self) -> float | None:
        """By how much it was too little, at least."""
        return None if self.asked is None else max(self.asked - (self.free or 0.0), 0.0)


def picture_of(message: str) -> MemoryPicture:
    """The numbers in torch's message (versions 1.13 to 2.11 write it in three ways); empty when there are none."""
    total, free, own = _first(TOTAL, message), _first(FREE, message), _first(OWN, message)
    allocated, gaps = _first(ALLOCATED, message), _first(UNUSED, message)
    reserved = _first(RESERVED, message)
    if gaps is None and reserved is not None and allocated is not None:
        gaps = reserved - allocated
    if own is None:
        own = reserved
    others: float | None = sum(_mib(*found) for found in OTHER.findall(message)) or None
    if total is not None and free is not None and own is not None:
        others = max(total - free - own, 0.0)  # also what the driver does not ascribe to anybody
    return MemoryPicture(
        asked=_first(ASKED, message), total=total, free=free, own=own, allocated=allocated, gaps=gaps, others=others
    )  # fmt: skip


def _first(pattern: re.Pattern[str], text: str) -> float | None:
    match = pattern.search(text)
    if match is None:
        return None
    number, unit = (group for group in match.groups() if group)
    return _mib(number, unit)


def _mib(number: str, unit: str) -> float:
    try:
        return float(number) * UNITS[unit]
    except ValueError:  # "1.2.3": not torch's
        return 0.0


def memory_words(evidence: Evidence) -> str:
    """When, who held how much, and how much was missing; "" when nothing is known."""
    picture = picture_of(f"{evidence.message}\n{evidence.traceback}")
    parts = []
    if evidence.phase in PHASES:
        parts.append(f"It happened {PHASES[evidence.phase]}.")
    if picture.asked is not None and picture.total is not None:
        parts.append(f"{_said(picture.asked)} more were wanted; of {_said(picture.total)} this training held {_said(picture.own or picture.allocated)}{_held_by_others(picture, evidence.others)}.")  # fmt: skip
    if picture.gaps is not None and picture.asked is not None and picture.gaps > picture.asked:
        parts.append(f"{_said(picture.gaps)} of it were lost in gaps.")
    shares = holders(evidence.values)
    if shares and evidence.phase in {"train_loop", "sampling", "sample_images", ""} and parts:
        parts.append(f"About {', '.join(f'{_said(mib)} {name}' for name, mib in shares)}; the rest is what a step computes.")  # fmt: skip
    return " ".join(parts)


def _held_by_others(picture: MemoryPicture, names: tuple[str, ...]) -> str:
    """The desktop and the driver always hold some: said when it is worth closing something."""
    if picture.others is None or picture.others < 100:
        return ""
    who = f" ({', '.join(names)})" if names else ""
    return f", other programs{who} {_said(picture.others)}"


def _said(mib: float | None) -> str:
    if mib is None:
        return "?"
    return f"{mib / 1024:.1f} GiB" if mib >= 1000 else f"{mib:.0f} MiB"


def holders(values: Mapping[str, object]) -> list[tuple[str, float]]:
    """What a training keeps on the card all the time, by the plan's options: estimated from parameter counts, in MiB."""
    dim = values.get("network_dim")
    if not isinstance(dim, int) or isinstance(dim, bool) or not values.get("mixed_precision"):
        return []
    is_fp8 = bool(values.get("fp8_base") or values.get("fp8_base_unet"))
    offload = values.get("launcher.offload_mib")
    kept = UNET_MILLIONS * 1e6 * (1 if is_fp8 else 2) / (1 << 20) - (offload if isinstance(offload, int) else 0)  # fmt: skip
    lora = LORA_MILLIONS_PER_DIM * 1e6 * dim * 4 / (1 << 20)
    is_small = "8bit" in str(values.get("optimizer_type", "")).lower() or "adafactor" in str(values.get("optimizer_type", "")).lower()  # fmt: skip
    shares = [("base weights", max(kept, 0.0)), ("LoRA", lora), ("optimizer", lora * (0.6 if is_small else 2.0))]  # fmt: skip
    if not values.get("cache_text_encoder_outputs"):
        shares.insert(1, ("text encoders", TEXT_MILLIONS * 1e6 * (1 if values.get("fp8_base") else 2) / (1 << 20)))  # fmt: skip
    return shares

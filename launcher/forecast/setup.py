"""The settings that decide about memory, read from a plan's or a preset's values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.forecast.optimizers import Optimizer, optimizer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    Values = Mapping[str, object]

EIGHTH = 8  # a latent's side is an eighth of the image's
DEFAULT_SIDE = 512  # sd-scripts' resolution when none is said
KNOWN_NETWORKS = ("networks.lora", "networks.lora_fa")
SAMPLES = ("sample_every_n_steps", "sample_every_n_epochs", "sample_at_first")
ATTENTION = ("sdpa", "xformers", "mem_eff_attn")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """Everything that the memory of a run follows from. Sizes in pixels of the image, memory in MiB."""

    width: int = 1024
    height: int = 1024
    batch: int = 1
    dim: int = 32
    conv_dim: int = 0
    optimizer: Optimizer = Optimizer("adamw")  # noqa: RUF009  (frozen)
    is_mixed: bool = True  # bf16 or fp16; False: all in fp32
    is_half: bool = False
    is_unet_fp8: bool = False
    is_text_fp8: bool = False
    is_checkpointed: bool = True
    has_attention: bool = True
    is_gathering: bool = False
    trains_unet: bool = True
    trains_text: bool = False
    caches_text: bool = True
    caches_latents: bool = True
    is_vae_full: bool = True  # no_half_vae
    vae_batch: int = 1
    text_batch: int = 1
    offload_mib: int = 0
    is_expandable: bool = False
    encodes_rows: bool = False
    decodes_rows: bool = False
    samples: bool = False
    sample_side: int = 1024
    copies_unet: bool = False  # sampling makes a half precision copy of an fp8 U-Net
    is_lean: bool = False  # launcher.lean_load
    frees_text: bool = False  # launcher.free_text_encoders
    rough: tuple[str, ...] = ()  # what the model does not know, in words

    @property
    def pixels(self) -> int:
        """Of an image's latents."""
        return (self.width // EIGHTH) * (self.height // EIGHTH)

    @property
    def image_pixels(self) -> int:
        """Of an image."""
        return self.width * self.height

    @property
    def has_text(self) -> bool:
        """Whether the text encoders stay on the card while training."""
        return self.trains_text or not self.caches_text


def setup_of(values: Values, *, system: str = "linux") -> Setup:
    """From options by their names, the launcher's switches as `launcher.NAME` (absent: not obeyed there)."""
    width, height = sides_of(values.get("resolution"))
    precision = str(values.get("mixed_precision") or "no")
    fp8 = bool(values.get("fp8_base")) and precision != "no"
    unet_only = bool(values.get("network_train_unet_only"))
    allocator = values.get("launcher.allocator")
    return Setup(
        width=width,
        height=height,
        batch=_whole(values.get("train_batch_size"), 1),
        dim=_whole(values.get("network_dim"), 4),
        conv_dim=conv_dim_of(values.get("network_args")),
        optimizer=optimizer_of(
            values.get("optimizer_type") or ("AdamW8bit" if values.get("use_8bit_adam") else "AdamW")
        ),
        is_mixed=precision in {"bf16", "fp16"},
        is_half=bool(values.get("full_bf16") or values.get("full_fp16")),
        is_unet_fp8=fp8 or (bool(values.get("fp8_base_unet")) and precision != "no"),
        is_text_fp8=fp8 and not values.get("fp8_base_unet"),
        is_checkpointed=bool(values.get("gradient_checkpointing")),
        has_attention=any(values.get(name) for name in ATTENTION),
        is_gathering=_whole(values.get("gradient_accumulation_steps"), 1) > 1,
        trains_unet=not values.get("network_train_text_encoder_only"),
        trains_text=not unet_only and not values.get("cache_text_encoder_outputs"),
        caches_text=bool(values.get("cache_text_encoder_outputs")),
        caches_latents=bool(values.get("cache_latents") or values.get("cache_latents_to_disk")),
        is_vae_full=bool(values.get("no_half_vae")) or precision == "no",
        vae_batch=_whole(values.get("vae_batch_size"), 1),
        text_batch=_whole(values.get("text_encoder_batch_size"), 0)
        or _whole(values.get("train_batch_size"), 1),
        offload_mib=_whole(values.get("launcher.offload_mib"), 0),
        is_expandable=allocator == "expandable" and system == "linux",
        encodes_rows=values.get("launcher.vae_encode") == "rows",
        decodes_rows=values.get("launcher.vae_decode") == "rows",
        samples=any(values.get(name) for name in SAMPLES) and bool(values.get("sample_prompts")),
        copies_unet=values.get("launcher.sample_unet") != "autocast",
        is_lean=bool(values.get("launcher.lean_load")),
        frees_text=bool(values.get("launcher.free_text_encoders")),
        rough=tuple(_rough(values, precision)),
    )


def _rough(values: Values, precision: str) -> list[str]:
    found = []
    network = str(values.get("network_module") or "networks.lora")
    if network not in KNOWN_NETWORKS:
        found.append(f"{network} is counted as a plain LoRA")
    if not optimizer_of(values.get("optimizer_type")).is_known:
        found.append(f"{values.get('optimizer_type')} is counted as AdamW")
    if precision == "no":
        found.append("without mixed precision it is twice the half precision's")
    if values.get("network_train_text_encoder_only"):
        found.append("a training of the text encoders alone is counted with the U-Net's tensors")
    if values.get("lowram"):
        found.append("lowram puts the whole model on the card while loading")
    return found


def sides_of(said: object) -> tuple[int, int]:
    """Width and height from `1024`, `1024,768` or a list of them."""
    parts = said if isinstance(said, (list, tuple)) else str(said or DEFAULT_SIDE).split(",")
    sides = [int(part) for part in map(str, parts) if part.strip().isdigit()]
    return (sides[0], sides[-1]) if sides else (DEFAULT_SIDE, DEFAULT_SIDE)


def conv_dim_of(said: object) -> int:
    """`conv_dim` among `network_args`; 0: convolutions get no LoRA."""
    words = said if isinstance(said, (list, tuple)) else str(said or "").split()
    for word in words:
        found = re.fullmatch(r"conv_dim=(\d{1,4})", str(word).strip())
        if found:
            return int(found[1])
    return 0


def _whole(value: object, default: int) -> int:
    """A positive whole number, or the default."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default

"""What kind of model a file is, by the names and shapes of its tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.checkpoint.header import Header

UNET = "model.diffusion_model."
VAE = "first_stage_model."
TEXT_1 = "conditioner.embedders.0.transformer."
TEXT_2 = "conditioner.embedders.1.model."
FIRST = f"{UNET}input_blocks.0.0.weight"
SDXL_ATTENTION = f"{UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
OLD_ATTENTION = f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
LORA_MARKS = (
    ".lora_down.",
    ".lora_up.",
    ".lora_a.",
    ".lora_b.",
    ".hada_w1",
    ".lokr_w1",
    "lora.down.",
    "lora.up.",
    ".oft_",
    ".dora_scale",
    ".glora_",
)
LORA_BASES = (  # what `ss_base_model_version` and `modelspec.architecture` say, the special before the general
    ("sdxl", "SDXL"), ("stable-diffusion-xl", "SDXL"), ("sd3", "Stable Diffusion 3"), ("stable-diffusion-3", "Stable Diffusion 3"),
    ("flux", "FLUX"), ("sd_v2", "Stable Diffusion 2.x"), ("sd_v1", "Stable Diffusion 1.x"), ("stable-diffusion-v1", "Stable Diffusion 1.x"),
)  # fmt: skip
TEXT_WIDTHS = {2048: "SDXL", 1024: "Stable Diffusion 2.x", 768: "Stable Diffusion 1.x"}
HALF = 2  # more than one part in so many is "mostly"
GET_SDXL = (
    "name an SDXL checkpoint (SDXL 1.0, Pony, Illustrious, NoobAI and their kind; one file of about 6.5 GB)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Nature:
    """What a file is. `is_base`: SDXL can be trained on it. `fix` says what to do about what cannot be."""

    name: str
    what: str
    is_base: bool = False
    fix: str = GET_SDXL


SDXL = Nature(name="sdxl", what="an SDXL checkpoint", is_base=True)
LORA = Nature(name="lora", what="a LoRA, not a base model", fix=f"{GET_SDXL}; to go on training this LoRA, name it with --set network_weights=FILE")  # fmt: skip
NATURES: tuple[tuple[Nature, Callable[[Header], bool]], ...] = (
    (LORA, lambda header: any(mark in name.lower() for name in header.shapes for mark in LORA_MARKS) or header.has("lora_unet_", "lora_te")),
    (Nature(name="embedding", what="an embedding (textual inversion), not a base model"), lambda header: len(header.shapes) <= 4 and bool({"clip_l", "clip_g", "emb_params", "*"} & header.shapes.keys())),
    (Nature(name="controlnet", what="a ControlNet, not a base model"), lambda header: header.has("control_model.", "controlnet_", "zero_conv", "input_hint_block")),
    (Nature(name="motion", what="a motion module (AnimateDiff), not a base model"), lambda header: any(".motion_modules." in name for name in header.shapes)),
    (Nature(name="ip-adapter", what="an IP-Adapter, not a base model"), lambda header: header.has("image_proj.", "ip_adapter.")),
    (Nature(name="scaled", what="a checkpoint with quantised weights (scaled fp8, nf4 or int8), made for drawing", fix="take the fp16 or bf16 file of the same model: the trainer makes its own fp8"), lambda header: any(name.endswith((".scale_weight", ".weight_scale", ".absmax", "scaled_fp8", ".SCB")) or ".quant_state." in name for name in header.shapes)),
    (Nature(name="sd3", what="a Stable Diffusion 3 model"), lambda header: header.has(f"{UNET}joint_blocks.", "joint_blocks.")),
    (Nature(name="flux", what="a FLUX model"), lambda header: header.has(f"{UNET}double_blocks.", "double_blocks.", "single_transformer_blocks.")),
    (Nature(name="sd1", what="a Stable Diffusion 1.x checkpoint"), lambda header: header.side(OLD_ATTENTION, 1) == 768 or header.has("cond_stage_model.transformer.")),
    (Nature(name="sd2", what="a Stable Diffusion 2.x checkpoint"), lambda header: header.side(OLD_ATTENTION, 1) == 1024 or header.has("cond_stage_model.model.")),
    (Nature(name="refiner", what="the SDXL refiner, not the base model"), lambda header: header.side(FIRST, 0) == 384 or header.side(SDXL_ATTENTION, 1) == 1280),
    (Nature(name="inpainting", what="an inpainting model (9 channels instead of 4)", fix=f"{GET_SDXL}: inpainting models cannot be trained here"), lambda header: header.side(FIRST, 1) == 9),
    (Nature(name="edit", what="a model for editing images (8 channels instead of 4)"), lambda header: header.side(FIRST, 1) == 8),
    (SDXL, lambda header: header.has(UNET) and header.has(TEXT_1) and header.has(TEXT_2) and header.has(VAE) and header.side(SDXL_ATTENTION, 1) not in {768, 1024, 1280}),
    (Nature(name="unet", what="only the U-Net of a model: its text encoders and VAE are missing", fix="take the whole checkpoint (about 6.5 GB as fp16), or put the parts together with a merging tool"), lambda header: header.has(UNET, "input_blocks.", "down_blocks.", "unet.") and not (header.has(TEXT_1) and header.has(TEXT_2))),
    (Nature(name="no-vae", what="an SDXL checkpoint without its VAE", fix="take the whole checkpoint, or put its VAE in with a merging tool: the trainer reads it from this file"), lambda header: header.has(UNET) and not header.has(VAE)),
    (Nature(name="vae", what="a VAE, not a base model", fix=f"{GET_SDXL}; a VAE of your own goes into --set vae=FILE"), lambda header: header.has("decoder.conv_in.", "encoder.conv_in.", VAE) and not header.has(UNET)),
    (Nature(name="text-encoder", what="only a text encoder"), lambda header: header.has("text_model.", "transformer.resblocks.", "transformer.text_model.", "shared.weight", "encoder.block.", "conditioner.", "token_embedding")),
)  # fmt: skip
UNKNOWN = Nature(name="unknown", what="not an SDXL checkpoint: its tensors have other names")


def recognise(header: Header) -> Nature:
    """The first nature that fits: the special before the general."""
    return next((nature for nature, fits in NATURES if fits(header)), UNKNOWN)


def lora_base(header: Header) -> str:
    """What a LoRA was trained on, as far as it can be told: by its metadata, else by the width of its text input."""
    said = f"{header.metadata.get('ss_base_model_version', '')} {header.metadata.get('modelspec.architecture', '')}".lower()
    for sign, base in LORA_BASES:
        if sign in said:
            return base
    widths = {shape[-1] for name, shape in header.shapes.items() if _is_text_input(name) and len(shape) > 1}
    return next((base for width, base in TEXT_WIDTHS.items() if width in widths), "")


def _is_text_input(name: str) -> bool:
    plain = name.lower().replace(".", "_")
    return "attn2_to_k" in plain and ("lora_down" in plain or "lora_a" in plain)


def predicts_v(header: Header) -> str:
    """Why a checkpoint is made for v-prediction; "" when nothing says so.

    `v_pred` and `ztsnr` are empty tensors that NoobAI's makers put into their checkpoints, and that web UIs look for;
    `modelspec.prediction_type` is the Stability model specification's key.
    """
    if "v_pred" in header.shapes:
        return "it holds the mark `v_pred`"
    said = header.metadata.get("modelspec.prediction_type", "").strip().lower()
    return (
        f"its metadata says prediction_type = {said}" if said in {"v", "v_prediction", "v-prediction"} else ""
    )


def predicts_noise(header: Header) -> bool:
    """Whether a checkpoint says of itself that it predicts noise, as SDXL does."""
    return header.metadata.get("modelspec.prediction_type", "").strip().lower() in {"epsilon", "eps"}


def has_zero_snr(header: Header) -> bool:
    """Whether a checkpoint says that its noise ends at zero signal."""
    return "ztsnr" in header.shapes


def is_fp8(header: Header) -> bool:
    """Whether the U-Net is stored as fp8."""
    kinds = [kind for name, kind in header.dtypes.items() if name.startswith(UNET)]
    return sum(kind.startswith("F8_") for kind in kinds) > len(kinds) // HALF


def precisions(header: Header) -> dict[str, float]:
    """The share of each number type among all the weights (`{"F16": 0.98, "F32": 0.02}`), the largest first."""
    counts: dict[str, int] = {}
    for name, shape in header.shapes.items():
        counts[header.dtypes[name]] = counts.get(header.dtypes[name], 0) + math.prod(shape)
    total = sum(counts.values()) or 1
    return {kind: counts[kind] / total for kind in sorted(counts, key=lambda kind: -counts[kind])}

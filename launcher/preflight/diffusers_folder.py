"""A base model as a diffusers folder: sd-scripts takes one, when all of it is there as safetensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.checkpoint import HeaderError, read_header
from launcher.errors import InputError, Problem, Severity
from launcher.files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from launcher.plan import Plan

PIPELINES = {"StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"}
WEIGHTS = {
    "unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model", "text_encoder_2": "model",
}  # fmt: skip
SINGLE = "name the single file of the model instead (one .safetensors of about 6.5 GB)"
MOST_JSON_BYTES = 1 << 20


def check_diffusers_folder(plan: Plan, folder: Path) -> Iterator[Problem]:
    """The folder holds a whole SDXL model, its weights as safetensors, under the names that will be looked for."""
    index = _json(folder / "model_index.json")
    if index is None:
        yield _error(folder, "this folder is no model: it has no model_index.json", SINGLE)
        return
    kind = str(index.get("_class_name"))
    if kind not in PIPELINES:
        yield _error(folder, f"this diffusers folder holds a {kind}, not an SDXL model", SINGLE)
        return
    found = list(_faults(plan, folder))
    yield from found
    if not found:
        yield Problem(
            severity=Severity.NOTE, what="the base model is a diffusers folder: it is converted at every start",
            why="that takes more RAM and time than a single file", fix=SINGLE, where=str(folder),
        )  # fmt: skip


def _faults(plan: Plan, folder: Path) -> Iterator[Problem]:
    unet = _json(folder / "unet" / "config.json") or {}
    if unet.get("cross_attention_dim") not in {None, 2048}:
        yield _error(folder, "the U-Net in this folder is not SDXL's (the refiner?)", SINGLE)
    if unet.get("in_channels") not in {None, 4}:
        yield _error(folder, f"this is an inpainting or editing model ({unet['in_channels']} channels)", SINGLE)  # fmt: skip
    if not (folder / "tokenizer_2").is_dir():
        yield _error(folder, "tokenizer_2 is missing from this diffusers folder", SINGLE)
    for part, stem in WEIGHTS.items():
        reason = _why_unusable(folder / part, stem, _precision(plan))
        if reason:
            yield _error(folder, f"{part} in this diffusers folder cannot be used: {reason}", SINGLE)


def _precision(plan: Plan) -> str:
    setting = plan.options.get("mixed_precision")
    return "" if setting is None else str(setting.value)


def _why_unusable(folder: Path, stem: str, precision: str) -> str | None:
    """Why the weights of one part will not be loaded, or None."""
    plain, half = folder / f"{stem}.safetensors", folder / f"{stem}.fp16.safetensors"
    if half.exists() and not plain.exists() and precision != "fp16":
        # sd-scripts asks for the fp16 files only when it trains in fp16
        return f"only {half.name} is there, which sd-scripts takes with mixed_precision=fp16 alone: rename it to {plain.name}"
    path = plain if plain.exists() else half
    if not path.exists():
        has_shards = any(folder.glob(f"{stem}*.index*.json")) and any(folder.glob(f"{stem}*-of-*.safetensors"))  # fmt: skip
        has_pickle = any(folder.glob("*.bin"))
        return None if has_shards else "its weights are a pickle (.bin), which can run programs" if has_pickle else "its weights are missing"  # fmt: skip
    try:
        read_header(path)
    except HeaderError as error:
        return f"{path.name}: {error}"
    except OSError as error:
        return f"{path.name}: {error.strerror or error}"
    return None


def _json(path: Path) -> dict[str, Any] | None:
    """A small JSON table; None when it is missing, damaged, or far too large to be one."""
    try:
        value = read_json(path) if path.stat().st_size <= MOST_JSON_BYTES else None
    except (OSError, InputError):
        return None
    return value if isinstance(value, dict) else None


def _error(folder: Path, what: str, fix: str) -> Problem:
    return Problem(severity=Severity.ERROR, what=what, fix=fix, where=str(folder))

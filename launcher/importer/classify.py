"""What a script is for: an SDXL LoRA run of sd-scripts, or something else that deserves its right name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.errors import InputError
from launcher.importer.launch import base_name

if TYPE_CHECKING:
    from launcher.importer.launch import Launch, Reading
    from launcher.importer.source import Source

LORA = "sdxl_train_network.py"

# Script -> what it is. Source: the entry points of kohya-ss/sd-scripts v0.10.1, and the best-known other trainers.
KINDS = {
    "train_network.py": "a LoRA training for Stable Diffusion 1.5 or 2 (train_network.py)",
    "sdxl_train.py": "a full fine-tune of SDXL (sdxl_train.py)",
    "fine_tune.py": "a full fine-tune of Stable Diffusion 1.5 or 2 (fine_tune.py)",
    "train_db.py": "a DreamBooth training of Stable Diffusion 1.5 or 2 (train_db.py)",
    "sdxl_train_textual_inversion.py": "a textual inversion for SDXL",
    "train_textual_inversion.py": "a textual inversion for Stable Diffusion 1.5 or 2",
    "train_textual_inversion_xti.py": "a textual inversion (XTI)",
    "sdxl_train_leco.py": "a LECO training",
    "flux_train_network.py": "a LoRA training for FLUX",
    "flux_train.py": "a full fine-tune of FLUX",
    "flux_train_control_net.py": "a ControlNet training for FLUX",
    "sd3_train_network.py": "a LoRA training for Stable Diffusion 3",
    "sd3_train.py": "a full fine-tune of Stable Diffusion 3",
    "lumina_train_network.py": "a LoRA training for Lumina",
    "lumina_train.py": "a full fine-tune of Lumina",
    "hunyuan_image_train_network.py": "a LoRA training for HunyuanImage",
    "anima_train_network.py": "a LoRA training for Anima",
    "anima_train.py": "a full fine-tune of Anima",
    "sdxl_train_control_net.py": "a ControlNet training for SDXL",
    "sdxl_train_control_net_lllite.py": "a ControlNet-LLLite training for SDXL",
    "sdxl_train_control_net_lllite_old.py": "a ControlNet-LLLite training for SDXL",
    "train_control_net.py": "a ControlNet training",
    "train_controlnet.py": "a ControlNet training",
    "hv_train_network.py": "a LoRA training for HunyuanVideo (musubi-tuner)",
    "wan_train_network.py": "a LoRA training for Wan (musubi-tuner)",
    "qwen_image_train_network.py": "a LoRA training for Qwen-Image (musubi-tuner)",
    "flux_kontext_train_network.py": "a LoRA training for FLUX Kontext (musubi-tuner)",
    "zimage_train_network.py": "a LoRA training for Z-Image (musubi-tuner)",
    "fpack_train_network.py": "a LoRA training for FramePack (musubi-tuner)",
    "train_dreambooth_lora_sdxl.py": "a LoRA training by diffusers' example script",
    "train_dreambooth_lora.py": "a LoRA training by diffusers' example script",
    "train_text_to_image_lora_sdxl.py": "a LoRA training by diffusers' example script",
    "train_text_to_image_lora.py": "a LoRA training by diffusers' example script",
    "kohya_gui.py": "a script that starts the kohya_ss program",
    "gui.py": "a script that starts a program with windows",
    "launch.py": "a script that starts a web interface",
    "webui.py": "a script that starts a web interface",
    "run.py": "a run of ai-toolkit or another trainer",
    "tag_images_by_wd14_tagger.py": "a tagger script",
    "make_captions.py": "a captioning script",
    "make_captions_by_git.py": "a captioning script",
    "merge_captions_to_metadata.py": "a script that prepares metadata",
    "merge_dd_tags_to_metadata.py": "a script that prepares metadata",
    "prepare_buckets_latents.py": "a script that prepares latents",
    "cache_latents.py": "a script that prepares latents",
    "cache_text_encoder_outputs.py": "a script that prepares text-encoder outputs",
    "resize_lora.py": "a script that resizes a LoRA",
    "merge_lora.py": "a script that merges LoRAs",
    "sdxl_merge_lora.py": "a script that merges LoRAs",
    "svd_merge_lora.py": "a script that merges LoRAs",
    "extract_lora_from_models.py": "a script that extracts a LoRA",
    "gen_img.py": "a script that makes pictures",
    "gen_img_diffusers.py": "a script that makes pictures",
    "sdxl_gen_img.py": "a script that makes pictures",
    "sdxl_minimal_inference.py": "a script that makes pictures",
}
INSTALLS = re.compile(
    r"\b(?:pip3?|uv|conda|git|winget|choco|venv)\b.*\b(?:install|clone|pull|create|checkout|venv)\b"
)
TRAINERS_WORDS = ("train", "lora")


def kind_of(launch: Launch) -> str:
    """What a launch is, in words; empty: an SDXL LoRA run of sd-scripts."""
    name = base_name(launch.script.text).lower()
    if name == LORA:
        return ""
    if name in KINDS:
        return KINDS[name]
    if any(word in name for word in TRAINERS_WORDS):
        return f"a training by a program that is not known here ({base_name(launch.script.text)[:60]})"
    return f"a script that runs {base_name(launch.script.text)[:60]}"


def trainings(source: Source, reading: Reading) -> tuple[Launch, ...]:
    """The SDXL LoRA runs of a file.

    Raises:
        InputError: there are none; says what the file is instead.
    """
    found = tuple(launch for launch in reading.launches if not kind_of(launch))
    if found:
        return found
    what, why = _what_else(reading)
    raise InputError(
        f"{source.label} is {what}, not a LoRA training for SDXL",
        why=why,
        fix=f"this imports scripts that start {LORA} of sd-scripts",
        where=str(source.path),
    )


def _what_else(reading: Reading) -> tuple[str, str]:
    kinds = {kind_of(launch): launch for launch in reading.launches}
    unread = "; ".join(f"line {note.line}: {note.text}" for note in reading.unreadable[:3])
    if kinds:
        # A training tells more about a script than what it runs before it.
        kind, launch = max(kinds.items(), key=lambda item: "training" in item[0] or "fine-tune" in item[0])
        return kind, f"it runs {base_name(launch.script.text)[:60]} in line {launch.line}"
    texts = [" ".join(word.text for word in words[:6]) for words in reading.programs]
    installing = next((text for text in texts if INSTALLS.search(text.lower())), None)
    if installing:
        return "an installer script", f"it runs `{installing[:80]}`"
    if reading.unreadable:
        return "a script whose command could not be read", unread
    return "a script that starts no training", ""

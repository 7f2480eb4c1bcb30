"""Sample images in the middle of training, from a prompt file in any of sd-scripts' three forms."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from launcher.errors import InputError
from launcher.trainers.rehearsal.conditioning import Conditioning, for_prompt
from launcher.trainers.rehearsal.config import read_toml
from launcher.trainers.rehearsal.latents import latent_size, to_image
from launcher.trainers.rehearsal.model import noise_schedule, predict

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

logger = logging.getLogger(__name__)

MAX_STEPS = 8  # the picture is coarse anyway; a sample should not cost more than some training steps
MAX_GUIDANCE = 2.0  # a model that saw few captions breaks under SDXL's usual 7.5
_SWITCH = re.compile(r"\s--([whdsln])\s+(.*?)(?=\s--[a-z]|$)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One sample image; sizes in pixels of a real run, defaults as in sd-scripts."""

    text: str
    negative: str = ""
    width: int = 512
    height: int = 512
    steps: int = 30
    guidance: float = 7.5
    seed: int | None = None


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a .txt (one a line, `#` comments, `--w --h --d --s --l --n`), .toml or .json file.

    Raises:
        InputError: the file is missing or cannot be understood.
    """
    if path.suffix == ".toml":
        table = read_toml(path).get("prompt", {})
        shared = {key: value for key, value in table.items() if key != "subset"}
        return [_from_table({**shared, **entry}, path) for entry in table.get("subset", [])]
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            return [_from_table(entry, path) for entry in json.loads(text)]
    except (OSError, ValueError) as error:
        raise InputError(f"the sample prompts in {path} cannot be read: {error}") from error
    lines = (line.strip() for line in text.splitlines())
    return [_from_line(line, path) for line in lines if line and not line.startswith("#")]


def _from_line(line: str, path: Path) -> Prompt:
    names = {
        "w": "width",
        "h": "height",
        "d": "seed",
        "s": "sample_steps",
        "l": "scale",
        "n": "negative_prompt",
    }
    table: dict[str, Any] = {"prompt": _SWITCH.split(line)[0].strip()}
    for key, value in _SWITCH.findall(line):
        table[names[key]] = value.strip()
    return _from_table(table, path)


def _from_table(table: dict[str, Any], path: Path) -> Prompt:
    try:
        seed = table.get("seed")
        return Prompt(
            text=str(table.get("prompt", "")),
            negative=str(table.get("negative_prompt", "")),
            width=int(table.get("width", 512)),
            height=int(table.get("height", 512)),
            steps=int(table.get("sample_steps", 30)),
            guidance=float(table.get("scale", 7.5)),
            seed=None if seed is None else int(seed),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"the sample prompts in {path} cannot be read: {error}") from error


def is_due(args: Any, epoch: int | None, step: int) -> bool:
    """Whether sd-scripts would draw now: by epochs if these are asked for, else by steps, and at first."""
    if args.sample_prompts is None:
        return False
    if step == 0:
        return bool(args.sample_at_first)
    if args.sample_every_n_epochs is not None:
        return epoch is not None and epoch % args.sample_every_n_epochs == 0
    return args.sample_every_n_steps is not None and epoch is None and step % args.sample_every_n_steps == 0


def draw_sample(unet: Any, conditioning: Conditioning, prompt: Prompt, seed: int, device: Any) -> Image.Image:
    """A picture by DDIM with classifier-free guidance; call it under the autocast that is trained with."""
    schedule = noise_schedule()
    schedule.set_timesteps(max(1, min(prompt.steps, MAX_STEPS)))
    size = (prompt.width, prompt.height)
    width, height = latent_size(size)
    generator = torch.Generator().manual_seed(seed)
    picture = torch.randn(1, 4, height, width, generator=generator).to(device)
    wanted = for_prompt(conditioning, prompt.text, size, device)
    unwanted = for_prompt(conditioning, prompt.negative, size, device)
    both = {name: torch.cat([unwanted[name], wanted[name]]) for name in wanted}
    guidance = max(1.0, min(prompt.guidance, MAX_GUIDANCE))
    with torch.no_grad():
        for timestep in schedule.timesteps:
            times = torch.full((2,), int(timestep), device=device)
            away, towards = predict(unet, picture.repeat(2, 1, 1, 1), times, both).chunk(2)
            picture = schedule.step(away + guidance * (towards - away), timestep, picture).prev_sample
    return to_image(picture[0])

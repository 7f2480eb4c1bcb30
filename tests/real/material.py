"""Makes what a run needs, with the trainer's own packages: a checkpoint in SDXL's layout, images, captions.

CODE's venv python material.py CODE FOLDER   (with shrink/ on PYTHONPATH)

The trainer's own code writes the checkpoint, so every key is named as in a real one.
"""

import random
import sys
from pathlib import Path

SEED = 20261124
SIZES = ((250, 70), (70, 250), (128, 128))  # three buckets at resolution 128 with steps of 64
COUNT = 7
WORDS = ("river", "stone", "evening", "a tall tree", "mist", "birds", "red roof", "訓練")


def checkpoint(path):
    import torch

    torch.manual_seed(SEED)
    from diffusers import AutoencoderKL
    from library import model_util, sdxl_model_util, sdxl_original_unet
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    unet = sdxl_original_unet.SdxlUNet2DConditionModel()
    first = CLIPTextModel(sdxl_model_util.CLIPTextConfig(**clip(768, "quick_gelu")))
    second = CLIPTextModelWithProjection(sdxl_model_util.CLIPTextConfig(**clip(1280, "gelu")))
    vae = AutoencoderKL(**model_util.create_vae_diffusers_config())
    sdxl_model_util.save_stable_diffusion_checkpoint(
        str(path), first, second, unet, 0, 0, None, vae, torch.tensor(1.0), {}, torch.float32
    )


def clip(size, act):
    """As sdxl_model_util writes it down; shrink_sizes makes it small."""
    return {
        "vocab_size": 49408, "hidden_size": size, "hidden_act": act, "max_position_embeddings": 77, "pad_token_id": 1,
        "bos_token_id": 0, "eos_token_id": 2,
    }  # fmt: skip


def images(folder):
    from PIL import Image

    chance = random.Random(SEED)
    folder.mkdir()
    for number in range(COUNT):
        width, height = SIZES[number % len(SIZES)]
        small = Image.new("RGB", (6, 6))
        small.putdata([tuple(chance.randrange(256) for _ in range(3)) for _ in range(36)])
        small.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"pic{number}.png")
        words = chance.sample(WORDS, 4)
        (folder / f"pic{number}.txt").write_text(", ".join([f"pic{number}", *words]), encoding="utf-8")


def main():
    code, folder = Path(sys.argv[1]), Path(sys.argv[2])
    sys.path.insert(0, str(code))
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "images").exists():
        images(folder / "images")
    checkpoint(folder / "tiny.safetensors")


if __name__ == "__main__":
    main()

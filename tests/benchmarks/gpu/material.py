"""Makes a random checkpoint in SDXL's layout with a trainer's own packages, so every key is named as in a real one.

    TRAINER_PYTHON material.py CODE FILE [--device cuda] [--small]

The full file has 6.94 GB in fp16, as SDXL's own. The weights are what PyTorch starts layers with: activations stay
finite, pictures and losses mean nothing. `--small` keeps the layout and shrinks the sizes (tests/real/shrink).
"""

import argparse
import sys
import time
from pathlib import Path

SEED = 20261124
SHRINK = Path(__file__).resolve().parents[2] / "real" / "shrink"
CLIP = {
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
FIRST = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
         "hidden_act": "quick_gelu", "projection_dim": 768}  # fmt: skip
SECOND = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20,
          "hidden_act": "gelu", "projection_dim": 1280}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("code", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    sys.path.insert(0, str(options.code))
    if options.small:
        shrink()
    began = time.perf_counter()
    aside = options.file.with_name(f"aside-{options.file.name}")  # who waits for the file wants all of it
    write(aside, options.device)
    aside.replace(options.file)
    print(f"{options.file.stat().st_size / 1e9:.3f} GB in {time.perf_counter() - began:.1f} s")


def shrink():
    sys.path.insert(0, str(SHRINK))
    sys.path.insert(0, str(Path(__file__).resolve().parent / "hook"))
    import bench_after
    import shrink_sizes

    bench_after.install(shrink_sizes.AFTER)


def write(path, device):
    import torch
    from diffusers import AutoencoderKL
    from library import model_util, sdxl_model_util, sdxl_original_unet
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(SEED)
    torch.set_default_dtype(torch.float16 if device != "cpu" else torch.float32)
    with torch.device(device):
        unet = sdxl_original_unet.SdxlUNet2DConditionModel()
        first = CLIPTextModel(sdxl_model_util.CLIPTextConfig(**CLIP, **FIRST))
        second = CLIPTextModelWithProjection(sdxl_model_util.CLIPTextConfig(**CLIP, **SECOND))
        vae = AutoencoderKL(**model_util.create_vae_diffusers_config())
        scale = torch.tensor(4.6052)  # open_clip's logit scale, which nothing here uses
    sdxl_model_util.save_stable_diffusion_checkpoint(
        str(path), first, second, unet, 0, 0, None, vae, scale, {}, torch.float16
    )


if __name__ == "__main__":
    main()

"""Reads a LoRA file with diffusers' own loader, independently of the trainer, and checks that every weight arrived.

    TRAINER_PYTHON lora.py FILE [--device cuda] [--small]

Builds SDXL's U-Net by diffusers' own class (random weights), converts the file's keys by diffusers' own converter,
loads them as an adapter (peft) and compares every product up x down x alpha / dim with the file. Prints JSON.
"""

import argparse
import json
from pathlib import Path

CONFIG = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "cross_attention_dim": 2048,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip  (the published SDXL U-Net's config.json)
SMALL = {
    "block_out_channels": (32, 64, 128),
    "cross_attention_dim": 96,
    "transformer_layers_per_block": 1,
    "attention_head_dim": (1, 1, 2),
    "projection_class_embeddings_input_dim": 64 + 6 * 256,
}  # fmt: skip  (tests/real/shrink)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    config = {**CONFIG, **SMALL} if options.small else CONFIG
    print(json.dumps(read(options.file, options.device, config)))


def read(file, device, config):
    import torch
    from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
    from safetensors import safe_open

    with safe_open(str(file), "pt") as opened:
        metadata = opened.metadata() or {}
        raw = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  (not a mapping)
    torch.set_default_dtype(torch.float16)
    with torch.device(device):
        unet = UNet2DConditionModel(**config)
    state, alphas = StableDiffusionXLPipeline.lora_state_dict(str(file), unet_config=unet.config)
    StableDiffusionXLPipeline.load_lora_into_unet(
        state, network_alphas=alphas, unet=unet, adapter_name="bench"
    )
    layers = {
        name: module for name, module in unet.named_modules() if "bench" in getattr(module, "lora_A", {})
    }
    modules = {key.rsplit(".lora_", 1)[0] for key in raw if ".lora_" in key and key.startswith("lora_unet")}
    return {
        "file": file.name, "tensors": len(raw), "modules": len(modules), "loaded": len(layers),
        "products_equal": same_products(raw, layers), "is_finite": all(t.isfinite().all().item() for t in raw.values()),
        "moved": sum(bool(t.abs().max()) for key, t in raw.items() if "lora_up" in key),
        "metadata": {key: metadata.get(key) for key in ("ss_steps", "ss_network_dim", "ss_network_alpha", "ss_network_module",
                     "ss_base_model_version", "modelspec.architecture", "ss_output_name", "ss_max_train_steps")},
    }  # fmt: skip


def same_products(raw, layers):
    """How many products of the file (by a fingerprint of theirs) are found among the loaded layers."""
    wanted = sorted(fingerprint(raw[key], raw[key.replace("lora_up", "lora_down")], scale_of(raw, key))
                    for key in raw if "lora_up" in key and key.startswith("lora_unet"))  # fmt: skip
    got = sorted(
        fingerprint(module.lora_B["bench"].weight, module.lora_A["bench"].weight, module.scaling["bench"])
        for module in layers.values()
    )
    close = [abs(one - other) <= 1e-3 * max(abs(one), 1e-6) for one, other in zip(wanted, got, strict=False)]
    return sum(close) if len(wanted) == len(got) else 0


def scale_of(raw, up):
    module = up.split(".lora_up")[0]
    return float(raw[f"{module}.alpha"]) / raw[up.replace("lora_up", "lora_down")].shape[0]


def fingerprint(up, down, scale):
    """Frobenius norm of scale * up @ down, by the small Gram matrices; the same for linear and convolution."""
    up, down = up.detach().double().cpu().flatten(1), down.detach().double().cpu().flatten(1)
    return scale * float((up.T @ up).mul((down @ down.T).T).sum().clamp_min(0).sqrt())


if __name__ == "__main__":
    main()

"""Runs inside the training environment: measures what only torch can see and prints it as one JSON line.

python tests/rehearsal_probe.py gradients | evaluate LORA IMAGES | prompts FILE
"""

import importlib.util
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "launcher" / "trainers" / "rehearsal" / "script.py"


def import_as_the_shim_does():
    sys.path[0] = str(SCRIPT.parent)  # what Python does for a script; it must not stay there
    spec = importlib.util.spec_from_file_location("trainer_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gradients():
    """Gradients of the LoRA: fp8 base, the same base as float32 values, and with gradient checkpointing."""
    script = import_as_the_shim_does()
    import torch

    from launcher.trainers.rehearsal import model, text

    torch.set_num_threads(1)
    fp8 = model.build_unet(8)
    model.store_as_fp8(fp8)
    stored = {name: weight for name, weight in fp8.named_parameters() if weight.dtype == torch.float8_e4m3fn}
    plain = model.build_unet(8)
    with torch.no_grad():
        for name, weight in plain.named_parameters():
            if name in stored:
                weight.copy_(stored[name].float())
    condition = {
        "context": text.encode("hills, sun")["context"][None],
        "pooled": text.encode("hills, sun")["pooled"][None],
        "time_ids": torch.zeros(1, 6),
    }
    before = {name: weight.clone() for name, weight in stored.items()}
    of_fp8 = lora_gradients(fp8, condition, bf16=True)
    of_plain = lora_gradients(plain, condition, bf16=True)
    exact = lora_gradients(plain, condition, bf16=False)
    fp8.enable_gradient_checkpointing()
    checkpointed = lora_gradients(fp8, condition, bf16=True)
    row = torch.cat([gradient.flatten() for gradient in of_fp8])
    exact_row = torch.cat([gradient.flatten() for gradient in exact])
    return {
        "fp8_share": sum(w.numel() for w in stored.values()) / sum(p.numel() for p in fp8.parameters()),
        "modules": len(of_fp8) // 2,
        "nonzero": sum(bool(gradient.abs().sum() > 0) for gradient in of_fp8),
        "same_as_dequantised": all(map(torch.equal, of_fp8, of_plain)),
        "same_checkpointed": all(map(torch.equal, of_fp8, checkpointed)),
        "cosine_to_float32": float(torch.nn.functional.cosine_similarity(row, exact_row, dim=0)),
        "base_unchanged": all(
            weight.dtype == torch.float8_e4m3fn
            and torch.equal(weight.view(torch.uint8), before[name].view(torch.uint8))
            for name, weight in fp8.named_parameters()
            if name in stored
        ),
        "own_folders_on_path": [entry for entry in sys.path if Path(entry).is_relative_to(ROOT / "launcher")],
        "root_on_path": str(ROOT) in sys.path,
        "interface": all(
            hasattr(script, name) for name in ("setup_parser", "read_config_from_file", "RehearsalTrainer")
        ),
    }


def lora_gradients(unet, condition, *, bf16):
    import torch

    from launcher.trainers.rehearsal.lora import LoraNetwork
    from launcher.trainers.rehearsal.loss import compute_loss, draw
    from launcher.trainers.rehearsal.model import noise_schedule

    network = LoraNetwork(unet, dim=4, alpha=4.0, seed=3)
    generator = torch.Generator().manual_seed(4)
    for module in network.children():  # with up = 0, as a training begins, down would have no gradient
        torch.nn.init.normal_(module.lora_up.weight, std=0.05, generator=generator)
    shape = torch.Size((1, 4, 8, 12))
    batch = {"latents": torch.randn(shape, generator=generator), **condition}
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = compute_loss(unet, noise_schedule(), batch, draw(shape, 5))
    loss.backward()
    network.detach()
    return [weight.grad for weight in network.parameters()]


def evaluate(lora: str, images: str):
    """Mean loss on fixed noise and timesteps: the trained LoRA, and the untrained one (up = 0)."""
    import_as_the_shim_does()
    import safetensors.torch
    import torch
    from PIL import Image

    from launcher.trainers.rehearsal import latents, model, text
    from launcher.trainers.rehearsal.conditioning import time_ids
    from launcher.trainers.rehearsal.lora import LoraNetwork
    from launcher.trainers.rehearsal.loss import compute_loss, draw

    torch.set_num_threads(1)
    unet, schedule = model.build_unet(), model.noise_schedule()
    model.store_as_fp8(unet)
    network = LoraNetwork(unet, dim=8, alpha=8.0)
    rows = []
    for path in sorted(p for p in Path(images).iterdir() if p.suffix != ".txt")[::2]:
        width, height = Image.open(path).size
        size = (width * 3, height * 3)
        words = text.encode(path.with_suffix(".txt").read_text(encoding="utf-8"))
        row = {
            "latents": latents.encode_file(path, size)["latents"],
            **words,
            "time_ids": time_ids(size, size),
        }
        rows.append({name: value[None] for name, value in row.items()})

    def mean_loss():
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            losses = [
                compute_loss(unet, schedule, row, draw(row["latents"].shape, number))
                for number, row in enumerate(rows * 4, start=1000)
            ]
        return float(torch.stack(losses).mean())

    untrained = mean_loss()
    network.load_state_dict(safetensors.torch.load_file(lora))
    return {"untrained": untrained, "trained": mean_loss()}


def prompts(path: str):
    import_as_the_shim_does()
    from launcher.trainers.rehearsal.sampling import read_prompts

    return [
        [p.text, p.negative, p.width, p.height, p.steps, p.guidance, p.seed] for p in read_prompts(Path(path))
    ]


if __name__ == "__main__":
    COMMANDS = {"gradients": gradients, "evaluate": evaluate, "prompts": prompts}
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))

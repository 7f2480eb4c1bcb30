"""Reads a LoRA with diffusers' own loader and compares what its U-Net and text encoders then say with sd-scripts' own.

CODE's venv python reader.py CODE CHECKPOINT LORA   (with shrink/ on PYTHONPATH)

diffusers needs peft to put a LoRA on; the trainers have none. So its `lora_state_dict` maps the keys, and the products
are added to the weights of its own classes here. Prints one JSON line.
"""

import copy
import json
import re
import sys
from pathlib import Path

import torch

CHANNELS, CONTEXT, POOLED = 32, 96, 64  # shrink_sizes
PLACES = (("processor.", ""), ("to_q_lora", "to_q"), ("to_k_lora", "to_k"), ("to_v_lora", "to_v"), ("to_out_lora", "to_out.0"),
          (".lora_linear_layer", ""), (".lora", ""))  # fmt: skip
TEXT = (("to_q", "q_proj"), ("to_k", "k_proj"), ("to_v", "v_proj"), ("to_out.0", "out_proj"))


def diffusers_unet(weights):
    from diffusers import UNet2DConditionModel
    from library import sdxl_model_util, sdxl_original_unet

    config = {
        **sdxl_model_util.DIFFUSERS_SDXL_UNET_CONFIG, "attention_head_dim": [1, 1, 2], "block_out_channels": [32, 64, 128],
        "cross_attention_dim": CONTEXT, "projection_class_embeddings_input_dim": POOLED + 6 * 256,
        "transformer_layers_per_block": [1, 1, 1], "sample_size": 16,
    }  # fmt: skip
    unet = UNet2DConditionModel(**config)
    if "downscale_freq_shift=0" not in Path(sdxl_original_unet.__file__).read_text(encoding="utf-8"):
        unet.time_proj.downscale_freq_shift = (
            1  # the fork embeds timesteps as upstream did by mistake in 2023
        )
    unet.load_state_dict(sdxl_model_util.convert_sdxl_unet_state_dict_to_diffusers(weights))
    return unet.eval()


def places(state, alphas, prefix):
    """(module's name in diffusers, what is added to its weight) for one model of the pipeline."""
    for key, down in state.items():
        if not key.startswith(f"{prefix}.") or ".down." not in key:
            continue
        name = key[len(prefix) + 1 :]
        for old, new in PLACES:
            name = name.replace(old, new)
        name = re.sub(r"\.down\.weight$", "", name)
        if prefix != "unet":
            for old, new in TEXT:
                name = name.replace(old, new)
        bare = key.partition(".down.")[0]
        bare = bare.removesuffix(".lora").removesuffix("_lora").removesuffix(".lora_linear_layer")
        [alpha] = {
            value for known, value in alphas.items() if known.startswith((f"{bare}.", f"{bare}_lora."))
        }
        up = state[key.replace(".down.", ".up.")]
        yield name, (up.flatten(1).float() @ down.flatten(1).float()) * (alpha / down.shape[0])


def put_on(model, found):
    count, unread = 0, []
    modules = dict(model.named_modules())
    for name, delta in found:
        if name not in modules:
            unread.append(name)
            continue
        weight = modules[name].weight
        weight.data += delta.reshape(weight.shape)
        count += 1
    return count, unread


def main():
    code, checkpoint, lora = map(Path, sys.argv[1:])
    sys.path.insert(0, str(code))
    from diffusers import StableDiffusionXLPipeline
    from library import sdxl_model_util, sdxl_train_util
    from networks import lora as network_module

    torch.manual_seed(3)
    te1, te2, vae, unet, *_ = sdxl_model_util.load_models_from_sdxl_checkpoint(
        "sdxl_base_v1-0", str(checkpoint), "cpu"
    )
    unet.eval()
    theirs = diffusers_unet({key: value.clone() for key, value in unet.state_dict().items()})
    texts = {"text_encoder": copy.deepcopy(te1).eval(), "text_encoder_2": copy.deepcopy(te2).eval()}

    latents, context, pooled = torch.randn(2, 4, 16, 16), torch.randn(2, 77, CONTEXT), torch.randn(2, POOLED)
    ids = torch.tensor([[128.0, 96.0, 0.0, 8.0, 128.0, 96.0]] * 2)
    sizes = sdxl_train_util.get_size_embeddings(ids[:, :2], ids[:, 2:4], ids[:, 4:], "cpu")
    steps = torch.tensor([300, 700])
    words = torch.randint(3, 4000, (2, 77))

    def ours_says():
        with torch.no_grad():
            return unet(latents, steps, context, torch.cat([pooled, sizes.to(pooled)], dim=1))

    def theirs_says():
        with torch.no_grad():
            return theirs(
                latents, steps, context, added_cond_kwargs={"text_embeds": pooled, "time_ids": ids}
            ).sample

    def text_says(model):
        with torch.no_grad():
            return model(words, output_hidden_states=True)["hidden_states"][-2]

    before, base_error = ours_says(), (ours_says() - theirs_says()).abs().max().item()
    text_before = text_says(te1)
    state, alphas = StableDiffusionXLPipeline.lora_state_dict(
        str(lora.parent), weight_name=lora.name, unet_config=theirs.config
    )  # a folder and a name: offline it wants both
    count, unread = put_on(theirs, places(state, alphas, "unet"))
    text_counts = {}
    for name, model in texts.items():
        text_counts[name], more = put_on(model, places(state, alphas, name))
        unread += more
    network, weights = network_module.create_network_from_weights(1.0, str(lora), vae, [te1, te2], unet)
    network.apply_to([te1, te2], unet, any("lora_te" in key for key in weights), True)
    network.load_state_dict(weights)
    network.eval()
    print(json.dumps({
        "unread": unread, "unet_modules": count, "text_modules": text_counts, "base_error": base_error,
        "error": (ours_says() - theirs_says()).abs().max().item(), "change": (ours_says() - before).abs().max().item(),
        "text_error": max((text_says(te1) - text_says(texts["text_encoder"])).abs().max().item(),
                          (text_says(te2) - text_says(texts["text_encoder_2"])).abs().max().item()),
        "text_change": (text_says(te1) - text_before).abs().max().item(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()

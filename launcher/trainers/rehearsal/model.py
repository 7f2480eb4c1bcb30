"""The base model: diffusers' U-Net in SDXL's block layout with a tenth of the channels, random but always the same.

A random network knows nothing, so half of the base is known in closed form: the best linear guess for pictures of
which one knows only that neighbouring places are alike (`smooth_guess`). The U-Net adds to it, and what a LoRA can
learn in forty steps, the layout and the colours of these pictures, really lowers the loss. Everything is in terms of
v (Salimans & Ho 2022, "Progressive distillation", appendix D).
"""

from __future__ import annotations

import functools
import os
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch.utils.checkpoint import set_checkpoint_early_stop

from launcher.trainers.rehearsal.text import CONTEXT_WIDTH, POOLED_WIDTH

BASE_SEED = 20_240_119
BASE_NAME = "rehearsal-sdxl-shaped-v1"
WIDTH_VARIABLE = "LAUNCHER_REHEARSAL_WIDTH"  # tests of resuming need no width, only the same code
WIDTH = 32  # channels of the first level; SDXL has 320
TIME_ID_WIDTH = 16
TIMESTEPS = 1000
LARGEST_SCALE = 20.0  # latents; larger things are not commoner still
POWER_FLOOR = 0.5  # fine detail is never quite absent; the power at the finest detail is about 8


def build_unet(width: int | None = None) -> Any:
    """The frozen base, float32, on the CPU. SDXL's layout: no attention, 2 and 10 transformer blocks a level."""
    channels = width or int(os.environ.get(WIDTH_VARIABLE, WIDTH))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(BASE_SEED)
        unet = UNet2DConditionModel(
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(channels, channels * 2, channels * 4),
            layers_per_block=2,
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(2, 4, 8),  # number of heads, as in SDXL's own configuration (5, 10, 20)
            cross_attention_dim=CONTEXT_WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=TIME_ID_WIDTH,
            projection_class_embeddings_input_dim=POOLED_WIDTH + 6 * TIME_ID_WIDTH,
            use_linear_projection=True,
            norm_num_groups=8,
        )
    unet.requires_grad_(False)
    return unet.train()  # diffusers checkpoints gradients in training mode only; the base has no dropout


def store_as_fp8(unet: Any) -> None:
    """Keep the weights of all linear and convolution layers as float8_e4m3fn, cast up only while a layer works.

    Only right under autocast: autograd keeps the weight for the backward pass, and only autocast's copy of it is
    still there when the layer has gone back to fp8 (without autocast torch refuses: expected Float but found Float8).
    """
    unet.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)


def noise_schedule() -> Any:
    """SDXL's noise schedule. Source: scheduler_config.json of stabilityai/stable-diffusion-xl-base-1.0."""
    return DDIMScheduler(
        num_train_timesteps=TIMESTEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
    )


def predict(
    unet: Any, noisy: torch.Tensor, timesteps: torch.Tensor, condition: dict[str, torch.Tensor]
) -> torch.Tensor:
    """The base's v for `noisy` (B, 4, h, w), float32.

    `condition` has context (B, 77, 64), pooled (B, 40), time_ids (B, 6).
    """
    added = {"text_embeds": condition["pooled"], "time_ids": condition["time_ids"]}
    # With early stop, a checkpointed block's second run ends inside its last layer, which then stays float32.
    with set_checkpoint_early_stop(False):
        learned: torch.Tensor = unet(
            noisy, timesteps, encoder_hidden_states=condition["context"], added_cond_kwargs=added
        ).sample
    return smooth_guess(noisy.float(), timesteps) + learned.float()


def smooth_guess(noisy: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
    """Wiener's filter for v: for x = a x0 + s n and pictures of power S it multiplies by a s (1 - S) / (a^2 S + s^2).

    The picture is mirrored at its edges first, because a Fourier transform would join the sky to the ground.
    """
    height, width = noisy.shape[-2:]
    mirrored = torch.cat([noisy, noisy.flip(-1)], dim=-1)
    mirrored = torch.cat([mirrored, mirrored.flip(-2)], dim=-2)
    kept = _kept_power().to(noisy.device)[timesteps].view(-1, 1, 1, 1)
    power = _picture_power(height * 2, width * 2).to(noisy.device)
    gain = (kept * (1 - kept)).sqrt() * (1 - power) / (kept * power + 1 - kept)
    filtered = torch.fft.irfft2(torch.fft.rfft2(mirrored) * gain, s=mirrored.shape[-2:])
    return filtered[..., :height, :width]


@functools.lru_cache(maxsize=1)
def _kept_power() -> torch.Tensor:
    kept: torch.Tensor = noise_schedule().alphas_cumprod
    return kept


@functools.lru_cache(maxsize=64)
def _picture_power(height: int, width: int) -> torch.Tensor:
    """Power of natural pictures over frequency, about 1 / f^3 (Field 1987 measured 1 / f^2 to 1 / f^3), of mean 1."""
    rows, columns = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
    square = rows[:, None] ** 2 + columns[None, :] ** 2
    power = (square + LARGEST_SCALE**-2) ** -1.5 + POWER_FLOOR
    return power / power.mean()

"""The base model: diffusers' U-Net in SDXL's block layout with a tenth of the channels, random but always the same.

It predicts v (Salimans & Ho 2022, progressive distillation): a random model then starts at a loss near 1, and what
can be learned in forty steps, the layout and the colours of the pictures, really lowers it.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from launcher.trainers.rehearsal.text import CONTEXT_WIDTH, POOLED_WIDTH

BASE_SEED = 20_240_119
BASE_NAME = "rehearsal-sdxl-shaped-v1"
WIDTH_VARIABLE = "LAUNCHER_REHEARSAL_WIDTH"  # tests of resuming need no width, only the same code
WIDTH = 32  # channels of the first level; SDXL has 320
TIME_ID_WIDTH = 16
TIMESTEPS = 1000


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
    """The U-Net's v for `noisy` (B, 4, h, w); `condition` has context (B, 77, 64), pooled (B, 40), time_ids (B, 6)."""
    added = {"text_embeds": condition["pooled"], "time_ids": condition["time_ids"]}
    output: torch.Tensor = unet(
        noisy, timesteps, encoder_hidden_states=condition["context"], added_cond_kwargs=added
    ).sample
    return output

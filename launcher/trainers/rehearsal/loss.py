"""One micro-batch's loss. Noise and timesteps are a pure function of the seed and the number of the micro-batch."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Any

import torch

from launcher.trainers.rehearsal.model import TIMESTEPS, predict


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """What chance decides in one micro-batch."""

    noise: torch.Tensor  # like the latents
    timesteps: torch.Tensor  # (B,), 0..999

    def to(self, device: Any) -> Draw:
        return Draw(noise=self.noise.to(device), timesteps=self.timesteps.to(device))


def micro_seed(seed: int, micro_step: int) -> int:
    """A seed for one micro-batch, unrelated to its neighbours': 63 bits of a hash."""
    digest = hashlib.sha256(f"{seed} {micro_step}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def begin_micro_step(seed: int, micro_step: int) -> random.Random:
    """Put torch's own generators where this micro-batch needs them (dropout) and return one for the data."""
    value = micro_seed(seed, micro_step)
    torch.manual_seed(value)
    return random.Random(value)  # noqa: S311  (data variations, not secrets)


def draw(shape: torch.Size, value: int, noise_offset: float | None = None) -> Draw:
    """Noise and timesteps for a batch of this shape, made on the CPU so that every device gets the same."""
    generator = torch.Generator().manual_seed(value)
    noise = torch.randn(shape, generator=generator)
    if noise_offset:
        noise = noise + noise_offset * torch.randn((*shape[:2], 1, 1), generator=generator)
    return Draw(noise=noise, timesteps=torch.randint(0, TIMESTEPS, shape[:1], generator=generator))


def compute_loss(
    unet: Any, schedule: Any, batch: dict[str, torch.Tensor], chance: Draw, min_snr_gamma: float | None = None
) -> torch.Tensor:
    """Mean squared error of v, a scalar in float32; call it under the autocast that is trained with."""
    noisy = schedule.add_noise(batch["latents"], chance.noise, chance.timesteps)
    target = schedule.get_velocity(batch["latents"], chance.noise, chance.timesteps)
    predicted = predict(unet, noisy, chance.timesteps, batch)
    loss = (predicted - target).square().mean(dim=(1, 2, 3))
    if min_snr_gamma:
        loss = loss * snr_weights(schedule, chance.timesteps, min_snr_gamma)
    return loss.mean()


def snr_weights(schedule: Any, timesteps: torch.Tensor, gamma: float) -> torch.Tensor:
    """Min-SNR weights for a v-prediction model: min(SNR, gamma) / (SNR + 1).

    Source: Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", section 3.4.
    """
    kept = schedule.alphas_cumprod.to(timesteps.device)[timesteps]
    snr = kept / (1 - kept)
    return snr.clamp(max=gamma) / (snr + 1)

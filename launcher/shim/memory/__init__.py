"""Less memory for the same training: what `launcher.trainers.switches` offers, hung on a known trainer.

load      weights stay in the mapped file until the cast to their stored type
encoders  text encoders and VAE leave when nothing needs them any more; `prompts` remembers what sampling asks
late      what caches spare is not moved to the card and back
vae, rows encode and decode strip by strip
sampling  the fp8 U-Net as it is; a failure is a warning
upload    the U-Net goes to the card while the LoRA is made
offload   frozen weights wait in RAM
models    the moments on which these hang; `heap` gives memory back
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.shim import startup
from launcher.shim.memory import encoders, heap, late, load, sampling, upload, vae
from launcher.shim.memory.models import Moments

if TYPE_CHECKING:
    from launcher.shim.context import Context
    from launcher.shim.memory.models import Models
    from launcher.shim.memory.upload import Upload


def install(context: Context) -> None:
    """Every saving that the switches ask for. All of them are exact; see the modules for how that was shown."""
    switches = context.switches
    moments = Moments(context)
    heap.give_large_blocks_their_own_mapping()
    if switches["lean_load"]:
        load.install(context)
    if switches["vae_encode"] == "rows" or switches["vae_decode"] == "rows":
        moments.on_load.append(lambda models: _vae_in_rows(context, models))
    if switches["free_text_encoders"]:
        encoders.install(context, moments)
    if switches["lean_load"] or switches["offload_mib"] > 0:
        moments.place = load.place_tensor_by_tensor(switches["offload_mib"], _upload(context, moments))
    sampling.install(context, keep_fp8=switches["sample_unet"] == "autocast")
    late.install(context, moments)
    moments.wrap()


def _upload(context: Context, moments: Moments) -> Upload | None:
    """Where the weights lie in the mapped file: a network that waits for them in float32 would see another type."""
    is_lean = context.switches["lean_load"] and load.obstacle(context.args) is None
    if is_lean and context.switches["offload_mib"] == 0 and startup.is_on("upload"):
        return upload.install(context, moments)
    return None


def _vae_in_rows(context: Context, models: Models) -> None:
    parts = {"vae_encode": models.vae.encoder, "vae_decode": models.vae.decoder}
    for name, part in parts.items():
        reason = vae.work_in_rows(part) if context.switches[name] == "rows" else None
        if reason is not None:
            context.warn(f"The VAE works on whole pictures, with more memory: {reason}.")

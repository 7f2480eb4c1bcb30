"""Text encoders and VAE leave once nothing needs them: outputs and latents cached, sample prompts encoded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.shim.memory import load, prompts

if TYPE_CHECKING:
    from launcher.shim.context import Context
    from launcher.shim.memory.models import Models, Moments


def install(context: Context, moments: Moments) -> None:
    """Drop them before the U-Net is cast."""
    args = context.args
    if args.cache_text_encoder_outputs:
        moments.on_load.append(_stay_where_they_are)
    moments.before_cast.append(lambda models, _dtype: _drop(context, models))


def samples(args: Any) -> bool:
    """Whether the run will make sample images."""
    wanted = (args.sample_every_n_steps, args.sample_every_n_epochs, getattr(args, "sample_at_first", False))
    return any(wanted) and args.sample_prompts is not None and Path(args.sample_prompts).is_file()


def _stay_where_they_are(models: Models) -> None:
    """After caching stock makes float32 copies in RAM, for sampling. Nobody reads them here."""
    for encoder in models.text_encoders:
        encoder.to = _Stay(encoder.to)


class _Stay:
    """Does what `Module.to` does, but for the way back to the CPU."""

    def __init__(self, to: Any) -> None:
        self._to = to

    def __call__(self, *args: Any, **more: Any) -> Any:
        import torch

        if args == ("cpu",) and more == {"dtype": torch.float32}:
            return self._to()
        return self._to(*args, **more)


def _drop(context: Context, models: Models) -> None:
    is_sampling = samples(context.args)
    if context.args.cache_text_encoder_outputs:
        for encoder in models.text_encoders:
            encoder.__dict__.pop("to", None)
        if is_sampling:
            again = prompts.learner(context, models) if _can_load_again(context) else _refuse
            prompts.remember(context, models, prompts.Memory(again))
        for encoder in models.text_encoders:
            prompts.empty(encoder)
    if context.args.cache_latents and not is_sampling:
        models.vae.to("meta")


def _can_load_again(context: Context) -> bool:
    """Loading the trainer's way takes about 14 GB for a moment: not in the middle of a run."""
    return bool(context.switches["lean_load"]) and load.obstacle(context.args) is None


def _refuse() -> None:
    raise LookupError(
        "A sample prompt was changed during the run, and the text encoders are not in memory any more. "
        "Pause and resume the run to sample with the new prompts."
    )

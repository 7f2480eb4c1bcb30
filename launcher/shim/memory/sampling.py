"""Sample images without a second U-Net, and without risk for the run.

v0.10.1 turns an fp8 U-Net into float16 for sampling (5.1 GB on the card) and back; the fork makes its latents in fp8 and
fails. Under autocast the fp8 weights can be used as they are, as in training: every fp8 number is a float16 and a
bfloat16 number, so the image is the same. The pipeline gets a stand-in that says float16, as stock does there.

Whatever goes wrong in sampling becomes a warning: random states, autocast, VAE and U-Net are put back, training goes on.
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any

from launcher.shim.autocast import Autocast, autocast_of
from launcher.shim.memory.heap import release

if TYPE_CHECKING:
    from launcher.shim.context import Context

VAE = 3  # its place among the arguments behind `args`: epoch, steps, device, vae, ...


def install(context: Context, *, keep_fp8: bool) -> None:
    """Wrap the function in which both trainers sample."""
    module = context.modules["library.train_util"]
    original = module.sample_images_common

    @functools.wraps(original)
    def sample_images_common(pipe_class: Any, accelerator: Any, args: Any, *rest: Any, **more: Any) -> Any:
        vae = rest[VAE] if len(rest) > VAE else more["vae"]
        sampling = Sampling(accelerator, vae, keep_fp8=keep_fp8)
        make = functools.partial(sampling.pipeline, pipe_class)
        try:
            return original(make, accelerator, args, *rest, **more)
        except Exception as error:  # noqa: BLE001  (a sample image is not worth a training)
            problem = _sentence(error)
        sampling.undo()
        context.warn(problem)
        return None

    module.sample_images_common = sample_images_common  # type: ignore[attr-defined]


class Sampling:
    """One round of sample images, from the moment that its pipeline is made (most steps have none)."""

    def __init__(self, accelerator: Any, vae: Any, *, keep_fp8: bool) -> None:
        self._accelerator = accelerator
        self._vae = vae
        self._vae_device = vae.device  # not the CPU where latents are not cached
        self._keep_fp8 = keep_fp8
        self._before: tuple[Any, ...] | None = None
        self._autocast = Autocast.of(accelerator.device.type)

    def pipeline(self, pipe_class: Any, **parts: Any) -> Any:
        """The trainer's pipeline around the stand-in, with the VAE on the card only while it decodes."""
        import torch

        release()
        unet, vae = parts["unet"], self._vae
        cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
        self._before = (unet, unet.dtype, torch.get_rng_state(), cuda)
        if self._keep_fp8:
            parts["unet"] = UnetAsItIs(unet, self._accelerator)
        pipeline = pipe_class(**parts)
        decode = pipeline.latents_to_image
        device = vae.device
        vae.to("cpu")

        @functools.wraps(decode)
        def latents_to_image(latents: Any) -> Any:
            release()
            vae.to(device)
            image = decode(latents)
            vae.to("cpu")
            release()
            return image

        pipeline.latents_to_image = latents_to_image
        return pipeline

    def undo(self) -> None:
        """After a failure: what stock puts back at the end of a round."""
        import torch

        self._autocast.restore()
        if self._before is not None:
            unet, dtype, cpu, cuda = self._before
            if unet.dtype != dtype:
                unet.to(dtype)
            torch.set_rng_state(cpu)
            if cuda is not None:
                torch.cuda.set_rng_state(cuda)
        self._before = None
        self._vae.to(self._vae_device)
        release()


class UnetAsItIs:
    """Stands in for the U-Net in a pipeline: runs it under autocast in the type in which it is stored."""

    def __init__(self, unet: Any, accelerator: Any) -> None:
        self._unet = unet
        self._accelerator = accelerator
        self._one_by_one = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unet, name)

    @property
    def dtype(self) -> Any:
        """Of the latents and conditions."""
        import torch

        stored = self._unet.dtype
        return torch.float16 if stored.itemsize == 1 else stored

    def to(self, *_args: Any, **_more: Any) -> UnetAsItIs:
        return self

    def __call__(self, latents: Any, timestep: Any, *conditions: Any) -> Any:
        """One prediction; where the card cannot hold prompt and negative prompt together, one after the other."""
        import torch

        if not self._one_by_one:
            try:
                return self._run(latents, timestep, *conditions)
            except torch.cuda.OutOfMemoryError:
                if len(latents) == 1:
                    raise
                self._one_by_one = True
            release()  # after the except block: until its end the error holds the tensors
        rows = range(len(latents))
        return torch.cat(
            [self._run(*(_row(part, i) for part in (latents, timestep, *conditions))) for i in rows]
        )

    def _run(self, *parts: Any) -> Any:
        with warnings.catch_warnings(), autocast_of(self._accelerator):
            # Checkpointing stays on for a picture too and says that nothing will be learned from it.
            warnings.filterwarnings("ignore", message="None of the inputs have requires_grad")
            return self._unet(*parts)


def _row(part: Any, index: int) -> Any:
    return part if part.ndim == 0 else part[index : index + 1]


def _sentence(error: Exception) -> str:
    if type(error).__name__ == "OutOfMemoryError":
        why = "the card's memory was too small for it. Smaller --w and --h in the prompt file need less"
    else:
        why = f"{type(error).__name__}: {error}"
    return f"A sample image could not be made: {why}. Training goes on."

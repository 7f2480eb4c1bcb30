"""The moments of a run at which memory can be saved, at both pins the same: models loaded, U-Net about to be cast.

Both trainers load on the CPU, cache latents and text encoder outputs, make the network, and then call
`unet.to(dtype=...)` once on their way to the card. What must happen before the U-Net goes there hangs on that call.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.errors import LauncherError
from launcher.shim.memory.heap import release

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.shim.context import Context


class WrongNumbersError(LauncherError):
    """Going on would train with other numbers than the model's: the run ends in a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Models:
    """What `load_target_model` gave."""

    accelerator: Any
    weight_dtype: Any
    text_encoders: list[Any]
    vae: Any
    unet: Any


class Moments:
    """Calls what was registered, in the order of registration; a part that fails is told and left out."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.on_load: list[Callable[[Models], None]] = []
        self.before_cast: list[Callable[[Models, Any], None]] = []  # gets the type that the U-Net will have
        self.place: Callable[[Models, Any], None] | None = None  # casts the U-Net in stock's stead

    def wrap(self) -> None:
        """Hang on `load_target_model` of the trainer class."""
        original = self._context.trainer_class.load_target_model  # type: ignore[attr-defined]

        @functools.wraps(original)
        def load_target_model(trainer: Any, args: Any, weight_dtype: Any, accelerator: Any) -> Any:
            version, encoders, vae, unet = original(trainer, args, weight_dtype, accelerator)
            self._loaded(
                Models(
                    accelerator=accelerator,
                    weight_dtype=weight_dtype,
                    text_encoders=list(encoders),
                    vae=vae,
                    unet=unet,
                )
            )
            return version, encoders, vae, unet

        self._context.trainer_class.load_target_model = load_target_model  # type: ignore[attr-defined]

    def _loaded(self, models: Models) -> None:
        for part in self.on_load:
            self._attempt(part, models)
        stock = models.unet.to

        def to(*args: Any, **more: Any) -> Any:
            dtype = more.get("dtype") or next((value for value in args if _is_dtype(value)), None)
            if dtype is None:
                return stock(*args, **more)
            del models.unet.to  # only the first cast is ours; the name on the instance hid the method
            for part in self.before_cast:
                self._attempt(part, models, dtype)
            if self.place is not None:
                self._attempt(self.place, models, dtype)
            moved = stock(*args, **more)
            release()
            return moved

        models.unet.to = to

    def _attempt(self, part: Callable[..., None], *args: Any) -> None:
        try:
            part(*args)
        except WrongNumbersError:
            raise
        except Exception as error:  # noqa: BLE001  (saving memory must not cost the run)
            name = getattr(part, "__qualname__", "a part")
            self._context.warn(
                f"A memory saving did not work and is left out ({name}: {type(error).__name__}: {error})."
            )


def _is_dtype(value: Any) -> bool:
    import torch

    return isinstance(value, torch.dtype)

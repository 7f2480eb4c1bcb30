"""The U-Net goes to the card in a thread of its own while the trainer makes its LoRA.

The LoRA's 722 modules are two seconds of random numbers on one core, cast and upload a second of the card and the bus
(measured on an H100), and neither looks at the other: `load.obstacle` leaves only networks that read sizes. The thread
does module by module what `load.place_tensor_by_tensor` would do later, in the same order; at the trainer's first cast
that waits for it, takes over what is done and does the rest, after an error in the thread as well.

It begins only where nothing else of the model lies on the card: text encoders that have just filled the caches stay
there until the cast (`encoders`), and with the U-Net beside them the card would hold more than it does without this.
`before_cast` runs at its moment, beside the thread: what hangs there works with text encoders and VAE, on the processor.
"""

from __future__ import annotations

import functools
from contextlib import nullcontext, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from launcher.shim import beside
from launcher.shim.memory import load
from launcher.shim.memory.models import WrongNumbersError

if TYPE_CHECKING:
    import argparse
    import threading
    from collections.abc import Callable, Iterable

    from launcher.shim.context import Context
    from launcher.shim.memory.models import Models, Moments

MAKERS = ("create_network", "create_network_from_weights")


def install(context: Context, moments: Moments) -> Upload | None:
    """Hang on the functions that make the network; None where the trainer itself would fail to import them."""
    try:
        network = import_module(context.args.network_module)
    except Exception:  # noqa: BLE001  (the trainer imports it again, and fails where it always did)
        return None
    upload = Upload(context.args)
    moments.on_load.append(upload.meet)
    for name in MAKERS:
        make = getattr(network, name, None)
        if make is not None:
            setattr(network, name, _beside(make, upload))
    return upload


def _beside(make: Callable[..., Any], upload: Upload) -> Callable[..., Any]:
    @functools.wraps(make)
    def create(*args: Any, **more: Any) -> Any:
        with suppress(Exception):  # fails open: the U-Net is placed later, all of it
            upload.begin()
        try:
            return make(*args, **more)
        except BaseException:
            upload.stop()
            raise

    return create


class Upload:
    """Casts and moves the own weights of each module. It draws no random number and waits for nobody."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._models: Models | None = None
        self._modules: list[Any] = []
        self._done = 0  # so many of them are where they belong
        self._dtype: Any = None
        self._is_over = False
        self._thread: threading.Thread | None = None

    def meet(self, models: Models) -> None:
        """What will have to be moved (the trainer has loaded it)."""
        self._models = models

    def begin(self) -> None:
        """Start, where nothing speaks against it."""
        import torch

        models = self._models
        if models is None or self._thread is not None or not _has_the_card_alone(models):
            return
        device = models.accelerator.device
        self._dtype = load.fp8_type(self._args) or models.weight_dtype  # as every known trainer chooses it
        self._modules = list(models.unet.modules())  # here, while nobody changes them
        # a new thread would begin on the first card
        card: Any = torch.cuda.device(torch.cuda.current_device()) if device.type == "cuda" else nullcontext()
        work = functools.partial(self._work, device, card)
        self._thread = beside.begin("upload of the U-Net", work, self.stop)

    def stop(self) -> None:
        """Begin no further module."""
        self._is_over = True

    def rest(self, unet: Any, dtype: Any) -> Iterable[Any]:
        """Wait for the thread, and give the modules that are still to be moved, in their order.

        Raises:
            WrongNumbersError: `dtype` is not what the thread has cast to.
        """
        self._models = None  # or text encoders that the trainer drops would stay
        if self._thread is None:
            return list(unet.modules())
        self._thread.join()
        if dtype != self._dtype:
            raise WrongNumbersError(
                f"the U-Net was cast to {self._dtype} ahead of time, but the trainer asks for {dtype}",
                fix="start again with LAUNCHER_STARTUP_OFF=upload in the environment, and report it",
            )
        rest, self._modules = self._modules[self._done :], []
        self._done = 0
        return rest

    def _work(self, device: Any, card: Any) -> None:
        """What raises here, such as too small a card, is met again by whoever moves the rest."""
        with suppress(Exception), card:
            cast = load.caster(self._dtype, device)
            for module in self._modules:
                if self._is_over:
                    return
                load.move(module, cast)
                self._done += 1


def _has_the_card_alone(models: Models) -> bool:
    """One process, the U-Net still in RAM, and nothing of the other models on the card."""
    accelerator = models.accelerator
    return (
        accelerator.device.type in load.CARDS
        and accelerator.num_processes == 1
        and all(map(_is_in_ram, (models.unet, models.vae, *models.text_encoders)))
    )


def _is_in_ram(model: Any) -> bool:
    return all(weight.device.type in {"cpu", "meta"} for weight in (*model.parameters(), *model.buffers()))

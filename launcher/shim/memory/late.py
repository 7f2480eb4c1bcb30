"""VAE and text encoders that nobody asks are not moved.

At a start that finds every cache the trainers still cast them, send them to the card and fetch them back: 1.4 s of a
start on an H100. Here `to` is remembered, and done when somebody needs the module: before a batch is encoded
(`carry_out_moves`, which `upstream.caching` calls), at any forward of it or of its parts, at any other change of its
weights, at the latest when the U-Net is cast. Then the module is as it always was, and its next move is done at once.

Meanwhile `dtype` and `device` are those that it would have by now: names of caches say the type, the trainer sends
pictures and tokens to the device. Casts are done one after the other, in their order, as each rounds; of the devices only
the last counts. A module that ends on "meta" loses its weights unread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.shim import startup
from launcher.shim.memory import load

if TYPE_CHECKING:
    import argparse

    from launcher.shim.context import Context
    from launcher.shim.memory.models import Models, Moments

KEY = "_late_moves"  # in a module's own dictionary


class Moves:
    """What one module was asked to become and is not yet."""

    def __init__(self, stock: Any) -> None:
        """`stock`: the module's class."""
        self.stock = stock
        self.hooks: list[Any] = []
        self.casts: list[Any] = []
        self.device: Any = None
        self.is_due = False  # what comes next is no longer put off, but done together with the rest

    def add(self, *args: Any, **more: Any) -> bool:
        """One call of `to`; False for one that does more than move and cast."""
        import torch

        device, dtype, _, layout = torch._C._nn._parse_to(*args, **more)  # noqa: SLF001  (as `Module.to` reads them)
        if layout is not None or not (dtype is None or dtype.is_floating_point):
            return False
        if dtype is not None and self.casts[-1:] != [dtype]:
            self.casts.append(dtype)
        self.device = self.device if device is None else device
        return True

    def steps(self) -> list[dict[str, Any]]:
        """The calls of `to` that lead there: a cast happens where the weights are, as in `Module.to` on its way to a card."""
        is_gone = self.device is not None and self.device.type == "meta"
        steps: list[dict[str, Any]] = [{"dtype": dtype} for dtype in self.casts[-1 if is_gone else 0 :]]
        if self.device is not None:
            steps = steps or [{}]
            steps[-1]["device"] = self.device
        return steps


class Late:
    """Mixed into the class of a module whose moves are put off."""

    def to(self, *args: Any, **more: Any) -> Any:
        moves: Moves | None = self.__dict__.get(KEY)
        if moves is not None and moves.add(*args, **more):
            if moves.is_due:
                carry_out(self)
            return self
        carry_out(self)
        return type(self).to(self, *args, **more)

    @property
    def dtype(self) -> Any:
        moves: Moves = self.__dict__[KEY]
        return moves.casts[-1] if moves.casts else moves.stock.dtype.__get__(self)

    @property
    def device(self) -> Any:
        moves: Moves = self.__dict__[KEY]
        return moves.stock.device.__get__(self) if moves.device is None else moves.device

    def carry_out_moves(self) -> None:
        """For code that is about to use the module."""
        carry_out(self)

    def _apply(self, *args: Any, **more: Any) -> Any:
        """`half`, `cuda` and the like."""
        carry_out(self)
        return self._apply(*args, **more)

    def state_dict(self, *args: Any, **more: Any) -> Any:
        carry_out(self)
        return self.state_dict(*args, **more)


def install(context: Context, moments: Moments) -> None:
    """To be called behind all that hangs on the moments: first in line when the model is loaded, last before the cast."""
    args = context.args
    # with lowram they are loaded to the card, and would lie there longer than the trainer wants
    if not startup.is_on("moves") or args.lowram or getattr(args, "deepspeed", False):
        return
    moments.on_load.insert(0, lambda models: _put_off(models, args))
    moments.before_cast.insert(0, lambda models, _dtype: _make_due(models))
    moments.before_cast.append(lambda models, _dtype: _finish(models))


def _put_off(models: Models, args: argparse.Namespace) -> None:
    """Only where caches on disk can spare them: without, each start encodes."""
    if args.cache_latents and args.cache_latents_to_disk:
        put_off(models.vae)
    # networks that compute with weights of the text encoders, or merge into them, come before the cast
    is_read = load.obstacle(args) is not None
    if args.cache_text_encoder_outputs and args.cache_text_encoder_outputs_to_disk and not is_read:
        for encoder in models.text_encoders:
            put_off(encoder)


def put_off(module: Any) -> None:
    """From now on moves are remembered. One that lies on a card already is left alone."""
    if any(weight.device.type != "cpu" for weight in (*module.parameters(), *module.buffers())):
        return
    stock = type(module)
    moves = Moves(stock)
    names = {"__module__": stock.__module__, "__qualname__": stock.__qualname__, "__doc__": stock.__doc__}
    late = type(stock.__name__, (Late, stock), names)  # networks look for modules by the name of their class

    def hook(*_call: Any) -> None:
        carry_out(module)

    # `vae.encode` calls parts of the VAE, and not its forward
    moves.hooks = [part.register_forward_pre_hook(hook) for part in (module, *module.children())]
    module.__dict__[KEY] = moves
    module.__class__ = late


def carry_out(module: Any) -> None:
    """Do what was put off, if anything was; an error is that of the move, at another time."""
    moves: Moves | None = module.__dict__.pop(KEY, None)
    if moves is None:
        return
    module.__class__ = moves.stock
    for hook in moves.hooks:
        hook.remove()
    for step in moves.steps():
        moves.stock.to(module, **step)  # past a `to` of the instance, which has had its say


def _make_due(models: Models) -> None:
    for module in (models.vae, *models.text_encoders):
        moves = module.__dict__.get(KEY)
        if moves is not None:
            moves.is_due = True


def _finish(models: Models) -> None:
    for module in (models.vae, *models.text_encoders):
        carry_out(module)

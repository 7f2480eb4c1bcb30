"""A step that runs out of memory is made again, with less kept; so is one in which a boost fails where nothing catches it.

Chance is set back to where the micro-batch began, and gradients to what they were: what is learned is what a step
that never failed would have taught. Only where the trainer computes a loss in a method that can be called again
(`process_batch`, since v0.10); elsewhere, and with several processes, an error goes on as it always did.
"""

from __future__ import annotations

import functools
import gc
import inspect
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.shim.boosts.before import Before, Gradients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.shim.boosts.scene import Scene
    from launcher.shim.context import Context

METHOD = "process_batch"
VERSIONS = ("v0.10.1",)  # what it returns goes into `accelerator.backward`, and nowhere else before
MOST = 16  # times that one micro-batch is begun again
# Libraries below torch say it in words.
WORDS = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "out of memory")


class BoostError(RuntimeError):
    """A boost failed where it could not call the stock operation in its place."""

    def __init__(self, name: str, cause: BaseException) -> None:
        super().__init__(f"boost {name}: {type(cause).__name__}: {cause}")
        self.boost = name


class Repeat:
    """Stands around the trainer's `process_batch` and the accelerator's `backward`. `scene`: from the first step on."""

    def __init__(self, context: Context) -> None:
        self.scene: Scene | None = None
        self._pass: Pass | None = None
        original = getattr(context.trainer_class, METHOD, None)
        if original is None or context.version not in VERSIONS:
            return
        signature = inspect.signature(original)

        @functools.wraps(original)
        def process_batch(*args: Any, **more: Any) -> Any:
            scene, given = self.scene, signature.bind(*args, **more).arguments
            if scene is None or scene.processes > 1 or not given.get("is_train", True):
                return original(*args, **more)
            return self._forward(scene, lambda: original(*args, **more))

        setattr(context.trainer_class, METHOD, process_batch)

    def wrap(self, accelerator: Any) -> None:
        """To be called when whatever else is around its `backward` is in place: that sees each loss once."""
        watched = accelerator.backward

        def backward(loss: Any, **more: Any) -> Any:
            this, self._pass = self._pass, None
            if this is None or loss is not this.stand_in:
                return watched(loss, **more)
            return this.backward(watched, functools.partial(type(accelerator).backward, accelerator), more)

        accelerator.backward = backward

    def _forward(self, scene: Scene, make: Callable[[], Any]) -> Any:
        """The loss, without its graph: whoever holds that holds all activations, and upstream's loop does.

        Its gradients are asked for through `accelerator.backward`, which knows the real one.
        """
        this = self._pass = Pass(scene=scene, make=make, before=Before.of(scene))
        this.forward()
        return this.stand_in


@dataclass(kw_only=True, slots=True)
class Pass:
    """One micro-batch, from its first number of chance to the end of its backward."""

    scene: Scene
    make: Callable[[], Any]
    before: Before
    loss: Any = None
    stand_in: Any = None  # what upstream has in its place
    attempts: int = 0

    def forward(self) -> None:
        """Its loss, in as many attempts as that takes."""
        while (error := self._attempt(self._compute)) is not None:
            self._recover(error)
        if self.stand_in is None:
            self.stand_in = self.loss.detach()

    def backward(self, watched: Any, plain: Any, more: dict[str, Any]) -> None:
        """`watched` may see the loss once only, `plain` is for the repetitions."""
        gradients = Gradients(_weights(self.scene), is_aside=_could_lower(self.scene))
        try:
            error = self._attempt(lambda: watched(self.loss, **more))
            while error is not None:
                if not gradients.reset():
                    raise error
                self._recover(error)
                self.forward()
                error = self._attempt(lambda: plain(self.loss, **more))
        finally:
            gradients.settle()

    def _compute(self) -> None:
        self.loss = self.make()

    def _attempt(self, act: Callable[[], Any]) -> Exception | None:
        """What went wrong, if a repetition may help. It is left behind here: what is being handled keeps its frames."""
        try:
            act()
        except Exception as error:
            if not is_out_of_memory(error) and _boost_of(error) is None:
                raise
            return error
        return None

    def _recover(self, error: Exception) -> None:
        """Change what led to the error, and go back to the beginning; raises it where nothing can be changed."""
        self.attempts += 1
        cause = _change(self.scene, error) if self.attempts < MOST else None
        if cause is None:
            raise error
        self.loss = None
        _let_go(error)
        self.before.restore()
        _free()
        told = self.scene.shared.setdefault("repeat.told", set())
        if cause not in told:
            told.add(cause)
            self.scene.context.warn(f"{cause}; the step was made again from its beginning, nothing was lost")


def is_out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)


def _boost_of(error: BaseException) -> str | None:
    """The boost in which it came up: torch hands errors of a backward on as they are."""
    names = (getattr(one, "boost", None) for one in _chain(error))
    return next((name for name in names if isinstance(name, str)), None)


def _change(scene: Scene, error: Exception) -> str | None:
    """What was changed so that it may not come again; None: nothing could be."""
    name = _boost_of(error)
    if name is not None and scene.is_on(name):
        scene.turn_off(name, error)
        return f"boost {name} failed"
    keeper = scene.shared.get("keeper")
    if keeper is not None and is_out_of_memory(error) and keeper.lower():
        return "the card's memory did not suffice, and less of it is used from now on"
    return None


def _could_lower(scene: Scene) -> bool:
    keeper = scene.shared.get("keeper")
    return keeper is not None and getattr(keeper, "kept_mib", 1) > 0


def _weights(scene: Scene) -> Iterator[Any]:
    return (weight for group in scene.optimizer.param_groups for weight in group["params"])


def _let_go(error: BaseException) -> None:
    """The frames of the failed pass hold its tensors."""
    for one in _chain(error):
        traceback.clear_frames(one.__traceback__)
        one.__traceback__ = None


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and one not in found:
            found.append(one)
            left += [one.__cause__, one.__context__]
    return found


def _free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()

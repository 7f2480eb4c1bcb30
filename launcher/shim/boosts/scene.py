"""What boosts see of the training that they are put into, and how one that fails is taken out."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.shim.boosts.ops import Ops
    from launcher.shim.context import Context


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What decides which operations there are. `capability`: (0, 0) without a card."""

    device: Any  # torch.device
    name: str
    capability: tuple[int, int]
    torch: tuple[int, int]
    has_triton: bool
    platform: str

    @staticmethod
    def of(device: Any) -> Machine:
        import torch

        is_card = device.type == "cuda"
        release = torch.__version__.split("+")[0].split(".")
        return Machine(
            device=device, name=torch.cuda.get_device_name(device) if is_card else "cpu",
            capability=torch.cuda.get_device_capability(device) if is_card else (0, 0),
            torch=(int(release[0]), int(release[1])), platform=sys.platform,
            has_triton=find_spec("triton") is not None and (is_card or bool(os.environ.get("TRITON_INTERPRET"))),
        )  # fmt: skip


@dataclass(kw_only=True, slots=True)
class Scene:
    """A training about to make its first step: everything is on its device and the optimizer exists.

    `unet` and `network` are the bare models (not DistributedDataParallel); `dtype` is what matrices are multiplied in
    (autocast's, or the weights' own type); `processes` train together. `ops` are the elementary operations, torch's or
    Triton's. `shared` holds what one boost prepares for another, by a name of its maker.
    """

    context: Context
    machine: Machine
    accelerator: Any
    unet: Any
    network: Any
    optimizer: Any  # torch's own, inside accelerate's
    dtype: Any
    processes: int
    ops: Ops
    shared: dict[str, Any] = field(default_factory=dict)
    undo: dict[str, Callable[[], None]] = field(default_factory=dict)
    tell: Callable[[str, str], None] = lambda _name, _reason: None

    @property
    def switches(self) -> Any:
        return self.context.switches

    def is_on(self, name: str) -> bool:
        """Whether a boost is in place."""
        return name in self.undo

    def turn_off(self, name: str, error: BaseException) -> None:
        """Take a boost out that failed at run time, and say so. Does nothing the second time."""
        undo = self.undo.pop(name, None)
        if undo is None:
            return
        undo()
        self.tell(name, f"failed and was turned off: {type(error).__name__}: {_first_line(error)}")

    def guarded(self, name: str, fast: Callable[..., Any], stock: Callable[..., Any]) -> Callable[..., Any]:
        """`fast` until it raises; from then on, and for that very call, `stock`.

        Running out of memory is no fault of an operation: it is raised, for whoever can free some.
        """
        import torch

        @functools.wraps(stock)
        def call(*args: Any, **more: Any) -> Any:
            if name not in self.undo:
                return stock(*args, **more)
            try:
                return fast(*args, **more)
            except torch.cuda.OutOfMemoryError:
                raise
            except Exception as error:  # noqa: BLE001  (whatever a library of somebody else's raises)
                self.turn_off(name, error)
            return stock(*args, **more)

        return call

    def generator(self, seed: int = 0) -> Any:
        """Random numbers for self-checks: never those of the training."""
        import torch

        made = torch.Generator(device=self.machine.device)
        made.manual_seed(seed)
        return made


def relative_error(found: Any, right: Any) -> float:
    """|found - right| / |right|, in fp32; infinite where anything is no number."""
    import torch

    found, right = found.detach().float(), right.detach().float()
    if not bool(torch.isfinite(found).all()):
        return float("inf")
    return float((found - right).norm() / right.norm().clamp_min(1e-30))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]

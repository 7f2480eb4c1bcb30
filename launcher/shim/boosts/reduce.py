"""Boost `reduce`: one process alone has nobody to share gradients with.

Stock asks accelerate to average every gradient over all processes; of one process each comes back as a copy of itself,
1444 of them in a step. Without that the gradients of a block also stay side by side, which `optimizer` and `clip` want.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.records import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.shim.boosts.scene import Scene

NAME = "reduce"
KIND = Kind.EXACT
ABOUT = "copies of the gradients that one process alone would share with itself"
METHOD = "all_reduce_network"  # train_network.py, the same in all known versions


def reason_against(scene: Scene) -> str | None:
    if scene.processes > 1:
        return f"{scene.processes} processes share their gradients"
    if not hasattr(scene.context.trainer_class, METHOD):
        return "this trainer shares no gradients"
    return None


def check(scene: Scene) -> str | None:
    """What accelerate gives back must be what it was given."""
    given = torch.randn(64, generator=scene.generator(), device=scene.machine.device)
    return (
        None
        if torch.equal(scene.accelerator.reduce(given, reduction="mean"), given)
        else "gradients are changed"
    )


def install(scene: Scene) -> Callable[[], None]:
    trainer_class: Any = scene.context.trainer_class
    own = trainer_class.__dict__.get(METHOD)
    setattr(trainer_class, METHOD, _share_nothing)

    def undo() -> None:
        if own is None:
            delattr(trainer_class, METHOD)
        else:
            setattr(trainer_class, METHOD, own)

    return undo


def _share_nothing(_trainer: Any, _accelerator: Any, _network: Any) -> None:
    return None

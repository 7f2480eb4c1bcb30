"""Puts the boosts in place: once, right before the first step, when every model is where it will be trained."""

from __future__ import annotations

import functools
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from launcher.shim.boosts.ahead import PRECISIONS, Ahead
from launcher.shim.boosts.before import Before
from launcher.shim.boosts.records import Boost, Kind, Outcome, is_wanted
from launcher.shim.boosts.repeat import Repeat
from launcher.shim.boosts.scene import Machine, Scene

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launcher.shim.boosts.ops import Ops
    from launcher.shim.context import Context

UNET = "SdxlUNet2DConditionModel"


def install(context: Context) -> None:
    """Hang on the accelerator: its first `accumulate` is the beginning of the first step."""
    switches = context.switches
    if switches["boosts"] == "off" and not any(switches[f"boost_{name}"] == "on" for name in _names()):
        return
    ahead = Ahead(_names().values(), str(context.args.mixed_precision))
    train_util = context.modules["library.train_util"]
    make = train_util.prepare_accelerator
    repeat = Repeat(context)

    @functools.wraps(make)
    def prepare_accelerator(*args: Any, **more: Any) -> Any:
        accelerator = make(*args, **more)
        repeat.wrap(accelerator)
        accumulate = accelerator.accumulate

        def first_accumulate(*models: Any) -> Any:
            accelerator.accumulate = accumulate
            _attempt(context, accelerator, repeat, ahead)
            return accumulate(*models)

        accelerator.accumulate = first_accumulate
        return accelerator

    train_util.prepare_accelerator = prepare_accelerator  # type: ignore[attr-defined]


def _names() -> Mapping[str, str]:
    from launcher.shim.boosts import NAMES

    return NAMES


def _attempt(context: Context, accelerator: Any, repeat: Repeat, ahead: Ahead) -> None:
    began = time.perf_counter()
    try:
        scene = make_scene(context, accelerator)
        scene.ops = ahead.ops_for(scene) or choose_ops(scene)
        repeat.scene = scene
        before = Before.of(scene)
        try:
            outcomes = start(scene, _boosts(scene))
        finally:
            before.restore()  # a check that draws from the training's generators would change all of its noise
    except Exception as error:  # noqa: BLE001  (fails open: the stock training is right, only slower)
        context.warn(
            f"boosts: could not be set up, training goes on without them: {type(error).__name__}: {error}"
        )
        return
    context.reporter.emit(
        "boosts", boosts=[one.to_json() for one in outcomes], ops=scene.ops.name, device=scene.machine.name,
        seconds=round(time.perf_counter() - began, 3),
    )  # fmt: skip


def _boosts(scene: Scene) -> Iterable[Boost]:
    """Those that can be imported; one that cannot is told, and costs the others nothing."""
    for name, module in _names().items():
        try:
            boost: Any = import_module(module)
        except Exception as error:  # noqa: BLE001  (another torch, or another Triton)
            scene.tell(name, f"cannot be imported: {type(error).__name__}: {error}")
            continue
        yield boost


def make_scene(context: Context, accelerator: Any) -> Scene:
    """Raises ValueError where the models are not those that boosts are made for."""
    import torch

    from launcher.shim.boosts.ops import Ops
    from launcher.shim.upstream.training import is_network, unwrapped

    models = [unwrapped(model) for model in accelerator._models]  # noqa: SLF001  (accelerate has no public name)
    unet = next((model for model in models if type(model).__name__ == UNET), None)
    network = next((model for model in models if is_network(model)), None)
    if unet is None or network is None:
        raise ValueError("there is no SDXL U-Net or no network")
    wrapped = accelerator._optimizers[0]  # noqa: SLF001
    name = PRECISIONS.get(accelerator.mixed_precision)
    weight = next(unet.parameters())
    dtype = getattr(torch, name) if name else weight.dtype
    scene = Scene(
        context=context, machine=Machine.of(weight.device), accelerator=accelerator, unet=unet, network=network,
        optimizer=getattr(wrapped, "optimizer", wrapped), dtype=dtype, processes=accelerator.num_processes, ops=Ops(),
    )  # fmt: skip
    scene.tell = lambda boost, reason: context.warn(f"boost {boost}: {reason}; training goes on without it")
    return scene


def choose_ops(scene: Scene) -> Ops:
    """Triton's where it is there and agrees with torch's; else torch's."""
    if not scene.machine.has_triton:
        return scene.ops
    try:
        chosen: Ops = import_module("launcher.shim.boosts.kernels").choose(scene)
    except Exception as error:  # noqa: BLE001  (no compiler, another Triton: each raises its own)
        scene.tell(
            "kernels",
            f"Triton does not work here ({type(error).__name__}: {error}), torch's own operations are used",
        )
        return scene.ops
    return chosen


def start(scene: Scene, boosts: Iterable[Boost]) -> list[Outcome]:
    """Every boost that may and can be used, in order; the others with the reason."""
    return [_start_one(scene, boost) for boost in boosts]


def _start_one(scene: Scene, boost: Boost) -> Outcome:
    name, kind, began = boost.NAME, boost.KIND, time.perf_counter()
    switch = scene.switches[f"boost_{name}"]
    reason = is_wanted(kind, switch, scene.switches["boosts"])
    if scene.machine.device.type == "cpu" and switch != "on" and kind is not Kind.EXACT:
        reason = reason or "on the processor only where it is switched on"
    try:
        reason = reason or boost.reason_against(scene) or _differs(boost, scene)
        if reason is None:
            scene.undo[name] = boost.install(scene)
    except Exception as error:  # noqa: BLE001  (one that cannot start is one that is not used)
        reason = f"could not start: {type(error).__name__}: {error}"
    return Outcome(
        name=name, kind=kind, is_used=reason is None, reason=reason or scene.shared.get(f"{name}.partly", ""),
        seconds=time.perf_counter() - began,
    )  # fmt: skip


def _differs(boost: Boost, scene: Scene) -> str | None:
    found = boost.check(scene)
    return None if found is None else f"its self-check failed: {found}"

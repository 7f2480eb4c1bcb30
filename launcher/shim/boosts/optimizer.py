"""Boost `optimizer`: weights that lie together (those of a transformer block, see `blocks`) are updated in one call.

bitsandbytes launches a kernel, and then waits for the card, for every single tensor. Its 8-bit states are quantised in
blocks, its 32-bit ones by element: several tensors of whole blocks in one call get the same bits. The call is its own
`update_step`, given a flat view of weights, gradients and states; for that the states are laid out side by side too.
What does not lie together in a step is left to the stock step, which runs behind ours.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch

from launcher.shim.boosts.records import Kind
from launcher.shim.boosts.runs import Run, reason_apart, runs_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.shim.boosts.scene import Scene

NAME = "optimizer"
KIND = Kind.EXACT
ABOUT = "one step of the 8-bit optimizer for all weights that lie together"
ALGORITHMS = ("adam", "lion")  # by element, or by block of states
BLOCKS = (256, 2048)  # elements that share a scale; 2048 up to bitsandbytes 0.43
STATES = ("state1", "state2", "absmax1", "absmax2")
MAPS = ("qmap1", "qmap2")
KNOWN = {"step", *STATES, *MAPS}
SIGNATURE = ["self", "group", "p", "gindex", "pindex"]


def reason_against(scene: Scene) -> str | None:
    optimizer = scene.optimizer
    library = sys.modules.get("bitsandbytes.optim.optimizer")
    known = [getattr(library, name, None) for name in ("Optimizer1State", "Optimizer2State")]
    update: Any = getattr(type(optimizer), "update_step", None)
    if not any(base and isinstance(optimizer, base) and update is base.update_step for base in known):
        return "the optimizer is not one of bitsandbytes' that it knows"
    if list(inspect.signature(update).parameters) != SIGNATURE:
        return "this version of bitsandbytes is not known"
    if optimizer.optimizer_name not in ALGORITHMS:
        return f"it does not know {optimizer.optimizer_name}"
    weights = (group["params"] for group in optimizer.param_groups)
    return _single(optimizer) or reason_apart(scene, weights)


def _single(optimizer: Any) -> str | None:
    """Why each tensor must be updated for itself, or None."""
    manager = optimizer.mng
    if manager.pid2config or manager.index2config or manager.module_weight_config_triple:
        return "some weights have settings of their own"
    percentile = getattr(optimizer.args, "percentile_clipping", 100)  # gone since bitsandbytes 0.50
    return "it clips each tensor for itself" if percentile < 100 or optimizer.args.max_unorm > 0 else None


def check(scene: Scene) -> str | None:
    """Three steps of a small optimizer of the same class, apart and together: the same bits."""
    generator, device = scene.generator(), scene.machine.device
    shapes = ((32, 320), (640, 32), (16, 16), (4, 16), (32, 1280))
    values = [torch.randn(shape, device=device, generator=generator) for shape in shapes]
    apart = [torch.nn.Parameter(value.clone()) for value in values]
    together = [
        torch.nn.Parameter(part) for part in _views(torch.cat([one.flatten() for one in values]), values)
    ]
    stock, ours = _small(scene.optimizer, apart), _small(scene.optimizer, together)
    steps = Together(ours)
    for _ in range(3):
        gradients = [torch.randn(shape, device=device, generator=generator) for shape in shapes]
        flat = _views(torch.cat([one.flatten() for one in gradients]), gradients)
        for weight, other, one, part in zip(apart, together, gradients, flat, strict=True):
            weight.grad, other.grad = one, part
        stock.step()
        steps.before()
        ours.step()
        steps.after()
    if not steps.calls:
        return "states do not lie together"
    if not all(torch.equal(one, other) for one, other in zip(apart, together, strict=True)):
        return "other weights"
    pairs = [(stock.state[one], ours.state[other]) for one, other in zip(apart, together, strict=True)]
    same = all(torch.equal(one[key], other[key]) for one, other in pairs for key in STATES if key in one)
    return None if same else "other states"


def install(scene: Scene) -> Callable[[], None]:
    hooks = scene.shared.get(f"{NAME}.hooks") or scene.shared.setdefault(f"{NAME}.hooks", Hooks(scene))
    together = hooks.together = Together(scene.optimizer)

    def undo() -> None:
        hooks.together = None
        together.separate()  # gradients of a step under way stay hidden until it ends: they are done

    return undo


class Hooks:
    """Around the optimizer's step, for good: torch does not bear a hook that goes while hooks are called.

    Hooks, not another `step`: accelerate and schedulers hold on to the one that they found.
    """

    def __init__(self, scene: Scene) -> None:
        self.together: Together | None = None
        self._stepping: Together | None = None
        self._scene = scene
        scene.optimizer.register_step_pre_hook(self._before)
        scene.optimizer.register_step_post_hook(self._after)

    def _before(self, *_: Any) -> None:
        self._stepping = self.together
        if self._stepping is None:
            return
        try:
            self._stepping.before()
        except Exception as error:  # noqa: BLE001  (the stock step behind it does what is left)
            self._scene.turn_off(NAME, error)

    def _after(self, *_: Any) -> None:
        if self._stepping is not None:
            self._stepping.after()
            self._stepping = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Laid:
    """A run whose states lie as its weights do. `place`: index of a group, and of one of its weights there."""

    run: Run
    group: dict[str, Any]
    place: tuple[int, int]
    states: list[dict[str, Any]]  # the optimizer's own, of each member
    flat: dict[str, Any]  # one of all

    @property
    def is_there(self) -> bool:
        """Whether the views are still what the optimizer works on."""
        ends = zip((self.states[0], self.states[-1]), (0, self.run.starts[-1]), strict=True)
        state = self.flat["state1"]
        return all(
            one["state1"].data_ptr() == state.data_ptr() + at * state.element_size() for one, at in ends
        )


class Together:
    """What is done before and after the stock step of one optimizer; `calls` counts updates of runs."""

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer
        self._laid: list[Laid] = []
        self._seen: tuple[Any, int] = (None, 0)  # the mapping of states, and how many it had
        self._pointers: list[int] = []
        self._hidden: list[tuple[Any, Any]] = []  # weights that are done, and their gradients
        self.calls = 0

    def before(self) -> None:
        """Update the runs, and hide their gradients from the stock step."""
        self._hidden = []  # of a step that raised: what is hidden from then on is not what weights have now
        with torch.no_grad():
            self._before()

    def _before(self) -> None:
        if not self._optimizer.initialized:  # its first step makes the states
            return
        if not self._is_laid():
            self._lay()
        for one in self._laid:
            gradients = [weight.grad for weight in one.run.members]
            if self._update(one, gradients):
                self._hidden.extend(zip(one.run.members, gradients, strict=True))
                for weight in one.run.members:
                    weight.grad = None

    def after(self) -> None:
        """Gradients are back where whoever looks at them behind a step finds them."""
        for weight, grad in self._hidden:
            weight.grad = grad
        self._hidden = []

    def separate(self) -> None:
        """Every weight has states of its own again."""
        for one in self._laid:
            for state in one.states:
                state.update({key: state[key].clone() for key in STATES if key in state})
        self._laid, self._seen = [], (None, 0)

    def _update(self, one: Laid, gradients: list[Any]) -> bool:
        if any(grad is None for grad in gradients) or len({state["step"] for state in one.states}) > 1:
            return False
        weight, grad = one.run.flat(), one.run.flat(gradients)
        if weight is None or grad is None or grad.dtype != weight.dtype:
            return False
        weight.grad = grad
        state = self._optimizer.state[weight] = {**one.flat, "step": one.states[0]["step"]}
        try:
            self._optimizer.update_step(one.group, weight, *one.place)
        finally:
            del self._optimizer.state[weight]
        for own in one.states:
            own["step"] = state["step"]
        self.calls += 1
        return True

    def _is_laid(self) -> bool:
        """A loaded state is a new mapping; weights may have moved; the first steps may have made states bit by bit."""
        return (
            self._seen[0] is self._optimizer.state
            and self._seen[1] == len(self._optimizer.state)
            and self._pointers == [weight.data_ptr() for one in self._laid for weight in one.run.members]
            and all(one.is_there for one in self._laid)
        )

    def _lay(self) -> None:
        self._laid = [
            self._lay_one(Run.of(part), index)
            for index, group in enumerate(self._optimizer.param_groups)
            for run in runs_of(group["params"])
            for part in self._parts(run)
        ]
        self._pointers = [weight.data_ptr() for one in self._laid for weight in one.run.members]
        self._seen = (self._optimizer.state, len(self._optimizer.state))

    def _parts(self, run: Run) -> list[list[Any]]:
        """Of a run those stretches whose states are of one kind."""
        states = self._optimizer.state
        parts = [
            (kind, list(members))
            for kind, members in groupby(run.members, lambda weight: _kind(weight, states.get(weight, {})))
        ]
        return [
            members for kind, members in parts if kind and len(members) > 1 and _same_maps([states[one] for one in members])
        ]  # fmt: skip

    def _lay_one(self, run: Run, index: int) -> Laid:
        group = self._optimizer.param_groups[index]
        states = [self._optimizer.state[weight] for weight in run.members]
        flat = {key: states[0][key] for key in MAPS if key in states[0]}
        for key in STATES:
            if key in states[0]:
                parts = [state[key] for state in states]
                flat[key] = torch.cat([part.reshape(-1) for part in parts])
                for state, view in zip(states, _views(flat[key], parts), strict=True):
                    state[key] = view
        place = next(at for at, weight in enumerate(group["params"]) if weight is run.members[0])
        return Laid(run=run, group=group, place=(index, place), states=states, flat=flat)


def _kind(weight: Any, state: dict[str, Any]) -> tuple[object, ...] | None:
    """What weights that are updated in one call must have in common; None: to be left alone."""
    first = state.get("state1")
    if (
        first is None
        or set(state) - KNOWN
        or any(getattr(state.get(key), "is_paged", False) for key in STATES)
    ):
        return None
    keys = tuple(sorted(state))
    if first.dtype == torch.float32:
        return (keys, first.dtype, 1)
    scales = state.get("absmax1")
    if first.dtype != torch.uint8 or scales is None:
        return None
    block, rest = divmod(weight.numel(), scales.numel())
    return (keys, first.dtype, block) if block in BLOCKS and not rest else None


def _same_maps(states: list[dict[str, Any]]) -> bool:
    """Each weight has a map of its own once a state has been loaded."""
    for key in MAPS:
        others = {id(state[key]): state[key] for state in states if key in state}
        if len(others) > 1:
            maps = torch.stack(list(others.values()))
            if not bool((maps == maps[0]).all()):
                return False
    return True


def _views(flat: torch.Tensor, like: list[torch.Tensor]) -> list[torch.Tensor]:
    parts = flat.split([one.numel() for one in like])
    return [part.view(one.shape) for part, one in zip(parts, like, strict=True)]


def _small(like: Any, weights: list[torch.nn.Parameter]) -> Any:
    made = type(like)(weights, lr=1e-3, weight_decay=0.01)
    made.args = like.args
    for key in ("betas", "eps"):
        if key in like.param_groups[0]:
            made.param_groups[0][key] = like.param_groups[0][key]
    return made

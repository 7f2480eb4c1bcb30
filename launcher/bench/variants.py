"""The ways to train that are compared: the same training, a few steps of it, with other switches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from launcher.plan import vary_plan
from launcher.plan.speed import OFF, boosts_of
from launcher.plan.switches import switch_values
from launcher.preset import Setting
from launcher.trainers.switches import AUTO, BOOSTS, PREFIX, SWITCHES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.paths import Paths
    from launcher.plan import Plan
    from launcher.trainers import Trainer

SOURCE = "bench"
WARM_UP = 5  # steps that are not counted: kernels are compiled, the allocator and the clocks settle
STOCK, BOOSTED = "stock", "boosted"
# Nothing is saved on the way: a bench is over in minutes, and what it trained is thrown away.
LEFT_OUT = ("sample_", "save_every_", "save_last_", "save_state", "save_n_", "max_train_epochs", "log_with")


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One way to train: its name in the table, and the switches (without `launcher.`) that make it."""

    name: str
    switches: Mapping[str, object]


def why_not(trainer: Trainer) -> str | None:
    """Why there is nothing to compare, or None."""
    if "boosts" in trainer.switches:
        return None
    return f"{trainer.title} has no boosts: there is nothing to compare"


def variants_of(plan: Plan, *, each: bool) -> tuple[Variant, ...]:
    """Stock, the plan's own boosts (where it has none, those that are the default), and with `each` every boost alone."""
    none = {"boosts": OFF, **{f"boost_{name}": AUTO for name in BOOSTS}}
    own = {name: value for name, value in switch_values(plan.options).items() if name in {*none, "keep_mib"}}
    if boosts_of({f"{PREFIX}{name}": value for name, value in own.items()}) == OFF:
        own = {**own, "boosts": SWITCHES["boosts"].default}
    alone = [Variant(name=name, switches={**none, f"boost_{name}": "on"}) for name in BOOSTS] if each else []
    return (Variant(name=STOCK, switches=none), Variant(name=BOOSTED, switches=own), *alone)


def plan_of(paths: Paths, plan: Plan, variant: Variant, *, steps: int) -> Plan:
    """The plan of one run: so many counted steps behind the warm-up, no saves, no samples, no states.

    Raises:
        InputError: the plan names a trainer or an option that is not here.
    """
    kept = {name: setting for name, setting in plan.options.items() if not name.startswith(LEFT_OUT)}
    switches = {**variant.switches, "state_every_minutes": 0.0, "cache_images": "folder"}
    known = {f"{PREFIX}{name}" for name in SWITCHES} & plan.options.keys()
    changed = {
        "max_train_steps": steps + WARM_UP,
        **{f"{PREFIX}{name}": value for name, value in switches.items() if f"{PREFIX}{name}" in known},
    }
    options = {**kept, **{name: Setting(value=value, source=SOURCE) for name, value in changed.items()}}
    short = replace(plan, name=SOURCE, parent=None, resume_state=None)
    return vary_plan(paths, short, options, total_steps=steps + WARM_UP)

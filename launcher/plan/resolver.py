"""The resolver: preset, settings, answers, command line and machine become one plan. Nothing is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict

from launcher.errors import UsageError
from launcher.install import accelerate
from launcher.machine import Fact
from launcher.plan.cards import (
    cards_fact,
    cards_notes,
    cards_of,
    choose_cards,
    only_cards,
    refuse_cards,
    steps_on,
)
from launcher.plan.command import is_direct, make_argv, make_env
from launcher.plan.counting import count_steps
from launcher.plan.dataset import data_notes, make_dataset
from launcher.plan.device import CARD, CPU, accelerate_of, choose_device, choose_threads
from launcher.plan.evidence import FACT, model_fact
from launcher.plan.files import make_train
from launcher.plan.names import check_name, make_name
from launcher.plan.options import decide_options, gather_layers
from launcher.plan.proposal import known_peak
from launcher.plan.records import Plan, Request
from launcher.plan.sources import absolute, find_sources, survey_sources
from launcher.plan.speed import speed_notes
from launcher.plan.switches import allocator_of, switch_values
from launcher.plan.trainer import choose_trainer, trainer_notes
from launcher.preset import Setting, check_options, load_preset, load_settings
from launcher.trainers import FULL_TRAINER, load_trainer
from launcher.trainers.switches import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.preset import Preset, Settings
    from launcher.trainers import Trainer


class _Each(TypedDict):
    """What every training process is told."""

    mixed_precision: str
    threads: int


def resolve(paths: Paths, request: Request, machine: Machine) -> Plan:
    """Decide everything about a run.

    Raises:
        UsageError: a word of the command line, the name or the data folder's path cannot be used.
        InputError: the preset, the user's settings, or their combination is wrong.
    """
    preset = load_preset(paths, request.preset)
    own = load_settings(paths)
    cards = choose_cards(request, own, machine)
    machine = only_cards(machine, cards)
    trainer, trainer_setting = choose_trainer(paths, request, own, preset, machine)
    refuse_cards(trainer, cards)
    sources = find_sources(request, own)
    data = sources[0].path
    model = _model_file(request, own)
    name = _choose_name(request, preset, sources[0].title)
    found = survey_sources(sources, trainer.name)
    layers = gather_layers(paths, request, preset, own, trainer)
    device = choose_device(paths, trainer.name, machine)
    options, notes = decide_options(
        paths, layers, found, trainer, machine, on_cpu=device.value == CPU, model=model
    )
    notes = [
        *trainer_notes(trainer, trainer_setting, options, model, machine), *cards_notes(cards, options),
        *notes, *data_notes(found, options), *([f"Captions: {preset.captions}"] if preset.captions else []),
        *speed_notes(paths, trainer.name, options, device),
    ]  # fmt: skip
    facts = _facts(machine, trainer_setting, device, model if trainer.needs_model else None)
    if cards:
        facts["gpus"] = cards_fact(machine, cards)
    facts |= _peak(preset, options, trainer)
    plan = Plan(
        name=name,
        preset=preset.name,
        preset_sha256=preset.sha256,
        trainer=trainer.name,
        trainer_commit=trainer.commit,
        script=trainer.script,
        trainer_class=trainer.trainer_class,
        argv=(),
        env={},
        cwd=trainer.cwd,
        train={},
        dataset=make_dataset(options, found),
        options=options,
        machine=facts,
        notes=tuple(notes),
        total_steps=None,
        min_vram_gib=preset.min_vram_gib,
        parent=request.parent,
        resume_state=request.resume_state,
        model=model,
        data=data,
    )
    return _with_commands(
        paths, replace(plan, total_steps=count_steps(steps_on(cards, options), plan.dataset, found)), trainer
    )


def continue_plan(paths: Paths, plan: Plan, *, parent: str, state: Path | None) -> Plan:
    """The plan of a run that goes on with another: the same options, from a state (None: from the beginning).

    The command is made anew from what this installation knows, never taken from the stored plan: a run folder
    that came from somewhere else must not be able to start a program.

    Raises:
        InputError: the stored plan names a trainer that is not here, or an option that nobody may set.
    """
    trainer = load_trainer(paths, plan.trainer)
    check_options(paths, plan.options, trainer.options)
    again = replace(
        plan,
        options=_as_it_began(plan.options, trainer),
        dataset=without_cache_info(plan.dataset),
        parent=parent,
        resume_state=state,
        trainer_commit=trainer.commit,
        script=trainer.script,
        trainer_class=trainer.trainer_class,
        cwd=trainer.cwd,
    )
    return _with_commands(paths, again, trainer)


def _as_it_began(options: Mapping[str, Setting], trainer: Trainer) -> Mapping[str, Setting]:
    """A run that began before there were boosts goes on without: they round elsewhere, and nobody asked for that."""
    name = f"{PREFIX}boosts"
    if name in options or "boosts" not in trainer.switches:
        return options
    return {**options, name: Setting(value="off", source="launcher: the run began without boosts", why="")}


def vary_plan(paths: Paths, plan: Plan, options: Mapping[str, Setting], *, total_steps: int | None) -> Plan:
    """The same training with other options, and its command made anew from what this installation knows.

    Raises:
        InputError: the plan names a trainer that is not here, or an option that nobody may set.
    """
    trainer = load_trainer(paths, plan.trainer)
    check_options(paths, options, trainer.options)
    varied = replace(
        plan,
        options=options,
        dataset=without_cache_info(plan.dataset),
        total_steps=total_steps,
        trainer_commit=trainer.commit,
        script=trainer.script,
        trainer_class=trainer.trainer_class,
        cwd=trainer.cwd,
    )
    return _with_commands(paths, varied, trainer)


def without_cache_info(value: Any) -> Any:
    """A stored dataset without the one key that makes upstream write into a folder of images: plans may be anybody's."""
    if isinstance(value, dict):
        return {key: without_cache_info(item) for key, item in value.items() if key != "cache_info"}
    return [without_cache_info(item) for item in value] if isinstance(value, list) else value


def _model_file(request: Request, own: Settings) -> Path | None:
    model = request.model if request.model is not None else own.defaults.get("model")
    if model is None:
        return None
    return absolute(model.value if isinstance(model, Setting) else model, "--model")


def _choose_name(request: Request, preset: Preset, data: str) -> str:
    if request.name is None:
        return make_name(preset.name, data)
    reason = check_name(request.name)
    if reason:
        raise UsageError(
            reason[0].upper() + reason[1:], fix="choose another name with --name", where="--name"
        )
    return request.name


def _facts(machine: Machine, trainer: Setting, device: Fact, model: Path | None) -> dict[str, Fact]:
    facts = {
        "trainer": Fact(value=trainer.value, reason=trainer.source),
        "device": device,
        "bf16": machine.has_bf16,
        "threads": choose_threads(machine, device),
        "ram_mib": Fact(value=machine.ram_mib, reason=f"{machine.free_ram_mib} MiB free"),
        "system": Fact(value=machine.os, reason=""),
    }
    if machine.gpu:
        facts["vram_mib"] = Fact(value=machine.gpu.total_mib, reason=f"{machine.gpu.free_mib} MiB free")
    known = model_fact(model)
    if known:
        facts[FACT] = known
    return facts


def _peak(preset: Preset, options: Mapping[str, Setting], trainer: Trainer) -> dict[str, Fact]:
    peak = known_peak(preset, options) if trainer.name == FULL_TRAINER else None
    reason = "measured with these settings, beside some hundred MiB of CUDA's own"
    return {"peak_mib": Fact(value=peak, reason=reason)} if peak else {}


def _with_commands(paths: Paths, plan: Plan, trainer: Trainer) -> Plan:
    """What follows from the rest: command line, environment, train.toml."""
    facts = {name: fact.value for name, fact in plan.machine.items()}
    threads = facts.get("threads", 1)
    cards = cards_of(facts.get("gpus"))
    switches = switch_values(plan.options)
    precision = plan.options.get("mixed_precision")
    each: _Each = {
        "mixed_precision": str(precision.value) if precision else "no",
        "threads": threads if isinstance(threads, int) and 1 <= threads <= 1024 else 1,
    }
    processes = max(1, len(cards))
    argv = make_argv(
        paths, trainer, resume_state=plan.resume_state, switches=switches, processes=processes, gpus=cards, **each
    )  # fmt: skip
    version = accelerate_of(paths, trainer.name)
    direct = accelerate.child_variables(version, **each) if is_direct(processes, switches) else None
    allocator = allocator_of(switches, has_card=facts.get("device") == CARD, system=str(facts.get("system")))
    train = make_train(
        plan.options,
        name=plan.name,
        model=plan.model,
        tokenizers=paths.tokenizers if trainer.needs_model else None,
    )
    env = make_env(paths, plan.data, gpus=cards, allocator=allocator, direct=direct)
    return replace(plan, argv=argv, env=env, train=train)

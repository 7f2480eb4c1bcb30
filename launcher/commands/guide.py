"""The questions of the menu's `Train`: preset, base model, images, name. Each has a default, and remembers the last answer."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.commands import common
from launcher.files import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan, Proposal, Request
    from launcher.preset import Preset

FIRST = "style-8gb"  # where no card says which
MODELS = (".safetensors",)


def ask_for_plan(paths: Paths) -> Plan | None:
    """Ask what is needed and resolve it; None when the person goes back."""
    from launcher.plan import Request, check_name, resolve
    from launcher.ui import prompts

    last = last_answers(paths)
    machine = common.machine_of(paths)
    try:
        preset = ask_for_preset(paths, last.get("preset"), machine)
        model = ask_for_model(paths, Request(preset=preset.name), machine)
        data = prompts.ask_path(
            "Folder with your images", flag="--data", kind="folder", default=last.get("data")
        )
        name = prompts.ask_text(
            "Name of the LoRA", flag="--name", default=_suggest_name(data), check=check_name
        )
    except prompts.Back:
        return None
    request = Request(preset=preset.name, model=model, data=data, name=name)
    plan = resolve(paths, request, machine)
    remember(paths, preset=preset.name, data=str(data))
    try:
        return _fitting(paths, request, plan, machine)
    except prompts.Back:
        return None


def _fitting(paths: Paths, request: Request, plan: Plan, machine: Machine) -> Plan:
    """The plan, or one with smaller settings where the card has no room for it and the person takes them."""
    from launcher.forecast import FITS, forecast
    from launcher.plan import resolve
    from launcher.preflight.need import smaller_words
    from launcher.ui import formats, prompts

    card = forecast(paths, plan, machine).card
    words = () if card is None or card.verdict == FITS else smaller_words(plan, card)
    if card is None or not words:
        return plan
    choices = [
        prompts.Choice(value=True, title=f"With {', '.join(words)}", hint="should fit"),
        prompts.Choice(value=False, title="As it is", hint="close programs first"),
    ]
    question = f"{formats.gib(card.need_mib)} GiB of the card needed, {formats.gib(card.free_mib)} free. How?"
    if not prompts.ask_choice(question, choices, flag="--set", default=True):
        return plan
    return resolve(paths, replace(request, settings=(*request.settings, *words)), machine)


def ask_for_preset(paths: Paths, last: str | None, machine: Machine) -> Preset:
    """Let the person pick one of the usable presets; the one that fits the card stands first."""
    from launcher.plan import in_order, propose
    from launcher.preset import Preset, list_presets
    from launcher.ui import prompts

    whole = [entry for entry in list_presets(paths) if isinstance(entry, Preset) and not entry.is_base]
    proposal = propose(whole, machine)
    usable = in_order(whole, proposal, machine.gpu)
    choices = [
        prompts.Choice(value=preset.name, title=preset.title, hint=_hint(preset, proposal, machine))
        for preset in usable
    ]
    first = proposal.preset if proposal else FIRST
    default = last if last in {preset.name for preset in usable} else first
    chosen = prompts.ask_choice("Which preset?", choices, flag="PRESET", default=default)
    return next(preset for preset in usable if preset.name == chosen)


def _hint(preset: Preset, proposal: Proposal | None, machine: Machine) -> str:
    """As short as the narrowest terminal: the reason in full stands in `launcher presets`."""
    from launcher.plan import why_too_large

    if proposal is not None and preset.name == proposal.preset and machine.gpu is not None:
        return f"recommended for your {machine.gpu.total_mib / 1024:.0f} GB card"
    size = f"from {preset.min_vram_gib:g} GB" if preset.min_vram_gib else ""
    return why_too_large(preset, machine.gpu) or size


def ask_for_model(paths: Paths, request: Request, machine: Machine) -> Path | None:
    """The base model, where the trainer needs one and nobody has named it yet; None: no question was due.

    Raises:
        Back: the person went back.
    """
    from launcher.plan import choose_trainer
    from launcher.preset import load_preset, load_settings
    from launcher.ui import prompts

    own = load_settings(paths)
    trainer, _ = choose_trainer(paths, request, own, load_preset(paths, request.preset), machine)
    if not trainer.needs_model or request.model is not None or "model" in own.defaults:
        return request.model
    last = last_answers(paths).get("model")
    model = prompts.ask_path(
        "Base model, an SDXL checkpoint", flag="--model", kind="file", default=last, suffixes=MODELS
    )
    remember(paths, model=str(model))
    return model


def _suggest_name(data: Path) -> str:
    from launcher.plan import make_name

    return make_name(data.resolve().name)  # `..` and names that Windows does not allow are no suggestions


def _answers_file(paths: Paths) -> Path:
    return paths.home / "user" / "answers.json"


def last_answers(paths: Paths) -> dict[str, str]:
    path = _answers_file(paths)
    if not path.is_file():
        return {}
    from launcher.errors import InputError

    try:
        value = read_json(path)
    except InputError:  # only a convenience: a damaged one is as good as none
        return {}
    return (
        {key: text for key, text in value.items() if isinstance(text, str)} if isinstance(value, dict) else {}
    )


def remember(paths: Paths, **answers: str) -> None:
    path = _answers_file(paths)
    with suppress(OSError):  # only a convenience: a full or write-protected disk is preflight's to name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {**last_answers(paths), **answers})

"""A plan and a preset, explained: every value in its group, with the file and line (or flag) that set it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from launcher.plan.switches import DEFAULT, is_telling
from launcher.preset import Setting
from launcher.process import show as show_command
from launcher.trainers import DEFAULT_TRAINER
from launcher.trainers.switches import ABOUT, PREFIX, SWITCHES
from launcher.ui import formats
from launcher.ui.formats import clean
from launcher.ui.tables import grid, inset, lines_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from launcher.forecast import Forecast
    from launcher.plan import Plan
    from launcher.preset import Preset
    from launcher.ui.palette import Glyphs

MODEL_PRINT = "model_print"
T = TypeVar("T")
MOST_NAMED = 5  # variables; all of them are in `--json`

# By what people look for, not by upstream's order; the first group with a matching beginning takes the option.
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("training", ("max_train", "train_batch", "gradient_accumulation", "learning_rate", "unet_lr", "text_encoder_lr", "lr_", "optimizer", "max_grad", "seed", "min_snr", "noise_", "loss_", "huber", "scale_weight")),
    ("network", ("network_", "dim_from", "base_weights")),
    ("images", ("resolution", "enable_bucket", "bucket_", "min_bucket", "max_bucket", "caption_", "shuffle_", "keep_tokens", "flip_", "color_", "random_crop", "num_repeats", "class_tokens", "image_", "max_token")),
    ("memory and speed", ("mixed_", "full_", "fp8_", "gradient_checkpointing", "cache_", "xformers", "sdpa", "mem_eff", "lowram", "highvram", "no_half", "max_data", "persistent_", "vae_", "torch_")),
    ("saving and samples", ("save_", "sample_", "output_", "no_metadata", "metadata_")),
    ("launcher", ("launcher.",)),
    ("other", ("",)),
)  # fmt: skip


def grouped(options: Mapping[str, T]) -> list[tuple[str, list[tuple[str, T]]]]:
    """The options by group, empty groups left out, each in the order of its beginnings."""
    left = dict(options)
    groups = []
    for title, beginnings in GROUPS:
        names = [name for begin in beginnings for name in sorted(left) if name.startswith(begin)]
        found = [(name, left.pop(name)) for name in dict.fromkeys(names)]
        if found:
            groups.append((title, found))
    return groups


def settings_table(options: Mapping[str, Setting]) -> RenderableType:
    """Option, value, source: one table, so that the columns of all groups stand below each other.

    Of the boosts those are named that do not follow `launcher.boosts`; `--json` has all.
    """
    told = {name: setting for name, setting in options.items() if is_telling(name, setting.value)}
    table = grid(
        {"no_wrap": True, "overflow": "ellipsis"},
        {"overflow": "fold", "max_width": 28},
        {"overflow": "fold", "ratio": 1},
        gap=2,
    )
    for number, (title, settings) in enumerate(grouped(told)):
        if number:
            table.add_row("", "", "")
        table.add_row(Text(title, style="strong"), "", "")
        for name, setting in settings:
            value = Text(show_value(setting.value), style="accent")
            table.add_row(f"  {clean(name)}", value, Text(_origin(setting), style="muted"))
    return inset(table)


def explained_settings(options: Mapping[str, Setting]) -> RenderableType:
    """Each option with its value and source, and below it the comment that says why, over the whole width."""
    lines: list[RenderableType] = []
    widest = max((len(name) for name in options), default=0)
    for title, settings in grouped(options):
        lines += ["", Text(title, style="strong")]
        for name, setting in settings:
            lines.append(
                Text.assemble(
                    f"  {clean(name):<{widest}}  ", (show_value(setting.value), "accent"), (f"   {_short(setting.source)}", "faint")
                )
            )  # fmt: skip
            why = clean(getattr(setting, "why", ""))
            if why:
                lines.append(Padding(Text(why, style="muted"), (0, 0, 0, 4)))
    return inset(Group(*lines[1:]))


def _origin(setting: Setting) -> str:
    """Where a value comes from; of a switch that nobody has set, rather what it does."""
    why = getattr(setting, "why", "")
    return clean(why) if setting.source == DEFAULT and why else _short(setting.source)


def _short(source: str) -> str:
    """A source without the folder of the shipped presets: the file's name says enough, and 80 columns are few."""
    return clean(source).removeprefix("presets/")


def show_value(value: object) -> str:
    """A value as a preset file would say it, lists joined by spaces."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return " ".join(show_value(item) for item in value)
    if isinstance(value, float):
        return formats.rate(value) if 0 < abs(value) < 0.001 else f"{value:g}"
    return clean(value)


def plan_view(plan: Plan, glyphs: Glyphs, forecast: Forecast | None = None) -> RenderableType:
    """Everything about a run before it starts."""
    parts = [
        _heading(plan, glyphs),
        "",
        inset(_facts(plan)),
        *_forecast(forecast, glyphs),
        "",
        settings_table(plan.options),
    ]
    parts += ["", inset(_technical(plan))]
    if plan.notes:
        parts += ["", inset(_notes(plan.notes, glyphs))]
    return Group(*parts)


def plan_summary(plan: Plan, glyphs: Glyphs, forecast: Forecast | None = None) -> RenderableType:
    """The half screen that comes before a training: what, on what, for how long, and what was decided on the way."""
    parts = [_heading(plan, glyphs), "", inset(_facts(plan)), *_forecast(forecast, glyphs)]
    if plan.notes:
        parts += ["", inset(_notes(plan.notes, glyphs))]
    return Group(*parts)


def _forecast(found: Forecast | None, glyphs: Glyphs) -> list[RenderableType]:
    if found is None:
        return []
    from launcher.ui.forecast_view import forecast_view

    return ["", forecast_view(found, glyphs)]


def _heading(plan: Plan, glyphs: Glyphs) -> RenderableType:
    steps = formats.count(plan.total_steps, "step") if plan.total_steps else ""
    facts = f" {glyphs.between} ".join(clean(fact) for fact in (plan.preset, plan.trainer, steps) if fact)
    return inset(Text.assemble((clean(plan.name), "title"), "   ", (facts, "muted")))


def _facts(plan: Plan) -> RenderableType:
    table = grid({"no_wrap": True, "style": "muted", "min_width": 10}, {"overflow": "fold"})
    rows: list[tuple[str, Any]] = [
        ("images", plan.data),
        ("base model", plan.model),
        ("goes on with", plan.parent),
        ("from state", plan.resume_state),
    ]
    for title, value in rows:
        if value:
            table.add_row(title, clean(value))
    for name, fact in plan.machine.items():
        if name == MODEL_PRINT:  # for programs
            continue
        value, reason = _fact(fact)
        label = clean(name).replace("_", " ")
        if name.endswith("_mib") and isinstance(value, (int, float)):
            label, value = label[: -len(" mib")].upper(), formats.amount(value)
        table.add_row(
            label,
            Text.assemble(show_value(value), (f"   {clean(reason)}" if reason else "", "muted")),
        )
    return table


def _fact(fact: Any) -> tuple[object, object]:
    if isinstance(fact, dict):
        return fact.get("value"), fact.get("reason")
    return getattr(fact, "value", fact), getattr(fact, "reason", "")


def _technical(plan: Plan) -> RenderableType:
    """Command and environment: for those who want to see them, quiet for the others."""
    table = grid({"no_wrap": True, "style": "muted", "min_width": 10}, {"overflow": "fold", "style": "muted"})
    table.add_row("command", clean(show_command(list(plan.argv))))
    changes = [f"{name}={value}" for name, value in plan.env.items() if value is not None]
    table.add_row("variables", lines_of("\n".join(changes)))
    removed = [name for name, value in plan.env.items() if value is None]
    more = (
        f" and {len(removed) - MOST_NAMED} more that other tools may have left"
        if len(removed) > MOST_NAMED
        else ""
    )
    table.add_row("removed", lines_of(", ".join(removed[:MOST_NAMED]) + more))
    return table


def _notes(notes: tuple[str, ...], glyphs: Glyphs) -> RenderableType:
    table = grid({"width": 2}, {"overflow": "fold"}, gap=0)
    for note in notes:
        table.add_row(Text(glyphs.dot, style="accent"), lines_of(note))
    return table


def _boosts_of(preset: Preset) -> dict[str, Setting]:
    """What `boosts` is where a preset leaves it alone: what it means is worth a line in every one."""
    if preset.trainer == DEFAULT_TRAINER:
        return {}
    setting = Setting(value=SWITCHES["boosts"].default, source=DEFAULT, why=ABOUT["boosts"])
    return {f"{PREFIX}boosts": setting}


def preset_view(preset: Preset, glyphs: Glyphs) -> RenderableType:
    """One preset: what it is for, what it extends, and all its values."""
    vram = f"from {preset.min_vram_gib:g} GB VRAM" if preset.min_vram_gib else ""
    facts = f" {glyphs.between} ".join(fact for fact in (clean(preset.name), vram) if fact)
    parts: list[RenderableType] = [
        inset(Text.assemble((clean(preset.title), "title"), "   ", (facts, "muted")))
    ]
    if preset.purpose:
        parts.append(inset(lines_of(preset.purpose)))
    if getattr(preset, "captions", ""):
        parts.append(inset(Text.assemble(("captions  ", "muted"), lines_of(preset.captions))))
    chain = f" {glyphs.arrow} ".join(clean(path.name) for path in preset.chain)
    parts += [
        inset(Text(chain, style="muted")),
        "",
        explained_settings(
            {
                **preset.options,
                **preset.dataset,
                **_boosts_of(preset),
                **{f"{PREFIX}{name}": item for name, item in preset.switches.items()},
            }
        ),
    ]
    if getattr(preset, "measured", ""):
        parts += ["", inset(Text.assemble(("measured  ", "muted"), lines_of(preset.measured)))]
    return Group(*parts)

"""What a training does without when it leaves the launcher, in words and, where they are at hand, in numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.errors import LauncherError
from launcher.forecast import forecast
from launcher.plan.speed import OFF, boosts_of
from launcher.plan.switches import switch_values
from launcher.trainers.switches import PREFIX, SWITCHES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Plan

# What sd-scripts does by itself, as values of the switches that change it.
STOCK: Mapping[str, object] = {
    "lean_load": False, "free_text_encoders": False, "vae_encode": "stock", "vae_decode": "stock", "sample_unet": "stock",
    "offload_mib": 0, "allocator": "stock",
}  # fmt: skip


def marks(plan: Plan) -> list[tuple[str, str]]:
    """Switches that are not at their default, as `launcher import` reads them back."""
    return [
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in switch_values(plan.options).items()
        if name in SWITCHES and value != SWITCHES[name].default
    ]


def lost(paths: Paths, plan: Plan, machine: Machine | None) -> list[str]:
    """One sentence for each thing."""
    values = switch_values(plan.options)
    said = [_memory(paths, plan, machine)]
    if boosts_of({name: setting.value for name, setting in plan.options.items()}) != OFF:
        said.append("The launcher's boosts do not act: the same training, in more time.")
    if values.get("cache_images") == "folder" and (plan.train.get("cache_latents_to_disk") or plan.train.get("cache_text_encoder_outputs_to_disk")):  # fmt: skip
        said.append("sd-scripts writes its caches (.npz) beside the images.")
    if values.get("exact_resume"):
        said.append("No pause and no exact resume: '--resume FOLDER' of sd-scripts loads a state, but shows the images in another order and counts the steps anew.")  # fmt: skip
    if values.get("state_every_minutes"):
        said.append("No states by the clock: only what save_state writes, and all of it stays on the disk.")
    if values.get("stop_on_nan"):
        said.append("It goes on when the loss is no number any more.")
    if values.get("hold_above_c"):
        said.append(f"It does not wait when the card is hotter than {values['hold_above_c']} °C.")
    said.append("Nobody checks settings, images, disk and memory before it starts.")
    return [text for text in said if text]


def _memory(paths: Paths, plan: Plan, machine: Machine | None) -> str:
    """The card's need by the forecast, with the launcher's savings and as sd-scripts does it."""
    text = "The launcher's savings of memory do not act."
    if "peak_mib" in plan.machine:  # of the preset, where nothing that counts was changed
        text += f" With them these settings took {plan.machine['peak_mib'].value} MiB of a card (measured), without them they take more."
    if machine is None:
        return text
    options = dict(plan.options)
    for name, value in STOCK.items():
        if f"{PREFIX}{name}" in options:
            options[f"{PREFIX}{name}"] = replace(options[f"{PREFIX}{name}"], value=value)
    try:
        own, stock = (
            forecast(paths, plan, machine).card,
            forecast(paths, replace(plan, options=options), machine).card,
        )
    except LauncherError:
        return text
    if own is None or stock is None:
        return text
    return f"{text} Forecast of the card's memory: {own.need_mib:.0f} MiB with the launcher, {stock.need_mib:.0f} MiB with this script."  # fmt: skip

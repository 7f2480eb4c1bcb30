"""What the length of a step follows from, and what `bench` has found about it on this computer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from launcher.machine.benched import load_comparisons
from launcher.paths import command
from launcher.trainers.switches import AUTO, BOOSTS, PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.machine import Fact
    from launcher.machine.benched import Comparison
    from launcher.paths import Paths
    from launcher.preset import Setting

OFF = "off"
CPU = "cpu"
DECIDING = (
    "resolution", "train_batch_size", "gradient_accumulation_steps", "gradient_checkpointing", "mixed_precision", "full_bf16", "full_fp16",
    "fp8_base", "fp8_base_unet", "network_module", "network_dim", "network_args", "network_train_unet_only",
    "network_train_text_encoder_only", "cache_text_encoder_outputs", "max_token_length", "optimizer_type", "use_8bit_adam",
    "sdpa", "xformers", "mem_eff_attn", "lowram", f"{PREFIX}offload_mib",
)  # fmt: skip


def settings_of(values: Mapping[str, object]) -> dict[str, str]:
    """Of a plan's values those that decide how long a step takes, as text; what is off or not set is left out."""
    return {
        name: _text(values[name]) for name in DECIDING if values.get(name) not in (None, False, 0, "", [], ())
    }


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value).replace(", ", ",")


def boosts_of(values: Mapping[str, object]) -> str:
    """Which boosts are switched on, in one line: `rounding`, `exact, keep=off`; `off` where nobody has heard of any."""
    highest = str(values.get(f"{PREFIX}boosts") or OFF)
    own = {name: str(values.get(f"{PREFIX}boost_{name}") or AUTO) for name in BOOSTS}
    telling = {AUTO, OFF} if highest == OFF else {AUTO}
    words = [f"{name}={value}" for name, value in own.items() if value not in telling]
    room = values.get(f"{PREFIX}keep_mib")
    return ", ".join([highest, *words, *([f"keep_mib={room}"] if room and highest != OFF else [])])


def card_of(device: object) -> str:
    """The card's name, from a plan's fact `device`."""
    value, reason = getattr(device, "value", None), getattr(device, "reason", "")
    return str(reason).partition(", driver")[0] if value == "cuda" else CPU


def speed_notes(paths: Paths, trainer: str, options: Mapping[str, Setting], device: Fact) -> list[str]:
    """A sentence where a bench with these very settings has shown that the boosts cost time. Nothing is switched."""
    values = {name: setting.value for name, setting in options.items()}
    if boosts_of(values) == OFF:
        return []
    found = find_comparison(paths, trainer, values, card_of(device))
    if found is None or not found.is_slower:
        return []
    day = time.strftime("%Y-%m-%d", time.localtime(found.taken))
    by = f", launcher {found.launcher}" if found.launcher else ""
    said = f"a step took {found.ratio:.2f} times stock's ({command('bench')} of {day}{by})"
    return [
        f"The boosts do not pay on this card with these settings: {said}. {PREFIX}boosts = off would be faster."
    ]


def find_comparison(paths: Paths, trainer: str, values: Mapping[str, object], card: str) -> Comparison | None:
    """The newest bench of these settings with these boosts on this card."""
    settings, boosts = settings_of(values), boosts_of(values)
    return next(
        (
            one
            for one in load_comparisons(paths)
            if (one.card, one.trainer, one.boosts) == (card, trainer, boosts)
            and dict(one.settings) == settings
        ),
        None,
    )

"""The shipped preset from which a script differs least, and those differences."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from launcher.errors import InputError
from launcher.paths import Paths
from launcher.preset import AUTOMATIC_TRAINER, Preset, load_preset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.importer.words import Given
    from launcher.trainers import Option

WITHOUT_COST = 0.25  # an option that is only left out is a word on one line


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What a preset has to say to become the script: options with values, and names that it does not take over.

    `off` are flags that the preset has on and the script does not pass.
    """

    preset: Preset
    options: Mapping[str, Given]
    off: tuple[str, ...]
    without: tuple[str, ...]

    @property
    def cost(self) -> float:
        return len(self.options) + len(self.off) + WITHOUT_COST * len(self.without)


def nearest(
    paths: Paths,
    options: Mapping[str, Given],
    table: Mapping[str, Option],
    says: frozenset[str] | None = None,
) -> Difference | None:
    """The nearest shipped preset that trains SDXL and has no repeats or switches of its own; None: none can be read."""
    shipped = _shipped(Paths(root=paths.shipped, home=paths.shipped, shipped=paths.shipped))
    candidates = [difference_from(preset, options, table, says) for preset in shipped]
    return min(candidates, key=lambda difference: difference.cost, default=None)


@cache
def _shipped(paths: Paths) -> tuple[Preset, ...]:
    """Read once in a process: they come with the launcher and do not change."""
    found = []
    for path in sorted(paths.presets.glob("*.toml")):
        with suppress(InputError):
            found.append(load_preset(paths, path))
    return tuple(preset for preset in found if _is_plain(preset))


def _is_plain(preset: Preset) -> bool:
    return preset.trainer == AUTOMATIC_TRAINER and not preset.dataset and not preset.switches


def difference_from(
    preset: Preset,
    options: Mapping[str, Given],
    table: Mapping[str, Option],
    says: frozenset[str] | None = None,
) -> Difference:
    """What is not the same in a preset and in a script. An option that a script does not pass has upstream's default.

    `says` names the options that this kind of file can tell of (None: all); of others the preset's value stays.
    """
    inherited = {name: setting.value for name, setting in preset.options.items()}
    differing = {
        name: given
        for name, given in options.items()
        if name not in inherited or not is_same(inherited[name], given.value)
    }
    extra = [
        name
        for name in inherited
        if name not in options
        and (says is None or name in says)
        and not is_same(inherited[name], table[name].default)
    ]
    off = tuple(name for name in extra if table[name].type == "flag")
    return Difference(
        preset=preset, options=differing, off=off, without=tuple(name for name in extra if name not in off)
    )


def is_same(one: object, other: object) -> bool:
    """Equal values, `1` and `1.0` among them; true is no 1. A flag that is off is one that is not there."""
    if isinstance(one, bool) or isinstance(other, bool):
        return bool(one) == bool(other) if one is None or other is None else one is other
    return one == other

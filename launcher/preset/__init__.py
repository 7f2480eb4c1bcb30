"""Presets: TOML files with upstream option names, read into frozen records; all errors of a file at once."""

from launcher.preset.fitting import Fitted, fit_options
from launcher.preset.layers import lay_over
from launcher.preset.records import AUTOMATIC_TRAINER, BrokenPreset, Preset, Setting
from launcher.preset.rules import check_combinations
from launcher.preset.settings import (
    Settings,
    check_options,
    load_settings,
    settings_from_answers,
    settings_from_words,
)
from launcher.preset.shelf import list_presets, load_preset

__all__ = [
    "AUTOMATIC_TRAINER",
    "BrokenPreset",
    "Fitted",
    "Preset",
    "Setting",
    "Settings",
    "check_combinations",
    "check_options",
    "fit_options",
    "lay_over",
    "list_presets",
    "load_preset",
    "load_settings",
    "settings_from_answers",
    "settings_from_words",
]

"""`presets`, `show`, `validate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from launcher.paths import Paths
    from launcher.preset import BrokenPreset, Preset


def presets(paths: Paths, options: argparse.Namespace) -> int:
    """List what is shipped and what is the user's own."""
    from launcher.commands.common import machine_of
    from launcher.plan import fits, in_order, propose
    from launcher.preset import BrokenPreset, Preset, list_presets
    from launcher.ui import console

    found = list_presets(paths)
    whole = [entry for entry in found if isinstance(entry, Preset)]
    machine = machine_of(paths)
    proposal = propose(whole, machine)
    if options.json:
        marks = {
            entry.name: {
                "proposed": proposal is not None and entry.name == proposal.preset,
                "fits": fits(entry, machine.gpu) if machine.gpu else None,
            }
            for entry in whole
        }
        console.write_json([{**preset_json(entry), **marks.get(entry.name, {})} for entry in found])
        return 0
    broken = [entry for entry in found if isinstance(entry, BrokenPreset)]
    console.show_presets([*in_order(whole, proposal, machine.gpu), *broken], proposal, machine.gpu)
    return 0


def show(paths: Paths, options: argparse.Namespace) -> int:
    """Explain one preset: each value with its source."""
    from launcher.preset import load_preset
    from launcher.ui import console

    preset = load_preset(paths, options.preset)
    if options.json:
        console.write_json(preset_json(preset))
    else:
        console.show_preset(preset)
    return 0


def validate(paths: Paths, options: argparse.Namespace) -> int:
    """Check a preset file; all its errors come at once."""
    from launcher.preset import load_preset
    from launcher.ui import console

    preset = load_preset(paths, str(Path(options.file)))
    if options.json:
        warnings = [{"what": p.what, "where": p.where, "fix": p.fix} for p in preset.warnings]
        console.write_json({"valid": True, "name": preset.name, "warnings": warnings})
    else:
        console.out(f"{options.file} is valid: {preset.title}")
        console.show_problems(preset.warnings)
    return 0


def preset_json(preset: Preset | BrokenPreset) -> dict[str, object]:
    """A preset for programs; of a broken one its errors."""
    from launcher.preset import Preset

    if not isinstance(preset, Preset):
        problems = [{"what": p.what, "where": p.where, "fix": p.fix} for p in preset.error.problems]
        return {"name": preset.name, "error": preset.error.what, "problems": problems}
    return {
        "name": preset.name,
        "title": preset.title,
        "purpose": preset.purpose,
        "captions": preset.captions,
        "min_vram_gib": preset.min_vram_gib,
        "peak_mib": preset.peak_mib,
        "measured": preset.measured,
        "trainer": preset.trainer,
        "chain": [str(path) for path in preset.chain],
        "options": {
            key: {"value": setting.value, "source": setting.source} for key, setting in preset.options.items()
        },
        "dataset": {
            key: {"value": setting.value, "source": setting.source} for key, setting in preset.dataset.items()
        },
        "launcher": {
            key: {"value": setting.value, "source": setting.source}
            for key, setting in preset.switches.items()
        },
    }

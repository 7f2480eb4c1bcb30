"""The report of an import as plain data, for `--json` and for tests. Nothing secret is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.importer.secrets import hide
from launcher.importer.translate import show
from launcher.importer.write import typed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from launcher.importer.importing import Made
    from launcher.importer.outcome import Import, Outcome


def report(found: Import, made: Sequence[Made] = (), written: Sequence[Path] = ()) -> dict[str, Any]:
    """One file: what was kept, changed, dropped, unreadable and withheld, each with its line."""
    return {
        "file": str(found.source.path),
        "format": found.format,
        "encoding": found.source.encoding,
        "sha256": found.source.sha256,
        "trainings": [
            {
                **training(outcome),
                **_preset(next((one for one in made if one.outcome is outcome), None), written),
            }
            for outcome in found.outcomes
        ],
        "also_runs": list(found.others),
        "notes": [{"line": note.line, "text": hide(note.text)} for note in found.notes],
        "unreadable": [{"line": note.line, "text": hide(note.text)} for note in found.unreadable],
    }


def training(outcome: Outcome) -> dict[str, Any]:
    """One training of a file."""
    launch = outcome.launch
    return {
        "line": launch.line,
        "script": launch.script.text,
        "condition": launch.condition,
        "options": {name: given.value for name, given in outcome.options.items()},
        "switches": {name: given.value for name, given in outcome.switches.items()},
        "kept": [{"option": item.name, "value": item.value, "where": item.where} for item in outcome.kept],
        "changed": [
            {"option": item.name, "before": hide(item.before), "after": hide(item.after), "why": item.why, "line": item.line}
            for item in outcome.changed
        ],
        "dropped": [
            {"option": item.name, "value": hide(item.value), "why": item.why, "line": item.line} for item in outcome.dropped
        ],
        "unreadable": [{"text": item.text, "why": hide(item.why), "line": item.line} for item in outcome.unread],
        "secrets_withheld": [{"option": item.name, "line": item.line} for item in outcome.secrets],
        "missing_paths": [
            {"option": item.name, "path": item.path, "line": item.line, "note": item.note} for item in outcome.missing
        ],
        "advice": list(outcome.advice),
        **{key: _word(getattr(outcome, key)) for key in ("model", "data", "reg", "name", "gpus", "trainer")},
    }  # fmt: skip


def _word(given: Any) -> str | None:
    return None if given is None else show(given.value)


def _preset(made: Made | None, written: Sequence[Path]) -> dict[str, Any]:
    if made is None:
        return {}
    return {
        "preset": str(made.path),
        "written": made.path in written,
        "extends": made.difference.preset.name,
        "toml": made.text,
        "train": list(made.train),
        "command": typed(made.train),
    }

"""What a model file is, on half a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from launcher.errors import Severity
from launcher.ui.formats import clean
from launcher.ui.tables import grid, inset, problem_list

if TYPE_CHECKING:
    from launcher.preflight.describe import ModelFile
    from launcher.ui.palette import Glyphs


def model_view(found: ModelFile, glyphs: Glyphs) -> RenderableType:
    """Its facts, what speaks against training on it, and the verdict."""
    table = grid({"no_wrap": True, "style": "muted", "min_width": 10}, {"overflow": "fold"})
    for name, text in found.facts:
        table.add_row(name, clean(text))
    parts: list[RenderableType] = [inset(Text(clean(found.path.name), style="title")), ""]
    parts += [inset(table), ""] if found.kind else []
    if found.problems:
        parts += [problem_list(found.problems, glyphs), ""]
    has_errors = any(problem.severity is Severity.ERROR for problem in found.problems)
    verdict = (
        Text("No LoRA can be trained on it.", style="bad")
        if has_errors
        else Text("LoRAs can be trained on it.", style="good")
    )
    return Group(*parts, inset(verdict))

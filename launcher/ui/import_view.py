"""What an import understood, as a screen: the settings with their lines, then what needs a look, then what to type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from launcher.importer.places import without_repeats
from launcher.importer.secrets import hide
from launcher.importer.translate import show
from launcher.importer.write import typed
from launcher.ui import console, formats
from launcher.ui.formats import clean
from launcher.ui.plan_view import grouped
from launcher.ui.tables import grid, headed, inset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from launcher.importer.importing import Made
    from launcher.importer.outcome import Import, Outcome
    from launcher.ui.palette import Glyphs


def show_import(found: Import, made: Sequence[Made]) -> None:
    """One file: what it trains and with which settings."""
    glyphs = console.signs()
    console.show(heading(found, glyphs))
    for number, one in enumerate(made, start=1):
        console.show(training(one, glyphs, number if len(made) > 1 else 0))
    rest = remarks(found, glyphs)
    if rest is not None:
        console.show(rest)


def heading(found: Import, glyphs: Glyphs) -> RenderableType:
    """The file, and how it was read."""
    count = formats.count(len(found.outcomes), "training")
    facts = f" {glyphs.between} ".join([found.format, found.source.encoding, count])
    return inset(Text.assemble((clean(found.source.label), "title"), "   ", (facts, "muted")))


def training(one: Made, glyphs: Glyphs, number: int = 0) -> RenderableType:
    """One training: how it is called, its settings by group, and what was changed, dropped or could not be read."""
    outcome = one.outcome
    parts: list[RenderableType] = []
    if number:
        parts += [inset(Text(f"Training {number}, line {outcome.launch.line}", style="strong")), ""]
    if outcome.launch.condition:
        parts += [inset(_rows([_row(glyphs.alert, "warn", f"runs {outcome.launch.condition}")])), ""]
    if any((outcome.model, outcome.data, outcome.reg, outcome.name, outcome.gpus)):
        parts += [inset(_run(outcome)), ""]
    parts.append(inset(_settings(outcome, glyphs)))
    for title, rows in _sections(outcome, glyphs):
        parts += ["", inset(Text(title, style="strong")), inset(_rows(rows))]
    differing = len(one.difference.options) + len(one.difference.off)
    extends = Text.assemble(
        ("extends ", "muted"), (clean(one.difference.preset.name), "key"),
        (f" and says {formats.count(differing, 'thing')} differently", "muted"),
    )  # fmt: skip
    return Group(*parts, "", inset(extends))


def _run(outcome: Outcome) -> RenderableType:
    table = grid(
        {"no_wrap": True, "style": "muted", "min_width": 10},
        {"overflow": "fold"},
        {"style": "faint", "no_wrap": True},
        gap=2,
    )
    missing = {item.path: item for item in outcome.missing}
    more = [("regularisation" if item.name == "reg_data_dir" else "images", item) for item in outcome.more]
    for title, given in (
        ("base model", outcome.model),
        ("images", outcome.data),
        ("regularisation", outcome.reg),
        *more,
        ("name", outcome.name),
        ("cards", outcome.gpus),
    ):
        if given is not None:
            value = Text(clean(given.value))
            lost = missing.get(without_repeats(given)[:300])
            if lost is not None:
                value.append(f"   {clean(lost.note) or 'not on this computer'}", "warn")
            table.add_row(title, value, _where(given))
    return table


def _settings(outcome: Outcome, glyphs: Glyphs) -> RenderableType:
    """The options by group, with their lines; a changed one is marked."""
    table = grid(
        {"no_wrap": True}, {"overflow": "fold", "ratio": 1}, {"no_wrap": True, "style": "faint"}, gap=2
    )
    changed = {item.name for item in outcome.changed}
    groups = grouped(
        {**outcome.options, **{f"launcher.{name}": given for name, given in outcome.switches.items()}}
    )
    for number, (title, settings) in enumerate(groups):
        if number:
            table.add_row("", "", "")
        table.add_row(Text(title, style="strong"), "", "")
        for name, given in settings:
            mark = f" {glyphs.alert}" if name in changed else ""
            table.add_row(
                f"  {clean(name)}",
                Text.assemble((clean(show(given.value)), "accent"), (mark, "warn")),
                _where(given),
            )
    return table


def _where(given: Any) -> str:
    return f"line {given.line}" if given.line else ""


Row = tuple[Text, Text, str]  # sign, words, where


def _sections(outcome: Outcome, glyphs: Glyphs) -> Iterable[tuple[str, list[Row]]]:
    """What needs a look, the worst first; sections without rows are passed over."""
    elsewhere = {given.name for given in (outcome.model, outcome.data, outcome.reg) if given is not None}
    cross, alert, dot, arrow = glyphs.cross, glyphs.alert, glyphs.dot, glyphs.arrow
    sections = {
        "Not understood, so not in the preset": [
            _row(cross, "bad", item.text, item.why, item.line) for item in outcome.unread
        ],
        "Secrets, neither stored nor shown": [
            _row(alert, "warn", item.name, "set it in the environment instead", item.line)
            for item in outcome.secrets
        ],
        "Changed": [
            _row(arrow, "accent", f"{hide(item.before)} {arrow} {hide(item.after)}", item.why, item.line)
            for item in outcome.changed
        ],
        "Not on this computer": [
            _row(alert, "warn", f"{item.name} = {hide(item.path)}", item.note, item.line)
            for item in outcome.missing
            if item.name not in elsewhere
        ],
        "Left to the launcher": [
            _row(dot, "muted", f"{item.name} {hide(item.value)}".strip(), item.why, item.line)
            for item in outcome.dropped
        ],
        "Worth knowing": [_row(dot, "accent", text) for text in outcome.advice],
    }
    return [(title, rows) for title, rows in sections.items() if rows]


def _row(sign: str, role: str, text: str, why: str = "", line: int = 0) -> Row:
    words = Text(clean(text))
    if why:
        words.append(f"   {clean(why)}", "muted")
    return Text(sign, style=role), words, f"line {line}" if line else ""


def _rows(rows: list[Row]) -> RenderableType:
    has_lines = any(where for _, _, where in rows)
    table = grid(
        {"width": 1},
        {"overflow": "fold", "ratio": 1},
        *([{"no_wrap": True, "style": "faint"}] if has_lines else []),
        gap=1,
    )
    for sign, text, where in rows:
        table.add_row(sign, text, *([where] if has_lines else []))
    return table


def remarks(found: Import, glyphs: Glyphs) -> RenderableType | None:
    """What is to be said of the file as a whole."""
    rows = [_row(glyphs.cross, "bad", hide(note.text), line=note.line) for note in found.unreadable]
    rows += [_row(glyphs.alert, "warn", hide(note.text), line=note.line) for note in found.notes]
    rows += [_row(glyphs.dot, "muted", f"not imported: {hide(other)}") for other in found.others]
    return Group(inset(Text("About the file", style="strong")), inset(_rows(rows))) if rows else None


def show_written(made: Sequence[Made], queue: Path | None) -> None:
    """Where the presets are, and the commands that train with them, each on a line that can be copied."""
    glyphs = console.signs()
    console.out("")
    for one in made:
        console.get_console().print(
            Text.assemble((f"  {glyphs.tick} ", "good"), clean(one.path)), soft_wrap=True
        )
    if queue is not None:
        console.get_console().print(
            Text.assemble((f"  {glyphs.tick} ", "good"), clean(queue)), soft_wrap=True
        )
    console.out(
        "\n  Train with it:" if len(made) == 1 else "\n  Train with them, one after the other:", "muted"
    )
    for one in made:
        console.get_console().print(Text(f"    {clean(typed(one.train))}", style="key"), soft_wrap=True)


def show_batch(attempts: Sequence[Any], written: Sequence[Path]) -> None:
    """Many files: a line for each."""
    glyphs = console.signs()
    table = headed(
        ("", {"width": 1}),
        ("file", {"overflow": "fold", "ratio": 1}),
        ("outcome", {"overflow": "fold", "ratio": 2}),
        gap=2,
    )
    for item in attempts:
        if item.found is None:
            table.add_row(
                Text(glyphs.cross, style="bad"),
                clean(item.path.name),
                Text(
                    clean(
                        item.error.what.removeprefix(f"{item.path.name} is ").removeprefix(
                            f"{item.path.name} "
                        )
                    ),
                    style="muted",
                ),
            )
            continue
        unread = sum(len(made.outcome.unread) for made in item.made) + len(item.found.unreadable)
        about = Text(", ".join(clean(made.path.name) for made in item.made), style="key")
        if not any(made.path in written for made in item.made):
            about.append("  not written", "muted")
        if unread:
            about.append(f"  {formats.count(unread, 'thing')} not understood", "warn")
        sign, role = (glyphs.alert, "warn") if unread else (glyphs.tick, "good")
        table.add_row(Text(sign, style=role), clean(item.path.name), about)
    console.show(inset(table))
    done = sum(bool(item.made) for item in attempts)
    console.out(
        f"\n  {done} of {formats.count(len(attempts), 'file')} imported. `import FILE --dry-run` shows one of them in full."
    )

"""Pictures of the menu, the dashboard, a preset and the history for the README, as SVG.

    python -m tests.tools.screenshots [FOLDER]      (default: .github/screens)

The run on them is made up (tests/ui_views.py): numbers look like an 8 GB card's and are not measured.
"""

import argparse
import io
import re
from pathlib import Path

from rich.console import Group
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from launcher.paths import find_paths
from launcher.preset import load_preset
from launcher.ui import ink, menu, tables
from launcher.ui.console import make_console
from launcher.ui.frame import render
from launcher.ui.palette import FULL
from launcher.ui.plan_view import preset_view
from tests import ui_views as views

ROOT = Path(__file__).resolve().parent.parent.parent
COLUMNS, ROWS = 80, 24
NIGHT = TerminalTheme((22, 24, 29), (205, 208, 214), [(59, 63, 71)] * 8, [(90, 96, 107)] * 8)
PROMPT = (
    "❯ Watch cyanotype",
    "  Resume aki-style",
    "  Resume 訓練 データ",
    "  Train a LoRA",
    "  History",
    "  Check-up",
    "  Quit",
)


def save(renderable, path, *, title, columns=COLUMNS, rows=None):
    """One picture of a terminal."""
    console = make_console(
        io.StringIO(),
        width=columns,
        height=rows or ROWS,
        record=True,
        force_terminal=True,
        color_system="256",
    )
    console.print(renderable)
    svg = console.export_svg(title=title, theme=NIGHT, unique_id=path.stem)
    svg = re.sub(
        r"@font-face \{.*?\}", "", svg, flags=re.DOTALL
    )  # a picture must not fetch fonts from anywhere
    svg = svg.replace("Fira Code", "ui-monospace, Cascadia Mono, DejaVu Sans Mono, Consolas")
    path.write_text(
        "\n".join(line for line in svg.splitlines() if line.strip()) + "\n", encoding="utf-8", newline="\n"
    )
    return path


def menu_picture():
    """The first screen with the question as questionary draws it (the real one needs a keyboard)."""
    live, *rest = views.records()
    view = menu.MenuView(
        version="0.1.0", machine=views.MACHINE, live=(live,), resumable=tuple(rest[:2]), recent=(live, *rest)
    )
    lines = [Text.from_ansi(ink.to_ansi(line, 256)) for line in menu.first_screen(view, FULL, now=views.NOW)]
    question = Text.assemble(
        "  ", ("What would you like to do?", "strong"), (" (arrow keys, Enter)", "muted")
    )
    entries = [Text(f"  {entry}", style="key" if number == 0 else "") for number, entry in enumerate(PROMPT)]
    return Group(*lines, question, *entries)


def make_all(folder):
    """Write every picture into `folder`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    wide = (120, 34)
    preset = load_preset(find_paths(), "style-8gb")
    return [
        save(menu_picture(), folder / "menu.svg", title="launcher"),
        save(
            render(views.running(), COLUMNS, ROWS, now=views.NOW),
            folder / "dashboard.svg",
            title="launcher watch",
        ),
        save(
            render(views.running(), *wide, now=views.NOW),
            folder / "dashboard-wide.svg",
            title="launcher watch",
            columns=wide[0],
        ),
        save(
            render(views.failed(), COLUMNS, ROWS, now=views.NOW),
            folder / "failed.svg",
            title="launcher watch",
        ),
        save(
            tables.run_table(views.records(), FULL, now=views.NOW), folder / "runs.svg", title="launcher runs"
        ),
        save(preset_view(preset, FULL), folder / "preset.svg", title="launcher show style-8gb", columns=110),
    ]


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("folder", nargs="?", type=Path, default=ROOT / ".github" / "screens")
    for path in make_all(words.parse_args().folder):
        print(path)


if __name__ == "__main__":
    main()

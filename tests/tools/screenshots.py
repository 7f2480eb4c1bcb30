"""Pictures of the menu, the dashboard, a preset and the history for the README, as SVG.

    python -m tests.tools.screenshots [FOLDER] [--run RUN --step N]      (default: .github/screens)

With --run, `dashboard.svg` shows that real run as it stood at step N; that is the one in the README. On the others the
run is made up (tests/ui_views.py): numbers look like an 8 GB card's and are not measured.
"""

import argparse
import io
import json
import re
import tempfile
from pathlib import Path

from rich.console import Group
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from launcher.monitor import RunMonitor
from launcher.paths import RunPaths, find_paths
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


def real_view(source, step, scratch):
    """What the dashboard showed of a real run at `step`: its own files, cut off there."""
    run = RunPaths(folder=scratch / source.name)
    run.folder.mkdir()
    lines = source.joinpath("events.jsonl").read_bytes().splitlines(keepends=True)
    last = next(
        number
        for number, line in enumerate(lines)
        if (json.loads(line)["type"], json.loads(line).get("step")) == ("step", step)
    )
    run.events.write_bytes(b"".join(lines[: last + 1]))
    now = json.loads(lines[last])["t"]
    samples = source.joinpath("gpu.jsonl").read_bytes().splitlines(keepends=True)
    run.gpu.write_bytes(b"".join(line for line in samples if json.loads(line)["t"] <= now))
    state = json.loads(source.joinpath("state.json").read_text(encoding="utf-8"))
    run.state_json.write_text(
        json.dumps({**state, "status": "RUNNING", "ended": None, "error": None}), encoding="utf-8"
    )
    return RunMonitor(run, lambda: True).poll(), now


def make_real(folder, source, step):
    """The README's dashboard."""
    with tempfile.TemporaryDirectory() as scratch:
        view, now = real_view(source, step, Path(scratch))
    return save(
        render(view, COLUMNS, ROWS, now=now), folder / "dashboard.svg", title="python setup_env.py demo"
    )


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("folder", nargs="?", type=Path, default=ROOT / ".github" / "screens")
    words.add_argument("--run", type=Path, help="folder of a finished run")
    words.add_argument("--step", type=int, default=30)
    options = words.parse_args()
    for path in make_all(options.folder):
        print(path)
    if options.run:
        print(make_real(options.folder, options.run, options.step))


if __name__ == "__main__":
    main()

"""Numbers, foreign text and encodings: what is printed is safe, aligned and never crashes."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.ui import formats, ink, palette
from tests import ui_views as views

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"), (float("nan"), "-"), (-1, "-"), (0, "0 s"), (59.6, "1 min 00 s"), (75, "1 min 15 s"), (900, "15 min"),
        (3599, "59 min"), (3900, "1 h 05 min"), (86400 * 2 + 3 * 3600, "2 d 3 h"),
    ],
)  # fmt: skip
def test_duration(seconds, words):
    assert formats.duration(seconds) == words


@pytest.mark.parametrize(
    ("mib", "words"), [(None, "-"), (812, "812 MiB"), (41_800, "40.8 GiB"), (3_000_000, "2.9 TiB")]
)
def test_amount(mib, words):
    assert formats.amount(mib) == words


@pytest.mark.parametrize(("value", "words"), [(None, "-"), (0.0, "0"), (1e-4, "1.00e-4"), (1.0, "1.00e0")])
def test_rate(value, words):
    assert formats.rate(value) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "- s/step"), (1.42, "1.42 s/step"), (0.05, "20.0 steps/s"), (240.0, "240 s/step")],
)
def test_step_time(seconds, words):
    assert formats.step_time(seconds) == words


def test_when():
    now = time.mktime((2026, 11, 23, 15, 0, 0, 0, 0, -1))
    ages = {
        5: "just now",
        300: "5 min ago",
        3 * 3600: "today 12:00",
        20 * 3600: "yesterday 19:00",
        60 * 3600: "21 Nov 03:00",
    }
    assert {age: formats.when(now - age, now) for age in ages} == ages
    assert formats.when(now - 400 * 86400, now) == "2025-10-19"
    assert formats.when(None) == "-"


def test_clean_keeps_words_and_drops_control():
    assert formats.clean("訓練 [red]a[/red]") == "訓練 [red]a[/red]"
    assert formats.clean("a\x1b[31mb\x07\r\n\tc\u202ed\x9b") == "a?[31mb?   c?d?"


@given(st.text(max_size=60), st.integers(0, 40))
def test_fit_and_pad(text, width):
    safe = formats.clean(text)
    assert formats.cells(formats.fit(safe, width)) <= width
    assert formats.cells(formats.fit_middle(safe, width)) <= max(width, 1)
    assert formats.cells(formats.pad(safe, width)) == width


@given(st.text(max_size=200), st.integers(2, 40), st.integers(1, 5))
def test_wrap_fits_and_loses_nothing_that_fits(text, width, most):
    safe = formats.clean(text)
    lines = formats.wrap(safe, width, most)
    assert len(lines) <= most
    assert all(formats.cells(line) <= width for line in lines)
    if len(formats.wrap(safe, width)) <= most:
        assert "".join("".join(lines).split()) == "".join(safe.split())


def test_a_line_is_cut_at_columns_not_characters():
    spans = ink.cut(ink.line("訓練データ", ("abc", "muted")), 7)
    assert "".join(text for text, _ in spans) == "訓練デ…"


@pytest.mark.parametrize(
    ("colors", "painted"), [(0, "a"), (16, "\x1b[90ma\x1b[0m"), (256, "\x1b[38;5;245ma\x1b[0m")]
)
def test_colours(colors, painted):
    assert ink.to_ansi(ink.line(("a", "muted")), colors) == painted


def test_no_color_is_honoured(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    stream.isatty = lambda: True
    assert palette.look_at_terminal(stream).colors == 256
    monkeypatch.setenv("NO_COLOR", "1")
    assert palette.look_at_terminal(stream).colors == 0


@pytest.mark.parametrize(
    ("encoding", "term", "level"),
    [
        ("utf-8", "xterm-256color", "full"), ("utf-8", "linux", "blocks"), ("cp437", "xterm", "ascii"), ("cp1252", "xterm", "ascii"),
        ("cp932", "xterm", "ascii"), ("ascii", "xterm", "ascii"), (None, "xterm", "ascii"), ("no-such-codec", "xterm", "ascii"),
    ],
)  # fmt: skip
def test_signs_follow_the_encoding(encoding, term, level, monkeypatch):
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "platform", "linux")
    assert palette.choose_glyphs(encoding, is_terminal=True).level == level


def test_an_old_windows_console_gets_only_what_its_font_has(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delenv("WT_SESSION", raising=False)
    monkeypatch.delenv("TERM_PROGRAM", raising=False)
    monkeypatch.setenv("TERM", "")
    assert palette.choose_glyphs("utf-8", is_terminal=True).level == "blocks"
    monkeypatch.setenv("WT_SESSION", "1")
    assert palette.choose_glyphs("utf-8", is_terminal=True).level == "full"


SHOW = """
from launcher.errors import InputError, Problem, Severity
from launcher.events import Status
from launcher.ui import console, menu
from launcher.ui.frame import compose
from tests import ui_views as views
runs = views.records()
menu.paint(menu.MenuView(version="0.1.0", machine=views.MACHINE, resumable=tuple(runs[1:3]), live=(runs[0],), recent=tuple(runs)))
console.show_runs(runs)
console.show_problems([Problem(severity=severity, what=views.HOSTILE, why="訓練", fix="ü ●", where="C:\\\\訓練") for severity in Severity])
console.show_doctor([("memory", "訓練 ●", None)])
console.show_ending(runs[1])
console.show_success(runs[3], lora="訓練.safetensors", report=None)
console.write_json({"name": views.HOSTILE})
console.out(views.HOSTILE + "\\n" + "x " * 200)
console.show_error(InputError("訓練 ●", why="a\\nb", problems=(Problem(severity=Severity.ERROR, what="[bold]"),)))
"""


@pytest.mark.parametrize("encoding", ["utf-8", "cp437", "cp1252", "cp932", "ascii"])
def test_no_encoding_crashes(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": f"{encoding}:strict", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode(encoding, "replace")
    text = done.stdout.decode(encoding)
    assert "\x1b" not in text
    assert "aki-style" in text
    assert "[red]x[/red]" in text
    assert "[bold]" in done.stderr.decode(encoding)


def test_first_paint_loads_no_heavy_module():
    code = "from launcher.ui import menu\nmenu.paint(menu.MenuView(version='1', machine='x'))\nimport sys\nsys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True
    )
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert "SDXL LoRA launcher" in done.stdout
    assert not loaded & {
        "rich",
        "questionary",
        "prompt_toolkit",
        "pynvml",
        "psutil",
        "jinja2",
        "torch",
        "PIL",
        "subprocess",
        "asyncio",
    }


def test_first_screen_says_what_to_do_first():
    from launcher.ui import menu

    view = menu.MenuView(version="0.1.0", not_ready="the environment is missing")
    assert "Welcome. The training environment comes first." in text_of(menu.first_screen(view, palette.FULL))
    assert menu.entries(view)[0].value.kind == "install"
    later = menu.MenuView(
        version="0.1.0", not_ready="the versions have changed", recent=tuple(views.records())
    )
    assert "The versions have changed." in text_of(menu.first_screen(later, palette.FULL))
    ready = menu.MenuView(version="0.1.0")
    kinds = [entry.value.kind for entry in menu.entries(ready)]
    assert kinds == ["demo", "train", "check", "tag", "import", "check-up", "quit"]


def test_interrupted_runs_stand_on_top():
    from launcher.ui import menu

    live, paused, interrupted, *_ = runs = views.records()
    view = menu.MenuView(version="0.1.0", live=(live,), resumable=(paused, interrupted), recent=tuple(runs))
    text = text_of(menu.first_screen(view, palette.FULL, now=views.NOW))
    assert "620 / 1000" in text
    assert "interrupted      140 / 2000" in text
    kinds = [(entry.value.kind, entry.value.run) for entry in menu.entries(view)]
    assert kinds == [
        ("watch", live.id), ("resume", paused.id), ("resume", interrupted.id), ("train", None), ("check", None),
        ("tag", None), ("import", None), ("export", None), ("history", None), ("bench", None), ("check-up", None), ("quit", None),
    ]  # fmt: skip


def text_of(lines):
    return "\n".join("".join(text for text, _ in line) for line in lines)


def test_no_heavy_module_is_loaded_until_the_question_is_due():
    """The whole way of the real menu: title, environment, history, standing."""
    code = (
        "from launcher.__main__ import main\nfrom launcher.commands import menu as command\nfrom launcher.paths import find_paths\n"
        "from launcher.ui import menu\npaths = find_paths()\nmenu.paint_title('1', command.known_machine(paths))\n"
        "menu._paint_standing(command.look(paths))\nimport sys\nsys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert "SDXL LoRA launcher" in done.stdout
    heavy = {
        "torch",
        "questionary",
        "prompt_toolkit",
        "pynvml",
        "psutil",
        "rich",
        "jinja2",
        "PIL",
        "numpy",
        "argparse",
    }
    assert not {name.partition(".")[0] for name in done.stderr.split()} & heavy

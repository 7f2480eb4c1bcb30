"""The dashboard's picture: never wider or higher than asked, never without its numbers, whatever the names."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from launcher.events import Status
from launcher.monitor import RunView
from launcher.ui import curve
from launcher.ui.frame import compose
from launcher.ui.palette import ASCII, BLOCKS, FULL
from tests import ui_views as views

VIEWS = {
    "running": views.running(),
    "caching": views.caching(),
    "failed": views.failed(),
    "no gpu": views.without_gpu(),
    "hostile": views.hostile(),
    "empty": RunView(),
    "gone": RunView(gone=True),
    "nan": replace(views.running(), loss=math.nan, avg_loss=math.nan, losses=((1, math.nan, math.nan),) * 3),
    **{status.value: views.ended(status) for status in Status if not status.is_live},
}
SIZES = [(80, 24), (60, 15), (120, 40), (200, 60), (80, 200), (40, 10), (20, 4)]


def screen(view, width, height, **options):
    return [line.plain for line in compose(view, width, height, now=views.NOW, **options)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("glyphs", [FULL, BLOCKS, ASCII], ids=lambda glyphs: glyphs.level)
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_fits(view, size, glyphs):
    lines = screen(view, *size, glyphs=glyphs)
    assert len(lines) <= size[1]
    assert max(cell_len(line) for line in lines) <= size[0]
    assert len(screen(view, *size, glyphs=glyphs, is_full_screen=True)) == size[1]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80), st.integers(16, 140), st.integers(2, 50))
def test_no_name_breaks_the_layout(name, width, height):
    view = replace(views.running(), name=name, preset=name, warnings=(), device=name)
    lines = screen(view, width, height)
    assert len(lines) <= height
    assert max(cell_len(line) for line in lines) <= width
    assert not any("\x1b" in line or "\n" in line for line in lines)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_says_everything(size):
    text = "\n".join(screen(views.running(), *size))
    for fact in (
        "cyanotype", "training", "620 / 1000", "16 / 25", "62.0 %", "1.61 s/step", "10 min left, until", "learning rate 3.45e-5",
        "average", "this step", "6.9 /  8.0 GiB", "peak 6.7", "71 °C", "191 W", "99 %", "14.0 / 31.9 GiB", "40.8 GiB free",
        "state", "LoRA", "sample", "step 600", "just now", "3 images are smaller", "Ctrl-C",
    ):  # fmt: skip
        assert fact in text
    assert any("⠁" <= char <= "⣿" for char in text)  # there is a curve


def test_80x24_is_not_cut():
    assert not any("…" in line for line in screen(views.running(), 80, 24))


def test_small_keeps_what_matters():
    text = "\n".join(screen(views.running(), 60, 15))
    for fact in (
        "cyanotype",
        "620 / 1000",
        "1.61 s/step",
        "10 min left",
        "3.45e-5",
        "peak 6.7",
        "71 °C",
        "step 600",
        "Ctrl-C",
    ):
        assert fact in text


def test_caching_shows_its_own_progress():
    text = "\n".join(screen(views.caching(), 80, 24))
    assert "caching latents 12 / 40" in text
    assert "30.0 %" in text
    assert "✓ loading the base model   9 s" in text
    assert "● caching latents" in text


def test_no_gpu_leaves_its_cells_out():
    text = "\n".join(screen(views.without_gpu(), 80, 24))
    assert "VRAM" not in text
    assert "GPU" not in text
    assert "14.0 / 31.9 GiB" in text


def test_failure_says_what_and_what_to_do():
    text = "\n".join(screen(views.failed(), 80, 24))
    assert "The graphics card's memory is full." in text
    assert "Close what else uses the card" in text
    assert "setup_env.py resume cyanotype" in text


@pytest.mark.parametrize(
    "status", [Status.PAUSED, Status.INTERRUPTED, Status.CANCELLED], ids=lambda status: status.value
)
def test_a_resumable_end_names_the_command(status):
    assert "setup_env.py resume cyanotype" in screen(views.ended(status), 80, 24)[-1]


def test_a_name_with_blanks_is_quoted():
    view = replace(views.ended(Status.PAUSED), name="aki style")
    assert screen(view, 80, 24)[-1].endswith('setup_env.py resume "aki style"')


def test_success_points_to_the_report():
    assert "setup_env.py report cyanotype" in screen(views.ended(Status.SUCCEEDED), 80, 24)[-1]


def test_hostile_text_is_shown_literally():
    view = replace(views.running(), name="[red]boom[/red] \x1b[31m訓練")
    assert screen(view, 80, 24)[0].startswith(" [red]boom[/red] ?[31m訓練")


def test_a_diverged_loss_is_said():
    text = "\n".join(screen(VIEWS["nan"], 80, 24))
    assert "this step nan" in text
    assert "not a number" in text


def test_silence_is_said():
    view = replace(views.running(), updated=views.NOW - 400)
    assert "no news for 6 min 40 s" in "\n".join(screen(view, 80, 24))


def test_a_request_stands_in_the_last_line():
    assert screen(views.running(), 80, 24, note="Pausing")[-1].strip() == "Pausing"


def test_curve_follows_the_values():
    rising = curve.Canvas(10, 4, "ascii")
    curve.plot(rising, [(0, 0.0), (9, 3.0)], (0, 9), (0.0, 3.0))
    rows = ["".join(rising.char(row, column, "*") or " " for column in range(10)) for row in range(4)]
    assert rows[0].rstrip().endswith("*")
    assert rows[3].startswith("*")
    assert [row.find("*") for row in rows] == sorted((row.find("*") for row in rows), reverse=True)


def test_one_braille_cell():
    canvas = curve.Canvas(1, 1, "full")
    canvas.line(0, 0, 1, 3)
    assert canvas.char(0, 0, "") == "⢣"  # dots 1, 2, 6, 8: down the left column, then the right one


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=40))
def test_range_holds_every_finite_value(values):
    limits = curve.value_range(values)
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        assert limits is None
        return
    assert limits[0] < limits[1]
    assert limits[0] <= min(finite)  # also without a margin
    assert curve.value_range(values, 0.0)[0] < curve.value_range(values, 0.0)[1]
    assert max(finite) <= limits[1]

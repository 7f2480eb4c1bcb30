"""The screens of an installation as text: progress, machine, plan, questions, proof, endings. Clocks stand still."""

import io

import pytest
from rich.cells import cell_len

from launcher.install.steps import StepEvent, StepState
from launcher.ui import console, progress, transfer
from launcher.ui.palette import ASCII, BLOCKS, FULL
from launcher.ui.progress import LiveSteps, PlainSteps, StepView, step_lines
from launcher.ui.transfer import Standing, Transfer

GB = 1_000_000_000
MB = 1_000_000
WHEEL = "torch-2.5.1+cu121-cp311-cp311-linux_x86_64.whl"


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def download(points, total=2_500 * MB):
    """A transfer after (second, done bytes) reports, and its standing at the last of them."""
    one = Transfer()
    for moment, done in points:
        one.take(moment, done, total)
    return one, one.standing(points[-1][0])


def steady(begin, speed, seconds, every=0.25):
    return [(step * every, begin + int(speed * step * every)) for step in range(1 + int(seconds / every))]


# --- numbers


def test_steady_download():
    _, now = download(steady(0, 10 * MB, 60))
    assert now.speed == pytest.approx(10 * MB, rel=0.01)
    assert now.left_s == pytest.approx(190, rel=0.01)
    assert transfer.facts(now) == ["0.6 of 2.5 GB", "10.0 MB/s", "3 min 10 s left"]
    assert transfer.percent(now) == "24 %"


@pytest.mark.parametrize("first", [0, 1_200 * MB], ids=["resume told at the second report", "at the first"])
def test_a_resumed_download_shows_no_absurd_speed(first):
    resumed = [(t + 1, done) for t, done in steady(1_200 * MB, 10 * MB, 6)]
    one, now = download([(0.0, first), *resumed])
    assert now.speed == pytest.approx(10 * MB, rel=0.2)
    assert one.received <= 61 * MB
    for moment, done in [(0.0, first), *resumed]:
        begun = Transfer()
        begun.take(0.0, first, 2_500 * MB)
        begun.take(moment, done, 2_500 * MB)
        assert (begun.standing(moment).speed or 0) < 20 * MB


def test_a_file_that_lies_here_already_is_no_speed():
    points = [*steady(0, 5 * MB, 10), (10.3, 950 * MB), (10.6, 950 * MB + 1_500_000)]
    one, now = download(points)
    assert now.speed < 6 * MB
    assert one.received < 60 * MB
    assert now.done == 951_500_000


def test_speed_follows_a_change_within_seconds():
    slow = [(t + 30, 300 * MB + done) for t, done in steady(0, 1 * MB, 12)]
    _, now = download([*steady(0, 10 * MB, 30)[:-1], *slow])
    assert now.speed == pytest.approx(1 * MB, rel=0.1)


def test_a_stalled_download_says_so_and_promises_nothing():
    one, _ = download(steady(0, 10 * MB, 20))
    assert one.standing(23.0).left_s is not None
    late = one.standing(32.0)
    assert late.left_s is None
    assert transfer.remaining(late) == "no data for 12 s"
    assert one.standing(24.0).speed < 10 * MB


def test_unknown_total_and_one_that_was_too_low():
    _, unknown = download(steady(0, 10 * MB, 10), total=None)
    assert transfer.facts(unknown) == ["100 MB", "10.0 MB/s"]
    assert transfer.percent(unknown) == ""
    _, low = download(steady(0, 10 * MB, 10), total=60 * MB)
    assert low.fraction is None
    assert low.left_s is None
    assert transfer.progress_of(low) == "100 MB"


def test_a_download_that_begins_anew():
    points = [*steady(900 * MB, 10 * MB, 10), *((t + 11, done) for t, done in steady(0, 10 * MB, 10))]
    _, now = download(points)
    assert 0 < now.speed < 12 * MB
    assert now.done == 100 * MB


def test_a_percentage_is_full_only_when_all_is_there():
    assert transfer.percent(Standing(done=2_499_999_999, total=2_500_000_000)) == "99 %"
    assert transfer.percent(Standing(done=2_500_000_000, total=2_500_000_000)) == "100 %"


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 kB"), (312_400, "312 kB"), (999_700, "1 MB"), (89_400_000, "89 MB"), (999_900_000, "1.0 GB"), (2_540_000_000, "2.5 GB"), (None, "-")],
)  # fmt: skip
def test_sizes(count, words):
    assert transfer.size(count) == words


# --- the picture


def view(**changes):
    standing = Standing(done=1_200 * MB, total=2_500 * MB, speed=11.4e6, left_s=114.0)
    facts = {
        "title": "Fetching PyTorch",
        "number": "6/12 ",
        "detail": WHEEL,
        "seconds": 105.0,
        "standing": standing,
    }
    return StepView(**{**facts, **changes})


def text_of(lines, width):
    plain = [line.plain for line in lines]
    assert max(map(cell_len, plain)) <= width
    return plain


def test_wide_download():
    title, numbers = text_of(step_lines(view(), 100, FULL), 100)
    assert title.endswith(f"6/12 Fetching PyTorch  {WHEEL}  1 min 45 s")
    for words in ("48 %", "1.2 of 2.5 GB", "11.4 MB/s", "1 min 54 s left"):
        assert words in numbers


def test_numbers_stand_still_while_they_change():
    """The bar must not grow and shrink with the width of the words behind it."""
    others = [
        Standing(done=9 * MB, total=2_500 * MB, speed=9e3, left_s=5.0),
        Standing(done=9 * MB, total=2_500 * MB),
        view().standing,
    ]
    lines = [text_of(step_lines(view(standing=one), 100, FULL), 100)[1] for one in others]
    assert len({line.count("━") for line in lines}) == 1
    assert len({line.index("%") for line in lines}) == 1


@pytest.mark.parametrize("width", [20, 40, 60, 80, 84, 200])
@pytest.mark.parametrize("glyphs", [FULL, BLOCKS, ASCII], ids=lambda one: one.level)
def test_it_fits_any_terminal(width, glyphs):
    hostile = view(title="[red]x[/red]\x1b[2J 訓練" * 3, detail="長" * 90)
    for one in (view(), hostile, view(standing=None), view(standing=Standing(done=5))):
        lines = text_of(step_lines(one, width, glyphs), width)
        assert "\x1b" not in "".join(lines)
        if glyphs is ASCII and one is not hostile:
            assert "".join(lines).isascii()


def test_narrow_download_has_bar_and_numbers_below_each_other():
    _, bar, numbers = text_of(step_lines(view(), 60, ASCII), 60)
    assert bar.strip().startswith("####")
    assert bar.endswith(".  48 %")
    assert numbers.strip() == "1.2 of 2.5 GB   11.4 MB/s   1 min 54 s left"


def test_without_colours_the_bar_still_shows_how_far_it_is(monkeypatch):
    class Tty(io.StringIO):
        encoding = "utf-8"

        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    assert progress.bar_signs(Tty()).rest == FULL.rest
    monkeypatch.setenv("NO_COLOR", "1")
    signs = progress.bar_signs(Tty())
    assert signs.bar != signs.rest


# --- following the events


def event(state, detail="", done=None, total=None, title="Fetching PyTorch"):
    return StepEvent(
        step="wheels", title=title, state=state, detail=detail, number=6, total=12, done_bytes=done, total_bytes=total
    )  # fmt: skip


def shown(renderable, width=100):
    stream = io.StringIO()
    console.make_console(stream, width=width).print(renderable)
    return stream.getvalue()


def test_live_download_from_begin_to_end():
    clock, stream = Clock(), io.StringIO()
    steps = LiveSteps(console.make_console(stream, width=100), clock)
    steps.take(event(StepState.BEGIN, "it is missing"))
    for _ in range(40):
        clock.now += 0.5
        steps.take(event(StepState.PROGRESS, WHEEL, int((clock.now - 100) * 20 * MB), 2_500 * MB))
    picture = shown(steps)
    assert "16 %" in picture
    assert "20.0 MB/s" in picture
    clock.now += 1
    steps.take(event(StepState.PROGRESS, "checking what came"))
    assert "%" not in shown(steps)
    assert "checking what came" in shown(steps)
    steps.take(event(StepState.NOTE, "verified"))
    steps.take(event(StepState.DONE))
    assert stream.getvalue().split("\n")[0].strip() == "verified"
    assert stream.getvalue().split("\n")[1].split(maxsplit=1)[1] == "Fetching PyTorch  380 MB in 21 s"
    assert shown(steps).strip() == ""


def test_the_next_step_does_not_inherit_the_download():
    clock, stream = Clock(), io.StringIO()
    steps = LiveSteps(console.make_console(stream, width=100), clock)
    steps.take(event(StepState.BEGIN))
    for done in (0, 5 * MB, 90 * MB):
        clock.now += 1
        steps.take(event(StepState.PROGRESS, WHEEL, done, 90 * MB))
    steps.take(event(StepState.DONE))
    steps.take(event(StepState.BEGIN, title="Packages"))
    clock.now += 3
    steps.take(event(StepState.DONE, title="Packages"))
    assert stream.getvalue().splitlines()[-1].split(maxsplit=1)[1] == "Packages  3 s"


def test_plain_lines_come_seldom_and_with_percentages(capsys):
    clock = Clock()
    steps = PlainSteps(clock)
    steps.take(event(StepState.BEGIN, "it is missing"))
    for _ in range(240):
        clock.now += 0.25
        steps.take(event(StepState.PROGRESS, WHEEL, int((clock.now - 100) * 20 * MB), 2_500 * MB))
    steps.take(event(StepState.DONE))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "  6/12 Fetching PyTorch: ... (it is missing)"
    assert lines[-1] == "  6/12 Fetching PyTorch: done (1.2 GB in 1 min 00 s)"
    assert 11 <= len(lines[1:-1]) <= 13
    assert lines[-2] == f"      {WHEEL}: 44 %, 1.1 of 2.5 GB, 20.0 MB/s, 1 min 10 s left"


def test_plain_lines_do_not_repeat_themselves(capsys):
    clock = Clock()
    steps = PlainSteps(clock)
    for _ in range(30):
        clock.now += 5
        steps.take(event(StepState.PROGRESS, "another window is installing"))
    assert len(capsys.readouterr().out.splitlines()) == 1

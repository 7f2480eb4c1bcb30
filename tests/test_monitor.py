"""The monitor: right, tolerant, and bounded in memory."""

import json
import math
import random
import shutil
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.events import Status
from launcher.files import write_json
from launcher.monitor import RunMonitor
from launcher.monitor import tail as tail_module
from launcher.monitor.curve import Curve
from launcher.monitor.values import timestamp
from launcher.paths import RunPaths
from tests.fake_runs import Script, write_run

SCRIPT = Script(steps=120, sample_every=40, save_every=50)
calm = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
LINES_OF_A_LONG_RUN = 60_000  # the benchmark does 200,000; tracemalloc makes this several times slower


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", SCRIPT)


@pytest.fixture
def empty(tmp_path):
    run = RunPaths(folder=tmp_path / "run")
    run.folder.mkdir()
    return run


def line(kind, t=1000.0, **fields):
    return json.dumps({"v": 1, "t": t, "type": kind, **fields}).encode() + b"\n"


def step(number, loss=0.1, **fields):
    return line(
        "step", t=1000.0 + number, step=number, epoch=1, loss=loss, avg_loss=0.2, seconds=1.5, **fields
    )


def append(path, *lines):
    with path.open("ab") as stream:
        stream.write(b"".join(lines))


def test_a_finished_run(run):
    view = RunMonitor(run).poll()
    assert (view.name, view.preset, view.status) == ("cyanotype", "style-8gb", Status.SUCCEEDED)
    assert (view.step, view.total_steps, view.epoch, view.epochs) == (120, 120, 3, 3)
    assert view.fraction == 1.0
    assert view.eta_s is None
    assert view.last_save.path == "output/cyanotype.safetensors"
    assert view.last_save.is_final
    assert view.last_state.step == 120
    assert [sample.step for sample in view.samples] == [40, 40, 80, 80, 120, 120]
    assert view.vram_total_mib == 8192
    assert view.vram_peak_mib >= view.vram_used_mib > 1000
    assert [span.name for span in view.spans] == ["load_models", "cache_latents"]
    assert view.ended > view.started
    assert view.error is None


def test_a_failed_run_says_why(tmp_path):
    view = RunMonitor(write_run(tmp_path / "run", replace(SCRIPT, status=Status.FAILED, last=60))).poll()
    assert view.status is Status.FAILED
    assert view.error.error == "OutOfMemoryError"
    assert "loss.backward()" in view.error.traceback
    assert view.error.step == 60


def test_polls_are_incremental_and_end_where_one_look_ends(run):
    whole = run.events.read_bytes()
    run.events.write_bytes(b"")
    monitor = RunMonitor(run)
    dice = random.Random(1)
    at = 0
    while at < len(whole):  # cuts fall anywhere, also inside of lines and of characters
        to = at + dice.randint(1, 700)
        append(run.events, whole[at:to])
        at = to
        view = monitor.poll()
    assert view == RunMonitor(run).poll()
    assert view.step == 120


def test_an_unfinished_last_line_waits_for_its_end(empty):
    append(empty.events, step(1), step(2)[:-20])
    monitor = RunMonitor(empty)
    assert monitor.poll().step == 1
    append(empty.events, step(2)[-20:])
    assert monitor.poll().step == 2


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage\n",
        b"\n\n\n",
        b"\x00" * 4096 + b"\n",
        b"\xff\xfe\xfa\n",
        b"[" * 50_000 + b"\n",
        b'{"type":"step"\n"t":1}\n',
        b"1,2\n",
        b'null\n[]\n"x"\n{"type":"step"}\n{"t":1,"type":["step"]}\n',
        line("step", step="seven", loss={}, lr=[1], seconds="fast"),
        line("step", step=1 << 70, loss=10**400),
        line("totals", total_steps=-3, epochs=None, images=True),
        line("save", step=None, path=7) + line("sample", step=-1, path="x") + line("state"),
        line("progress", done=1, total=0) + line("phase") + line("warning") + line("error") + line("unknown"),
        b'{"t":1e999,"type":"step","step":9}\n',
    ],
)
def test_garbage_in_the_middle_is_skipped(empty, garbage):
    append(empty.events, step(1), garbage, step(2, loss=0.3))
    append(
        empty.gpu, garbage, json.dumps({"t": 1.0, "gpus": [{"used_mib": 900}], "ram_mib": 5}).encode() + b"\n"
    )
    view = RunMonitor(empty).poll()
    assert view.step == 2
    assert view.losses == ((1, 0.1, 0.2), (2, 0.3, 0.2))
    assert view.vram_used_mib == 900


def test_a_line_longer_than_any_event_is_skipped(empty, monkeypatch):
    monkeypatch.setattr(tail_module, "BLOCK_BYTES", 1024)
    append(empty.events, step(1), b"x" * 5000)
    monitor = RunMonitor(empty)
    assert monitor.poll().step == 1
    append(empty.events, b"y" * 3000 + b"\n", step(2), step(3))
    assert monitor.poll().step == 3


@calm
@given(st.binary(max_size=300), st.integers(1, 40))
def test_no_bytes_can_break_it(tmp_path_factory, noise, block):
    run = RunPaths(folder=tmp_path_factory.mktemp("run"))
    for path in (run.events, run.gpu, run.state_json):
        path.write_bytes(noise)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail_module, "BLOCK_BYTES", block)
        assert not RunMonitor(run).poll().gone


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELD_NAMES = (
    "step epoch loss avg_loss lr seconds vram_mib name state phase done total path bytes final prompt message count "
    "error traceback status total_steps epochs images gpus used_mib ram_mib throttle resumed_step"
)
KIND_NAMES = "start totals phase progress step save state sample warning error end unheard_of"
FIELDS, KINDS = st.sampled_from(FIELD_NAMES.split()), st.sampled_from(KIND_NAMES.split())


@calm
@given(st.lists(st.tuples(KINDS, st.dictionaries(FIELDS, JSON, max_size=6)), max_size=8))
def test_no_values_can_break_it(tmp_path_factory, events):
    run = RunPaths(folder=tmp_path_factory.mktemp("run"))
    lines = [json.dumps({"t": 5.0, **fields, "type": kind}) + "\n" for kind, fields in events]
    for path in (run.events, run.gpu):
        path.write_text("".join(lines), encoding="utf-8", newline="\n")
    view = RunMonitor(run).poll()
    assert view.step >= 0
    assert all(math.isfinite(value) for point in view.losses for value in point)


def test_a_truncated_file_is_read_anew(run):
    monitor = RunMonitor(run)
    assert monitor.poll().step == 120
    run.events.write_bytes(step(7))
    view = monitor.poll()
    assert view.step == 7
    assert len(view.losses) == 1


def test_a_replaced_file_is_read_anew(run):
    monitor = RunMonitor(run)
    monitor.poll()
    aside = run.folder / "aside"
    aside.write_bytes(run.events.read_bytes() + step(500))
    aside.replace(run.events)
    assert monitor.poll().step == 500


def test_a_deleted_folder_keeps_the_last_picture(run):
    monitor = RunMonitor(run)
    monitor.poll()
    shutil.rmtree(run.folder)
    view = monitor.poll()
    assert view.gone
    assert view.step == 120
    assert RunMonitor(run).poll().gone


def test_a_folder_without_files_is_pending(empty):
    view = RunMonitor(empty).poll()
    assert view.status is Status.PENDING
    assert not view.gone
    assert view.eta_s is None


@pytest.mark.parametrize(
    ("recorded", "ended", "alive", "expected"),
    [
        ("RUNNING", None, True, Status.RUNNING),
        ("RUNNING", None, False, Status.INTERRUPTED),
        ("RUNNING", None, None, Status.RUNNING),
        ("RUNNING", "PAUSED", False, Status.PAUSED),  # the supervisor was killed: the shim's word counts
        ("PENDING", None, True, Status.RUNNING),  # it has started, only the record is late
        ("FAILED", "SUCCEEDED", False, Status.FAILED),  # the supervisor saw the exit code
        ("nonsense", None, True, Status.RUNNING),
        (["RUNNING"], None, False, Status.INTERRUPTED),
    ],
)
def test_status(empty, recorded, ended, alive, expected):
    write_json(empty.state_json, {"status": recorded, "supervisor": {"pid": 1, "started": 1.0}})
    append(empty.events, line("start", resumed_step=0), step(1))
    if ended is not None:
        append(empty.events, line("end", status=ended, step=1))
    is_alive = None if alive is None else lambda: alive
    assert RunMonitor(empty, is_alive).poll().status is expected


def test_a_run_that_waits_to_be_started_is_not_interrupted(empty):
    write_json(empty.state_json, {"status": "PENDING", "supervisor": None})
    assert RunMonitor(empty, lambda: False).poll().status is Status.PENDING


def test_what_a_process_wrote_before_it_died_is_in_the_same_picture(empty):
    """Liveness is asked first: a process that ends between the question and the reading is not called interrupted."""
    write_json(empty.state_json, {"status": "RUNNING", "supervisor": {"pid": 1, "started": 1.0}})

    def dies_while_asked():
        append(empty.events, step(1), line("end", status="SUCCEEDED", step=1))
        return False

    assert RunMonitor(empty, dies_while_asked).poll().status is Status.SUCCEEDED


def test_pace_is_the_median_and_the_eta_follows(empty):
    append(empty.events, line("start"), line("totals", total_steps=100))
    append(empty.events, *(line("step", step=n, loss=0.1, seconds=2.0) for n in range(1, 10)))
    append(empty.events, line("step", step=10, loss=0.1, seconds=300.0))  # the laptop slept
    view = RunMonitor(empty).poll()
    assert view.seconds_per_step == 2.0
    assert view.eta_s == 180.0


def test_a_resumed_run_begins_at_its_step(empty):
    append(empty.events, line("start", resumed_step=400), line("totals", total_steps=1000))
    view = RunMonitor(empty).poll()
    assert (view.step, view.resumed_step) == (400, 400)


def test_phases_and_their_progress(empty):
    monitor = RunMonitor(empty)
    append(empty.events, line("start"), line("phase", name="cache_latents", state="begin"))
    append(empty.events, line("progress", phase="cache_latents", done=3, total=12))
    view = monitor.poll()
    assert (view.phase, view.phase_progress) == ("cache_latents", (3, 12))
    append(empty.events, line("phase", name="cache_latents", state="end", seconds=2.5, peak_vram_mib=5000))
    view = monitor.poll()
    assert (view.phase, view.phase_progress) == ("", None)
    assert view.spans[0].seconds == 2.5
    assert view.vram_peak_mib == 5000


def test_a_phase_inside_another_gives_it_back(empty):
    append(empty.events, line("start"), line("phase", name="train_loop", state="begin"))
    append(empty.events, line("phase", name="cache_latents", state="begin"))
    monitor = RunMonitor(empty)
    assert monitor.poll().phase == "cache_latents"
    append(empty.events, line("phase", name="cache_latents", state="end", seconds=1))
    assert monitor.poll().phase == "train_loop"


def test_a_loss_that_is_no_number_is_news_but_no_point(empty):
    append(empty.events, step(1), b'{"t":2,"type":"step","step":2,"loss":NaN,"avg_loss":NaN}\n')
    view = RunMonitor(empty).poll()
    assert math.isnan(view.loss)
    assert view.losses == ((1, 0.1, 0.2),)


def test_the_same_warning_is_counted_not_repeated(empty):
    append(empty.events, *(line("warning", message=f"w{n}") for n in range(7)), line("warning", message="w5"))
    warnings = RunMonitor(empty).poll().warnings
    assert [(w.message, w.count) for w in warnings] == [("w2", 1), ("w3", 1), ("w4", 1), ("w6", 1), ("w5", 2)]


def test_words_from_files_cannot_drive_a_terminal(empty):
    append(empty.events, line("warning", message="red \x1b[31m\x9b2J\x07 end"))
    assert RunMonitor(empty).poll().warnings[0].message == "red [31m2J end"


def test_memory_does_not_grow_with_the_file(empty):
    with empty.events.open("wb") as stream:
        for number in range(1, LINES_OF_A_LONG_RUN + 1):
            stream.write(step(number, loss=0.1 + number % 97 / 1000, lr={"unet": 1e-4}))
    tracemalloc.start()
    try:
        view = RunMonitor(empty).poll()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert view.step == LINES_OF_A_LONG_RUN
    assert peak < empty.events.stat().st_size / 2
    # Blocks of 256 KiB with their parsed lines, and the curves: the same for a file ten times as long.
    assert peak < 6_000_000


@calm
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(6, 60))
def test_a_curve_keeps_first_last_and_extremes(values, limit):
    curve = Curve(limit)
    points = list(enumerate(values))
    for point in points:
        curve.add(point)
    kept = curve.points()
    assert len(kept) <= limit
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    assert {min(values), max(values)} <= {y for _, y in kept}
    assert [x for x, _ in kept] == sorted({x for x, _ in kept})
    assert set(kept) <= set(points)


def test_a_short_curve_is_kept_whole():
    curve = Curve(600)
    points = tuple((n, n % 3) for n in range(250))
    for point in points:
        curve.add(point)
    assert curve.points() == points


@pytest.mark.parametrize("moment", [1e14, -1.0, math.nan, "9999-12-31T00:00:00"])
def test_a_time_that_windows_cannot_show_is_none(moment):
    assert timestamp(moment) is None

"""The guard: rules over made-up samples, its memory on a made-up clock, and its files."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from launcher.commands.history import run_json
from launcher.events import EventWriter, read_events
from launcher.guard import RULES, Battery, Gpu, Guard, Limits, Look, Moment, Progress
from launcher.guard import limits as at
from launcher.guard.card import rest_of
from launcher.guard.look import moment_of
from launcher.guard.usual import usual_phases
from launcher.history import load_run, reason_of, standing_of
from launcher.monitor import RunMonitor
from launcher.paths import RunPaths
from launcher.run.surroundings import making_mib
from launcher.shim.requests import requested
from launcher.ui.menu import MenuView, entries, first_screen
from launcher.ui.palette import FULL as SIGNS
from tests import ui_views

EVERY_S = 2.0
CARD = Gpu(used_mib=6000.0, total_mib=8188.0, temperature_c=70.0, slowdown_c=95.0)
FINE = Moment(
    at=0.0, gpus=(CARD,), ram_mib=4000.0, ram_used_mib=9000.0, ram_total_mib=16000.0, swap_used_mib=100.0,
    disk_free_mib=50_000.0, battery=Battery(percent=90.0, is_plugged=True),
)  # fmt: skip
STEPS = tuple(1.0 + 0.01 * number for number in range(20))
GOING = Progress(
    step=200, total_steps=1000, phase="train_loop", steps_here=200, losses=tuple(0.1 + 0.001 * n for n in range(50)),
    early_s=STEPS, recent_s=STEPS, vram_mib=5000.0, beside_mib=1000.0, beside_least_mib=950.0, state_mib=980.0, lora_mib=170.0,
)  # fmt: skip


def row(count, change=None, *, every_s=EVERY_S, **fields):
    """`count` samples; `change(number)` gives the fields of each that differ from a machine that is well."""
    return tuple(
        replace(FINE, at=number * every_s, **fields, **(change(number) if change else {}))
        for number in range(count)
    )


def card(**fields):
    return (replace(CARD, **fields),)


def look(moments=None, *, standing=(), limits=None, system="linux", rest_c=None, **progress):
    return Look(
        moments=moments or row(100), progress=replace(GOING, **progress), limits=limits or Limits(),
        standing=frozenset(standing), system=system, rest_c=rest_c,
    )  # fmt: skip


def found(seen):
    return {concern.kind: concern for rule in RULES for concern in rule.check(seen)}


HOT = Limits(hold_above_c=83, continue_below_c=70)
FULL = 8100.0
CAR = {"battery": Battery(percent=60.0, is_plugged=False)}
LOW = {"battery": Battery(percent=12.0, is_plugged=False)}
LEAKING = row(300, lambda n: {"disk_free_mib": 9000.0 - 10 * n, "own_mib": 500.0 if n % 15 == 0 else None})
SAVING = row(300, lambda n: {"disk_free_mib": 9000.0 - 10 * n, "own_mib": 10.0 * n if n % 15 == 0 else None})


def test_a_run_that_is_well_yields_nothing():
    assert found(look()) == {}
    assert found(look((Moment(at=0.0),), vram_mib=None, beside_mib=None, losses=(), early_s=(), recent_s=())) == {}  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "kind", "act"),
    [
        (look(row(3, gpus=card(temperature_c=84.0)), limits=HOT), "too-hot", "hold"),
        (look(row(3, gpus=card(temperature_c=71.0)), limits=HOT, standing=["too-hot"]), "too-hot", "hold"),
        (look(row(3, gpus=card(temperature_c=75.0)), limits=Limits(hold_above_c=83), standing=["too-hot"]), "too-hot", "hold"),
        (look(row(3, gpus=card(temperature_c=60.0)), limits=Limits(hold_above_c=40), rest_c=48.0), "cannot-cool", ""),
        (look(row(40, gpus=card(throttle=frozenset({"thermal (software)"})))), "slowed", ""),
        (look(row(40, gpus=card(temperature_c=95.0))), "slowed", ""),
        (look(row(40, lambda n: {"gpus": card(throttle=frozenset({"power brake"}) if n % 3 == 0 else frozenset())}), standing=["slowed"]), "slowed", ""),
        (look(row(9, gpus=card(used_mib=7900.0, others=("game.exe", "chrome.exe"))), beside_mib=1500.0), "other-program", ""),
        (look(row(9, gpus=card(used_mib=FULL)), system="win32", recent_s=(5.0,) * 20, standing=["spill"]), "spill", ""),
        (look(row(9, lambda n: {"gpus": card() if n < 6 else ()})), "card-lost", ""),
        (look(row(9, lambda n: {"gpus": card() if n < 6 else (Gpu(),)})), "card-lost", ""),
        (look(row(9, gpus=())), "", ""),
        (look(row(9, gpus=()), standing=["card-lost"]), "card-lost", ""),
        (look(row(9, disk_free_mib=1200.0)), "disk-full", "pause"),
        (look(row(9, disk_free_mib=1350.0), standing=["disk-full"]), "disk-full", "pause"),
        (look(row(9, disk_free_mib=700.0, making_mib=500.0)), "disk-full", "pause"),
        (look(row(9, disk_free_mib=1200.0), steps_here=0), "disk-full", ""),
        (look(row(9, disk_free_mib=1200.0), limits=Limits(on_low_disk="warn")), "disk-full", ""),
        (look(row(9, disk_free_mib=3000.0)), "disk-filling", ""),
        (look(LEAKING, total_steps=5000), "disk-filling", ""),
        (look(row(9, cache_free_mib=100.0), phase="cache_latents"), "cache-disk", ""),
        (look(row(9, ram_used_mib=15_300.0)), "memory-full", ""),
        (look(row(9, ram_used_mib=14_500.0), standing=["memory-full"]), "memory-full", ""),
        (look(row(99, lambda n: {"swap_used_mib": 20.0 * n}, ram_used_mib=14_000.0)), "memory-full", ""),
        (look(row(9, **CAR)), "on-battery", ""),
        (look(row(9, **CAR), limits=Limits(on_battery="hold")), "on-battery", "hold"),
        (look(row(9, **CAR), limits=Limits(on_battery="pause")), "on-battery", "pause"),
        (look(row(9, **LOW), limits=Limits(on_battery="hold")), "on-battery", "pause"),
        (look(losses=(0.1, 0.1, math.nan)), "loss-nan", ""),
        (look(losses=(0.1, math.inf, 0.1, 0.2), standing=["loss-nan"]), "loss-nan", ""),
        (look(losses=(0.25,) * 50), "loss-stuck", ""),
        (look(losses=(0.0,) * 50), "loss-stuck", ""),
        (look(recent_s=(1.8,) * 20), "slow-steps", ""),
        (look(recent_s=(1.5,) * 20, standing=["slow-steps", "slowed"]), "slow-steps", ""),
        (look(quiet_s=190.0), "silent", ""),
        (look(quiet_s=2000.0, recent_s=(99.0,) * 20, early_s=(99.0,) * 20), "silent", ""),
        (look(quiet_s=901.0, recent_s=(), early_s=()), "silent", ""),
        (look(quiet_s=260.0, phase="cache_latents", usual_s=50.0), "silent", ""),
    ],
)  # fmt: skip
def test_what_is_found(seen, kind, act):
    concerns = found(seen)
    assert set(concerns) == ({kind} if kind else set())
    if kind:
        assert concerns[kind].act == act
        assert concerns[kind].message.endswith((".", "!"))
        assert concerns[kind].fix or kind == "spill", "its fix is in its words"


@pytest.mark.parametrize(
    "seen",
    [
        look(row(3, gpus=card(temperature_c=90.0))),  # nobody has opted in, and the card does not slow itself
        look(row(3, gpus=card(temperature_c=83.0)), limits=HOT),  # not above
        look(row(3, gpus=card(temperature_c=70.0)), limits=HOT, standing=["too-hot"]),  # cool enough
        look(
            row(3, gpus=card(temperature_c=72.0)), limits=HOT, standing=["too-hot"], rest_c=71.0
        ),  # no cooler ever
        look(row(40, gpus=card(throttle=frozenset({"power cap"})))),  # every card at full load
        look(row(20, gpus=card(throttle=frozenset({"thermal (software)"})))),  # not yet a minute
        look(row(9, gpus=card(used_mib=6500.0)), beside_mib=1500.0),  # there is room
        look(row(9, gpus=card(used_mib=7900.0)), beside_mib=1300.0),  # a little
        look(row(9, gpus=card(used_mib=FULL)), recent_s=(1.5,) * 20),  # full, and as fast as before
        look(row(9, lambda n: {"gpus": card() if n < 7 else ()})),  # two samples may fail
        look(SAVING, total_steps=5000),  # the run itself writes
        look(row(100, lambda n: {"disk_free_mib": 9000.0 - 10 * n, "own_mib": 500.0})),  # too short to tell
        look(LEAKING, step=995),  # over before the disk is full
        look(row(9, cache_free_mib=100.0)),  # caching is over
        look(row(9, swap_used_mib=9000.0)),  # old pages, and room
        look(row(9, battery=None)),
        look(losses=(math.nan, 0.1)),  # one may pass
        look(losses=(0.25,) * 49),
        look(losses=(math.nan,) * 50 + (0.1,)),
        look(recent_s=(1.7,) * 19),
        look(recent_s=(1.7,) * 20, early_s=(1.0,) * 9),
        look(quiet_s=5000.0, held_s=5000.0),
        look(quiet_s=5000.0, step=1000),
        look(quiet_s=800.0, recent_s=()),
        look(quiet_s=800.0, recent_s=(99.0,) * 20, early_s=(99.0,) * 20),
    ],
)
def test_what_is_not(seen):
    assert found(seen) == {}


def test_a_limit_below_the_other_is_put_right():
    assert Limits(hold_above_c=80, continue_below_c=85).continue_at_c == 79
    assert Limits(hold_above_c=80).continue_at_c == 70
    assert Limits.of({"hold_above_c": "hot", "on_battery": "hold"}) == Limits(on_battery="hold")


def test_a_waiting_card_is_at_rest_when_it_has_not_moved_for_five_minutes():
    still = row(200, lambda n: {"gpus": card(temperature_c=72.0 if n % 2 else 73.0)})
    assert rest_of(look(still, held_s=400.0, standing=["too-hot"], limits=HOT)) == 72.0
    assert rest_of(look(still, held_s=200.0, standing=["too-hot"], limits=HOT)) is None
    assert rest_of(look(still, held_s=400.0, limits=HOT)) is None
    falling = row(200, lambda n: {"gpus": card(temperature_c=90.0 - n / 20)})
    assert rest_of(look(falling, held_s=400.0, standing=["too-hot"], limits=HOT)) is None


# --- the guard with its memory


@pytest.fixture
def run(tmp_path):
    run = RunPaths(folder=tmp_path / "runs" / "20261124-120000-訓練")
    run.folder.mkdir(parents=True)
    return run


class Watched:
    """A guard, and samples two seconds apart on a clock that starts where nobody would expect it."""

    def __init__(self, run, limits=None, **more):
        self.run = run
        self.guard = Guard(run, limits or Limits(), system="linux", **more)
        self.t = 1_764_000_000.0

    def see(self, count=1, **fields):
        for _ in range(count):
            self.t += EVERY_S
            self.guard.look({"t": self.t, **fields})

    def hot(self, celsius, count=1):
        self.see(
            count, gpus=[{"used_mib": 6000, "total_mib": 8188, "temperature_c": celsius, "throttle": []}]
        )

    def events(self):
        return [event for event, _ in read_events(self.run.warnings)]

    def kinds(self):
        return [(event["kind"], event["state"]) for event in self.events()]


def test_a_warning_is_written_once_when_it_begins_and_once_when_it_ends(run):
    watched = Watched(run)
    watched.see(3, ram_used_mib=15_900, ram_total_mib=16_000)
    assert watched.kinds() == [], "six seconds are not enough"
    watched.see(20, ram_used_mib=15_900, ram_total_mib=16_000)
    watched.see(5, ram_used_mib=9_000, ram_total_mib=16_000)
    watched.see(3, ram_used_mib=15_900, ram_total_mib=16_000)
    assert watched.kinds() == [("memory-full", "begin")], "a gap of ten seconds is no end"
    watched.see(20, ram_used_mib=9_000, ram_total_mib=16_000)
    assert watched.kinds() == [("memory-full", "begin"), ("memory-full", "end")]
    begin, end = watched.events()
    assert begin["message"].startswith("The computer's memory is nearly full")
    assert end["seconds"] == pytest.approx(end["t"] - begin["t"], abs=0.2)


def test_a_hot_card_is_held_until_it_is_cool(run):
    watched = Watched(run, HOT)
    watched.hot(85)
    assert not run.hold.exists(), "one reading may be wrong"
    watched.hot(85, 3)
    assert run.hold.read_text(encoding="utf-8").split()[0] == "too-hot"
    watched.hot(75, 50)
    assert run.hold.exists(), "cooler, but not cool"
    watched.hot(69)
    assert not run.hold.exists()
    assert watched.kinds() == [("too-hot", "begin"), ("too-hot", "end")]


def test_a_hold_is_kept_fresh_while_it_lasts(run, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("launcher.guard.requests.time.monotonic", lambda: now[0])
    watched = Watched(run, HOT)
    watched.hot(85, 5)
    stamps = set()
    for _ in range(4):
        now[0] += 11
        watched.hot(85)
        stamps.add(run.hold.stat().st_mtime_ns)
    assert len(stamps) == 4
    watched.guard.close()
    assert not run.hold.exists(), "nothing is held when the guard goes home"


def test_a_card_that_does_not_get_cooler_is_not_waited_for_for_ever(run):
    watched = Watched(run, Limits(hold_above_c=60, continue_below_c=30))
    writer = EventWriter(run.events)
    watched.hot(65, 5)
    writer.write("hold", state="begin", reason="too-hot", step=3)
    watched.hot(45, 140)
    assert run.hold.exists()
    watched.hot(45, 40)
    assert not run.hold.exists(), "five minutes at 45 degrees: it will not get to 30"
    writer.write("hold", state="end", seconds=400.0, step=3)
    watched.hot(61, 5)
    assert run.hold.exists()
    watched.hot(46)
    assert not run.hold.exists(), "what it reaches is known now"


def test_a_limit_below_what_the_card_has_at_rest_is_given_up_in_words(run):
    watched = Watched(run, Limits(hold_above_c=40))
    writer = EventWriter(run.events)
    watched.hot(65, 5)
    writer.write("hold", state="begin", reason="too-hot", step=3)
    watched.hot(45, 200)
    assert [kind for kind, state in watched.kinds() if state == "begin"] == ["too-hot", "cannot-cool"]
    watched.hot(65, 50)
    assert not run.hold.exists()


def test_a_full_disk_asks_for_a_pause_and_says_why(run):
    writer = EventWriter(run.events)
    writer.write("totals", total_steps=100)
    writer.write("step", step=1, loss=0.1, seconds=1.0)
    writer.write("state", step=1, path="states/step00000001", bytes=900 << 20)
    watched = Watched(run)
    watched.see(5, disk_free_mib=1500)
    assert not run.pause.exists()
    watched.see(5, disk_free_mib=1000)
    assert requested(run.pause) is not None
    said = json.loads(run.pause.read_text(encoding="utf-8").splitlines()[1])
    assert said["kind"] == "disk-full"
    assert said["needs_mib"] == 900 + at.RESERVE_MIB + 512
    assert watched.kinds()[-1] == ("disk-full", "begin")


def test_a_stop_that_somebody_asked_for_is_not_turned_into_a_pause(run):
    run.pause.write_text("stop\n30\n", encoding="utf-8")
    watched = Watched(run, Limits(on_battery="pause"))
    watched.see(20, battery={"pct": 50, "plugged": False})
    assert run.pause.read_text(encoding="utf-8") == "stop\n30\n"


def test_what_a_warning_asks_for_may_change_while_it_stands(run):
    watched = Watched(run, Limits(on_battery="hold"))
    watched.see(10, battery={"pct": 50, "plugged": False})
    assert run.hold.exists()
    watched.see(2, battery={"pct": 15, "plugged": False})
    assert run.pause.exists()
    acts = [event["act"] for event in watched.events() if event["state"] == "begin"]
    assert acts == ["hold", "pause"]


def test_a_computer_that_slept_has_not_been_silent(run):
    writer = EventWriter(run.events)
    for step in range(1, 30):
        writer.write("step", step=step, loss=0.1 + step / 100, seconds=1.0)
    watched = Watched(run)
    watched.see(3)
    watched.t += 8 * 3600
    watched.see(10)
    assert watched.kinds() == []
    watched.see(100)
    assert watched.kinds() == [("silent", "begin")]


def test_on_a_disk_without_room_a_warning_waits_for_room(run, monkeypatch):
    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    watched = Watched(run)
    with monkeypatch.context() as patched:
        patched.setattr(EventWriter, "write", full)
        watched.see(20, battery={"pct": 50, "plugged": False})
    assert watched.kinds() == []
    watched.see(1, battery={"pct": 50, "plugged": False})
    assert watched.kinds() == [("on-battery", "begin")]


def test_what_others_take_is_told_from_what_the_training_takes(run):
    writer = EventWriter(run.events)
    watched = Watched(run)

    def step(number, used, vram):
        writer.write("step", step=number, loss=number / 7, seconds=2.0, vram_mib=vram)
        watched.see(
            gpus=[{"used_mib": used, "total_mib": 8188, "others": [{"name": "game.exe", "mib": None}]}]
        )

    for number in range(1, 20):
        step(number, 7000, 6000)
    for number in range(20, 40):
        step(number, 7600, 6600)  # the training itself
    assert watched.kinds() == []
    for number in range(40, 60):
        step(number, 8150, 6600)
    assert watched.kinds() == [("other-program", "begin")]
    assert "game.exe" in watched.events()[0]["message"]


def test_phases_of_earlier_runs_tell_what_is_usual(run):
    for number, (trainer, seconds) in enumerate([("Sdxl", 40.0), ("Sdxl", 90.0), ("Other", 500.0)]):
        other = RunPaths(folder=run.folder.parent / f"2026112{number}-120000-x")
        other.folder.mkdir()
        writer = EventWriter(other.events)
        writer.write("start", pid=1, trainer=trainer)
        writer.write("phase", name="load_models", state="end", seconds=seconds)
        writer.write("phase", name="train_loop", state="end", seconds=9999.0)
    (run.folder.parent / "20261129-damaged").mkdir()
    assert usual_phases(run, "Sdxl") == {"load_models": 90.0}


@pytest.mark.parametrize("sample", [{}, {"gpus": None}, {"gpus": [None, 3, {"throttle": 5, "others": [1]}]}, {"battery": 7, "ram_used_mib": "x"}])  # fmt: skip
def test_a_strange_sample_is_no_crash(run, sample):
    assert moment_of(sample, 0.0).at == 0.0
    Watched(run).see(3, **sample)


@pytest.mark.parametrize("line", ['{"t": 5}', '{"t": 5, "type": "warning", "kind": [], "state": "begin"}', '{"t": "x", "type": "warning", "kind": "a", "state": "begin", "message": "m"}', '{"t": 5, "type": "warning", "kind": "a", "state": "end"}', "[" * 5000, "\x00"])  # fmt: skip
def test_a_damaged_warning_changes_nothing(run, line):
    run.warnings.write_text(f"{line}\n", encoding="utf-8")
    assert RunMonitor(run).poll().alerts == ()


def test_the_monitor_tells_what_stands_and_what_is_over(run):
    watched = Watched(run, HOT)
    writer = EventWriter(run.events)
    writer.write("start", pid=1, trainer="x")
    watched.hot(85, 5)
    writer.write("hold", state="begin", reason="too-hot", step=0)
    monitor = RunMonitor(run)
    view = monitor.poll()
    assert [(alert.kind, alert.act, alert.ended) for alert in view.alerts] == [("too-hot", "hold", None)]
    assert view.held_for == "too-hot"
    writer.write("hold", state="end", seconds=33.0, step=0)
    watched.hot(60, 2)
    view = monitor.poll()
    assert view.alerts[0].ended is not None
    assert (view.held_for, view.held_s) == ("", 33.0)


# --- what people see of it


def picture(view, width=78, height=24):
    from launcher.ui.frame import compose

    return "\n".join(line.plain for line in compose(view, width, height, now=ui_views.NOW))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (132, 40)])
def test_the_dashboard_says_what_is_wrong_and_what_to_do(width, height):
    text = " ".join(picture(ui_views.held(), width, height).split())
    assert "letting the card cool down" in text
    assert "for 1 min 35 s" in text
    assert "min left" not in text, "nobody knows when it goes on"
    assert text.count("The card is at 85 °C") == 1, "the one that is over is history"


def test_a_paused_run_still_says_why():
    text = " ".join(picture(ui_views.paused_by_the_guard()).split())
    assert "The disk is nearly full: 1.1 GiB are free" in text
    assert "Make room, then resume." in text


def test_the_plain_watcher_tells_what_begins_and_what_is_over():
    from launcher.ui.dashboard import news

    before = ui_views.held()
    fresh = news(replace(before, alerts=before.alerts[:2]), before, is_due=False)
    assert [line[:32] for line in fresh] == ["warning: The card is at 85 °C, a"]
    over = replace(before.alerts[2], ended=ui_views.NOW)
    assert "over: too hot, after 1 min 37 s" in news(before, replace(before, alerts=(over,)), is_due=False)


def test_the_report_lists_what_happened_and_when(run):
    from launcher.report.alerts import alert_rows
    from launcher.report.content import Part, facts

    part = Part(run=run, view=ui_views.held(), plan={})
    rows = alert_rows([part])
    assert [row.source for row in rows] == ["step 300, for 5 min 00 s", "step 610, until the end", "step 620, until the end"]  # fmt: skip
    assert "5 min 00 s of it waiting" in facts([part])[1].source


def test_a_run_that_paused_itself_says_why_and_whether_that_is_over(run, monkeypatch):
    (run.folder / "state.json").write_text(
        '{"v": 1, "status": "PAUSED", "name": "訓練", "created": 5}', encoding="utf-8"
    )
    words = {
        "kind": "disk-full",
        "message": "The disk is \x1b[31mnearly full.",
        "fix": "Make room.",
        "needs_mib": 1000,
    }
    run.pause.write_text(f"pause\n{json.dumps(words)}\n", encoding="utf-8")
    free = {"bytes": 999 << 20}
    monkeypatch.setattr(
        "launcher.history.reason.shutil.disk_usage", lambda _: SimpleNamespace(free=free["bytes"])
    )
    record = load_run(run.folder)
    assert record.reason.message == "The disk is [31mnearly full."
    assert standing_of(record.reason, record.folder) == "still too little room"
    free["bytes"] = 1000 << 20
    assert standing_of(record.reason, record.folder) == "there is room again"
    assert run_json(record)["paused_because"]["has_gone"] is True
    view = MenuView(version="1", resumable=(record,), recent=(record,))
    assert (
        next(entry for entry in entries(view) if entry.value.kind == "resume").hint == "there is room again"
    )
    assert "The disk was nearly full; there is room again." in str(first_screen(view, SIGNS))


@pytest.mark.parametrize("text", ["", "pause", "pause\n[1]", 'stop\n{"kind": "disk-full"}', 'pause\n{"kind": 5}', "pause\n" + "[" * 9000])  # fmt: skip
def test_a_request_of_somebody_has_no_reason(run, text):
    run.pause.write_text(text, encoding="utf-8")
    assert reason_of(run) is None


def test_a_state_in_the_making_is_no_full_disk(tmp_path):
    """On a slow disk it takes longer than the rule's patience, and the oldest state goes when it is whole."""
    assert "disk-full" not in found(look(row(9, disk_free_mib=1200.0, making_mib=500.0)))
    aside = tmp_path / ".tmp-1-2-state"
    aside.mkdir()
    (aside / "weights").write_bytes(b"0" * (3 << 20))
    (tmp_path / "step00000004").mkdir()
    (tmp_path / "step00000004" / "weights").write_bytes(b"0" * (5 << 20))
    assert making_mib(tmp_path) == 3
    assert making_mib(tmp_path / "not there") == 0
    assert moment_of({"making_mib": 3}, at=0.0).making_mib == 3

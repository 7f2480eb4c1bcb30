"""`bench`: real runs of the stand-in trainer, told apart by what its boosts would save; and the arithmetic on made-up ones."""

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from launcher import bench as benching
from launcher import trainers
from launcher.bench.measuring import Measured
from launcher.bench.result import advice, comparison_of, rows_of, timing_of
from launcher.bench.scratch import scratch, sweep
from launcher.bench.variants import BOOSTED, STOCK, WARM_UP, Variant, plan_of, variants_of
from launcher.cli import execute, make_parser
from launcher.errors import PreflightError, RunError, TrainingError, UsageError
from launcher.events import EventWriter, Status
from launcher.exporter.lost import lost
from launcher.forecast.pace import Earlier, earlier_benches, pace
from launcher.forecast.setup import Setup
from launcher.history import list_runs
from launcher.machine import Fact, Gpu, Machine
from launcher.machine.benched import Comparison, Timing, keep_comparison, load_comparisons
from launcher.monitor import Boost, RunMonitor
from launcher.paths import Paths, RunPaths
from launcher.plan import Request, continue_plan, resolve, speed
from launcher.plan.changes import change_plan
from launcher.process import find_by_arguments
from launcher.report import write_report
from launcher.run import create_run
from launcher.trainers.switches import BOOSTS, SWITCHES
from launcher.ui import console, formats
from launcher.ui.bench_view import result
from launcher.ui.dashboard import news
from launcher.ui.frame import compose
from launcher.ui.palette import FULL
from launcher.ui.plan_view import plan_view
from tests import ui_views
from tests.conftest import ROOT, standin_trainer
from tests.fake_runs import Script, write_run
from tests.real.rig import SHRINK, Rig

IMAGES = ROOT / "launcher" / "demo" / "images"
CARD = "NVIDIA GeForce RTX 3060 Ti"
SETTINGS = {"resolution": "1024,1024", "network_dim": "32", "train_batch_size": "1", "gradient_checkpointing": "True"}  # fmt: skip
SLOW = Timing(median_s=1.6, q1_s=1.59, q3_s=1.62, steps=24, vram_mib=4300.0, first_s=58.0, runs=2)
FAST = Timing(median_s=0.9, q1_s=0.89, q3_s=0.92, steps=24, vram_mib=4900.0, first_s=31.0, runs=2)
FOUND = Comparison(
    card=CARD, trainer="sd-scripts", settings=SETTINGS, boosts="rounding", stock=SLOW, boosted=FAST, taken=1_790_000_000.0,
    launcher="0.4.0", used=("cast",), refused={"keep": "no room"},
)  # fmt: skip


@pytest.fixture
def boosted(standin, monkeypatch):
    """The stand-in with boosts: a step takes a quarter of the time with them."""

    def trainer(paths):
        return replace(standin_trainer(paths), switches=frozenset(SWITCHES))

    monkeypatch.setitem(trainers.TRAINERS, "standin", trainer)
    monkeypatch.setenv("STANDIN_STEP_SECONDS", "0.12")
    monkeypatch.setenv("STANDIN_BOOSTED", "0.03")
    monkeypatch.setattr("launcher.preflight.CHECKS", ())  # no environment of that name was proved
    return standin


def run_bench(standin, *words):
    return execute(["bench", "demo", "--trainer", "standin", "--data", str(IMAGES), "--yes", *words], standin.paths)  # fmt: skip


def leftovers(paths):
    return [path for path in paths.home.rglob("*") if ".bench-" in path.name]


@pytest.mark.training
def test_stock_and_boosted_in_turn(boosted, capsys):
    assert run_bench(boosted, "--steps", "6", "--rounds", "2", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    stock, fast = told["rows"]
    assert (stock["name"], fast["name"], stock["steps"], fast["steps"]) == (STOCK, BOOSTED, 12, 12)
    assert stock["q1_s"] <= stock["median_s"] <= stock["q3_s"]
    assert stock["first_s"] > 0
    assert told["ratio"] == fast["ratio"] == pytest.approx(fast["median_s"] / stock["median_s"], abs=1e-3)
    assert told["ratio"] < 1, "a boosted step sleeps a quarter as long"
    assert [boost["name"] for boost in fast["boosts"] if boost["used"]] == ["gradients", "cast"]
    assert stock["boosts"] == []
    (kept,) = load_comparisons(boosted.paths)
    assert (kept.trainer, kept.card, kept.boosts) == ("standin", "cpu", "rounding")
    assert kept.refused == {"fp8_matmul": "approximate: only where asked for"}
    assert kept.ratio == pytest.approx(told["ratio"], abs=1e-3)
    assert list_runs(boosted.paths) == []
    assert leftovers(boosted.paths) == []


@pytest.mark.training
def test_each_boost_alone_and_the_table_of_a_pipe(boosted, capsys, monkeypatch):
    monkeypatch.setattr("launcher.bench.variants.BOOSTS", {"cast": ""})
    assert run_bench(boosted, "--steps", "4", "--rounds", "1", "--each") == 0
    said = capsys.readouterr().out
    assert "stock and boosted, then 1 boost alone, in turn: 3 runs of 5 + 4 steps" in said
    assert "3 of 3   cast" in said
    head = next(line for line in said.splitlines() if "quartiles" in line)
    assert [word for word in head.split() if word != "step"][:4] == ["s/step", "quartiles", "ratio", "VRAM"]
    assert "approximate: only where asked for" in said
    assert "Kept for forecasts and plans" in said


@pytest.mark.training
def test_a_training_that_fails_leaves_a_table_and_its_error(boosted, capsys, monkeypatch):
    monkeypatch.setenv("STANDIN_BOOSTED_ACT", "2:raise")
    with pytest.raises(TrainingError) as error:
        run_bench(boosted, "--steps", "4", "--rounds", "1")
    said = capsys.readouterr().out
    assert "stock" in said
    assert "There is no comparison" in said
    assert error.value.what.startswith("The boosted training ended at step 1 without its result.")
    assert "the batch of this step is broken" in error.value.why
    log = boosted.paths.logs / Path(error.value.where).name
    assert "the batch of this step is broken" in log.read_text(encoding="utf-8")
    assert load_comparisons(boosted.paths) == ()
    assert leftovers(boosted.paths) == []


@pytest.mark.training
def test_a_stock_training_that_fails_ends_the_bench(boosted, capsys, monkeypatch):
    monkeypatch.setenv("STANDIN_ACT", "2:raise")
    with pytest.raises(TrainingError, match="The stock training ended at step 1"):
        run_bench(boosted, "--rounds", "3", "--json")
    told = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in told["rows"]] == [STOCK]
    assert told["rows"][0]["error"]
    assert (told["ratio"], told["kept"]) == (None, None)


@pytest.mark.training
def test_an_interrupt_ends_the_tree_and_leaves_nothing(boosted, monkeypatch):
    monkeypatch.setenv("STANDIN_STEP_SECONDS", "600")
    began = []

    def interrupt(_turn, view):
        if not isinstance(view, Measured) and view.device:
            began.append(RunPaths(folder=next(iter((leftovers(boosted.paths)[0] / "runs").iterdir()))))
            raise KeyboardInterrupt

    plan = boosted.plan()
    turns = list(benching.turns_of(variants_of(plan, each=False), 1))
    with pytest.raises(KeyboardInterrupt), scratch(boosted.paths) as place:
        benching.bench(boosted.paths, place, plan, turns, steps=4, tell=interrupt)
    folder = str(began[0].folder)
    assert find_by_arguments("_supervise", folder) == []
    assert find_by_arguments("--run", folder) == []
    assert leftovers(boosted.paths) == []


def test_a_bench_that_was_killed_is_cleared_by_the_next(paths):
    left = paths.runs / ".bench-4000000" / "runs" / "20260101-000000-bench"
    left.mkdir(parents=True)
    with scratch(paths) as place:
        assert not left.exists()
        assert place.runs.is_dir()
        assert not sweep(paths)
        assert place.runs.is_dir(), "one that is going on is left alone"
        with pytest.raises(RunError, match="another bench is going on"), scratch(paths):
            pass
        assert place.runs.is_dir()
    assert leftovers(paths) == []


def machine(name=CARD):
    gpu = Gpu(name=name, capability=(8, 6), total_mib=8192, free_mib=7800, driver="551.23")
    return Machine(
        os="Linux 6.1", cores=8, ram_mib=32_000, free_ram_mib=20_000, gpus=(gpu,), has_bf16=Fact(value=True, reason="a test"),
    )  # fmt: skip


def plan_for(paths, *settings, preset="style-8gb", trainer="sd-scripts"):
    request = Request(preset=preset, trainer=trainer, data=IMAGES, model=paths.home / "base.safetensors", settings=settings)  # fmt: skip
    return resolve(paths, request, machine())


def values_of(plan):
    return {name: setting.value for name, setting in plan.options.items()}


def switched(plan):
    words = plan.argv
    return dict(words[at + 1].split("=") for at, word in enumerate(words) if word == "--switch")


def without_boosts(plan):
    """As a launcher wrote it that knew no boosts."""
    return replace(plan, options={name: item for name, item in plan.options.items() if "boost" not in name})


def test_a_run_of_a_bench_trains_and_writes_nothing_else(paths):
    plan = plan_for(paths, "launcher.boost_keep=on", "launcher.cache_images=beside")
    stock, fast, *_ = variants_of(plan, each=False)
    short = plan_of(paths, plan, stock, steps=12)
    assert short.train["max_train_steps"] == short.total_steps == 12 + WARM_UP
    unwanted = {"save_every_n_steps", "save_state", "sample_prompts", "sample_every_n_steps"}
    assert unwanted <= plan.train.keys()
    assert not unwanted & short.train.keys()
    assert short.train["save_precision"] == "fp16"
    told = switched(short)
    assert (told["boosts"], told["boost_keep"]) == ("off", "auto")
    assert (told["state_every_minutes"], told["cache_images"]) == ("0.0", "folder")
    told = switched(plan_of(paths, plan, fast, steps=12))
    assert (told["boosts"], told["boost_keep"]) == ("rounding", "on")
    one, other = (plan_of(paths, plan, way, steps=12).options for way in (stock, fast))
    assert {name for name in one if one[name].value != other[name].value} == {"launcher.boosts", "launcher.boost_keep"}  # fmt: skip


def test_the_ways_to_train(paths):
    plan = plan_for(paths, "launcher.boosts=off")
    stock, fast, *alone = variants_of(plan, each=True)
    assert fast.switches["boosts"] == SWITCHES["boosts"].default, "without boosts of its own: the usual ones"
    assert [one.name for one in alone] == list(BOOSTS)
    assert all(one.switches == {**stock.switches, f"boost_{one.name}": "on"} for one in alone)
    order = [(turn.variant.name, turn.round) for turn in benching.turns_of((stock, fast), 2)]
    assert order == [(STOCK, 1), (BOOSTED, 1), (STOCK, 2), (BOOSTED, 2)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["demo", "--trainer", "rehearsal", "--data", str(IMAGES)], "there is nothing to compare"),
        (["--steps", "3"], "fewer tell nothing"),
        (["--rounds", "0"], "from 1 to"),
        ([], "there is no run yet"),
    ],
)
def test_what_cannot_be_measured_is_said(paths, words, said):
    with pytest.raises(UsageError, match=said):
        execute(["bench", "--yes", *words], paths)
    assert leftovers(paths) == []


def test_only_what_keeps_it_from_running_is_told(paths, monkeypatch):
    from launcher.commands import bench as command
    from launcher.commands import common

    monkeypatch.setattr(common, "machine_of", lambda _paths: machine())
    plan = plan_for(paths)
    short = plan_of(paths, plan, variants_of(plan, each=False)[0], steps=4)
    checks = {problem.check for problem in command.problems_of(paths, short, is_quiet=True)}
    assert "model" in checks, "the model that is not there is an error"
    assert not checks & {"images", "captions", "shapes"}


def test_a_full_disk_is_said_before_anything_runs(boosted, monkeypatch):
    from launcher.preflight import room

    monkeypatch.setattr("launcher.preflight.CHECKS", (room.check_room,))
    monkeypatch.setattr(room, "free_disk_mib", lambda _folder: 10)
    with pytest.raises(PreflightError, match="Nothing was started"):
        run_bench(boosted, "--json")
    assert leftovers(boosted.paths) == []


def test_nothing_is_measured_beside_a_training(paths, monkeypatch):
    live = ui_views.record("cyanotype", Status.RUNNING, ago=10, step=1, total=9)
    monkeypatch.setattr("launcher.history.list_runs", lambda *_, **__: [live])
    with pytest.raises(RunError, match="is training"):
        execute(["bench", "--yes"], paths)


def test_without_words_the_last_run_is_measured_with_the_switches_of_today(paths, monkeypatch):
    from launcher.commands import bench as command
    from launcher.commands import common

    monkeypatch.setattr(common, "machine_of", lambda _paths: machine("NVIDIA GeForce RTX 4060"))
    old = without_boosts(plan_for(paths, "network_dim=16"))
    create_run(paths, old)
    create_run(paths, resolve(paths, Request(preset="demo", trainer="rehearsal", data=IMAGES), machine()))
    plan = command.ask_plan(paths, make_parser().parse_args(["bench", "--yes"]))
    values = values_of(plan)
    assert (plan.preset, values["network_dim"], values["launcher.boosts"]) == ("style-8gb", 16, "rounding")
    assert plan.machine["device"].reason.startswith("NVIDIA GeForce RTX 4060")
    plan = command.ask_plan(paths, make_parser().parse_args(["bench", "character-8gb", "--yes"]))
    assert (plan.preset, plan.data, plan.model) == ("character-8gb", old.data, old.model)


def measured(variant, *seconds, **more):
    return Measured(variant=variant, seconds=seconds, **more)


def test_rows_pool_the_rounds_and_survive_a_failure():
    ways = [Variant(name=name, switches={}) for name in (STOCK, BOOSTED, "cast", "norms")]
    runs = [
        measured(STOCK, 1.0, 1.2, vram_mib=4000.0, first_s=60.0),
        measured(BOOSTED, 0.5, 0.5, 0.5, 0.5),
        measured(STOCK, 1.0, 1.2, vram_mib=4100.0, first_s=40.0),
        measured("cast", 1.0),
    ]
    stock, fast, cast, norms = rows_of(ways, runs, {"norms": TrainingError("no room")})
    assert stock.timing == Timing(
        median_s=1.1, q1_s=1.0, q3_s=1.2, steps=4, vram_mib=4100.0, first_s=40.0, runs=2
    )
    assert fast.ratio == pytest.approx(0.5 / 1.1)
    assert cast.timing is None, "one step has no quartiles"
    assert norms.error == "no room"
    assert timing_of([]) is None


def test_what_is_said_and_kept(paths):
    plan = plan_for(paths)
    _, fast = variants_of(plan, each=False)
    boosts = (
        Boost(name="cast", kind="exact", is_used=True),
        Boost(name="keep", kind="exact", is_used=False, reason="no room"),
    )
    rows = [
        benching.Row(name=STOCK, timing=SLOW, ratio=1.0),
        benching.Row(name=BOOSTED, timing=FAST, ratio=0.56, boosts=boosts),
        benching.Row(name="attention", timing=replace(SLOW, median_s=1.8, q1_s=1.7, q3_s=1.9), ratio=1.125),
    ]
    found = comparison_of(plan, fast, rows)
    assert (found.card, found.boosts, found.used) == (CARD, "rounding", ("cast",))
    assert found.refused == {"keep": "no room"}
    verdict, alone = advice(found, rows)
    assert "0.56 of stock's time" in verdict
    assert "boost_attention=off" in alone
    assert "cost time" in advice(replace(found, stock=FAST, boosted=SLOW), [])[0]
    assert "noise" in advice(replace(found, boosted=replace(SLOW, median_s=1.61)), [])[0]
    once = replace(found, stock=replace(FAST, runs=1), boosted=replace(SLOW, runs=1))
    assert "may be an accident" in advice(once, [])[0]
    assert not once.is_slower
    assert comparison_of(plan, fast, rows[:1]) is None
    keep_comparison(paths, found)
    keep_comparison(paths, replace(found, card="another"))
    keep_comparison(paths, replace(found, boosted=SLOW, taken=found.taken + 1))
    kept = load_comparisons(paths)
    assert [(one.card, one.boosted.median_s) for one in kept] == [(CARD, 1.6), ("another", 0.9)]
    assert speed.find_comparison(paths, "sd-scripts", values_of(plan), CARD) == kept[0]
    other = plan_for(paths, "network_dim=64")
    assert speed.find_comparison(paths, "sd-scripts", values_of(other), CARD) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"v": 9, "results": []}',
        '{"v": 1, "results": [1, {}, {"card": "x"}]}',
        '{"v": 1, "results": 3}',
    ],
)
def test_a_damaged_file_of_results_is_none(paths, text):
    paths.bench_results.parent.mkdir(parents=True)
    paths.bench_results.write_text(text, encoding="utf-8")
    assert load_comparisons(paths) == ()
    keep_comparison(paths, FOUND)
    assert load_comparisons(paths) == (FOUND,)


@pytest.mark.parametrize(
    ("name", "value"),
    [("taken", "1e999"), ("taken", "-1"), ("taken", "NaN"), ("taken", "1e15"), ("taken", "9" * 400), ("launcher", '"\\ud800"'),
     ("settings", '{"network_dim": "\\udfff"}'), ("stock", '{"median_s": 1, "q1_s": 1, "q3_s": 1, "steps": 1e999}')],
)  # fmt: skip
def test_a_result_that_nobody_measured_is_left_out(paths, name, value):
    keep_comparison(paths, FOUND)
    text = paths.bench_results.read_text(encoding="utf-8")
    results = json.loads(text)
    results["results"][0][name] = "HERE"
    paths.bench_results.write_text(json.dumps(results).replace('"HERE"', value), encoding="utf-8")
    assert load_comparisons(paths) == ()
    assert earlier_benches(paths, FOUND.trainer) == ()


def test_settings_with_endless_numbers_are_no_error(paths):
    endless = {"gradient_accumulation_steps": "9" * 5000, "network_dim": "9" * 400}
    keep_comparison(paths, replace(FOUND, settings=endless))
    assert len(earlier_benches(paths, FOUND.trainer)) == 2


def test_a_plan_tells_that_boosts_do_not_pay_and_switches_nothing(paths):
    def notes(*settings):
        return [note for note in plan_for(paths, *settings).notes if "do not pay" in note]

    assert notes() == []
    settings = speed.settings_of(values_of(plan_for(paths)))
    keep_comparison(paths, replace(FOUND, settings=settings, stock=FAST, boosted=SLOW))
    assert len(notes()) == 1
    assert "1.78 times stock's" in notes()[0]
    assert switched(plan_for(paths))["boosts"] == "rounding"
    assert notes("launcher.boosts=off") == []
    assert notes("train_batch_size=2") == []


def test_a_bench_replaces_the_guess(paths):
    keep_comparison(paths, FOUND)
    benches = earlier_benches(paths, "sd-scripts")
    assert earlier_benches(paths, "sd-scripts-fp8") == ()
    setup = Setup(width=1024, height=1024, batch=1, dim=32, is_checkpointed=True)

    def found(*earlier, boosts="rounding", **more):
        return pace(replace(setup, **more), CARD, earlier=earlier, images=20, boosts=boosts)

    assert found().is_guess
    fast = found(*benches)
    assert (fast.step_s, fast.is_guess, fast.start_s) == (0.9, False, 31.0 + 20 * 0.5)
    assert fast.source.startswith("from the bench of 20")
    assert found(*benches, boosts="off").step_s == 1.6
    twice = found(*benches, batch=2)
    assert twice.step_s == pytest.approx(1.8)
    assert twice.source.endswith("scaled")
    run = Earlier(run="20261101-1", card=CARD, setup=setup, step_s=1.0, start_s=90.0, boosts="rounding")
    assert found(run, *benches).step_s == 1.0, "hours tell more than a few steps"
    assert found(replace(run, boosts="off"), *benches).step_s == 0.9
    assert found(replace(run, boosts="off")).step_s == 1.0


def test_boosts_in_one_line():
    def line(**switches):
        return speed.boosts_of({f"launcher.{name}": value for name, value in switches.items()})

    assert speed.boosts_of({}) == line(boosts="off", boost_cast="off", keep_mib=100) == "off"
    assert line(boosts="off", boost_cast="on") == "off, cast=on"
    all_of = line(boosts="exact", boost_cast="off", boost_lora="auto", keep_mib=100)
    assert all_of == "exact, cast=off, keep_mib=100"


def test_boosts_may_change_when_a_run_goes_on(paths):
    plan = plan_for(paths)
    words = ("launcher.boosts=off", "launcher.boost_cast=on", "launcher.keep_mib=100")
    changed = continue_plan(paths, change_plan(paths, plan, words), parent="20260101-000000-x", state=None)
    told = switched(changed)
    assert (told["boosts"], told["boost_cast"], told["keep_mib"]) == ("off", "on", "100")
    assert any("launcher.boosts = off (before: rounding)" in note for note in changed.notes)
    old = without_boosts(plan)
    again = continue_plan(paths, old, parent="20260101-000000-x", state=None)
    assert switched(again)["boosts"] == "off"  # nobody asked for other rounding in the middle of it
    told = change_plan(paths, old, ("launcher.boosts=exact",))
    assert told.notes[-1] == "Changed at the resume: launcher.boosts = exact (before: not set)."


def test_the_preset_for_old_runs_keeps_to_exact_boosts(paths):
    plan = plan_for(paths, preset="fork-style-8gb", trainer="sd-scripts-fp8")
    assert switched(plan)["boosts"] == "exact"


def test_an_exported_script_says_that_it_trains_without_boosts(paths):
    def said(*settings):
        return " ".join(lost(paths, plan_for(paths, *settings), machine()))

    assert "boosts do not act" in said()
    assert "boosts do not act" not in said("launcher.boosts=off")


EVENT = [
    {"name": "cast", "kind": "exact", "used": True, "reason": ""},
    {"name": "attention", "kind": "rounding", "used": False, "reason": "its self-check failed: 0.3"},
    {
        "name": "fp8_matmul",
        "kind": "approximate",
        "used": False,
        "reason": "approximate: only where asked for",
    },
]


def told_run(folder, *events):
    run = write_run(folder, Script(steps=20))
    writer = EventWriter(run.events)
    writer.write("boosts", boosts=EVENT, ops="triton", device=CARD)
    for kind, fields in events:
        writer.write(kind, **fields)
    writer.close()
    return run


def test_the_monitor_knows_the_boosts(tmp_path):
    view = RunMonitor(told_run(tmp_path / "run")).poll()
    used = {one.name: one.is_used for one in view.boosts}
    assert used == {"cast": True, "attention": False, "fp8_matmul": False}
    assert (view.boosts[1].reason, view.boost_ops) == ("its self-check failed: 0.3", "triton")
    message = "boost cast: failed and was turned off: RuntimeError: no; training goes on without it"
    view = RunMonitor(told_run(tmp_path / "second", ("warning", {"message": message, "count": 1}))).poll()
    assert not view.boosts[0].is_used
    assert view.boosts[0].reason == "failed and was turned off: RuntimeError: no"


@pytest.mark.parametrize("boosts", [None, 3, [1, None, {}, {"name": 3}], [{"name": "\x1b[2Jx"}] * 900])
def test_a_hostile_event_of_boosts(tmp_path, boosts):
    run = told_run(tmp_path / "run", ("boosts", {"boosts": boosts, "ops": 3}))
    view = RunMonitor(run).poll()
    assert len(view.boosts) <= 64
    assert "\x1b" not in "".join(one.name for one in view.boosts)


def test_the_dashboard_has_a_quiet_line(tmp_path):
    boosts = RunMonitor(told_run(tmp_path / "run")).poll().boosts
    view = replace(ui_views.running(), boosts=boosts, boost_ops="triton")
    lines = [line.plain for line in compose(view, 80, 32, now=ui_views.NOW)]
    (line,) = [line for line in lines if "boosts" in line]
    assert line.split() == ["boosts", "1", "of", "3", "without", "attention", "exact", "triton"]
    assert any("resume from here" in line for line in lines)
    assert all(formats.cells(line.plain) <= 40 for line in compose(view, 40, 14, now=ui_views.NOW))
    before = replace(view, boosts=())
    assert [line for line in news(before, view, is_due=False) if "boost" in line] == [
        "boosts: 1 of 3 (exact)",
        "boost attention is not used: its self-check failed: 0.3",
    ]
    assert not [line for line in news(view, view, is_due=False) if "boost" in line]


def test_the_report_has_the_reasons(tmp_path, paths):
    run = told_run(tmp_path / "run")
    plan = json.loads(run.plan.read_text(encoding="utf-8"))
    plan["options"] |= {
        "launcher.boost_cast": {"value": "auto", "source": "launcher: default"},
        "launcher.boost_lora": {"value": "off", "source": "--set"},
    }
    run.plan.write_text(json.dumps(plan), encoding="utf-8")
    page = write_report(paths, run, chain=(), is_alive=lambda: False).read_text(encoding="utf-8")
    assert "1 of 3 used, written in triton" in page
    assert "its self-check failed: 0.3" in page
    assert "launcher.boost_lora" in page
    assert "launcher.boost_cast" not in page


def test_a_plan_names_the_boosts_that_do_not_follow(paths):
    def said(*settings):
        stream = io.StringIO()
        console.make_console(stream, width=160).print(plan_view(plan_for(paths, *settings), FULL))
        words = [line.split() for line in stream.getvalue().splitlines()]
        return [line[0] for line in words if line and line[0].startswith("launcher.")]

    quiet = said()
    assert "launcher.boosts" in quiet
    assert not [name for name in quiet if "boost_" in name or "keep_mib" in name]
    loud = said("launcher.boost_cast=off", "launcher.keep_mib=500")
    assert [name for name in loud if name not in quiet] == ["launcher.boost_cast", "launcher.keep_mib"]


def test_the_table(tmp_path):
    boosts = RunMonitor(told_run(tmp_path / "run")).poll().boosts
    ratio = FAST.median_s / SLOW.median_s
    refused = (replace(boosts[1], reason="no such card"),)
    rows = [
        benching.Row(name=STOCK, timing=SLOW, ratio=1.0),
        benching.Row(name=BOOSTED, timing=FAST, ratio=ratio, boosts=boosts, ops="triton"),
        benching.Row(name="attention", timing=SLOW, ratio=1.0, boosts=refused),
        benching.Row(name="norms", timing=None, error="The norms training ended at step 1 \x1b[2J."),
    ]
    stream = io.StringIO()
    console.make_console(stream, width=80).print(result(rows, ["So."], Path("bench.json"), FULL))
    said = stream.getvalue()
    table = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line.strip()}
    times = ["0.900", "0.890", "-", "0.920", "0.56"]
    assert table["boosted"] == [*times, "4.8", "GiB", "31", "s", "1", "of", "3"]
    assert table["norms"] == ["-"] * 5 + ["failed"]
    assert table["used"] == ["cast", "exact", "·", "triton"]
    assert table["alone"] == ["attention", "no", "such", "card"]
    assert "\x1b" not in said
    assert all(formats.cells(line) <= 80 for line in said.splitlines())


@pytest.mark.training
def test_with_the_real_trainer(tmp_path, monkeypatch, capsys):
    """sd-scripts itself, shrunk, on the processor: what the shim tells of its boosts is what the table says."""
    envs = os.environ.get("LAUNCHER_REAL_ENVS")
    if not envs or not os.environ.get("LAUNCHER_TOKENIZERS"):
        pytest.skip("LAUNCHER_REAL_ENVS and LAUNCHER_TOKENIZERS name no folders")
    rig = Rig(Path(envs), "sd-scripts", tmp_path / "rig")
    small = {"PYTHONPATH": str(SHRINK), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def shrunk(*args, **more):
        plan = plan_of(*args, **more)
        train = {**plan.train, "tokenizer_cache_dir": str(rig.tokenizers)}
        return replace(plan, env={**plan.env, **small}, train=train)

    monkeypatch.setattr("launcher.bench.running.plan_of", shrunk)
    monkeypatch.setattr("launcher.preflight.CHECKS", ())  # a checkpoint of some megabytes is refused
    settings = ("resolution=128,128", "network_dim=4", "optimizer_type=AdamW", "fp8_base=false", "enable_bucket=false")  # fmt: skip
    words = [word for setting in settings for word in ("--set", setting)]
    model, images = rig.material / "tiny.safetensors", rig.material / "images"
    paths = Paths(root=Path(envs).parent, home=tmp_path / "user data", shipped=ROOT)
    command = ["bench", "style-8gb", "--trainer", "sd-scripts", "--model", str(model), "--data", str(images)]
    assert execute([*command, *words, "--steps", "4", "--rounds", "1", "--yes", "--json"], paths) == 0
    stock, fast = json.loads(capsys.readouterr().out)["rows"]
    assert stock["boosts"] == []
    assert {boost["name"] for boost in fast["boosts"]} == set(BOOSTS)
    assert [boost["name"] for boost in fast["boosts"] if boost["used"]]
    assert all(boost["reason"] for boost in fast["boosts"] if not boost["used"])

"""The pure parts of the benchmark on a card: cases, records, ratios, tables; and processes that really take turns."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent / "benchmarks"
HOOK = BENCHMARKS / "gpu" / "hook"


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in [name for name in sys.modules if name == "gpu" or name.startswith("gpu.")]:
        del sys.modules[name]


def phase(t, name, *, reserved=0.0, retries=0):
    return {
        "t": t,
        "kind": "phase",
        "name": name,
        "allocated": reserved / 2,
        "reserved": reserved,
        "retries": retries,
    }


def test_a_case_is_changed_behind_colons():
    from gpu import cases

    case = cases.case_of("style-8gb:card=6:steps=5:sample=0:network_dim=8:launcher.offload_mib=512")
    assert (case.preset, case.cap_mib, case.steps, case.is_sampling) == ("style-8gb", 5376, 5, False)
    assert case.settings == ("network_dim=8", "launcher.offload_mib=512")
    assert cases.case_of("sdxl-4gb:card=").cap_mib is None
    assert cases.case_of("my-preset").preset == "my-preset"
    assert cases.case_of("style-8gb:off").settings == cases.MEMORY_OFF


def test_every_case_names_a_preset_that_is_there():
    from gpu import cases

    shelf = {path.stem for path in (BENCHMARKS.parents[1] / "presets").glob("*.toml")}
    assert {case.preset for case in cases.CASES.values()} <= shelf


def test_a_short_run_samples_once_and_saves_at_its_end():
    from gpu import cases

    words = cases.short_settings(cases.case_of("style-8gb"), Path("/p.txt"), is_small=False)
    assert "max_train_steps=14" in words
    assert "sample_every_n_steps=8" in words


def test_memory_of_a_process_is_told_by_kind():
    from gpu import watch

    text = "Name:\tpython\nVmRSS:\t 3072 kB\nRssAnon:\t 2048 kB\nRssFile:\t 1024 kB\nRssShmem:\t 512 kB\n"
    assert watch.parse_status(text) == (2.0, 1.5)
    assert watch.parse_status("State:\tZ (zombie)\n") == (0.0, 0.0)


def test_a_fork_counts_only_when_it_stays():
    from gpu import watch

    seen = {}
    counted = [watch.settled([1, 2], seen) for _ in range(watch.SETTLED)]
    assert counted[0] == [1]
    assert counted[-1] == [1, 2]


def test_phases_that_come_again_are_one_and_have_the_samples_of_their_time():
    from gpu import results, watch

    marks = [
        {"t": 0.0, "kind": "start"}, phase(2.0, "imports"), phase(4.0, "steps", reserved=100, retries=1),
        phase(5.0, "sample", reserved=900, retries=3), phase(7.0, "steps", reserved=300, retries=3),
    ]  # fmt: skip
    samples = [
        watch.Sample(t=float(t), anonymous=100.0 * t, mapped=0.0, card=None if t < 3 else 10.0 * t)
        for t in range(8)
    ]
    found = {one.name: one for one in results.phases_of(marks, samples)}
    assert list(found) == ["imports", "steps", "sample"]
    assert found["imports"].card is None
    assert (found["steps"].seconds, found["steps"].reserved, found["steps"].ram) == (4.0, 300, 700.0)
    assert [found[name].retries for name in ("steps", "sample")] == [1, 2]


def test_a_run_that_never_began_has_a_row_too():
    from gpu import cases, results, table, watch

    watched = watch.Watched(code=1, seconds=2.0, samples=[])
    result = results.read_result(cases.case_of("style-8gb"), watched, [])
    assert result.peak("reserved") is None
    assert "| style-8gb | launcher | 7424 | 1 | 0 |" in table.table([result])


def ring_run(name, seconds, *, ms):
    from gpu import cases, results, watch

    marks = [{"t": 0.0, "kind": "start"}]
    for turn in seconds:
        marks.append({"t": 1.0, "kind": "turn", "step": 1})
        marks += [
            {"t": 1.0, "kind": "step", "step": 1, "seconds": one, "clean": is_clean}
            for one, is_clean in [(9.0, False), *((one, True) for one in turn)]
        ]
    marks.append(
        {"t": 1.0, "kind": "kernels", "steps": 2, "launches": 100, "ms": ms, "copies": 1, "copy_ms": 0.1}
    )
    return results.read_result(cases.case_of(name), watch.Watched(code=0, seconds=1, samples=[]), marks)


def test_turns_are_compared_with_their_neighbours_in_time():
    from gpu import results, table

    stock = ring_run(
        "stock", [[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]], ms=200.0
    )  # the machine gets slower and slower
    shim = ring_run("shim", [[1.01, 1.01], [2.02, 2.02], [4.04, 4.04]], ms=201.0)
    one = results.ratio(shim, stock)
    assert (round(one.wall, 4), round(one.kernels, 4), one.launches, one.turns) == (1.01, 1.005, 1.0, 3)
    assert "| shim | stock | 1.0100 | 1.0100 to 1.0100 | 3 | 1.0050 | 1.0000 |" in table.ratios([one])
    assert results.ratio(shim, ring_run("stock", [[1.0]], ms=1.0)) is None


def test_an_unfinished_mark_is_left_out(tmp_path):
    from gpu import watch

    path = tmp_path / "marks.jsonl"
    assert watch.read_marks(path) == []
    path.write_text(json.dumps({"t": 1, "kind": "start"}) + '\n{"t": 2, "ki', encoding="utf-8")
    assert watch.read_marks(path) == [{"t": 1, "kind": "start"}]


TURNER = """
import os, pathlib, sys
import bench_ring
class Probe:
    def write(self, kind, **fields): pass
folder, name, steps = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
ring = bench_ring.Ring(Probe())
for step in range(1, steps + 1):
    if step > 1:
        with (folder / "order").open("a") as stream:
            stream.write(name)
    ring.wait(step)
"""


def test_processes_take_turns_and_pass_over_those_that_left(tmp_path):
    children = []
    for place, (name, steps) in enumerate((("a", 7), ("b", 3), ("c", 7))):
        env = {"PYTHONPATH": str(HOOK), "BENCH_RING": f"{tmp_path},{name},{place},3,1,2", "PATH": ""}
        words = [sys.executable, "-c", TURNER, str(tmp_path), name, str(steps)]
        children.append(subprocess.Popen(words, env=env))
    (tmp_path / "go").touch()
    assert [child.wait(timeout=60) for child in children] == [0, 0, 0]
    order = (tmp_path / "order").read_text()
    assert order == "aabbccaaccaacc"


def test_a_hook_arms_only_in_the_training_itself(tmp_path):
    code = "import sys; print('bench_probe' in sys.modules)"
    env = {"PYTHONPATH": str(HOOK), "BENCH_MARKS": str(tmp_path / "marks")}
    plain = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert plain.stdout.strip() == "False"
    script = tmp_path / "sdxl_train_network.py"
    script.write_text(code, encoding="utf-8")
    armed = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, check=True)
    assert armed.stdout.strip() == "True", armed.stderr
    assert (tmp_path / "marks").exists()


@pytest.fixture
def hooks(monkeypatch):
    """The modules that measure inside a training, as far as they need no torch."""
    monkeypatch.syspath_prepend(str(HOOK))
    yield
    for name in [name for name in sys.modules if name.startswith("bench_")]:
        del sys.modules[name]


def test_stock_takes_its_turn_between_the_others_and_kernels_are_counted_once():
    from gpu import boosts

    rows = boosts.rows_of(["cast", "lora"])
    turns = boosts.turns_of(rows, 2)
    places = [place for place, _ in turns]
    assert places[0] == places[-1] == 0
    assert all(0 in places[at : at + boosts.BETWEEN + 1] for at in range(len(places) - boosts.BETWEEN))
    assert [places.count(place) for place in range(1, len(rows))] == [2] * (len(rows) - 1)
    counted = [place for place, is_profiled in turns if is_profiled and place]
    assert counted == list(range(1, len(rows)))
    assert rows[0] == {"name": "stock", "switches": {"boosts": "off"}}


def turn(name, row, milliseconds, **more):
    return {
        "name": name,
        "row": row,
        "seconds": [one / 1000 for one in milliseconds],
        "used": [],
        "left": {},
        **more,
    }


def test_a_turn_is_compared_with_the_stock_around_it():
    from gpu import boosts

    kernels = {"ms": 200.0, "launches": 30_000}
    turns = [
        turn("stock", 0, [100, 100], kernels=kernels, reserved=4000),
        turn(
            "only cast",
            1,
            [75, 75],
            used=["cast"],
            kernels={"ms": 150.0, "launches": 28_000},
            failed=["cast"],
        ),
        turn("stock", 0, [200, 200], reserved=4100),  # the machine has become slow
        turn("only cast", 1, [100, 100], used=["cast"]),
        {"name": "only clip", "row": 2, "used": [], "left": {"clip": "not there"}, "same": "stock"},
    ]
    rows = {row["name"]: row for row in boosts.summed(turns)}
    assert rows["only cast"]["ratios"] == pytest.approx([0.5, 0.5])
    assert rows["stock"]["reserved"] == 4100
    text = boosts.table(list(rows.values()), {"only cast": {"gpu_ms": 160.0}})
    assert "| only cast | 1 | 150.0 | 160.0 | 0.750 | 88 | 75 to 100 | 0.500 | 28000 |" in text
    assert "cast failed |" in text
    assert "as stock |" in text
    assert boosts.reasons(list(rows.values())) == ["- clip: not there (first in row only clip)"]


def test_a_run_says_which_boosts_it_had():
    from gpu import boosts, results

    told = [
        {"name": "cast", "used": True, "reason": ""},
        {"name": "keep", "used": False, "reason": "no card"},
    ]
    applied = results.applied([{"type": "start"}, {"type": "boosts", "boosts": told}])
    assert boosts.told(applied) == "boosts: cast; not: keep (no card)"
    assert not boosts.told(results.applied([]))


def test_every_prediction_is_of_a_row_that_is_measured():
    from gpu import boosts

    assert set(boosts.predictions()) <= {row["name"] for row in boosts.rows_of()}


def test_gradients_are_told_beside_stocks_own_error():
    from gpu import boosts

    marks = [
        {"state": "first step", "name": "reference", "loss": 1.0},
        {
            "state": "first step",
            "name": "stock",
            "whole": 0.02,
            "median": 0.01,
            "worst": 0.1,
            "worst_module": "m",
        },
        {
            "state": "first step",
            "name": "default",
            "whole": 0.01,
            "median": 0.02,
            "worst": 0.1,
            "used": ["cast"],
        },
        {"state": "first step", "name": "exact", "error": "ValueError: x"},
    ]
    text = boosts.gradient_table(marks)
    assert (
        "| first step | default | 1 |  | 1.000e-02 | 0.500 | 2.000e-02 | 2.000 | 1.000e-01 | 1.000 |" in text
    )
    assert "ValueError: x |" in text


def test_gradients_of_several_draws_are_summed_up():
    from gpu import boosts

    marks = [
        {"state": f"up filled, draw {draw}", "name": name, "whole": whole}
        for draw, pair in enumerate(((0.01, 0.011), (0.02, 0.018)))
        for name, whole in zip(("stock", "default"), pair, strict=True)
    ]
    text = boosts.gradient_means([*marks, {"state": "up filled, draw 2", "name": "default", "error": "x"}])
    assert "| up filled | default | 2 | 1.000 | 0.900 | 1.100 |" in text
    assert "| up filled | stock | 2 | 1.000 | 1.000 | 1.000 |" in text


def test_curves_are_compared_after_smoothing_over_what_both_have():
    from gpu import curves

    base = [1.0, 2.0, 3.0, 4.0, 5.0]
    one = curves.distance("other", [1.0, 2.5, 2.5, 5.0], base, window=2)
    assert (one.steps, one.equal, one.raw) == (4, 1, 0.5)
    assert (round(one.mean, 6), round(one.largest, 6)) == (round((0.25 + 0 + 0.25) / 3, 6), 0.25)
    assert curves.distance("short", [1.0], base, window=2) is None
    stock = curves.distance("flash", [1.0, 2.5, 3.0, 4.5, 5.0], base, is_stock=True, window=2)
    text = curves.table([stock, one])
    assert text.splitlines()[-1].endswith("mean yes (0.67), largest yes (1.00) |")
    assert curves.svg({"a": base, "b": base[:4]}, window=2).count("<polyline") == 2


def test_curves_train_on_the_same_whatever_their_way():
    from gpu import cases, curves

    for curve in curves.CURVES.values():
        case = cases.case_of(f"{curve.case}:steps=300")
        assert case.preset == "style-8gb"
        assert curve.is_stock == (case.way == cases.STOCK)
        assert curve.is_stock or curves.SAME in case.settings
    assert set(curves.USUAL) <= set(curves.CURVES)


class FakeKernels:
    can = True

    def __init__(self):
        self.calls = []

    def start(self):
        self.calls.append("start")

    def stop(self, steps):
        self.calls.append(f"stop {steps}")
        return {"ms": 1.0}


class FakeStage:
    def __init__(self, orders):
        self.orders, self.listeners, self.put_rows = orders, [], []

    def put(self, row):
        self.put_rows.append(row["name"])
        if row["name"] == "broken":
            raise ValueError("no")
        used = [name for name, value in row["switches"].items() if value == "on"]
        return {"used": used, "left": {}, "ops": "torch", "setup_s": 0.0}

    def failed(self, _put):
        return []

    def end(self):
        raise StopIteration


class FakeProbe:
    def __init__(self):
        self.steps, self.losses, self.marks, self.is_disturbed, self.last = 1, [], [], False, 0.0

    def write(self, kind, **fields):
        self.marks.append({"kind": kind, **fields})


def test_rows_take_turns_inside_one_training(hooks):
    import bench_turns

    rows = [
        {"name": "stock", "switches": {}}, {"name": "broken", "switches": {}},
        {"name": "only cast", "switches": {"boost_cast": "on"}}, {"name": "only none", "switches": {}},
    ]  # fmt: skip
    orders = {
        "rows": rows,
        "turns": [[0, True], [1, False], [2, False], [3, False]],
        "warmup": 2,
        "steps": 3,
        "profiled": 2,
    }
    probe, kernels, stage = FakeProbe(), FakeKernels(), FakeStage(orders)
    turns = bench_turns.Turns(probe, kernels, stage)
    for step in range(1, 13):
        turns.before_step()
        is_clean, probe.is_disturbed = not probe.is_disturbed, False
        probe.steps += 1
        probe.losses.append(float(step))
        turns.after_step(float(step), is_clean)
    with pytest.raises(StopIteration):  # nothing is left to measure
        turns.before_step()
    marks = {mark["name"]: mark for mark in probe.marks}
    assert list(marks) == ["stock", "broken", "only cast", "only none"]
    assert (marks["stock"]["seconds"], marks["stock"]["kernels"]) == ([3.0, 4.0, 5.0], {"ms": 1.0})
    assert kernels.calls == ["start", "stop 2"]
    assert (marks["only cast"]["seconds"], marks["only cast"]["loss"]) == ([10.0, 11.0, 12.0], 10.0)
    assert marks["broken"]["error"] == "ValueError: no"
    assert marks["only none"]["same"] == "stock"

import json
import os
import subprocess
import sys

import pytest

from launcher import states
from launcher.paths import RunPaths
from launcher.process import ProcessId


def safetensors(values=b"\x00" * 16):
    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [len(values) // 4], "data_offsets": [0, len(values)]}}
    ).encode()
    return len(header).to_bytes(8, "little") + header + values


def fill_state(folder, step=7, epoch=2):
    folder.mkdir(parents=True)
    (folder / "train_state.json").write_text(json.dumps({"current_epoch": epoch, "current_step": step}))
    (folder / "model.safetensors").write_bytes(safetensors())
    (folder / "optimizer.bin").write_bytes(os.urandom(100_000))
    return folder


def publish(run, step):
    run.states.mkdir(parents=True, exist_ok=True)
    part = fill_state(states.aside(run.states, states.state_name(step)), step=step)
    return states.publish_state(part, run.states, extra={"note": "訓練"})


def names(run):
    return sorted(path.name for path in run.states.iterdir())


@pytest.fixture
def run(tmp_path):
    return RunPaths(folder=tmp_path / "run 訓練")


@pytest.fixture
def state(run):
    return publish(run, 7)[0]


def edit_manifest(state, change):
    manifest = json.loads((state / "manifest.json").read_text(encoding="utf-8"))
    change(manifest)
    (state / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_a_published_state_verifies_and_has_its_final_name(run):
    target, size = publish(run, 7)
    assert target.name == "step00000007"
    assert states.verify_state(target) is None
    assert size == sum(p.stat().st_size for p in target.iterdir() if p.name != "manifest.json")
    assert [p.name for p in run.states.iterdir()] == ["step00000007"]  # nothing left aside


DAMAGES = {
    "no manifest": (lambda s: (s / "manifest.json").unlink(), "manifest.json cannot be read"),
    "manifest cut": (lambda s: (s / "manifest.json").write_bytes((s / "manifest.json").read_bytes()[:40]), "damaged"),
    "manifest is a list": (lambda s: (s / "manifest.json").write_text("[]"), "not one of ours"),
    "manifest deep": (lambda s: (s / "manifest.json").write_text("[" * 100_000), "damaged"),
    "file missing": (lambda s: (s / "optimizer.bin").unlink(), "optimizer.bin is missing"),
    "file cut": (lambda s: os.truncate(s / "optimizer.bin", 99_999), "optimizer.bin has 99999 of 100000 bytes"),
    "file cut to nothing": (lambda s: os.truncate(s / "model.safetensors", 0), "model.safetensors has 0 of"),
    "one bit": (lambda s: flip(s / "optimizer.bin"), "checksum"),
    "not safetensors": (lambda s: rewrite(s, "model.safetensors", b"\xff" * 200), "not a safetensors file"),
    "weights end early": (lambda s: rewrite(s, "model.safetensors", safetensors()[:-4]), "not a safetensors file"),
    "no train state": (lambda s: edit_manifest(s, lambda m: m["files"].pop("train_state.json")), "does not list train_state.json"),
    "other step": (lambda s: edit_manifest(s, lambda m: m.update(step=8)), "the steps disagree"),
    "step is text": (lambda s: edit_manifest(s, lambda m: m.update(step="7")), "lacks the step"),
    "outside": (lambda s: edit_manifest(s, lambda m: m["files"].update({"../../x": m["files"]["optimizer.bin"]})), "outside the state"),
    "absolute": (lambda s: edit_manifest(s, lambda m: m["files"].update({"/etc/passwd": m["files"]["optimizer.bin"]})), "outside the state"),
    "entry is a number": (lambda s: edit_manifest(s, lambda m: m["files"].update({"optimizer.bin": 3})), "says nothing of optimizer.bin"),
}  # fmt: skip


def flip(path):
    data = bytearray(path.read_bytes())
    data[50_000] ^= 1
    path.write_bytes(data)


def rewrite(state, name, data):
    """A file that is as its manifest says, and still not what it should be."""
    import hashlib

    (state / name).write_bytes(data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit_manifest(state, lambda manifest: manifest["files"].update({name: entry}))


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_named(state, damage):
    inflict, reason = DAMAGES[damage]
    inflict(state)
    assert reason in states.verify_state(state)


def test_a_renamed_state_is_not_believed(state):
    moved = state.rename(state.with_name("step00000009"))
    assert "the steps disagree" in states.verify_state(moved)


def test_a_file_put_beside_by_a_file_manager_does_no_harm(state):
    (state / "desktop.ini").write_text("[x]")
    assert states.verify_state(state) is None


def test_an_existing_state_is_never_overwritten(run, state):
    before = {path.name: path.read_bytes() for path in state.iterdir()}
    target, _ = publish(run, 7)
    assert target == state
    assert {path.name: path.read_bytes() for path in state.iterdir()} == before
    assert names(run) == ["step00000007"]


def test_list_is_newest_first_and_only_states(run):
    for step in (2, 10, 123456789):
        publish(run, step)
    (run.states / ".tmp-1-1-step00000011").mkdir()
    (run.states / "notes.txt").write_text("x")
    (run.states / "step5").mkdir()
    assert [states.state_step(path) for path in states.list_states(run)] == [123456789, 10, 2]
    assert states.list_states(RunPaths(folder=run.folder / "nowhere")) == []


def test_retention_keeps_the_newest(run):
    for step in range(1, 7):
        publish(run, step)
    assert states.retire_states(run, keep=3) is None
    assert names(run) == ["step00000004", "step00000005", "step00000006"]


def test_retention_removes_nothing_while_the_newest_is_bad(run):
    for step in range(1, 6):
        publish(run, step)
    flip(run.states / "step00000005" / "optimizer.bin")
    assert "checksum" in states.retire_states(run, keep=3)
    assert len(names(run)) == 5


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(run):
    run.states.mkdir(parents=True)
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    living = ProcessId.of(sleeper.pid)
    try:
        mine = fill_state(states.aside(run.states, "step00000001"))
        others = fill_state(run.states / f".tmp-{living.pid}-{round(living.started * 1000)}-step00000002")
        # the pid of the living one, worn by a process of another time
        reused = fill_state(
            run.states / f".tmp-{living.pid}-{round((living.started - 100) * 1000)}-step00000003"
        )
        foreign = run.states / ".tmp-something"
        foreign.mkdir()
        assert states.clear_leftovers(run.states) == [reused]
        assert mine.exists()
        assert others.exists()
        assert foreign.exists()
    finally:
        sleeper.kill()
        sleeper.wait()
    assert states.clear_leftovers(run.states) == [others]

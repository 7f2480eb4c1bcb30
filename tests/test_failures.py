"""What trainings say when they fail (tests/sayings/training) is explained, each by its own kind and by no other's."""

import json
import math
import os
import re
import string
import time
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.events import Status
from launcher.failures import (
    KINDS,
    UNKNOWN,
    Evidence,
    evidence_of,
    explain,
    explain_kind,
    explain_run,
    find_spill,
    spill_words,
)
from launcher.failures.picture import holders, picture_of
from launcher.forecast.stepdown import step_down
from launcher.history.verdict import error_in
from launcher.install.explain_rule import compile_sign

SAYINGS = Path(__file__).parent / "sayings" / "training"
LIMIT_S = 4.0  # for a megabyte on a shared machine; measured 0.2 s


class Saying:
    """One recorded end of a training."""

    def __init__(self, path):
        head, _, self.output = path.read_text(encoding="utf-8").partition("----\n")
        lines = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
        self.name = path.relative_to(SAYINGS).with_suffix("").as_posix()
        self.expect, self.how, self.code = lines["expect"], lines["how"], int(lines["code"])
        self.system = "windows" if lines.get("windows") == "yes" else "linux"
        self.phase = lines.get("phase", "").strip()
        self.own = lines.get("error"), lines.get("message", "")

    def evidence(self):
        """As the shim and the verdict would tell it: error and traceback in the event, everything in the log."""
        name, message = self.own
        found = None if name else error_in(self.output)
        if found:
            name, message = found["error"], found["message"]
        traceback = self.output if found else ""
        return Evidence(
            error=name or "NothingTrained", message=message, traceback=traceback, log=self.output, phase=self.phase
        )  # fmt: skip

    def explain(self):
        return explain(self.evidence(), system=self.system)


ALL = [Saying(path) for path in sorted(SAYINGS.rglob("*.txt"))]
FAILED = [saying for saying in ALL if saying.expect != "none"]


@pytest.mark.parametrize("saying", FAILED, ids=lambda saying: saying.name)
def test_saying_is_explained_by_its_own_kind(saying):
    found = saying.explain()
    assert found.kind == saying.expect, found.said
    assert found.title
    assert found.what
    assert found.why
    assert found.fix
    assert not re.search(r"\{\w+\}", f"{found.what}{found.why}{found.fix}"), "a placeholder was left"
    assert "/" not in found.title


def test_every_kind_has_a_saying():
    """A kind without one may never have been right."""
    assert {kind.name for kind in KINDS} - {saying.expect for saying in FAILED} == set()
    names = [kind.name for kind in KINDS]
    assert len(names) == len(set(names)) > 40


def test_every_saying_tells_where_it_is_from():
    assert len(ALL) > 120
    assert all(saying.how.strip() for saying in ALL)
    assert sum(saying.how.startswith("sdxl_train_network.py") for saying in ALL) > 75, "of the real script"


@pytest.mark.parametrize("saying", FAILED, ids=lambda saying: saying.name)
def test_the_log_alone_is_enough_when_the_shim_said_nothing(saying):
    """The shim was killed, or never came so far: verdict finds the error in the log, or calls the end by a name."""
    if saying.own[0]:
        return
    found = error_in(saying.output)
    evidence = Evidence(**(found or {"error": "NothingTrained"}), log=saying.output)
    kind = explain(evidence, system=saying.system).kind
    assert kind in {saying.expect, UNKNOWN, "ended-early", "nothing-trained"} or saying.expect in {
        "refused",
        "ram",
    }
    silent = explain(replace(evidence, error="TrainerExit", message=""), system=saying.system).kind
    assert silent == saying.expect or found is None


def test_interrupted_runs_are_not_explained_by_old_lines():
    old = "RuntimeError: CUDA error: out of memory\nsteps: 12%"
    assert explain(Evidence(error="Interrupted", message="the process is gone", log=old)).kind == "power"
    killed = explain(
        Evidence(error="Interrupted", message="killed from outside (SIGKILL)", log=old), system="windows"
    )
    assert killed.kind == "killed"
    assert "page file" in killed.fix


def test_unknown_errors_are_shown_not_guessed():
    found = explain(Evidence(error="WeirdError", message="the moon is full"))
    assert (found.kind, found.said) == (UNKNOWN, "WeirdError: the moon is full")
    assert "the moon is full" in found.why
    assert explain(Evidence()).kind in {UNKNOWN, "start"}


def test_exit_code_speaks_when_nothing_else_does():
    assert explain(Evidence(exit_code=137)).kind == "killed"
    assert explain(Evidence(exit_code=3221225477)).kind == "crash"


def test_a_kind_found_before_keeps_its_words():
    again = explain_kind(
        "image-unreadable", Evidence(error="ValueError", message="cannot identify image file 'a.png'")
    )
    assert again.what == "An image cannot be read: a.png."
    assert explain_kind("no-such-kind", Evidence(error="MemoryError")).kind == "ram"


def test_no_password_is_repeated():
    url = "https://me:hunter2secret@hub.test/x"
    found = explain(Evidence(error="OSError", message=f"Can't load tokenizer for '{url}' {url}"))
    assert "hunter2secret" not in repr(found)


# --- nothing takes long


@pytest.mark.parametrize(
    "text",
    ["a" * 1_000_000, "nan detected in latents: " * 40_000, ("x" * 1_999 + "\n") * 500, '"' * 900_000, "\n" * 900_000,
     "error(s) in loading state_dict for " * 30_000, string.printable * 9_000, "no such file or directory: '" * 30_000],
    ids=range(8),
)  # fmt: skip
def test_hostile_text_takes_no_time(text):
    started = time.thread_time()
    explain(Evidence(error="RuntimeError", message=text, traceback=text, log=text))
    assert time.thread_time() - started < LIMIT_S


@pytest.mark.parametrize("sign", sorted({sign for kind in KINDS for sign in kind.signs}))
def test_sign_is_well_formed(sign):
    bare = re.sub(r"\(\?P<\w+>", "(", re.sub(r"\\.", "X", sign))
    assert bare.replace("X", "") == bare.replace("X", "").lower(), "the text is in lower case"
    assert not [one for one in re.findall(r"\[[^\]]*\]", bare) if " " in one], "a space in a class"
    assert not re.search(r"[*+]", re.sub(r"\[[^\]]*\]", "C", bare)), "a repetition without a bound"
    line = (re.split(r"[\\\[\](){}.*+?|^$]", sign)[0] or "x") * 200
    started = time.thread_time()
    compile_sign(sign).search((line[:1_990] + "\n") * 30)
    assert time.thread_time() - started < 1.0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_kind_is_well_formed(kind):
    assert re.fullmatch(r"[a-z0-9-]+", kind.name)
    assert kind.signs or kind.errors or kind.codes
    assert len(kind.title) <= 26
    for words in (kind.what, kind.why, kind.fix):
        assert words.endswith((".", ".)")), words
        assert set(re.findall(r"\{(\w+)\}", words)) <= {"file", "package", "option"}


# --- out of memory: what held it


def by_name(name):
    return next(saying for saying in ALL if saying.name == name)


@pytest.mark.parametrize(
    ("name", "asked", "total", "others"),
    [("quoted/oom-1-13", 2, 8192, 696.32), ("quoted/oom-2-1", 3072, 24217.6, 1208.32), ("quoted/oom-windows", 1740.8, 6144, None)],
)  # fmt: skip
def test_numbers_of_torch_are_read(name, asked, total, others):
    picture = picture_of(by_name(name).output)
    assert picture.asked == pytest.approx(asked)
    assert picture.total == pytest.approx(total)
    assert picture.others == (None if others is None else pytest.approx(others))
    assert picture.gaps is not None


def test_memory_words_tell_phase_and_holders():
    values = {"network_dim": 32, "mixed_precision": "bf16", "fp8_base": True, "optimizer_type": "AdamW8bit",
              "cache_text_encoder_outputs": True, "launcher.offload_mib": 0}  # fmt: skip
    evidence = replace(by_name("quoted/oom-1-13").evidence(), values=values)
    why = explain(evidence).why
    assert "It happened while training." in why
    assert "other programs 696 MiB" in why
    assert "2.4 GiB base weights" in why
    assert dict(holders(values))["LoRA"] == pytest.approx(325, abs=1), "as measured: facts/gpu.md"
    assert holders({"network_dim": "x"}) == []
    sampling = explain(by_name("quoted/oom-2-1").evidence()).why
    assert "while a sample image was painted" in sampling
    assert "4.8 GiB of it were lost in gaps" in sampling


# --- step-down


TIGHT = {
    "fp8_base": True, "gradient_checkpointing": True, "sdpa": True, "network_dim": 32, "network_alpha": 16.0,
    "mixed_precision": "bf16", "optimizer_type": "AdamW8bit", "cache_text_encoder_outputs": True, "train_batch_size": 1,
    "resolution": "1024,1024", "launcher.offload_mib": 0, "launcher.allocator": "expandable", "launcher.vae_encode": "rows",
    "launcher.vae_decode": "rows", "launcher.sample_unet": "autocast",
}  # fmt: skip


def test_step_down_of_a_tight_plan_offloads_first():
    kept, fresh = step_down(TIGHT, phase="train_loop", missing_mib=400)
    assert kept.keeps_state
    assert kept.words == ("launcher.offload_mib=700",)
    assert not fresh.keeps_state
    assert fresh.words[:2] == ("network_dim=16", "network_alpha=8")


def test_step_down_takes_as_many_rungs_as_are_missing():
    loose = {**TIGHT, "gradient_checkpointing": False, "sdpa": False}
    (kept, _) = step_down(loose, phase="train_loop", missing_mib=500)
    assert kept.words == ("gradient_checkpointing=true",)
    stock = {**TIGHT, "launcher.allocator": "stock", "launcher.offload_mib": 1900}
    assert step_down(stock, phase="train_loop", missing_mib=900)[0].words == (
        "launcher.allocator=expandable",
    )
    assert not step_down(stock, phase="train_loop", missing_mib=900, system="windows")[0].keeps_state


def test_step_down_fits_the_phase():
    sampling = {**TIGHT, "sample_every_n_steps": 200, "launcher.vae_decode": "stock"}
    assert step_down(sampling, phase="sample_images", missing_mib=1000)[0].words == (
        "launcher.vae_decode=rows",
    )
    assert (
        "sample_every_n_steps=none"
        in step_down({**sampling, "launcher.vae_decode": "rows"}, phase="sample_images", missing_mib=1000)[
            0
        ].words
    )
    caching = {**TIGHT, "launcher.vae_encode": "stock", "vae_batch_size": 1}
    assert step_down(caching, phase="cache_latents", missing_mib=800)[0].words == (
        "launcher.vae_encode=rows",
    )


def test_step_down_without_an_offload_switch_or_anything():
    plain = {key: value for key, value in TIGHT.items() if not key.startswith("launcher.")}
    assert [offer.keeps_state for offer in step_down(plain, phase="train_loop")] == [False]
    least = {**plain, "network_dim": 4, "resolution": "768,768"}
    assert step_down(least, phase="train_loop") == ()


def test_step_down_switches_text_encoders_off_with_what_forbids_it():
    trained = {**TIGHT, "cache_text_encoder_outputs": False, "shuffle_caption": True}
    words = step_down(trained, phase="train_loop", missing_mib=900)[1].words
    assert {
        "network_train_unet_only=true",
        "cache_text_encoder_outputs=true",
        "shuffle_caption=false",
    } <= set(words)


# --- spill


def test_spill_is_seen():
    before = [1.5 + 0.01 * (number % 5) for number in range(60)]
    spill = find_spill([*before, 9.0, 9.5, 8.8, 9.1, 9.0], 8100, 8188)
    assert spill is not None
    assert "instead of 1.5 s" in spill_words(spill)
    assert "Prefer No Sysmem Fallback" in spill_words(spill)
    assert find_spill([8.0] * 6, 8100, 8188, usual_s=1.5) is not None, "from the first step on"


@pytest.mark.parametrize(
    ("steps", "used"),
    [
        ([1.5] * 60, 8150),  # full, but fast
        ([1.5] * 55 + [9.0] * 5, 6000),  # slow, but not full
        ([1.5] * 59 + [30.0], 8150),  # one slow step: a save
        ([1.5] * 55 + [2.4] * 5, 8150),  # a hot laptop
        ([9.0] * 60, 8150),  # always so: nothing to compare with
        ([], 8150),
        ([1.5] * 55 + [9.0] * 5, None),
    ],
)
def test_what_is_no_spill(steps, used):
    assert find_spill(steps, used, 8188) is None


# --- from a run folder


@pytest.fixture
def run(tmp_path):
    from tests.fake_runs import Script, write_run

    return write_run(tmp_path / "20261124-120000-x", Script(steps=20, status=Status.FAILED))


def test_evidence_comes_from_the_folder(run):
    saying = by_name("quoted/oom-1-13")
    lines = run.events.read_bytes().splitlines()[:-2]
    event = {"v": 1, "t": 1.0, "type": "error", "error": "OutOfMemoryError", "message": saying.output.splitlines()[-1],
             "traceback": "x", "phase": "train_loop", "step": 7}  # fmt: skip
    run.events.write_bytes(b"\n".join([*lines, json.dumps(event).encode(), b'{"torn']))
    evidence = evidence_of(run, {"error": "OutOfMemoryError", "message": "short"})
    assert (evidence.phase, evidence.values["network_dim"]) == ("train_loop", 16)
    assert explain_run(run, {"error": "OutOfMemoryError", "message": "short"}).kind == "gpu-memory"
    assert explain_run(run, None) is None


def test_evidence_of_a_damaged_folder(tmp_path):
    from launcher.paths import RunPaths

    found = explain_run(RunPaths(folder=tmp_path / "gone"), {"error": "Interrupted", "message": "gone"})
    assert found.kind == "power"


# --- the watch on the loss


def test_loss_watch_wants_a_row():
    from launcher.shim.trouble import LossIsNaN, LossWatch

    watch = LossWatch(3)
    for step, loss in enumerate([0.1, math.nan, math.inf, 0.2, math.nan, math.nan], start=1):
        watch.step = step
        watch.take(loss)
    watch.step = 7
    with pytest.raises(LossIsNaN) as caught:
        watch.take(math.nan)
    assert caught.value.first_bad == 5
    never = LossWatch(0)
    for _ in range(1000):
        never.take(math.nan)


def test_describe_tells_from_which_step_states_are_unsound():
    from launcher.shim.trouble import LossIsNaN, describe

    fields = describe(LossIsNaN(5, 10))
    assert (fields["error"], fields["unsound_from"]) == ("LossIsNaN", 4)
    assert explain(Evidence(error="LossIsNaN", message=fields["message"])).kind == "nan-loss"


def test_describe_cuts_and_keeps_causes():
    from launcher.shim.trouble import describe

    def save():
        raise OSError(28, "No space left on device")

    def load():
        try:
            save()
        except OSError as error:
            raise RuntimeError("Missing key(s): " + "x" * 500_000 + "\nsecond / 日本語") from error

    with pytest.raises(RuntimeError) as caught:
        load()
    fields = describe(caught.value)
    assert fields["causes"] == ["OSError"]
    assert len(json.dumps(fields)) < 15_000
    assert "memory" not in fields


def test_states_behind_a_nan_are_not_resumed_from(tmp_path):
    from launcher.history import RunState, load_run, write_state
    from launcher.paths import Paths, RunPaths
    from launcher.resume import find_resume_point
    from launcher.states import publish_state

    paths = Paths(root=tmp_path, home=tmp_path, shipped=tmp_path)
    run = RunPaths(folder=paths.runs / "20261124-000000-x")
    run.states.mkdir(parents=True)
    for step in (10, 20):
        aside = run.states / f".tmp-{step}"
        aside.mkdir()
        (aside / "train_state.json").write_text(json.dumps({"current_step": step, "current_epoch": 1}))
        publish_state(aside, run.states, extra={})
    state = RunState(name="x", preset="p", trainer="t", created=1.0, status=Status.FAILED)
    error = {"error": "LossIsNaN", "message": "m", "kind": "nan-loss", "unsound_from": "15"}
    write_state(run, replace(state, error=error))
    point = find_resume_point(paths, load_run(run.folder))
    assert point.step == 10
    assert "not a number" in point.rejected[0][1]


def test_a_run_that_breaks_down_at_once_blames_the_state_that_it_began_with(tmp_path):
    from launcher.history import RunState, load_run, write_state
    from launcher.paths import Paths, RunPaths
    from launcher.resume import find_resume_point
    from launcher.states import publish_state

    paths = Paths(root=tmp_path, home=tmp_path, shipped=tmp_path)
    parent, child = (RunPaths(folder=paths.runs / f"20261124-00000{number}-x") for number in (0, 1))
    for run in (parent, child):
        run.states.mkdir(parents=True)
    for step in (10, 20):
        aside = parent.states / f".tmp-{step}"
        aside.mkdir()
        (aside / "train_state.json").write_text(json.dumps({"current_step": step, "current_epoch": 1}))
        publish_state(aside, parent.states, extra={})
    state = RunState(name="x", preset="p", trainer="t", created=1.0, status=Status.PAUSED)
    write_state(parent, replace(state, resumed_by=child.folder.name))
    error = {"error": "LossIsNaN", "message": "m", "kind": "nan-loss", "unsound_from": "20"}
    write_state(child, replace(state, status=Status.FAILED, error=error, parent=parent.folder.name))
    assert find_resume_point(paths, load_run(child.folder)).step == 10


# --- the real trainer (LAUNCHER_REAL_ENVS: a folder like vendor/)


@pytest.fixture(scope="module", params=["sd-scripts", "sd-scripts-fp8"])
def rig(request, tmp_path_factory):
    envs = os.environ.get("LAUNCHER_REAL_ENVS")
    if not envs:
        pytest.skip("LAUNCHER_REAL_ENVS names no folder with the trainers' environments")
    from tests.real.rig import Rig

    made = Rig(envs, request.param, tmp_path_factory.mktemp(request.param))
    yield made
    made.close()


@pytest.mark.slow
def test_a_real_training_that_breaks_down_is_stopped(rig, tmp_path):
    train = {"learning_rate": 1e30, "unet_lr": 1e30, "lr_scheduler": "constant", "lr_warmup_steps": 0, "max_train_steps": 60,
             "save_every_n_steps": 3}  # fmt: skip
    ended = rig.train(tmp_path / "run", train=train, code=None)
    assert ended.code == 7, ended.log[-2000:]
    (error,) = ended.events("error")
    assert error["error"] == "LossIsNaN"
    assert 1 <= error["unsound_from"] < 10
    assert error["step"] < 20
    assert ended.events("end")[0]["status"] == "FAILED"
    assert evidence_of(ended.run).phase == "train_loop"


@pytest.mark.slow
def test_a_real_error_reaches_its_words(rig, tmp_path):
    ended = rig.train(tmp_path / "two", train={"optimizer_type": "NoSuch"}, code=None)
    (error,) = ended.events("error")
    assert explain(Evidence(error=error["error"], message=error["message"], traceback=error["traceback"])).kind == "optimizer-unknown"  # fmt: skip


# --- going on with something changed


@pytest.fixture
def home(tmp_path):
    from launcher.paths import Paths

    root = Path(__file__).resolve().parent.parent
    return Paths(root=root, home=tmp_path, shipped=root)


def plan_of(home, tmp_path, *settings, trainer="sd-scripts", data=None, reg=()):
    from launcher.machine import Fact, Machine
    from launcher.plan import Request, resolve

    own = tmp_path / "aki style"
    own.mkdir(exist_ok=True)
    machine = Machine(
        os="Linux", cores=2, ram_mib=16_000, free_ram_mib=9_000, gpus=(), gpu_note="none", has_bf16=Fact(value=True, reason="CPU"),
    )  # fmt: skip
    request = Request(
        preset="style-8gb", trainer=trainer, data=data or own, reg=reg, model=tmp_path / "m.safetensors", name="x",
        settings=settings,
    )  # fmt: skip
    return resolve(home, request, machine)


def test_what_keeps_the_state_may_change(home, tmp_path):
    from launcher.plan import continue_plan
    from launcher.plan.changes import change_plan

    plan = plan_of(home, tmp_path, "sample_every_n_steps=100", "sample_prompts=p.txt")
    changed = change_plan(home, plan, ["launcher.offload_mib=800", "sample_every_n_steps=none", "sdpa=true"])
    assert changed.options["launcher.offload_mib"].value == 800
    assert "sample_every_n_steps" not in changed.options
    assert any("offload_mib = 800" in note for note in changed.notes)
    again = continue_plan(home, changed, parent="p", state=None)
    assert "offload_mib=800" in again.argv
    assert "sample_every_n_steps" not in again.train
    assert change_plan(home, plan, []) is plan


@pytest.mark.parametrize("word", ["network_dim=8", "resolution=768,768", "learning_rate=1e-5", "launcher.exact_resume=false", "fp8_base=false", "train_batch_size=2", "dataset.num_repeats=3", "seed=none"])  # fmt: skip
def test_what_changes_the_training_may_not(home, tmp_path, word):
    from launcher.errors import UsageError
    from launcher.plan.changes import change_plan

    with pytest.raises(UsageError) as caught:
        change_plan(home, plan_of(home, tmp_path), [word])
    assert "start a new run" in caught.value.fix
    with pytest.raises(UsageError):
        change_plan(home, plan_of(home, tmp_path), ["launcher.offload=3"])


def failed_run(home, tmp_path, error, *settings, step=12, states=()):
    from launcher.history import RunState, load_run, write_state
    from launcher.paths import RunPaths
    from launcher.plan import plan_to_json
    from launcher.states import publish_state

    run = RunPaths(folder=home.runs / "20261124-000000-x")
    run.states.mkdir(parents=True)
    run.plan.write_text(plan_to_json(plan_of(home, tmp_path, *settings)), encoding="utf-8")
    for at in states:
        aside = run.states / f".tmp-{at}"
        aside.mkdir()
        (aside / "train_state.json").write_text(json.dumps({"current_step": at, "current_epoch": 1}))
        publish_state(aside, run.states, extra={})
    event = {"v": 1, "t": 2.0, "type": "error", "phase": "train_loop", "step": step, **error}
    run.events.write_text(json.dumps(event) + "\n", encoding="utf-8")
    kept = {"error": error["error"], "message": error["message"][:60]}
    write_state(
        run,
        RunState(
            name="x",
            preset="style-8gb",
            trainer="sd-scripts",
            created=1.0,
            status=Status.FAILED,
            step=step,
            error=kept,
        ),
    )
    return load_run(run.folder)


OOM = {"error": "OutOfMemoryError", "message": by_name("quoted/oom-2-1").output.splitlines()[-1]}


def test_ending_after_a_full_card_offers_less(home, tmp_path):
    from launcher.ending import ending_of

    ending = ending_of(home, failed_run(home, tmp_path, OOM, "network_alpha=4", states=(10,)))
    assert ending.explanation.kind == "gpu-memory"
    assert ending.survives == "The state of step 10 is whole; 2 steps after it are lost."
    offers = {offer.key: offer for offer in ending.offers}
    assert set(offers) == {"s", "n", "r"}
    assert offers["s"].words[:2] == ("resume", "20261124-000000-x")
    assert offers["s"].words[3].startswith("launcher.offload_mib=")
    words = offers["n"].words
    assert words[:4] == ("train", "style-8gb", "--trainer", "sd-scripts")
    assert words[words.index("--data") + 1].rpartition("=")[0] == str(tmp_path / "aki style")
    assert "network_dim=16" in words or "network_dim=8" in words
    typed = [word for word in words if word.startswith("network_alpha")]
    assert typed == ["network_alpha=2"], "the half of what was typed, and typed once"


def test_the_offered_commands_are_understood(home, tmp_path):
    """The words go through the launcher's own parser, and the new settings resolve."""
    from launcher.cli import make_parser
    from launcher.ending import ending_of

    ending = ending_of(home, failed_run(home, tmp_path, OOM, states=(10,)))
    for offer in ending.offers:
        options = make_parser().parse_args(list(offer.words))
        if offer.words[0] == "train":
            plan_of(home, tmp_path, *options.settings)


def test_a_new_run_has_all_that_the_old_one_had(home, tmp_path):
    """A dataset file, repeats said with the folder, cards, and lists that were typed: none may be lost without a word."""
    from launcher.ending import new_run_words
    from launcher.paths import RunPaths

    failed_run(home, tmp_path, OOM, 'network_args=["conv_dim=8", "conv_alpha=1"]')
    run = RunPaths(folder=home.runs / "20261124-000000-x")
    plan = json.loads(run.plan.read_text(encoding="utf-8"))
    plan["dataset"]["datasets"][0]["subsets"][0]["num_repeats"] = 7
    plan["machine"]["gpus"] = {"value": "0,1", "reason": ""}
    run.plan.write_text(json.dumps(plan), encoding="utf-8")
    words = new_run_words(run, ())
    assert words[words.index("--data") + 1] == f"{tmp_path / 'aki style'}=7"
    assert words[words.index("--gpus") + 1] == "0,1"
    again = plan_of(home, tmp_path, next(word for word in words if word.startswith("network_args=")))
    assert again.options["network_args"].value == ["conv_dim=8", "conv_alpha=1"]
    run.plan.write_text(json.dumps({**plan, "data": str(tmp_path / "dataset.toml")}), encoding="utf-8")
    words = new_run_words(run, ())
    assert words[words.index("--data") + 1] == str(tmp_path / "dataset.toml")
    assert words.count("--data") == 1


FOLDERS = {  # what lies in `data`, and what was typed
    "plain": ((".",), ["data"]),
    "plain, said": ((".",), ["data=4"]),
    "numbered": (("3_aki", "5_haru"), ["data"]),
    "unnumbered": (("aki", "haru"), ["data"]),
    "unnumbered, said once": (("aki", "haru"), ["data=4"]),
    "numbered, said once": (("3_aki", "5_haru"), ["data=4"]),
    "each said": (("aki", "haru"), ["data/aki=2", "data/haru=6"]),
    "a project": (("img/3_aki", "img/5_haru"), ["data"]),
    "regularisation beside": (("3_aki", "haru", "reg/1_girl"), ["data"]),
    "no number": (("0_aki", "haru"), ["data=2"]),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_the_offered_data_words_make_the_same_dataset(home, tmp_path, case):
    from launcher.cli import make_parser
    from launcher.ending import new_run_words
    from launcher.paths import RunPaths
    from launcher.plan import plan_to_json

    folders, typed = FOLDERS[case]
    for folder in folders:
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / "data" / folder / "a.png").write_bytes(b"")
    plan = plan_of(home, tmp_path, data=tuple(str(tmp_path / word) for word in typed))
    run = RunPaths(folder=home.runs / "20261124-000000-x")
    run.folder.mkdir(parents=True)
    run.plan.write_text(plan_to_json(plan), encoding="utf-8")
    options = make_parser().parse_args(new_run_words(run, ()))
    again = plan_of(home, tmp_path, *options.settings, data=tuple(options.data), reg=tuple(options.reg))
    assert again.dataset == plan.dataset
    if case == "unnumbered, said once":
        assert options.data == [str(tmp_path / "data=4")]


@pytest.mark.parametrize(
    ("error", "key", "word"),
    [
        ({"error": "LossIsNaN", "message": "the loss is not a number", "unsound_from": 3}, "n", "learning_rate="),
        ({"error": "RuntimeError", "message": "NaN detected in latents: a.png"}, None, ""),
        ({"error": "RuntimeError", "message": "DataLoader worker (pid 3) is killed by signal: Killed."}, None, ""),
        ({"error": "ValueError", "message": "bf16 mixed precision requires PyTorch >= 1.10 and a supported device."}, "n", "mixed_precision=fp16"),
        ({"error": "AssertionError", "message": "resolution is required"}, None, ""),
    ],
)  # fmt: skip
def test_ending_offers_what_helps_this_kind(home, tmp_path, error, key, word):
    from launcher.ending import ending_of

    ending = ending_of(home, failed_run(home, tmp_path, error))
    keys = [offer.key for offer in ending.offers]
    assert keys[-1] == "r"
    assert "There is no state" in ending.survives
    if key:
        assert any(part.startswith(word) for part in ending.offers[0].words)
        assert keys[0] == key


def test_a_continued_run_offers_nothing(home, tmp_path):
    from launcher.ending import ending_of

    record = replace(failed_run(home, tmp_path, OOM), resumed_by="20261124-000001-x")
    ending = ending_of(home, record)
    assert ending.offers == ()
    assert "Continued by" in ending.survives


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_end_screen_of_every_kind_fits_80_columns(home, kind, tmp_path):
    from rich.console import Console

    from launcher.ending import Ending
    from launcher.history import RunRecord
    from launcher.ui.end_view import end_note, offer_lines
    from launcher.ui.palette import FULL

    record = RunRecord(
        id="x", folder=tmp_path, name="aki 訓練", preset="p", trainer="t", status=Status.FAILED, created=1.0, ended=2.0, step=3,
        total_steps=9, last_state=None, error=None, parent=None, resumed_by=None,
    )  # fmt: skip
    ending = Ending(
        explanation=explain_kind(kind.name, Evidence(error="E", message="m" * 500)), point=None, survives="The state of step 2 is whole.", offers=()
    )  # fmt: skip
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(end_note(record, ending, FULL))
    lines = console.export_text().rstrip().splitlines()
    assert len(lines) <= 14, "with its keys it must fit 24 rows"
    assert max(map(len, lines)) <= 80
    assert len(offer_lines((), 80)) == 2


def test_a_program_is_told_the_failure(home, tmp_path, capsys):
    from launcher.cli import execute

    failed_run(home, tmp_path, OOM)
    execute(["runs", "--json"], home)
    (run,) = json.loads(capsys.readouterr().out)
    assert run["failure"]["kind"] == "gpu-memory"
    assert run["failure"]["retry_can_succeed"] is True
    assert "GiB" in run["failure"]["why"]


def test_report_says_why(home, tmp_path):
    from launcher.paths import RunPaths
    from launcher.report import write_report

    record = failed_run(home, tmp_path, OOM)
    page = write_report(home, RunPaths(folder=record.folder)).read_text(encoding="utf-8")
    assert "The graphics card&#39;s memory is full." in page
    assert "Close what else uses the card" in page


# --- who else is on the card


class FakeNvml:
    """The edge to the driver: processes of a card."""

    NVMLError = OSError

    def __init__(self, compute, graphics):
        self.nvmlDeviceGetComputeRunningProcesses = lambda _handle: compute
        self.nvmlDeviceGetGraphicsRunningProcesses = lambda _handle: graphics


def test_others_on_the_card_are_named_and_we_are_not():
    import subprocess
    import sys
    from types import SimpleNamespace

    from launcher.process import ProcessId
    from launcher.run.sampler import others_on_card

    children = [subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2)]
    try:
        used = [SimpleNamespace(pid=child.pid, usedGpuMemory=300 << 20) for child in children]
        gone = SimpleNamespace(pid=2**22 - 1, usedGpuMemory=1 << 20)
        own = ProcessId.of(children[0].pid)
        found = others_on_card(FakeNvml([*used, gone], [used[1]]), None, [own])
        assert [other["mib"] for other in found] == [300], "counted once, though it computes and draws"
        assert "python" in found[0]["name"]
        hidden = [SimpleNamespace(pid=children[1].pid, usedGpuMemory=None)]
        assert others_on_card(FakeNvml([], hidden), None, [own])[0]["mib"] is None
    finally:
        for child in children:
            child.communicate(b"\n")


def test_the_last_full_sample_names_them(home, tmp_path):
    from launcher.paths import RunPaths

    record = failed_run(home, tmp_path, OOM)
    run = RunPaths(folder=record.folder)
    line = {
        "t": 1,
        "gpus": [
            {
                "used_mib": 8000,
                "others": [{"name": "chrome.exe", "mib": None}, {"name": "game.exe", "mib": 900}],
            }
        ],
    }
    run.gpu.write_text(
        json.dumps(line) + '\n{"t":2,"gpus":[{"used_mib":100}]}\n{"torn "others"', encoding="utf-8"
    )
    assert evidence_of(run, record.error).others == ("chrome.exe", "game.exe")
    assert "other programs (chrome.exe, game.exe) 1.2 GiB" in explain_run(run, record.error).why


POISON = """
import sys, torch
from safetensors.torch import load_file, save_file
weights = load_file(sys.argv[1])
name = next(key for key in weights if key.startswith("first_stage_model.encoder.conv_in"))
weights[name] = torch.full_like(weights[name], float("nan"))
save_file(weights, sys.argv[2])
"""


@pytest.mark.slow
def test_real_nan_latents_name_the_image_and_store_nothing(rig, tmp_path):
    import subprocess

    model = tmp_path / "nan.safetensors"
    subprocess.run([rig.python, "-c", POISON, rig.material / "tiny.safetensors", model], check=True)
    train = {"pretrained_model_name_or_path": str(model)}
    ended = rig.train(
        tmp_path / "run", train=train, env={"LAUNCHER_CACHE_DIR": tmp_path / "cache"}, code=None
    )
    (error,) = ended.events("error")
    found = explain_run(ended.run, {"error": error["error"], "message": error["message"]})
    assert found.kind == "nan-latents"
    assert "pic0.png" in found.what
    assert not list((tmp_path / "cache").rglob("*.npz")), "no poisoned cache stays"

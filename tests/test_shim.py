import json
import logging
import os
import subprocess
import sys
import types
import warnings
from contextlib import nullcontext
from pathlib import Path

import pytest

from launcher import states
from launcher.events import Status, read_events
from launcher.paths import PACKAGE, RunPaths
from launcher.shim.hooks import Hooks
from launcher.shim.notices import Notices, _text
from launcher.shim.pace import Pace
from launcher.shim.phases import Phases
from launcher.shim.reporter import Reporter
from launcher.shim.requests import Leave, requested
from launcher.shim.samples import Samples, prompt_of, read_prompts
from launcher.shim.saving import Saver, _make_durable
from launcher.shim.trainer import keep_caches_in_memory
from launcher.shim.trouble import LossIsNaN, in_words

STANDIN = Path(__file__).parent / "standin.py"


def events(run, kind=None):
    return [event for event, _ in read_events(run.events) if kind in {None, event["type"]}]


@pytest.fixture
def run(tmp_path):
    run = RunPaths(folder=tmp_path / "a'; echo 訓練")
    run.output.mkdir(parents=True)
    run.states.mkdir()
    return run


class FakeTrainer:
    """The order of calls of a real trainer, without torch."""

    def __init__(self, harness):
        self.harness = harness
        self.totals = {"total_steps": 10, "steps_per_epoch": 5, "epochs": 2, "images": 5}

    def caching_progress(self, phase, done, total):
        pass

    def load_models(self, args):
        pass

    def cache_latents(self, _args):
        for done in range(3):
            self.caching_progress("cache_latents", done + 1, 3)

    def record_loss(self, loss, epoch, step):
        pass

    def sample_saved(self, path, prompt, step):
        pass

    def sample_images(self, _accelerator, args, epoch, global_step):
        if epoch and getattr(args, "sample_every_n_epochs", None):
            (self.harness.run.output / "sample").mkdir(exist_ok=True)
            (self.harness.run.output / "sample" / f"x_e00000{epoch}_00_7.png").write_bytes(b"png")
        if global_step == 5 and epoch is None and self.harness.run.output.is_dir():
            folder = self.harness.run.output / "sample"
            folder.mkdir(exist_ok=True)
            for number in range(2):
                (folder / f"x_000005_0{number}_7.png").write_bytes(b"png")
            self.sample_saved(folder / "x_000005_00_7.png", "a cat 猫", 5)  # the other one must be noticed

    def train(self, args, first=1):
        self.load_models(args)
        self.cache_latents(args)
        self.train_loop(args, first)
        self.harness.save_lora("x")

    def train_loop(self, args, first):
        for step in range(first, 11):
            self.harness.before_step(step)
            for micro in range(2):
                self.record_loss(self.harness.loss_of(step, micro), 0, step)
            self.sample_images(self.harness, args, None, step)
            if args.save_every_n_steps and step % args.save_every_n_steps == 0:
                self.harness.save_lora(f"x-step{step:08d}")
                self.harness.save_state("")
            if step % 5 == 0 and self.harness.samples_first:  # as the rehearsal does it
                self.sample_images(self.harness, args, step // 5, step)
            if args.save_every_n_epochs and step % 5 == 0 and step < 10:
                self.harness.save_lora(f"x-{step // 5:06d}")
            if step % 5 == 0 and not self.harness.samples_first:  # as sd-scripts does it
                self.sample_images(self.harness, args, step // 5, step)


class Harness:
    """The shim's parts around a fake trainer; also plays the accelerator."""

    def __init__(self, run, keep=3, **hooks):
        self.run = run
        self.reporter = Reporter(run.events)
        pace = Pace()
        self.hooks = Hooks(
            run, self.reporter, pace, Phases(self.reporter), Samples(run, self.reporter), **hooks
        )
        self.saver = self.hooks.saver = Saver(
            run, self.reporter, pace, keep=keep, on_lora_done=self.hooks.lora_done
        )
        self.saver.output_name = "x"
        self.loss_of = lambda step, micro: float(step + micro)
        self.asks = {}  # step: text of the request that comes before it
        self.samples_first = False
        self.broken = set()  # what cannot be written: "state", "lora"

    def train(self, **options):
        args = types.SimpleNamespace(**{"save_every_n_steps": None, "save_every_n_epochs": None, **options})
        trainer_class = type("Trainer", (FakeTrainer,), {})
        self.hooks.wrap(trainer_class)
        trainer_class(self).train(args)

    def leave(self, **options):
        with pytest.raises(Leave) as left:
            self.train(**options)
        return left.value.status

    def before_step(self, step):
        if step in self.asks:
            self.run.pause.write_text(self.asks[step])

    def save_lora(self, stem):
        path = self.run.output / f"{stem}.safetensors"
        self.saver._save_lora(path, self.write_lora)

    def write_lora(self, part):
        Path(part).write_bytes(b"half")
        if "lora" in self.broken:
            raise OSError(28, "No space left on device")
        Path(part).write_bytes(b"whole")

    def save_state(self, _output_dir):
        self.saver.save_state(self.write_state)

    def write_state(self, part):
        part.mkdir()
        step = self.saver.step
        state = json.dumps({"current_epoch": (step - 1) // 5 + 1, "current_step": step})
        (part / "train_state.json").write_text(state)
        if "state" in self.broken:
            raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed")


@pytest.fixture
def harness(run):
    return Harness(run)


def state_names(run):
    return sorted(path.name for path in run.states.iterdir())


def test_steps_have_the_mean_of_their_micro_batches_and_a_moving_average(harness):
    harness.train()
    steps = events(harness.run, "step")
    assert [event["step"] for event in steps] == list(range(1, 11))
    assert [event["loss"] for event in steps] == [step + 0.5 for step in range(1, 11)]
    assert [event["epoch"] for event in steps] == [1] * 5 + [2] * 5
    assert steps[-1]["avg_loss"] == pytest.approx(sum(range(1, 11)) / 10 + 0.5)


@pytest.mark.parametrize(("steps_per_epoch", "window"), [(1, 20), (3, 21), (20, 20), (50, 50), (5000, 1000)])
def test_the_average_is_over_whole_epochs_and_twenty_steps_at_least(steps_per_epoch, window):
    pace = Pace()
    pace.set_window(steps_per_epoch)
    for step in range(1, 1201):
        pace.add_loss(step)
        _, average, _ = pace.end_step()
    assert average == pytest.approx(sum(range(1201 - window, 1201)) / window)


def test_totals_and_phases_are_told_once_each(harness):
    harness.train()
    assert len(events(harness.run, "totals")) == 1
    told = [(event["name"], event["state"]) for event in events(harness.run, "phase")]
    assert told == [(name, state) for name in ("load_models", "cache_latents", "train_loop") for state in ("begin", "end")]  # fmt: skip
    assert events(harness.run, "progress")[-1]["done"] == 3
    assert all(
        event["seconds"] >= 0 and event["peak_ram_mib"] > 0 for event in events(harness.run, "phase")[1::2]
    )


def test_samples_are_told_once_whoever_notices_them(harness):
    harness.train()
    assert [(event["path"], event["prompt"]) for event in events(harness.run, "sample")] == [
        ("output/sample/x_000005_00_7.png", "a cat 猫"),
        ("output/sample/x_000005_01_7.png", ""),
    ]


def test_every_save_and_state_told_is_on_the_disk_whole(harness):
    harness.train(save_every_n_steps=4)
    saves = events(harness.run, "save")
    assert [(event["step"], event["final"]) for event in saves] == [(4, False), (8, False), (10, True)]
    assert all((harness.run.folder / event["path"]).read_bytes() == b"whole" for event in saves)
    for event in events(harness.run, "state"):
        assert states.verify_state(harness.run.folder / event["path"]) is None


@pytest.mark.parametrize(("text", "status"), [("pause\n", Status.PAUSED), ("stop\n30\n", Status.CANCELLED), ("", Status.PAUSED)])  # fmt: skip
def test_a_request_is_obeyed_at_the_next_step_with_a_state(harness, text, status):
    harness.asks[3] = text
    assert harness.leave() is status
    assert events(harness.run, "step")[-1]["step"] == 3
    assert state_names(harness.run) == ["step00000003"]


def test_a_pause_waits_for_the_saves_of_its_step(harness):
    harness.asks[5] = "pause"
    assert harness.leave(save_every_n_steps=5, save_every_n_epochs=1) is Status.PAUSED
    assert sorted(path.name for path in harness.run.output.glob("*.safetensors")) == [
        "x-000001.safetensors",
        "x-step00000005.safetensors",
    ]
    assert state_names(harness.run) == ["step00000005"]
    assert len(events(harness.run, "state")) == 1


@pytest.mark.parametrize("samples_first", [False, True])
@pytest.mark.parametrize(
    "more", [{}, {"save_every_n_epochs": 1}, {"save_every_n_steps": 5, "save_every_n_epochs": 1}]
)
def test_a_pause_at_an_epochs_last_step_waits_for_its_samples(harness, more, samples_first):
    """A resume begins with the next epoch: nobody would draw them any more."""
    harness.samples_first = samples_first
    harness.asks[5] = "pause"
    assert harness.leave(sample_every_n_epochs=1, **more) is Status.PAUSED
    assert (harness.run.output / "sample" / "x_e000001_00_7.png").exists()
    assert [path.endswith("x_e000001_00_7.png") for path in (event["path"] for event in events(harness.run, "sample"))].count(True) == 1  # fmt: skip
    assert len(list(harness.run.output.glob("*.safetensors"))) == len(more)
    assert state_names(harness.run) == ["step00000005"]
    assert events(harness.run, "step")[-1]["step"] == 5


def test_a_pause_inside_an_epoch_waits_for_no_samples(harness):
    harness.asks[4] = "pause"
    assert harness.leave(sample_every_n_epochs=1) is Status.PAUSED
    assert events(harness.run, "step")[-1]["step"] == 4


def test_a_pause_at_the_last_step_lets_it_finish(harness):
    harness.asks[10] = "pause"
    harness.train()
    assert harness.saver.has_final


def test_a_pause_while_caching_leaves_at_once_and_without_a_state(harness):
    harness.run.pause.write_text("pause")
    assert harness.leave() is Status.PAUSED
    assert state_names(harness.run) == []
    assert events(harness.run, "step") == []


def test_a_pause_that_cannot_save_is_called_off_in_words(harness):
    harness.broken.add("state")
    harness.asks[3] = "pause"
    harness.train()
    assert not harness.run.pause.exists()
    said = [event["message"] for event in events(harness.run, "warning")]
    assert any("state of step 3 could not be saved" in message for message in said)
    assert any("not paused" in message for message in said)
    assert state_names(harness.run) == []  # not even half of one


def test_a_stop_is_obeyed_even_when_nothing_can_be_saved(harness):
    harness.broken.add("state")
    harness.asks[3] = "stop"
    assert harness.leave() is Status.CANCELLED


def test_a_full_disk_costs_states_and_loras_in_between_but_not_the_training(harness):
    harness.before_step = lambda step: (
        harness.broken.update({"state", "lora"} if step == 4 else ())
        or (harness.broken.clear() if step == 8 else None)
    )
    harness.train(save_every_n_steps=2)
    assert [event["step"] for event in events(harness.run, "state")] == [2, 8, 10]
    assert len(events(harness.run, "warning")) == 4
    assert not [path for path in harness.run.output.iterdir() if path.name.startswith(".")]
    assert harness.saver.has_final


def test_on_a_full_disk_older_states_make_room_for_the_next(run, monkeypatch):
    harness = Harness(run)
    for step in (1, 2, 3):
        harness.saver.step = step
        harness.save_state("")
    free = {"bytes": 0}
    monkeypatch.setattr(
        "launcher.shim.saving.shutil.disk_usage", lambda _: types.SimpleNamespace(free=free["bytes"])
    )

    def write(part):
        harness.write_state(part)
        if len(states.list_states(run)) > 1:
            raise OSError(28, "No space left on device")

    harness.saver.step = 4
    assert harness.saver.save_state(write)
    assert [path.name for path in states.list_states(run)] == ["step00000004", "step00000003"]
    assert "only the newest was kept" in events(run, "warning")[-1]["message"]

    free["bytes"] = 1 << 40  # plenty: it was something else, and nothing is thrown away for it
    harness.saver.step = 5
    assert not harness.saver.save_state(write)
    assert [path.name for path in states.list_states(run)] == ["step00000004", "step00000003"]


def test_the_clock_does_not_run_ahead_of_a_lora_that_is_due(run):
    harness = Harness(run)
    harness.hooks._state_every_s = 1e-9  # at every step
    written = []
    harness.save_state = lambda _folder: written.append(("state", harness.saver.step))
    harness.save_lora = lambda _stem: written.append(("lora", harness.saver.step))
    harness.train(save_every_n_steps=5, save_state=True)
    assert [kind for kind, step in written if step == 5] == ["lora", "state"]
    assert ("state", 4) in written
    assert ("state", 6) in written


def test_a_scheduler_that_raises_does_not_cost_the_step_its_event(run):
    harness = Harness(run)

    def rates(_trainer):
        raise ZeroDivisionError

    harness.hooks.rates = rates
    harness.train()
    assert [event["step"] for event in events(run, "step")] == list(range(1, 11))


def test_a_full_disk_at_the_last_lora_is_an_error(harness):
    harness.broken.add("lora")
    with pytest.raises(OSError, match="No space"):
        harness.train()
    assert not [path for path in harness.run.output.iterdir() if path.name != "sample"]


def test_old_states_are_retired(harness):
    harness.train(save_every_n_steps=1)
    assert state_names(harness.run) == ["step00000008", "step00000009", "step00000010"]


def test_good_states_stay_when_the_loss_is_no_number_any_more(harness):
    harness.before_step = lambda step: harness.hooks.pace.add_loss(float("nan")) if step > 5 else None
    harness.train(save_every_n_steps=1)
    assert state_names(harness.run)[:3] == ["step00000003", "step00000004", "step00000005"]


@pytest.mark.parametrize(("limit", "last"), [(4, 5), (10, 8), (0, 10)])
def test_a_rehearsal_too_stops_after_so_many_losses_that_are_no_numbers(run, limit, last):
    """Two micro-batches a step, no number from step 4 on; 0: never."""
    harness = Harness(run, stop_on_nan=limit)
    harness.loss_of = lambda step, _micro: float("nan") if step >= 4 else 1.0
    with pytest.raises(LossIsNaN) if limit else nullcontext() as caught:
        harness.train()
    steps = [event["step"] for event in events(run, "step")]
    assert steps == list(range(1, last if limit else 11))
    if caught:
        assert caught.value.first_bad == 3, "the step before: its update may be what broke it"


def test_a_pause_that_cannot_be_called_off_does_not_end_the_training(harness, monkeypatch):
    def refuse(_path, missing_ok=False):
        raise PermissionError(13, "Permission denied")

    harness.broken.add("state")
    harness.asks[3] = "pause"
    monkeypatch.setattr(Path, "unlink", refuse)
    harness.train()
    assert harness.saver.has_final


def test_a_warning_whose_words_do_not_fit_is_no_error():
    record = logging.LogRecord("x", logging.WARNING, "a.py", 1, "%(a)s", ({"b": 1},), None)
    assert _text(record) == "%(a)s"


def test_caches_that_we_cannot_redirect_stay_away_from_the_images():
    asked = {
        "cache_latents": False,
        "cache_latents_to_disk": True,
        "cache_text_encoder_outputs_to_disk": False,
    }
    args = types.SimpleNamespace(**asked)
    keep_caches_in_memory(args, {"cache_images": "beside"})
    assert vars(args) == asked
    keep_caches_in_memory(args, {"cache_images": "folder"})
    assert vars(args) == {**asked, "cache_latents": True, "cache_latents_to_disk": False}


def test_a_deleted_run_folder_does_not_come_back_and_does_not_stop_training(run):
    import shutil

    harness = Harness(run)
    harness.before_step = lambda step: shutil.rmtree(run.folder) if step == 3 else None
    with pytest.raises(OSError, match="No such file"):
        harness.train(save_every_n_steps=4)  # the last LoRA has no folder to go to
    assert harness.saver.step == 10
    assert not run.folder.exists()


def test_a_bug_in_reporting_is_told_once_and_swallowed(run, capsys):
    reporter = Reporter(run.events)
    for _ in range(3):
        reporter.attempt(lambda: 1 / 0)
    assert capsys.readouterr().err.count("ZeroDivisionError") == 1


def test_an_unwritable_events_file_is_told_once(tmp_path, capsys):
    reporter = Reporter(tmp_path / "gone" / "events.jsonl")
    for _ in range(3):
        reporter.emit("step", step=1)
    assert capsys.readouterr().err.count("could not be written") == 1
    (tmp_path / "gone").mkdir()
    reporter.emit("step", step=2)  # and it comes back by itself
    assert (tmp_path / "gone" / "events.jsonl").exists()


def test_a_line_that_a_full_disk_cut_does_not_swallow_the_next(run, monkeypatch):
    reporter = Reporter(run.events)
    reporter.emit("step", step=1)
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:20]))
    reporter.emit("step", step=2)
    monkeypatch.undo()
    reporter.emit("step", step=3)
    assert [event["step"] for event in events(run)] == [1, 3]


def test_warnings_are_counted_by_place_and_reported_at_powers_of_ten(run, monkeypatch):
    monkeypatch.setattr(warnings, "showwarning", lambda *_, **__: None)
    monkeypatch.setattr(logging.Logger, "handle", logging.Logger.handle)
    Notices(Reporter(run.events)).listen()
    log = logging.getLogger("trainer")
    for step in range(100):
        log.warning("loss of step %d is odd", step)
    log.info("not worth a word")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    told = [(event["message"], event["count"]) for event in events(run, "warning")]
    assert told == [
        ("loss of step 0 is odd", 1),
        ("loss of step 9 is odd", 10),
        ("loss of step 99 is odd", 100),
    ]


def test_kinds_of_warnings_are_limited(run):
    notices = Notices(Reporter(run.events))
    for number in range(1000):
        notices.add(number, f"warning {number}")
    assert len(events(run, "warning")) == 200


def test_request_file(tmp_path):
    path = tmp_path / "pause"
    assert requested(path) is None
    path.write_bytes(b"\xff\xfe")
    assert requested(path) is Status.PAUSED
    path.write_text("stop 5")
    assert requested(path) is Status.CANCELLED


def test_samples_name_their_prompt(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("# none\na cat 猫 --w 512 --s 20\n\nb--dashed dog\n", encoding="utf-8")
    prompts = read_prompts(str(file))
    assert prompts == ["a cat 猫", "b--dashed dog"]
    assert prompt_of("my_style_000004_01_20260101120000_42.png", prompts) == "b--dashed dog"
    assert prompt_of("x_000004_00_42.png", prompts) == "a cat 猫"
    assert prompt_of("x_e000001_01_42.png", prompts) == "b--dashed dog"
    assert prompt_of("holiday.png", prompts) == ""


def test_errors_in_words():
    assert in_words(OSError(28, "No space left on device")) == "[Errno 28] No space left on device"
    assert in_words(MemoryError()) == "MemoryError"
    assert len(in_words(RuntimeError("Missing key(s): " + "x" * 100_000))) <= 2000
    assert in_words(ValueError("x is 3")) == "x is 3"
    assert in_words(ValueError()) == "ValueError"


def test_the_script_makes_only_the_package_importable(tmp_path):
    code = (
        "import sys, runpy\n"
        f"script = {str(PACKAGE / 'shim' / '__main__.py')!r}\n"
        f"sys.path.insert(0, {str(PACKAGE / 'shim')!r})\n"
        "runpy.run_path(script)\n"  # as a DataLoader worker imports it: not as __main__
        "import launcher.shim.session\n"
        "assert not [e for e in sys.path if e.rstrip('/').endswith(('shim', 'launcher'))], sys.path\n"
        "heavy = {'torch', 'accelerate', 'safetensors', 'rich', 'psutil'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import importlib.util\n"
        "assert importlib.util.find_spec('setup_env') is None\n"  # its neighbours stay invisible
    )
    done = subprocess.run(
        # -S: the launcher's own environment has the whole root on its path (an editable install); training ones do not.
        [sys.executable, "-S", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# With torch: each costs some seconds of importing it.


def shim(training_python, run, *words, timeout=120):
    argv = [
        training_python, "-X", "utf8", PACKAGE / "shim" / "__main__.py", "--run", run.folder, "--script", STANDIN,
        "--trainer-class", "StandinTrainer", "--", "--output_dir", run.output, "--output_name", "x", *words,
    ]  # fmt: skip
    return subprocess.run(
        [str(word) for word in argv],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )


@pytest.mark.training
def test_a_whole_training_tells_its_story(training_python, run):
    done = shim(
        training_python,
        run,
        "--save_every_n_steps",
        4,
        "--save_state",
        "--sample_every_n_steps",
        5,
        "--act",
        "2:warn",
    )
    assert done.returncode == 0, done.stderr
    kinds = [event["type"] for event in events(run)]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    assert events(run, "start")[0]["torch"]
    assert [event["step"] for event in events(run, "step")] == list(range(1, 11))
    assert events(run, "step")[0]["lr"]["unet"] == pytest.approx(0.01, rel=0.1)
    assert [event["step"] for event in events(run, "state")] == [4, 8, 10]
    assert all(states.verify_state(path) is None for path in states.list_states(run))
    assert [(event["step"], event["final"]) for event in events(run, "save")] == [
        (4, False),
        (8, False),
        (10, True),
    ]
    assert events(run, "sample")[0]["path"] == "output/sample/x_000005_00_7.png"
    said = {event["message"] for event in events(run, "warning")}
    assert {"sampling is slow here", "loss of step 1 is odd"} <= said
    assert events(run, "end")[0]["status"] == "SUCCEEDED"
    assert not [
        path for path in run.output.iterdir() if path.name.endswith("-state")
    ]  # redirected, every one


@pytest.mark.training
def test_a_training_whose_run_was_continued_meanwhile_leaves(training_python, run):
    run.state_json.write_text('{"resumed_by": "another"}')
    assert shim(training_python, run).returncode == 0
    assert events(run, "end")[0]["status"] == "INTERRUPTED"
    assert events(run, "step") == []


@pytest.mark.training
def test_an_error_is_told_with_phase_step_and_traceback(training_python, run):
    done = shim(training_python, run, "--act", "3:raise")
    assert done.returncode == 1
    assert "ValueError: the batch of this step is broken" in done.stderr
    (error,) = events(run, "error")
    assert (error["error"], error["phase"], error["step"]) == ("ValueError", "train_loop", 2)
    assert "_one_step" in error["traceback"]
    assert events(run, "end")[0]["status"] == "FAILED"


@pytest.mark.training
def test_exit_code_0_is_not_success(training_python, run):
    done = shim(training_python, run, "--act", "3:exit0")
    assert done.returncode == 1
    assert "has not written its LoRA" in events(run, "error")[0]["message"]
    assert events(run, "end")[0]["status"] == "FAILED"


@pytest.mark.training
def test_a_full_disk_during_training(training_python, tmp_path):
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    run = RunPaths(folder=tmp_path / "disk")
    run.folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(run.folder)], check=False
    )
    if mounted.returncode:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        run.output.mkdir()
        run.states.mkdir()
        # a state is about 330 KB at this width, a LoRA 110 KB: the disk is full after two or three of each
        done = shim(
            training_python,
            run,
            "--width",
            1600,
            "--save_every_n_steps",
            1,
            "--save_state",
            "--max_train_steps",
            8,
        )
        said = [event["message"] for event in events(run, "warning")]
        assert any("could not be saved, training goes on" in message for message in said), done.stderr
        assert events(run, "step")[-1]["step"] == 8
        for event in events(run, "state"):
            path = run.folder / event["path"]
            assert not path.exists() or states.verify_state(path) is None
        kept = states.list_states(run)
        assert kept
        assert states.verify_state(kept[0]) is None
        assert not list(run.states.glob(".tmp-*"))
        end = events(run, "end")
        if end and end[0]["status"] == "FAILED":  # no room for the last LoRA, and that was said
            assert "No space left" in events(run, "error")[0]["message"]
    finally:
        subprocess.run(["umount", str(run.folder)], check=True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_lora_can_be_read_by_whoever_may_read_the_users_other_files(run):
    part, path = run.folder / ".part", run.folder / "x.safetensors"
    part.write_bytes(b"lora")
    part.chmod(0o600)
    _make_durable(part, path)
    ordinary = run.folder / "ordinary"
    ordinary.touch()
    assert path.stat().st_mode == ordinary.stat().st_mode

"""The parts of the shim that know sd-scripts, one by one; whole trainings are in tests/real.

Those with torch run in the training environment (tests/upstream_probe.py), those that need upstream's code skip without a checkout.
"""

import json
import os
import pickle
import random
import types
from collections import Counter
from pathlib import Path

import pytest

from launcher import states
from launcher.errors import InputError, LauncherError, UsageError
from launcher.paths import RunPaths
from launcher.process import run as run_command
from launcher.shim.crew import Crew
from launcher.shim.notices import english
from launcher.shim.switches import read_switches
from launcher.shim.upstream import average, edits, groups, known, order, wraps
from launcher.shim.upstream.resumed import Resumed, open_state
from launcher.shim.upstream.saving import name_step
from launcher.shim.upstream.training import Training
from launcher.trainers.switches import SWITCHES

PROBE = Path(__file__).parent / "upstream_probe.py"
CHECKOUTS = {"v0.10.1": "LAUNCHER_SD_SCRIPTS", "fp8-fork": "LAUNCHER_SD_SCRIPTS_FP8", "v0.9.1": "LAUNCHER_SD_SCRIPTS_091"}  # fmt: skip


@pytest.fixture(params=CHECKOUTS)
def checkout(request):
    place = os.environ.get(CHECKOUTS[request.param])
    if not place:
        pytest.skip(f"no checkout of {request.param}: set {CHECKOUTS[request.param]}")
    return request.param, Path(place)


# Recognition and edits


def test_each_pin_is_recognised_by_what_it_holds(checkout):
    version, code = checkout
    assert known.recognise(code) == known.Recognised(version=version)


def test_windows_line_ends_are_the_same_code(checkout, tmp_path):
    version, code = checkout
    for name in known.KNOWN[version]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(
            (code / name).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        )
    assert known.recognise(tmp_path).version == version
    changed = tmp_path / "library" / "train_util.py"
    changed.write_bytes(changed.read_bytes() + b"#")
    assert known.recognise(tmp_path) == known.Recognised(version=None, differing=("library/train_util.py",))


def test_a_strange_folder_is_not_recognised(tmp_path):
    found = known.recognise(tmp_path)
    assert found.version is None
    assert "train_network.py" in found.differing


def test_edits_fit_exactly_once_and_move_no_line(checkout):
    version, code = checkout
    before = (code / "train_network.py").read_text(encoding="utf-8")
    after = edits.apply(before, edits.EDITS[version])
    compile(after, "train_network.py", "exec")
    assert len(after.splitlines()) == len(before.splitlines())
    changed = [new for old, new in zip(before.splitlines(), after.splitlines(), strict=True) if old != new]
    assert len(changed) == len(edits.EDITS[version])
    with pytest.raises(LauncherError, match="occurs 0 times"):
        edits.apply(after, edits.EDITS[version])


def test_an_edit_that_fits_twice_is_refused():
    with pytest.raises(LauncherError, match="occurs 2 times"):
        edits.apply("a\na\n", (edits.Edit("a\n", "b\n"),))


# The order of images


def keys(sampler):
    return [tuple(key) for key in sampler]


def sampler(epoch=1, **more):
    return order.EpochSampler(**{"count": 7, "seed": 5, "epoch": lambda: epoch, **more})


def test_an_epochs_order_depends_on_seed_and_epoch_alone():
    random.seed(1)
    first = keys(sampler())
    random.seed(2)
    assert keys(sampler()) == first
    assert sorted(batch for _, batch, _ in first) == list(range(7))
    assert [batch for _, batch, _ in keys(sampler(2))] != [batch for _, batch, _ in first]
    assert [batch for _, batch, _ in keys(sampler(seed=6))] != [batch for _, batch, _ in first]


def test_a_known_order_stays_what_it_is():
    """States of older versions of the launcher go on with it."""
    assert order.permutation(7, 7, 1) == [4, 0, 5, 1, 2, 3, 6]


@pytest.mark.parametrize(("shards", "accumulation"), [(1, 1), (1, 3), (2, 1), (3, 2), (9, 1)])
def test_a_resumed_epoch_gives_the_rest_of_it(shards, accumulation):
    whole = sampler(2, shards=shards, accumulation=accumulation)
    everything = keys(whole)
    assert len(everything) == len(whole)
    assert len(whole) % shards == 0
    for batches in range(len(whole) // shards):
        rest = sampler(2, shards=shards, accumulation=accumulation)
        rest.resume_at(2, batches)
        assert keys(rest) == everything[batches * shards :]
        assert len(rest) == len(whole)  # upstream counts with it
        other = sampler(3, shards=shards, accumulation=accumulation)
        other.resume_at(2, batches)
        assert len(keys(other)) == len(whole)


def test_steps_in_keys_count_through_epochs():
    steps = [step for epoch in (1, 2) for _, _, step in keys(sampler(epoch, accumulation=3))]
    assert steps == [0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 4, 4, 4, 5]
    of_two = [step for _, _, step in keys(sampler(1, shards=2))]
    assert of_two == [0, 0, 1, 1, 2, 2, 3, 3]


class Buckets:
    """The parts of upstream's dataset that an order touches."""

    def __init__(self):
        self.bucket_manager = types.SimpleNamespace(buckets=[["a", "b", "c"], ["d", "e"]])
        self.buckets_indices = [0, 1, 2, 3]
        self.current_epoch = 0
        self.current_step = 0

    def __len__(self):
        return len(self.buckets_indices)

    def set_current_step(self, step):
        self.current_step = step

    def __getitem__(self, index):
        return (
            self.current_epoch,
            self.current_step,
            self.buckets_indices[index],
            str(self.bucket_manager.buckets),
        )


@pytest.fixture
def no_chance(monkeypatch):
    """Without torch here: what chance does to one item is tested in the training environment."""
    import contextlib

    monkeypatch.setattr(order, "own_chance", lambda *_: contextlib.nullcontext())


@pytest.mark.usefixtures("no_chance")
def test_buckets_of_an_epoch_do_not_depend_on_the_epochs_before():
    through = order.OrderedDataset(Buckets(), 5)
    seen = {epoch: [through[order.Key(epoch, batch, 9)] for batch in range(4)] for epoch in (1, 2, 3, 2)}
    fresh = order.OrderedDataset(Buckets(), 5)
    assert [fresh[order.Key(3, batch, 9)] for batch in range(4)] == seen[3]
    assert len({str(items) for items in seen.values()}) == 3
    assert Counter(item[2] for item in seen[3]) == Counter(range(4))
    assert {item[:2] for item in seen[3]} == {(3, 9)}


@pytest.mark.usefixtures("no_chance")
def test_a_workers_copy_of_the_dataset_gives_the_same():
    here = order.OrderedDataset(Buckets(), 5)
    there = pickle.loads(pickle.dumps(here))
    here[order.Key(1, 0, 0)]
    assert there[order.Key(2, 1, 0)] == here[order.Key(2, 1, 0)]
    assert pickle.loads(pickle.dumps(order.first))(["batch"]) == "batch"


@pytest.mark.usefixtures("no_chance")
def test_a_dataset_class_of_the_users_learns_the_epoch_its_own_way():
    class Own:
        epoch = 0

        def __len__(self):
            return 1

        def set_current_epoch(self, epoch):
            self.epoch = epoch

        def set_current_step(self, step):
            pass

        def __getitem__(self, _):
            return self.epoch

    assert order.OrderedDataset(Own(), 5)[order.Key(4, 0, 0)] == 4


# The average of the loss


class UpstreamRecorder:
    """As in the fork: it fails where an epoch after the first has no list yet."""

    def __init__(self):
        self.loss_list = []
        self.loss_total = 0.0

    def add(self, *, epoch, step, loss):
        if epoch == 0:
            self.loss_list.append(loss)
        else:
            self.loss_total -= self.loss_list[step]
            self.loss_list[step] = loss
        self.loss_total += loss

    @property
    def moving_average(self):
        return self.loss_total / len(self.loss_list)


LOSSES = [(epoch, step, 1 / (3 + epoch * 4 + step)) for epoch in range(3) for step in range(4)]


def recorder(**more):
    options = {"saved": None, "first_epoch": 0, "offset": 0, "on_add": lambda: None, **more}
    return average.loss_recorder(UpstreamRecorder, **options)


@pytest.mark.parametrize("done", range(1, 12))
@pytest.mark.parametrize("is_pending", [False, True])
def test_the_average_goes_on_to_the_last_bit(done, is_pending):
    control, stopped = recorder(), recorder()
    for epoch, step, loss in LOSSES:
        control.add(epoch=epoch, step=step, loss=loss)
    for epoch, step, loss in LOSSES[: done - is_pending]:
        stopped.add(epoch=epoch, step=step, loss=loss)
    saved = json.loads(json.dumps(average.snapshot(stopped, LOSSES[done - 1] if is_pending else None)))
    epoch, offset = divmod(done, 4)
    resumed = recorder(saved=saved, first_epoch=epoch, offset=offset)
    for number, (epoch, step, loss) in enumerate(LOSSES[done:]):
        within = step - offset if epoch == done // 4 else step  # upstream's loop counts from 0 after a resume
        assert within >= 0, number
        resumed.add(epoch=epoch, step=within, loss=loss)
    assert resumed.moving_average == control.moving_average
    assert resumed.loss_list == control.loss_list


def test_a_state_without_its_losses_does_not_stop_the_training():
    resumed = recorder(first_epoch=2, offset=1)
    for step in range(3):
        resumed.add(epoch=2, step=step, loss=1.0)
    assert resumed.moving_average > 0


# Learning rates


def network(*names):
    weights = {name: object() for name in names}
    return types.SimpleNamespace(named_parameters=weights.items), list(weights.values())


def test_groups_are_named_after_what_they_train():
    net, (te1, te2, unet, plus) = network(
        "lora_te1_text_model.lora_up.weight", "lora_te2_text_model.lora_up.weight",
        "module.lora_unet_down.lora_down.weight", "lora_unet_down.lora_up.weight",
    )  # fmt: skip
    parts = [{"params": [weight], "lr": 0.1} for weight in (te1, te2, unet, plus)]
    assert groups.group_names(parts, net) == ["te1", "te2", "unet", "unet 2"]
    mixed = [{"params": [te1, te2], "lr": 0.1}, {"params": [unet, plus], "lr": 0.2, "d": 0.5}]
    names = groups.group_names(mixed, net)
    assert names == ["te", "unet"]
    assert groups.learning_rates(mixed, names) == {"te": 0.1, "unet": 0.1}
    assert groups.group_names([{"params": [object()]}], net) == ["network"]


# The state to go on from


@pytest.fixture
def run(tmp_path):
    run = RunPaths(folder=tmp_path / "run 訓練")
    run.states.mkdir(parents=True)
    return run


def publish(run, step, *, size=10, files=(), **extra):
    part = states.aside(run.states, states.state_name(step))
    part.mkdir()
    (part / "train_state.json").write_text(json.dumps({"current_epoch": 1, "current_step": step}))
    for name in ("optimizer.bin", *files):
        (part / name).write_bytes(os.urandom(size))
    return states.publish_state(part, run.states, extra=extra)[0]


def test_a_state_whose_schedule_does_not_fit_its_step_is_not_trusted(run):
    assert states.verify_state(publish(run, 3, scheduler_step=6, processes=2)) is None
    assert "learning-rate schedule is at 5" in states.verify_state(
        publish(run, 4, scheduler_step=5, processes=1)
    )
    skipped = publish(run, 5, files=("scaler.pt",), scheduler_step=4, processes=1)
    assert states.verify_state(skipped) is None  # fp16 leaves steps out
    assert states.verify_state(publish(run, 6, files=("scaler.pt",), scheduler_step=7, processes=1))
    assert states.verify_state(publish(run, 7, scheduler_step=None, processes=1)) is None  # no schedule


def test_a_state_of_another_number_of_processes_is_refused_in_words(run):
    state = publish(run, 3, scheduler_step=6, processes=2)
    with pytest.raises(InputError, match="made by 2 processes, now there are 1"):
        open_state(state, processes=1)
    assert open_state(state, processes=2).step == 3


def test_a_damaged_state_is_refused_before_it_is_read(run):
    state = publish(run, 3)
    (state / "optimizer.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"damaged: optimizer\.bin"):
        open_state(state, processes=1)


def test_a_state_of_stock_sd_scripts_is_taken_as_it_is(tmp_path):
    (tmp_path / "train_state.json").write_text('{"current_epoch": 2, "current_step": 12}')
    resumed = open_state(tmp_path, processes=1)
    assert (resumed.step, resumed.seed, resumed.average, resumed.step_losses) == (12, None, None, [])


def test_what_is_not_as_it_was_is_told(tmp_path):
    resumed = Resumed(folder=tmp_path, step=1, manifest={"seed": 7, "steps_per_epoch": 4}, progress={})
    assert list(resumed.differences({"seed": 7, "steps_per_epoch": 5})) == [
        "the steps of an epoch: 4 then, 5 now"
    ]


def test_a_schedule_that_was_loaded_wrongly_stops_the_training(tmp_path):
    resumed = Resumed(folder=tmp_path, step=3, manifest={"scheduler_step": 3}, progress={})
    inner = types.SimpleNamespace(last_epoch=3)
    resumed.compare_scheduler([types.SimpleNamespace(scheduler=inner)])
    inner.last_epoch = 0
    with pytest.raises(InputError, match="is at 0, but was written at 3"):
        resumed.compare_scheduler([types.SimpleNamespace(scheduler=inner)])


@pytest.mark.parametrize(("keep", "budget", "left"), [
    (3, 0, [3, 4, 5]), (3, 2500, [4, 5]), (3, 1, [5]), (9, 3600, [3, 4, 5]), (1, 0, [5]), (9, 0, [1, 2, 3, 4, 5]),
])  # fmt: skip
def test_states_are_kept_by_count_and_by_room(run, keep, budget, left):
    for step in range(1, 6):
        publish(run, step, size=700)
    each = sum(path.stat().st_size for path in states.list_states(run)[0].iterdir())
    assert 900 < each < 1200
    assert states.retire_states(run, keep=keep, budget=budget) is None
    assert sorted(states.state_step(path) for path in states.list_states(run)) == left
    assert not list(run.states.glob(".tmp-*"))


def continued(run, number):
    """The run that goes on with `run`."""
    later = RunPaths(folder=run.folder.parent / f"link {number}")
    later.states.mkdir(parents=True)
    later.plan.write_text(json.dumps({"parent": run.folder.name}), encoding="utf-8")
    return later


def test_all_runs_of_a_training_share_its_states(run):
    links = [run]
    for step in (1, 2, 3):
        publish(run, step)
    for number in (1, 2, 3):
        links.append(continued(links[-1], number))
        publish(links[-1], 3 + number)
        assert states.retire_states(links[-1], keep=3) is None
        steps = [states.state_step(state) for state in states.training_states(links[-1])]
        assert steps == [3 + number, 2 + number, 1 + number]
    assert [len(states.list_states(link)) for link in links] == [0, 1, 1, 1]
    assert not list(run.folder.parent.rglob(".tmp-*"))
    assert states.retire_states(links[-1], keep=3, budget=1) is None
    assert [len(states.list_states(link)) for link in links] == [0, 0, 0, 1], (
        "the budget is the training's too"
    )


def test_a_continued_runs_states_stay_until_a_newer_one_is_verified(run):
    for step in (1, 2, 3):
        publish(run, step)
    later = continued(run, 1)
    newest = publish(later, 4)
    os.truncate(newest / "optimizer.bin", 1)
    assert "optimizer.bin has 1 of" in states.retire_states(later, keep=1)
    assert len(states.list_states(run)) == 3


def test_states_behind_the_one_that_was_gone_on_from_go_first(run):
    """After a loss that was no number the training went on from step 2: 3 and 4 are of no use to it."""
    for step in (1, 2, 3, 4):
        publish(run, step)
    later = continued(run, 1)
    publish(later, 3)
    assert [states.state_step(state) for state in states.training_states(later)] == [3, 2, 1, 4, 3]
    assert states.retire_states(later, keep=3) is None
    assert [states.state_step(state) for state in states.list_states(run)] == [2, 1]


@pytest.mark.parametrize("plan", ["", "[]", "{}", '{"parent": 7}', '{"parent": "gone"}', '{"parent": "link 1"}', '{"parent": "../../../etc"}'])  # fmt: skip
def test_a_plan_that_tells_no_parent_ends_the_chain(run, plan):
    later = continued(run, 1)
    later.plan.write_text(plan, encoding="utf-8")
    publish(later, 2)
    publish(run, 1)
    assert states.retire_states(later, keep=1) is None
    assert len(states.list_states(run)) == 1, "not a state of this training"


def test_no_state_goes_for_one_that_cannot_be_read(run):
    for step in range(1, 6):
        newest = publish(run, step)
    (newest / "optimizer.bin").unlink()
    assert "optimizer.bin is missing" in states.retire_states(run, keep=1, budget=1)
    assert len(states.list_states(run)) == 5


def test_what_the_log_draws_from_pythons_generator_is_given_back():
    """Rich draws for each link that it prints; multires noise draws from the same generator."""
    training = Training("v0.10.1", None, Crew())
    random.seed(3)
    wanted = random.Random(3).random()
    training.add_loss(types.SimpleNamespace(detach=lambda: 0.5))
    random.random()  # a line of the log
    training.settle_random()
    assert random.random() == wanted
    assert training.take_losses() == [0.5]
    assert training.take_losses() == []


class Told:
    """What a training tells the hooks."""

    def __init__(self, step):
        self.saver = types.SimpleNamespace(step=step)
        self.total_steps, self.entered, self.totals, self.warnings = None, [], [], []
        self.phases = types.SimpleNamespace(enter=self.entered.append)

    def tell_totals(self, totals):
        self.totals.append(totals)
        self.total_steps = totals["total_steps"]

    def warn(self, message):
        self.warnings.append(message)


@pytest.mark.parametrize(("version", "before", "own", "total"), [
    ("fp8-fork", 0, 1, 12), ("fp8-fork", 6, 1, 18), ("v0.10.1", 0, 1, 12), ("v0.10.1", 9, 3, 12),
])  # fmt: skip
def test_without_the_edits_steps_are_absolute_all_the_same(version, before, own, total):
    """The fork counts a resumed training from 0, the others from wherever their arithmetic led."""
    told = Told(before)
    training = Training(version, told, Crew(), is_exact=False)
    training.args = types.SimpleNamespace(max_train_steps=12, gradient_accumulation_steps=2)
    training.accelerator = types.SimpleNamespace(_dataloaders=[[0] * 7])
    for _ in range(3):
        training.note_start()
    [totals] = told.totals
    assert totals == {"total_steps": total, "steps_per_epoch": 4, "epochs": 3, "images": 0}
    assert told.total_steps == (None if before else 12), "where a resumed one ends is not for us to judge"
    assert bool(told.warnings) is (total > 12)
    assert told.entered == ["train_loop"]
    for later in range(3):
        told.saver.step = training.step_of(own + later)
        assert told.saver.step == before + 1 + later


def test_a_states_step_is_the_absolute_one_where_we_are_sure(tmp_path):
    path = tmp_path / "train_state.json"
    name_step(tmp_path, 7)
    assert json.loads(path.read_text()) == {"current_epoch": 1, "current_step": 7}
    path.write_text('{"current_epoch": 2, "current_step": 3}')
    name_step(tmp_path, 9)
    assert json.loads(path.read_text()) == {"current_epoch": 2, "current_step": 3}
    name_step(tmp_path, 9, is_sure=True)
    assert json.loads(path.read_text()) == {"current_epoch": 2, "current_step": 9}


# Words


@pytest.mark.parametrize(("said", "shown"), [
    ("loading / 読み込み中", "loading"),
    ("nothing / to cut", "nothing / to cut"),
    ("path /home/訓練/x.png is missing", "path /home/訓練/x.png is missing"),
    ("No data found. Please verify (a / b) / 画像がありません。", "No data found. Please verify (a / b)"),
    ("cannot read / 画像を読み込めません: /home/訓練/x.png, error: bad", "cannot read: /home/訓練/x.png, error: bad"),
    ("ignored: a, b / 無視されます: a, b", "ignored: a, b"),
    ("one / 一\ntwo / 二", "one\ntwo"),
])  # fmt: skip
def test_what_is_said_twice_is_shown_in_english(said, shown):
    assert english(said) == shown


@pytest.mark.parametrize(("options", "epoch", "step", "due"), [
    ({}, None, 5, False), ({"sample_at_first": True}, 0, 0, True), ({}, 0, 0, False),
    ({"sample_every_n_steps": 5}, None, 10, True), ({"sample_every_n_steps": 5}, None, 9, False),
    ({"sample_every_n_steps": 5}, 2, 10, False), ({"sample_every_n_epochs": 2}, 2, 10, True),
    ({"sample_every_n_epochs": 2, "sample_every_n_steps": 5}, None, 10, False),
])  # fmt: skip
def test_when_samples_are_due(options, epoch, step, due):
    args = types.SimpleNamespace(**{"sample_every_n_steps": None, "sample_every_n_epochs": None, **options})
    assert wraps.is_sampling_due(args, epoch, step) is due


def test_switches_are_typed_and_complete():
    values = read_switches(["lean_load=False", "state_every_minutes=2.5", "keep_states=7", "keep_states=8"])
    assert values.keys() == SWITCHES.keys()
    assert (values["lean_load"], values["state_every_minutes"], values["keep_states"]) == (False, 2.5, 8)


@pytest.mark.parametrize("word", ["lean_lod=true", "lean_load=yes", "keep_states=1.5", "keep_states", "vae_encode=x", "state_every_minutes=nan", "keep_states=-1"])  # fmt: skip
def test_wrong_switches_are_refused(word):
    with pytest.raises(UsageError) as caught:
        read_switches([word])
    if word.startswith("lean_lod"):
        assert "lean_load" in caught.value.fix


def test_a_crew_is_found_in_the_environment(monkeypatch):
    assert Crew.find() == Crew(rank=0, size=1)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert Crew.find() == Crew(rank=1, size=2)
    assert not Crew.find().is_main
    assert Crew.find().agree(7) == 7  # before the processes know each other each goes by itself


# With torch


@pytest.mark.training
def test_chance_in_the_training_environment(training_python, tmp_path):
    """Generators survive a state, an item's chance is its own, processes differ, pickles are refused."""
    done = run_command(
        [training_python, PROBE, tmp_path], env={"PYTHONPATH": str(PROBE.parent.parent)}, timeout_s=120
    )
    assert done.code == 0, done.output
    assert done.output.strip().splitlines()[-1] == "all is well"

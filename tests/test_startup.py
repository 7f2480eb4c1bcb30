"""A quicker start: the hash that is handed over is the file's, what an import is spared changes nothing it knows."""

import gc
import hashlib
import importlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from launcher import hashes
from launcher.paths import Paths, RunPaths
from launcher.shim import startup
from launcher.shim.boosts import ahead as kernels_ahead
from launcher.shim.startup import ahead, checksums, imports
from launcher.shim.startup.after import Reach
from launcher.shim.startup.structure import Structures, is_plain, note_name, read_note, to_text
from launcher.shim.upstream import loading

ROOT = Path(__file__).resolve().parent.parent
SDXL = Path("sdxl_train_network.py")


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "base 訓練.safetensors"
    path.write_bytes(os.urandom(5_000_001))
    return path


@pytest.fixture
def upstream():
    """A module with upstream's function, which counts its calls."""

    def calculate_sha256(filename):
        module.asked.append(filename)
        return hashlib.sha256(Path(filename).read_bytes()).hexdigest()

    module = SimpleNamespace(asked=[], calculate_sha256=calculate_sha256)
    return module


@pytest.fixture
def own(monkeypatch):
    """The hashes of a process that has just begun."""
    fresh = checksums.Hashes()
    monkeypatch.setattr(checksums, "HASHES", fresh)
    return fresh


def hand_over(upstream, folder):
    checksums.install(SimpleNamespace(modules={"library.train_util": upstream}), folder)
    return upstream.calculate_sha256


def true_hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- the base model's checksum


def test_the_first_start_hashes_beside_and_the_second_not_at_all(model, upstream, own, tmp_path, monkeypatch):
    assert own.begin(model, tmp_path / "notes")
    assert hand_over(upstream, tmp_path / "notes")(str(model)) == true_hash(model)
    assert upstream.asked == []
    monkeypatch.setattr(checksums, "HASHES", checksums.Hashes())
    assert not checksums.HASHES.begin(model, tmp_path / "notes")
    monkeypatch.setattr(hashes.hashlib, "sha256", None)  # nothing is computed any more
    assert checksums.HASHES.answer(str(model), tmp_path / "notes") is not None


def test_notes_are_those_of_the_launcher_itself(model, own, tmp_path):
    from launcher.checkpoint import full_hash, known_hash

    paths = Paths(root=tmp_path, home=tmp_path, shipped=ROOT)
    full_hash(paths, model)
    assert own.answer(model, paths.cache) == true_hash(model) == known_hash(paths, model)


@pytest.mark.parametrize("change", ["content", "replaced", "size"])
def test_a_file_that_changed_is_hashed_anew(change, model, upstream, own, tmp_path):
    notes = tmp_path / "notes"
    hashes.sha256(notes / checksums.NOTES, model)
    about = model.stat()
    if change == "replaced":
        other = model.with_name("other")
        other.write_bytes(os.urandom(about.st_size))
        other.replace(model)
    else:
        model.write_bytes(os.urandom(about.st_size - (change == "size")))
    os.utime(model, ns=(about.st_atime_ns, about.st_mtime_ns))  # somebody sets the time back
    assert hand_over(upstream, notes)(str(model)) == true_hash(model)
    assert upstream.asked == [str(model)]
    assert hand_over(upstream, notes)(str(model)) == true_hash(model)
    assert upstream.asked == [str(model)]  # remembered


def test_a_file_that_changes_while_it_is_read_is_upstreams_affair(
    model, upstream, own, tmp_path, monkeypatch
):
    began, go_on = threading.Event(), threading.Event()
    whole = hashes.sha256

    def slow(notes, path):
        began.set()
        go_on.wait(10)
        return whole(notes, path)

    monkeypatch.setattr(hashes, "sha256", slow)
    own.begin(model, tmp_path / "notes")
    assert began.wait(10)
    model.write_bytes(b"another")
    go_on.set()
    assert hand_over(upstream, tmp_path / "notes")(str(model)) == hashlib.sha256(b"another").hexdigest()


@pytest.mark.parametrize("what", ["missing", "folder", "note", "readonly"])
def test_whatever_goes_wrong_upstream_computes_it(what, model, upstream, own, tmp_path):
    notes = tmp_path / "notes"
    if what == "note":
        notes.mkdir()
        (notes / checksums.NOTES).write_text("[" * 100_000)
    if what == "readonly":
        notes.write_text("a file where the folder should be")
    path = {"missing": tmp_path / "x", "folder": tmp_path}.get(what, model)
    began = own.begin(path, notes)
    assert began == (what in {"note", "readonly", "folder"})
    ask = hand_over(upstream, notes)
    if what in {"missing", "folder"}:
        with pytest.raises(OSError, match=path.name):
            ask(str(path))
        assert upstream.asked == [str(path)]
    else:
        assert ask(str(path)) == true_hash(model)


def test_the_model_of_a_run_is_known_before_the_trainer_reads_its_options(model, tmp_path):
    run = RunPaths(folder=tmp_path)
    for plan in ("{", "[]", '{"train": []}', '{"train": {"pretrained_model_name_or_path": 3}}'):
        run.plan.write_text(plan)
        assert startup.model_of(startup.plan_of(run)) is startup.device_of(startup.plan_of(run)) is None
    assert startup.model_of({"train": {startup.MODEL_OPTION: "some/name-of-a-hub"}}) is None
    assert startup.model_of({"train": {startup.MODEL_OPTION: str(model)}}) == model


@pytest.mark.parametrize("device", ["cpu", "cuda", None])
def test_only_a_card_that_the_plan_uses_is_woken(device, tmp_path, monkeypatch):
    heard = []
    monkeypatch.setenv(startup.OFF_VARIABLE, "imports")
    monkeypatch.setattr(ahead, "wake_card", lambda: heard.append("card"))
    run = RunPaths(folder=tmp_path)
    run.plan.write_text(json.dumps({"machine": {"device": {"value": device, "reason": ""}}}))
    startup.begin(run, SDXL)
    assert heard == (["card"] if device == "cuda" else [])


@pytest.mark.parametrize("off", ["", "checksums model card imports"])
def test_every_part_can_be_left_out(off, model, own, tmp_path, monkeypatch):
    heard = []
    monkeypatch.setenv(startup.OFF_VARIABLE, off)
    monkeypatch.setenv(startup.NOTES_VARIABLE, str(tmp_path / "notes"))
    monkeypatch.setattr(ahead, "wake_card", lambda: heard.append("card"))
    monkeypatch.setattr(ahead, "read_ahead", heard.append)
    monkeypatch.setattr(imports, "begin", lambda _: heard.append("imports"))
    run = RunPaths(folder=tmp_path)
    plan = {"train": {startup.MODEL_OPTION: str(model)}, "machine": {"device": {"value": "cuda"}}}
    run.plan.write_text(json.dumps(plan))
    startup.begin(run, SDXL)
    assert heard == ([] if off else ["imports", "card"])
    assert own.answer(model, tmp_path / "notes") == (None if off else true_hash(model))
    startup.begin(run, SDXL)  # now it is remembered, and read ahead instead
    assert heard[2:] == ([] if off else ["imports", "card", model])


# --- beside the imports


def test_reading_ahead_and_waking_a_card_that_is_not_there_disturb_nobody(model, tmp_path, monkeypatch):
    for path in (model, tmp_path / "missing"):
        ahead.read_ahead(path).join(10)
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    ahead.read_ahead(model).join(10)
    for visible in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert ahead.wake_card() is None
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(ahead.ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError(name)))
    ahead.wake_card().join(10)


def test_garbage_is_looked_for_again_after_the_imports():
    assert gc.isenabled()
    imports.begin(None)
    assert not gc.isenabled()
    imports.end()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
    gc.unfreeze()
    assert not [finder for finder in sys.meta_path if isinstance(finder, Reach)]


def test_a_module_is_reached_once_and_keeps_its_own_loader(tmp_path, monkeypatch):
    from contextlib import contextmanager

    heard = []

    @contextmanager
    def around():
        heard.append("before")
        yield
        heard.append("after")

    def behind(module):
        heard.append(module.value)
        raise ValueError("fails open")

    (tmp_path / "reached_one.py").write_text("value = 7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    reach = Reach({"reached_one": around}, {"reached_one": behind})
    reach.install()
    try:
        module = importlib.import_module("reached_one")
        assert heard == ["before", "after", 7]
        assert type(module.__spec__.loader).__name__ == type(module.__loader__).__name__ == "SourceFileLoader"
        importlib.reload(module)
        assert heard == ["before", "after", 7]
    finally:
        reach.remove()
        sys.modules.pop("reached_one", None)


def test_only_the_question_for_gaudi_is_answered():
    with imports.without_gaudi():
        found = subprocess.run(imports.GAUDI_QUESTION, shell=True, text=True, capture_output=True)  # noqa: PLW1510
        assert (found.returncode, found.stdout) == (1, "")
        other = subprocess.run([sys.executable, "-c", "print(3)"], text=True, capture_output=True, check=True)
        assert other.stdout.strip() == "3"
    assert subprocess.run.__module__ == "subprocess"


def test_where_gaudi_is_installed_it_is_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(imports.metadata, "version", lambda _: "1.0")
    monkeypatch.setattr(subprocess, "run", lambda words, **_: asked.append(words))
    with imports.without_gaudi():
        subprocess.run(imports.GAUDI_QUESTION, shell=True)  # noqa: PLW1510
    assert asked == [imports.GAUDI_QUESTION]


def test_the_source_of_an_operator_is_the_same_text():
    import inspect

    def get_source(stacklevel):  # as torch has it
        frame = inspect.getframeinfo(sys._getframe(stacklevel))
        return f"{frame.filename}:{frame.lineno}"

    module = SimpleNamespace(get_source=get_source)
    imports.quick_sources(module)
    assert module.get_source is not get_source
    assert len({ask(1) for ask in (module.get_source, get_source)}) == 1
    other = SimpleNamespace(get_source=lambda _: "elsewhere")
    imports.quick_sources(other)
    assert other.get_source(1) == "elsewhere"


# --- images decoded ahead


class Pictures:
    """A dataset as upstream has it, with a loader that counts."""

    def __init__(self, sizes):
        self.image_data = {
            str(number): SimpleNamespace(
                image_key=str(number), absolute_path=f"{number}.png", image=None, latents_npz=None, image_size=size,
                bucket_reso=size,
            )
            for number, size in enumerate(sizes)
        }  # fmt: skip
        self.image_to_subset = {key: SimpleNamespace(alpha_mask=key == "1") for key in self.image_data}
        self.asked = []

    def load(self, path, alpha):
        if path == "3.png":
            raise OSError("truncated")
        self.asked.append((path, alpha))
        return path


def test_the_next_images_are_asked_for_in_upstream_s_order_and_no_more():
    pictures = Pictures([(64, 64), (32, 32), (64, 64), (32, 64), (64, 64), (64, 64), (64, 64), (64, 64)])
    order = loading.in_order(pictures.image_data.values())
    assert [info.image_key for info in order] == ["1", "3", "0", "2", "4", "5", "6", "7"]
    pictures.image_data["2"].latents_npz = "its own"
    ahead = loading.Ahead(pictures, pictures.load)
    ahead.advance([order[0]])
    ahead.advance([SimpleNamespace()])  # one that is not of this dataset
    assert [info.image_key for info in order if info.image is not None] == ["3", "0", "4"]
    assert pictures.image_data["0"].image.result() == "0.png"
    with pytest.raises(OSError, match="truncated"):  # where upstream would meet it
        pictures.image_data["3"].image.result()
    ahead.close()
    assert all(info.image is None for info in order)
    assert sorted(pictures.asked) == [("0.png", False), ("4.png", False)]


def test_large_images_wait_in_small_numbers():
    pictures = Pictures([(6000, 6000)] * 5)
    ahead = loading.Ahead(pictures, pictures.load)
    ahead.advance([pictures.image_data["0"]])
    assert [key for key, info in pictures.image_data.items() if info.image is not None] == ["1"]
    ahead.close()


# --- transformers' names

STRUCTURE = {
    frozenset(): {"clip.modeling_clip": {"CLIPModel", "CLIPTextModel"}, "albert.x": set()},
    frozenset({"torch", "vision"}): {"a.b": {"C"}},
}


def test_a_structure_survives_its_note(tmp_path):
    note = tmp_path / "note.json"
    note.write_text(to_text(STRUCTURE), encoding="utf-8")
    found = read_note(note)
    assert found == STRUCTURE
    assert [list(modules) for modules in found.values()] == [list(modules) for modules in STRUCTURE.values()]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "[" * 100_000, "[[1, 2]]", '[[["a"], {"b": [1]}]]', '[[["a"], ["b"]]]', "null"],
)
def test_a_damaged_note_is_none(text, tmp_path):
    (tmp_path / "note.json").write_text(text)
    assert read_note(tmp_path / "note.json") is None
    assert read_note(None) is read_note(tmp_path / "missing") is None


def test_what_a_note_could_not_keep_is_not_kept():
    assert is_plain(STRUCTURE)
    for other in (
        None,
        {"a": {}},
        {frozenset(): {"a": ["b"]}},
        {frozenset(): {"a": {1}}},
        {frozenset({1}): {}},
    ):
        assert not is_plain(other)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Something that looks like transformers' `import_utils`, and counts how often it reads its files."""
    models = tmp_path / "transformers" / "models"
    models.mkdir(parents=True)

    def define_import_structure(module_path, prefix=None):
        module.asked.append(module_path)
        start = "" if prefix is None else f"{prefix}."
        return {
            key: {f"{start}{name}": names for name, names in value.items()}
            for key, value in STRUCTURE.items()
        }

    module = SimpleNamespace(
        __file__=str(tmp_path / "transformers" / "utils" / "import_utils.py"), asked=[], models=models,
        define_import_structure=define_import_structure,
    )  # fmt: skip
    monkeypatch.setattr("launcher.shim.startup.structure.metadata.version", lambda _: "4.54.1")
    return module


def test_files_are_read_once_and_then_never(package, tmp_path):
    original = package.define_import_structure
    Structures(tmp_path / "notes").install(package)
    first = package.define_import_structure(package.models, prefix="models")
    assert first == original(package.models, "models")
    first[frozenset()].update(more={"X"})  # as transformers does; nobody else sees it
    first[frozenset()]["models.albert.x"].add("Y")
    assert package.define_import_structure(str(package.models / "__init__.py")) == STRUCTURE
    assert len(package.asked) == 2  # of it one is this test's own
    package.define_import_structure = original
    Structures(tmp_path / "notes").install(package)
    assert package.define_import_structure(package.models, prefix="models") == original(
        package.models, "models"
    )
    assert len(package.asked) == 3
    package.define_import_structure(package.models / "clip" / "__init__.py")
    assert len(package.asked) == 4  # any other folder is transformers' own affair


def test_another_version_or_place_has_another_note(package, tmp_path, monkeypatch):
    names = {
        note_name("4.54.1", package.models),
        note_name("4.54.2", package.models),
        note_name("4.54.1", tmp_path),
    }
    assert len(names) == 3
    monkeypatch.setattr("launcher.shim.startup.structure.metadata.version", lambda _: "9.9")
    original = package.define_import_structure
    Structures(tmp_path / "notes").install(package)
    assert package.define_import_structure is original


# --- the benchmark's pure parts


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "benchmarks"))
    yield importlib.import_module("bench_startup")
    for name in [name for name in sys.modules if name.split(".")[0] in {"bench_startup", "gpu"}]:
        del sys.modules[name]


def marks_of(*phases):
    yield {"t": 101.0, "cpu": 0.1, "kind": "start"}
    yield {"t": 101.5, "cpu": 0.2, "kind": "step", "seconds": 1}
    for t, name in phases:
        yield {"t": t, "cpu": t - 100, "kind": "phase", "name": name}


def test_phases_end_with_the_first_step_and_what_comes_again_is_one(bench):
    marks = list(marks_of((104.0, "imports"), (105.0, "prepare"), (106.0, "checksum"), (108.0, "prepare"),
                          (109.0, "first step"), (150.0, "steps")))  # fmt: skip
    found = bench.phases_of(100.0, marks)
    assert found == {bench.BEFORE: 1.0, "imports": 3.0, "prepare": 3.0, "checksum": 1.0, "first step": 1.0}
    assert sum(bench.phases_of(0.0, marks, clock="cpu").values()) == pytest.approx(9.0)


def test_the_table_compares_second_starts_with_the_first_way(bench):
    records = [
        {
            "way": way,
            "round": number,
            "phases": {"imports": seconds, "first step": 1.0},
            "total": seconds + 1.0,
        }
        for way, all_seconds in {"launcher": (5.0, 2.0, 4.0, 3.0), "stock": (9.0, 7.0, 7.0, 7.0)}.items()
        for number, seconds in enumerate(all_seconds)
    ]
    records.append({"way": "stock", "round": 9, "phases": {}, "total": None, "error": "it ended"})
    text = bench.table(records, ["stock", "launcher"])
    assert "| imports | 9.00 | 7.00 (7.00..7.00) | 5.00 | 3.00 (2.00..4.00) |" in text
    assert "| all | 10.00 | 8.00 (8.00..8.00) | 6.00 | 4.00 (3.00..5.00) |" in text
    assert "launcher / stock, second start: 0.50" in text


def test_a_way_is_changed_behind_colons(bench, tmp_path):
    way = bench.Way("launcher-long:launcher.boosts=off:off=card+model", "style-8gb", tmp_path)
    assert way.case.settings == ("launcher.boosts=off", "launcher.launch=accelerate")
    assert way.probe == {startup.OFF_VARIABLE: "card model"}
    stock = bench.Way("stock", "style-8gb", tmp_path)
    assert (stock.case.way, stock.case.is_whole, stock.case.preset) == ("stock", True, "style-8gb")


# --- with the real ones

REAL = """\
import json, sys
sys.path.insert(0, {root!r})
{begin}
import transformers
from transformers import CLIPTextModel, CLIPTokenizer
import bitsandbytes.backends.utils as backends
import torch
structure = {{
    name: sorted(map(repr, getattr(sys.modules[name], "_class_to_module").items())) for name in ("transformers", "transformers.models")
}}
print("GOT " + json.dumps([structure, str(backends.GAUDI_SW_VER), sorted(dir(transformers)), len(torch.library.__dict__)]))
"""
BEGIN = "from pathlib import Path\nfrom launcher.shim.startup import imports\nimports.begin(Path({notes!r}))"


def test_with_the_real_packages_the_same_is_found(tmp_path):
    envs = os.environ.get("LAUNCHER_REAL_ENVS")
    if not envs:
        pytest.skip("no environments: name the folder that holds <trainer>/<n>/venv in LAUNCHER_REAL_ENVS")
    python = Paths(root=Path(envs).parent, home=tmp_path, shipped=ROOT).trainer_python("sd-scripts")
    begin = BEGIN.format(notes=str(tmp_path / "notes"))
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "CUDA_VISIBLE_DEVICES": ""}

    def ask(begin):
        code = REAL.format(root=str(ROOT), begin=begin)
        done = subprocess.run([python, "-c", code], env=env, capture_output=True, text=True, check=True)
        [line] = [line for line in done.stdout.splitlines() if line.startswith("GOT ")]
        return line

    stock = ask("")
    assert ask(begin) == stock
    assert len(list((tmp_path / "notes" / "imports").iterdir())) == 1
    assert ask(begin) == stock


def test_a_process_does_not_end_while_boosts_are_being_imported(tmp_path):
    """A thread that Python stops within torch or Triton ends the process with an abort; what has not begun is left."""
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        "pathlib.Path(__file__).with_name('begun').touch()\n"
        "time.sleep(0.5)\n"
        "pathlib.Path(__file__).with_name('done').touch()\n"
    )
    (tmp_path / "next.py").write_text("import pathlib\npathlib.Path(__file__).with_name('second').touch()\n")
    code = (
        f"import sys, time, pathlib; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]\n"
        "from launcher.shim.boosts.ahead import Ahead\n"
        "Ahead(['slow', 'next'], 'bf16')\n"
        f"while not (pathlib.Path({str(tmp_path)!r}) / 'begun').exists(): time.sleep(0.01)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "done").exists()
    assert not (tmp_path / "second").exists()


def test_kernels_that_are_still_being_tried_are_not_waited_for_again(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    monkeypatch.setattr(kernels_ahead, "PATIENCE_S", 0.01)
    held, told = threading.Event(), []
    monkeypatch.setattr(kernels_ahead, "import_module", lambda _name: held.wait(20))
    ahead_of = kernels_ahead.Ahead(["triton"], "bf16")
    scene = SimpleNamespace(ops="torch's", tell=lambda *words: told.append(words))
    assert ahead_of.ops_for(scene) == "torch's"
    assert [name for name, _ in told] == ["kernels"]
    held.set()


# --- the card's libraries


SIZES_1024 = [(1, 10, 4096, 4096), (1, 10, 4096, 77), (1, 20, 1024, 1024), (1, 20, 1024, 77)]
BEGUN = """
import sys, threading, time
sys.path.insert(0, sys.argv[1])
from launcher.shim.startup import card
import torch
torch.cuda.current_device = lambda: 0  # there is none here
def load(*words):
    time.sleep(0.5)
    torch.zeros(3).sum()
    print("loaded", len(words[2]), flush=True)
card.load = load
thread = card.load_libraries({"train": {"mixed_precision": "bf16", "sdpa": True, "resolution": "1024,1024"}})
print("begun", thread.daemon, flush=True)
"""
LOADED = """
import json, sys
sys.path.insert(0, sys.argv[1])
import torch
from launcher.shim.startup import card
from torch.utils._python_dispatch import TorchDispatchMode
asked = []
class Watch(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "convolution_backward" in str(func):
            asked.append(list(args[-1]))  # of input, weight, bias
        return func(*args, **(kwargs or {}))
before = torch.get_rng_state()
with Watch():
    card.load(torch.device("cpu"), torch.bfloat16, card.sizes_of({"resolution": [64, 128], "max_token_length": 150}), side=4)
print(json.dumps({"same": bool(torch.equal(before, torch.get_rng_state())), "sizes": card.sizes_of({"resolution": [64, 128], "max_token_length": 150}), "asked": asked}))
"""
PLANS = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from launcher.shim.startup import card
bf16 = {"train": {"mixed_precision": "bf16", "resolution": "1024,1024"}}
found = [card.load_libraries(plan) for plan in ({}, {"train": 3}, {"train": {"mixed_precision": "no"}})]
os.environ["WORLD_SIZE"] = "2"
found.append(card.load_libraries(bf16))
print(json.dumps({"none": found, "1024": card.sizes_of(bf16["train"]), "huge": card.sizes_of({"resolution": "99999,99999"})}))
"""


def in_training(python, code):
    done = subprocess.run(
        [str(python), "-c", code, str(ROOT)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


@pytest.mark.training
def test_libraries_load_without_a_random_number(training_python):
    found = json.loads(in_training(training_python, LOADED)[-1])

    assert found["same"]
    assert found["sizes"] == [[1, 10, 32, 32], [1, 10, 32, 152], [1, 20, 8, 8], [1, 20, 8, 152]]
    assert found["asked"] == [[True, False, False]]  # as of a frozen convolution


@pytest.mark.training
def test_a_process_that_ends_meanwhile_waits_for_them(training_python):
    assert in_training(training_python, BEGUN) == ["begun True", "loaded 4"]


@pytest.mark.training
def test_they_are_for_one_card_in_16_bits(training_python):
    found = json.loads(in_training(training_python, PLANS)[-1])

    assert found["none"] == [None] * 4
    assert [tuple(size) for size in found["1024"]] == SIZES_1024
    assert found["huge"] == []

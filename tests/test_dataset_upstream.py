"""Our view of datasets against the code of both pinned sd-scripts: keys, buckets, lengths, captions; and their caches.

Skips without LAUNCHER_REAL_ENVS (the folder whose <trainer>/<n>/venv are environments), LAUNCHER_SD_SCRIPTS,
LAUNCHER_SD_SCRIPTS_FP8 and LAUNCHER_TOKENIZERS. Two processes for each trainer: importing it takes many seconds.
"""

import hashlib
import json
import os
import random
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from launcher.plan.buckets import Buckets
from launcher.plan.counting import count_epoch, image_size
from launcher.plan.document_check import Checker
from launcher.plan.document_schema import schema_of
from launcher.plan.places import Places
from launcher.plan.shapes import make_tables
from launcher.plan.tomlout import write_toml
from launcher.preset import Setting

ROOT = Path(__file__).resolve().parent.parent
CODES = {"sd-scripts": "LAUNCHER_SD_SCRIPTS", "sd-scripts-fp8": "LAUNCHER_SD_SCRIPTS_FP8"}
TRAINERS = pytest.mark.parametrize("trainer", list(CODES))

pytestmark = pytest.mark.slow


def ask(trainer, tasks):
    """Answers of the trainer's own code."""
    envs, code, tokenizers = (
        os.environ.get(name, "") for name in ("LAUNCHER_REAL_ENVS", CODES[trainer], "LAUNCHER_TOKENIZERS")
    )
    pythons = sorted(Path(envs or "nowhere").glob(f"{trainer}/*/venv/bin/python"))
    if not (pythons and code and tokenizers):
        pytest.skip(
            f"no environment, checkout or tokenizers of {trainer}: set LAUNCHER_REAL_ENVS and the others"
        )
    command = [str(pythons[-1]), str(ROOT / "tests" / "dataset_probe.py"), code, tokenizers]
    environ = {**os.environ, "PYTHONUTF8": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, input=json.dumps(tasks), capture_output=True, text=True, encoding="utf-8", env=environ, timeout=600, check=False
    )  # fmt: skip
    if done.returncode:
        pytest.fail(done.stderr[-4000:], pytrace=False)
    return json.loads(done.stdout)


# What is asked about configurations, buckets and lengths

VALUES = {
    "flag": [True, "true", 1.5], "int": [3, 3.0, "3"], "float": [0.5, 1, "1"], "number": [0.5, 1, "1"],
    "text": ["area", 1, False], "pair": [[1.0, 2.0], [1, 2], [1.0], 1.0], "size": [512, [512, 768], [512], "512", 512.0],
    "table": [{}, {"a": {"b": 1}}, "x"],
}  # fmt: skip
FOLDER = {"image_dir": "a"}
METADATA = {"metadata_file": "m.json"}
MASKS = {"image_dir": "a", "conditioning_data_dir": "b"}


def configurations():
    """Every key that any trainer knows, at every level, with good and bad values."""
    new = schema_of("sd-scripts")
    kinds = {
        **new.general,
        **new.folder.subset,
        **new.metadata.subset,
        **new.control.subset,
        "nonsense": "int",
    }
    for base in (FOLDER, METADATA, MASKS):
        yield {"datasets": [{"subsets": [base]}]}
        for key, kind in kinds.items():
            for value in VALUES[kind]:
                yield {"general": {key: value}, "datasets": [{"subsets": [base]}]}
                yield {"datasets": [{key: value, "subsets": [base]}]}
                if key not in base:
                    yield {"datasets": [{"subsets": [{**base, key: value}]}]}
    yield {"datasets": [{"subsets": [FOLDER, METADATA]}]}
    yield {"datasets": [{"subsets": [METADATA, METADATA]}, {"subsets": [FOLDER]}]}
    yield {"datasets": [{"subsets": [{}]}]}
    yield {"dataset": [], "datasets": [{"subsets": [FOLDER]}]}


def our_verdict(config, trainer):
    checker = Checker(schema_of(trainer), trainer)
    checker.check(config)
    return [found.what for found in checker.found]


BUCKETS = [
    {"resolution": size, "min": least, "max": most, "steps": steps, "no_upscale": no_upscale}
    for size in ([1024, 1024], [768, 512], [640, 960], [512, 512])
    for least, most, steps in ((256, 2048, 64), (320, 1280, 32))
    for no_upscale in (False, True)
]


def sizes():
    chance = random.Random(7)
    odd = [(1024, 1024), (1, 1), (64, 4000), (4000, 64), (832, 1216), (1536, 640), (33, 31), (1000, 1001)]
    return odd + [(chance.randint(64, 4096), chance.randint(64, 4096)) for _ in range(150)]


def make_sets(root):
    """Folders with repeats, batches, regularisation images, two datasets, metadata; in odd places."""
    chance = random.Random(3)
    folders = {name: root / name for name in ("plain", "訓練 [1]", "it's", "class", "tall_1_2_3_4")}
    for number, folder in enumerate(folders.values()):
        folder.mkdir(parents=True)
        for image in range(5 + number):
            size = (chance.choice([96, 128, 200, 256]), chance.choice([96, 128, 200, 256]))
            suffix = [".png", ".jpg", ".webp", ".bmp", ".PNG"][image % 5]
            picture = Image.new("RGB", size, (image * 30, 0, 0))
            exif = picture.getexif()
            exif[0x0112] = 6  # turned: neither side looks at that
            picture.save(folder / f"{image}{suffix}", **({"exif": exif} if suffix == ".jpg" else {}))
            (folder / f"{image}.txt").write_text(f"a {folder.name} {image}\nsecond line", encoding="utf-8")
    (folders["plain"] / "x_1_2_3_4.png").write_bytes((folders["plain"] / "0.png").read_bytes())
    (folders["plain"] / "x.txt").write_text("a face", encoding="utf-8")
    base = {
        "resolution": 256,
        "enable_bucket": True,
        "min_bucket_reso": 64,
        "max_bucket_reso": 512,
        "bucket_reso_steps": 32,
    }

    def subset(name, repeats=1, **more):
        return {
            "image_dir": folders[name].as_posix(),
            "num_repeats": repeats,
            "caption_extension": ".txt",
            **more,
        }

    class_images = subset("class", 2, is_reg=True, class_tokens="thing")
    yield [{**base, "batch_size": 1, "subsets": [subset("plain", 3)]}]
    yield [{**base, "batch_size": 4, "subsets": [subset("plain", 3), subset("訓練 [1]", 2), subset("it's")]}]
    yield [
        {
            **base,
            "batch_size": 3,
            "bucket_no_upscale": True,
            "subsets": [subset("plain", 2), subset("tall_1_2_3_4")],
        }
    ]
    yield [{**base, "batch_size": 2, "subsets": [subset("plain", 7), class_images]}]
    yield [{**base, "batch_size": 3, "subsets": [subset("plain"), class_images]}]
    yield [{**base, "batch_size": 2, "subsets": [subset("plain", 2), subset("plain", 5)]}]
    yield [{**base, "batch_size": 4, "enable_bucket": False, "subsets": [subset("it's", 3)]}]
    second = {
        **base,
        "resolution": [128, 192],
        "min_bucket_reso": 70,
        "max_bucket_reso": 300,
        "batch_size": 2,
    }
    yield [
        {**base, "batch_size": 4, "subsets": [subset("plain")]},
        {**second, "subsets": [subset("plain", 3), subset("it's")]},
    ]


def metadata_set(root, trainer):
    """Fine-tuning style: the fork's keys have no suffix and it takes its sizes for buckets."""
    is_fork = trainer == "sd-scripts-fp8"
    rows = {
        (Path(name).stem if is_fork else name): {
            "caption": f"row {name}", "tags": "x, y", ("train_resolution" if is_fork else "image_size"): [128, 64 * (1 + number % 2)],
        }
        for number, name in enumerate(("0.png", "1.jpg", "2.webp", "3.bmp"))
    }  # fmt: skip
    (root / f"{trainer}.json").write_text(json.dumps(rows), encoding="utf-8")
    subset = {
        "metadata_file": (root / f"{trainer}.json").as_posix(), "image_dir": (root / "plain").as_posix(), "num_repeats": 3,
    }  # fmt: skip
    base = {
        "resolution": 256,
        "enable_bucket": True,
        "min_bucket_reso": 64,
        "max_bucket_reso": 512,
        "bucket_reso_steps": 32,
    }
    return [{**base, "batch_size": 2, "subsets": [subset]}]


def write_set(root, name, datasets):
    path = root / f"{name}.toml"
    path.write_text(write_toml({"general": {}, "datasets": datasets}), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sets")


@pytest.fixture(scope="module")
def sets(folder):
    return list(make_sets(folder))


@pytest.fixture(scope="module")
def views(folder, sets):
    """Answers of each trainer about all of it, asked once."""
    known = {}

    def view(trainer):
        if trainer not in known:
            configs = list(configurations())
            mine = [*sets, metadata_set(folder, trainer)]
            files = [write_set(folder, f"{trainer}-{number}", one) for number, one in enumerate(mine)]
            answers = ask(trainer, [
                {"do": "schema", "configs": configs, "masked_loss": True},
                *({"do": "buckets", "sizes": sizes(), **task} for task in BUCKETS),
                *({"do": "length", "dataset": file} for file in files),
            ])  # fmt: skip
            count = 1 + len(BUCKETS)
            known[trainer] = (configs, answers[0], answers[1:count], mine, answers[count:])
        return known[trainer]

    return view


@TRAINERS
def test_our_schema_is_upstreams(views, trainer):
    configs, verdicts, *_ = views(trainer)
    assert len(configs) > 500
    wrong = []
    for config, theirs in zip(configs, verdicts, strict=True):
        ours = our_verdict(config, trainer)
        is_stricter = any(
            "must be at least" in what or "cannot be" in what or "share" in what for what in ours
        )
        if bool(ours) != bool(theirs) and not is_stricter:
            wrong.append((config, ours, theirs))
    assert wrong == []


@TRAINERS
def test_our_buckets_are_upstreams(views, trainer):
    for task, theirs in zip(BUCKETS, views(trainer)[2], strict=True):
        buckets = Buckets(
            resolution=tuple(task["resolution"]), enabled=True, min_reso=task["min"], max_reso=task["max"],
            steps=task["steps"], no_upscale=task["no_upscale"],
        )  # fmt: skip
        ours = [(buckets.choose(size), buckets.resized(size)) for size in sizes()]
        assert [bucket and [list(bucket), list(resized)] for bucket, resized in ours] == theirs, task


@TRAINERS
def test_our_tables_are_upstreams(views, trainer):
    _, _, _, mine, answers = views(trainer)
    options = {"train_batch_size": Setting(value=1, source="")}
    for datasets, theirs in zip(mine, answers, strict=True):
        tables = make_tables(options, {"general": {}, "datasets": datasets}, trainer, image_size)
        ours = [[[list(row.size), row.shown] for row in table.rows] for table in tables]
        assert ours == theirs["buckets"], (datasets, theirs)


@TRAINERS
def test_our_count_is_upstreams(views, trainer):
    _, _, _, mine, answers = views(trainer)
    options = {"train_batch_size": Setting(value=1, source="")}
    for datasets, theirs in zip(mine, answers, strict=True):
        ours = count_epoch(options, {"general": {}, "datasets": datasets}, trainer)
        assert ours == theirs["batches"], (datasets, theirs)


@TRAINERS
def test_captions_are_the_ones_we_counted(views, trainer):
    captions = views(trainer)[4][0]["captions"]
    assert {Path(path).name: text for path, text in captions.items()}["x_1_2_3_4.png"] == "a face"
    assert all(text for text in captions.values())


def test_places_know_nothing_and_say_so():
    assert Places({}).line_of(("x",)) == 1


# Caches


class Scene:
    """Two folders with images of the same names, configurations, and what is done to them between runs."""

    def __init__(self, root):
        self.root, self.cache, self.tasks, self.labels = root, root / "cache", [], []
        for name, shade in (("one", 40), ("two", 200)):
            folder = root / "images" / name
            folder.mkdir(parents=True)
            for number, size in enumerate([(128, 128), (160, 96), (128, 128)]):
                Image.new("RGB", size, (shade + number * 9,) * 3).save(folder / f"{number}.png")
                (folder / f"{number}.txt").write_text(f"a {name} {number}", encoding="utf-8")
        Image.new("RGB", (128, 128), (255, 255, 255)).save(root / "white.png")
        Image.new("RGB", (96, 160), (0, 0, 0)).save(root / "tall.png")
        (root / "0.png").write_bytes((root / "images" / "one" / "0.png").read_bytes())
        (root / "model").write_bytes(b"m" * 100)

    @property
    def images(self):
        return self.root / "images"

    def dataset(self, *resolutions, names=("one", "two"), **more):
        subsets = [
            {"image_dir": (self.images / name).as_posix(), "caption_extension": ".txt", **more}
            for name in names
        ]
        datasets = [
            {
                "resolution": size, "batch_size": 1, "enable_bucket": True, "min_bucket_reso": 32, "max_bucket_reso": 256,
                "bucket_reso_steps": 32, "subsets": subsets,
            }
            for size in resolutions
        ]  # fmt: skip
        name = hashlib.sha256(repr((resolutions, names, more)).encode()).hexdigest()[:8]
        return write_set(self.root, name, datasets)

    def run(self, label, dataset, *, stock=False, **more):
        own = {} if stock else {"cache_dir": str(self.cache)}
        self._add(
            label, {"do": "cache", "dataset": dataset, "model": str(self.root / "model"), **own, **more}
        )

    def edit(self, path, *, label="", **change):
        self._add(
            label, {"do": "edit", "path": str(path), **{key: str(value) for key, value in change.items()}}
        )

    def cut(self, path, glob, size):
        self._add("", {"do": "edit", "path": str(path), "glob": glob, "cut": size})

    def look(self, label):
        self._add(label, {"do": "list", "path": str(self.images)})

    def _add(self, label, task):
        self.tasks.append(task)
        self.labels.append(label)


def snapshot(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    """All runs of one trainer, told once; label -> what happened."""
    known = {}

    def story(trainer):
        if trainer not in known:
            scene = Scene(tmp_path_factory.mktemp(f"caches {trainer}"))
            before = snapshot(scene.images)
            tell(scene)
            answers = ask(trainer, scene.tasks)
            told = {label: answer for label, answer in zip(scene.labels, answers, strict=True) if label}
            known[trainer] = (scene, before, told)
        return known[trainer]

    return story


def tell(scene):
    both, one = scene.dataset(128), scene.dataset(128, names=("one",))
    first = scene.images / "one" / "0"
    scene.run("fresh", both)
    scene.run("again", both)
    scene.edit(first.with_suffix(".txt"), text="a dog")
    scene.run("caption", both)
    scene.edit(first.with_suffix(".png"), copy=scene.root / "white.png")
    scene.run("image", both)
    scene.edit(first.with_suffix(".png"), copy=scene.root / "tall.png")
    scene.run("tall", both)
    scene.run("resolution", scene.dataset(96))
    scene.run("two resolutions", scene.dataset(128, 96))
    scene.run("flipped", scene.dataset(128, flip_aug=True))
    scene.run("encode", both, vae_encode="stock")
    scene.run("tokens", both, words=["--max_token_length", "150"])
    scene.edit(scene.root / "model", text="another model")
    scene.run("model", both, scale=2.0, encoders=1)
    scene.cut(scene.cache, "*.npz", 200)
    scene.run("damaged", both, scale=2.0, encoders=1)
    scene.cut(scene.cache, "latents-*.npz", 0)
    scene.run("empty", both, scale=2.0, encoders=1)
    scene.run("in memory", both, to_disk=False)
    scene.run("nan", scene.dataset(64), breaks=True)
    scene.run("after nan", scene.dataset(64))
    scene.edit(first.with_suffix(".txt"), text="a one 0")
    scene.edit(first.with_suffix(".png"), copy=scene.root / "0.png")
    scene.look("files")
    # Stock, and its files beside the images
    scene.run("stock", one, stock=True)
    scene.edit(first.with_suffix(".txt"), text="a horse")
    scene.edit(first.with_suffix(".png"), copy=scene.root / "white.png")
    scene.run("stock after edits", one, stock=True)
    scene.run("stock resolution", scene.dataset(96, names=("one",)), stock=True)
    scene.run("ours beside stock files", one)
    # Beside the images, with the user's consent
    scene.run("beside", both, cache_images="beside")
    scene.run("beside again", both, cache_images="beside")
    scene.edit(scene.images / "two" / "1.txt", text="a bird")
    scene.run("beside edited", both, cache_images="beside")


@TRAINERS
def test_a_cache_is_used_again_and_nothing_lies_beside_the_images(stories, trainer):
    _scene, before, told = stories(trainer)
    assert told["fresh"]["encoded"] == 6
    assert told["again"]["encoded"] == 0
    assert told["again"]["seen"] == told["fresh"]["seen"]
    done = [event["done"] for event in told["fresh"]["events"] if event["phase"] == "cache_latents"]
    assert (done[0], done[-1]) == (0, 6)
    assert told["files"] == before  # name for name and byte for byte, after eighteen runs


@TRAINERS
def test_training_noise_does_not_depend_on_caches(stories, trainer):
    _, _, told = stories(trainer)
    assert told["again"]["random"] == told["fresh"]["random"] == told["resolution"]["random"]


@TRAINERS
def test_images_of_one_name_in_two_folders_stay_apart(stories, trainer):
    seen = stories(trainer)[2]["fresh"]["seen"]
    assert seen["0:0.png:one"]["mean"] != seen["0:0.png:two"]["mean"]
    assert seen["0:0.png:one"]["text"] != seen["0:0.png:two"]["text"]


@TRAINERS
@pytest.mark.parametrize(
    ("label", "encoded"),
    [
        ("caption", 0),
        ("image", 1),
        ("tall", 1),
        ("resolution", 6),
        ("flipped", 6),
        ("encode", 6),
        ("tokens", 0),
        ("model", 6),
    ],
)
def test_whatever_changes_is_made_anew_and_nothing_else(stories, trainer, label, encoded):
    told = stories(trainer)[2]
    assert told[label]["encoded"] == (2 * encoded if label == "flipped" else encoded)


@TRAINERS
def test_what_is_trained_with_follows_the_change(stories, trainer):
    told = stories(trainer)[2]
    seen = {
        label: answer["seen"]
        for label, answer in told.items()
        if isinstance(answer, dict) and "seen" in answer
    }
    key, other = "0:0.png:one", "0:1.png:one"
    assert seen["caption"][key]["text"] != seen["fresh"][key]["text"]
    assert seen["caption"][key]["latents"] == seen["fresh"][key]["latents"]
    assert seen["image"][key]["mean"] == 1.0
    assert seen["tall"][key]["size"] == [160, 96]  # height, width
    assert seen["tall"][other] == seen["fresh"][other]
    assert seen["resolution"]["0:1.png:two"]["shape"] == [4, 8, 16]
    assert seen["two resolutions"]["0:0.png:two"]["shape"] == [4, 16, 16]
    assert seen["two resolutions"]["1:0.png:two"]["shape"] == [4, 12, 12]
    assert seen["tokens"][other]["text"] != seen["fresh"][other]["text"]
    assert seen["model"][other]["mean"] == pytest.approx(2 * seen["fresh"][other]["mean"], abs=0.02)
    assert seen["model"][other]["text"] != seen["fresh"][other]["text"]


@TRAINERS
def test_damaged_files_are_made_anew(stories, trainer):
    told = stories(trainer)[2]
    assert told["damaged"]["encoded"] == told["empty"]["encoded"] == 6
    assert told["damaged"]["seen"] == told["empty"]["seen"] == told["model"]["seen"]


@TRAINERS
def test_latents_that_are_no_numbers_stop_the_run_and_are_not_kept(stories, trainer):
    told = stories(trainer)[2]
    assert "NaN detected in latents" in told["nan"]["error"]
    assert told["after nan"]["encoded"] == 6


@TRAINERS
def test_stock_meets_stale_files(stories, trainer):
    """What all this is for: if upstream changes its mind, this test tells."""
    told = stories(trainer)[2]
    key = "0:0.png:one"
    before, after = told["stock"]["seen"][key], told["stock after edits"]["seen"][key]
    assert after["text"] == before["text"]  # the caption was edited
    assert after["mean"] == before["mean"] or trainer == "sd-scripts-fp8"  # the image was replaced
    if trainer == "sd-scripts":
        assert told["stock resolution"]["encoded"] == 0
        assert told["stock resolution"]["seen"]["0:2.png:one"]["shape"] == [4, 16, 16]  # for 96 pixels
    ours = told["ours beside stock files"]["seen"][key]
    assert ours["mean"] == 1.0
    assert ours["size"] == [128, 128]
    assert ours["text"] != after["text"]


@TRAINERS
def test_beside_the_images_only_what_we_made_is_renewed(stories, trainer):
    scene, _before, told = stories(trainer)
    assert told["beside again"]["encoded"] == 0
    assert told["beside again"]["seen"] == told["beside"]["seen"]
    warnings = [event["message"] for event in told["beside"]["events"] if event["type"] == "warning"]
    assert len(warnings) == 1
    assert "made by another program" in warnings[0]
    edited = told["beside edited"]
    assert edited["seen"]["0:1.png:two"]["text"] != told["beside"]["seen"]["0:1.png:two"]["text"]
    assert edited["seen"]["0:0.png:two"] == told["beside"]["seen"]["0:0.png:two"]
    made = {name for name in snapshot(scene.images) if name.endswith(".npz")}
    assert len([name for name in made if name.startswith("two")]) == 6  # stock names, ours
    assert [name for name in made if "/." in name] == []

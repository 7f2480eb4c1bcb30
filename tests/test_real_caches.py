"""Caches end to end: the real trainers' own loop around a shrunken model, with images and captions that change between runs.

Wants the same as tests/test_real_training.py, and skips without it, saying so.
"""

import array
import hashlib
import os
import shutil
import zipfile

import pytest
from PIL import Image

from tests.real.rig import Rig

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(3600)]
TRAINERS = ("sd-scripts", "sd-scripts-fp8")
CACHED = {
    "cache_latents": True, "cache_latents_to_disk": True, "cache_text_encoder_outputs": True,
    "cache_text_encoder_outputs_to_disk": True, "max_train_steps": 7,
}  # fmt: skip
LARGER = {"resolution": 192}


@pytest.fixture(scope="module", params=TRAINERS)
def rig(request, tmp_path_factory):
    envs = os.environ.get("LAUNCHER_REAL_ENVS")
    if not envs:
        pytest.skip("LAUNCHER_REAL_ENVS names no folder of environments (such as vendor/)")
    made = Rig(envs, request.param, tmp_path_factory.mktemp(f"real {request.param}"))
    if not made.python.exists():
        pytest.skip(f"no environment of {request.param} there")
    yield made
    made.close()


def snapshot(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def copy_of_images(rig, folder):
    return shutil.copytree(rig.material / "images", folder)


def edit(data):
    """Another caption for one image, other pixels of the same size for another."""
    first, second = sorted(data.glob("*.png"))[:2]
    text = f"{first.stem}, something else entirely"  # the recorder knows an image by the first word
    first.with_suffix(".txt").write_text(text, encoding="utf-8")
    with Image.open(second) as image:
        size = image.size
    Image.effect_noise(size, 120).convert("RGB").save(second)
    return first, second


def train(rig, folder, data, cache, **more):
    return rig.train(
        folder,
        data=data,
        train={**CACHED, **more.pop("train", {})},
        env={"LAUNCHER_CACHE_DIR": cache},
        **more,
    )


def test_a_changed_image_caption_or_resolution_never_meets_an_old_cache(rig, tmp_path):
    data = copy_of_images(rig, tmp_path / "images 訓練")
    before = snapshot(data)
    first = train(rig, tmp_path / "first", data, tmp_path / "cache")
    again = train(rig, tmp_path / "again", data, tmp_path / "cache")
    assert snapshot(data) == before  # name for name, byte for byte
    assert again.weights() == first.weights()  # from scratch or from the cache: the same training
    for name, more in {"edited": {}, "larger": {"dataset": LARGER}}.items():
        if name == "edited":
            edit(data)
            before = snapshot(data)
        warm = train(rig, tmp_path / f"warm {name}", data, tmp_path / "cache", **more)
        fresh = train(rig, tmp_path / f"fresh {name}", data, tmp_path / f"cache {name}", **more)
        assert warm.record() != first.record()
        assert warm.weights() == fresh.weights()
        assert snapshot(data) == before


def test_caches_of_images_decoded_ahead_are_the_same_bytes(rig, tmp_path):
    if rig.name != "sd-scripts":
        pytest.skip("the fork decodes each image where it encodes it")
    data = copy_of_images(rig, tmp_path / "images")
    made = []
    for off in ("", "images"):
        cache = tmp_path / f"cache {off}"
        env = {"LAUNCHER_CACHE_DIR": cache, "LAUNCHER_STARTUP_OFF": off}
        ended = rig.train(tmp_path / f"run {off}", data=data, train={**CACHED, "max_train_steps": 2}, env=env)
        made.append((snapshot(cache), ended.weights()))
    assert made[0] == made[1]
    assert len(made[0][0]) >= 14


def test_progress_is_told_image_by_image(rig, tmp_path):
    data = copy_of_images(rig, tmp_path / "images")
    ended = train(rig, tmp_path / "run", data, tmp_path / "cache")
    for phase in ("cache_latents", "cache_text_encoder_outputs"):
        told = [event for event in ended.events("progress") if event["phase"] == phase]
        assert (told[0]["done"], told[-1]["done"], told[-1]["total"]) == (0, 7, 7)


def test_two_processes_share_the_work(rig, tmp_path):
    if rig.name != "sd-scripts":
        pytest.skip("the fork lets its first process do all of it")
    data = copy_of_images(rig, tmp_path / "images")
    settings = {
        "data": data,
        "train": {**CACHED, "max_train_steps": 4},
        "env": {"LAUNCHER_CACHE_DIR": tmp_path / "cache"},
    }
    rig.launch(tmp_path / "two", processes=2, **settings)
    alone = train(rig, tmp_path / "one", data, tmp_path / "cache")
    told = [event["total"] for event in alone.events("progress") if event["phase"] == "cache_latents"]
    assert set(told) == {0}  # all of them were there
    train(rig, tmp_path / "fresh", data, tmp_path / "other cache")
    shared, own = (sorted((tmp_path / name).rglob("*.npz")) for name in ("cache", "other cache"))
    assert [path.name for path in shared] == [path.name for path in own]
    for one, other in zip(shared, own, strict=True):
        # Shared out, captions meet the encoder in other batches: a last bit of a sum may differ. Latents do not.
        assert floats(one) == pytest.approx(floats(other), abs=2e-6 if one.name.startswith("text") else 0)


def floats(path):
    """The numbers of an .npz file's float32 arrays, one after the other (numpy is not in this environment)."""
    found = array.array("f")
    with zipfile.ZipFile(path) as stored:
        for name in stored.namelist():
            raw = stored.read(name)
            begin = 10 + int.from_bytes(raw[8:10], "little")  # numpy's format 1.0
            if b"'<f4'" in raw[:begin]:
                found.frombytes(raw[begin:])
    assert found
    return list(found)


def test_stock_trains_with_old_captions(rig, tmp_path):
    """What all this is for."""
    data = copy_of_images(rig, tmp_path / "images")
    steps = {"train": {"max_train_steps": 21}}  # stock leaves images out of an epoch and repeats others
    first = train(rig, tmp_path / "first", data, tmp_path / "cache", shim=False, **steps)
    assert list(data.glob("*.npz"))
    edited = edit(data)[0].stem
    second = train(rig, tmp_path / "second", data, tmp_path / "cache", shim=False, **steps)
    assert contexts(first)[edited] == contexts(second)[edited]
    ours = train(rig, tmp_path / "ours", data, tmp_path / "cache", **steps)
    assert contexts(ours)[edited] != contexts(second)[edited]


def contexts(ended):
    """What each image was trained with, as a hash."""
    return {row["images"][0]: row["context"] for row in ended.record()}

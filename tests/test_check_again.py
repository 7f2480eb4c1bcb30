"""The second `launcher check`: an unchanged folder costs one listing, every change is seen, damaged memories are as good as none."""

import json
import os
import shutil
import time

import pytest
from PIL import Image

from launcher.captions.store import words_from
from launcher.cli import execute
from launcher.errors import InputError, Severity
from launcher.machine import Fact, Gpu, Machine
from launcher.plan import Request
from launcher.plan.listing import listing_of, noted
from launcher.preflight import remembered
from launcher.preflight.remembered import check_again, question_of, recall

MACHINE = Machine(
    os="Linux", cores=2, ram_mib=16_000, free_ram_mib=9_000, gpus=(), has_bf16=Fact(value=True, reason="CPU"),
)  # fmt: skip
SETTINGS = ("resolution=256,256", "min_bucket_reso=64", "max_bucket_reso=512")
HOUR_NS = 3_600 * 10**9


def settle(place):
    """As if everything had been there for an hour."""
    then = time.time_ns() - HOUR_NS
    for path in [*place.rglob("*"), place]:
        if path.exists():
            os.utime(path, ns=(then, then))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    place = tmp_path_factory.mktemp("images")
    for number in range(8):
        Image.effect_noise((64, 64), 60 + number).convert("RGB").resize((256, 192 + 32 * (number % 3))).save(
            place / f"{number}.png"
        )
        (place / f"{number}.txt").write_text(f"view {number}, sea", encoding="utf-8")
    shutil.copy(place / "0.png", place / "7.png")
    (place / "6.txt").write_bytes("猫".encode("cp932"))
    (place / "5.png").write_bytes(b"no image")
    return place


@pytest.fixture
def folder(images, tmp_path):
    place = tmp_path / "訓練 'データ'"
    shutil.copytree(images, place)
    settle(place)
    return place


def asked(data, **more):
    return Request(
        **{"preset": "style-8gb", "trainer": "sd-scripts", "data": data, "settings": SETTINGS, **more}
    )


def answer(paths, request, machine=MACHINE):
    """The report, and whether it was remembered."""
    told = []
    report = check_again(paths, request, machine, lambda *words: told.append(words))
    return report, not told


def test_a_second_check_says_the_same_and_opens_no_file(paths, folder):
    first, was_known = answer(paths, asked(folder))
    assert not was_known
    assert {problem.check for problem in first.problems} >= {"images", "captions"}
    assert [[entry.path.name for entry in group] for group in first.same] == [["0.png", "7.png"]]
    second, is_known = answer(paths, asked(folder))
    assert is_known
    assert second == first
    assert all(type(problem.severity) is Severity for problem in second.problems)


def test_the_whole_command_says_the_same(paths, folder, capsys):
    words = [
        "check",
        str(folder),
        "--json",
        "--preset",
        "style-8gb",
        *(word for it in SETTINGS for word in ("--set", it)),
    ]
    codes, said = [], []
    for _ in range(2):
        codes.append(execute(words, paths))
        said.append(json.loads(capsys.readouterr().out))
    assert said[0] == said[1]
    assert codes == [5, 5]
    assert len(list(paths.dataset_store.iterdir())) == 1


def swap(folder):
    """Two images of one size change places: names, sizes and times of change are as before."""
    one, other = folder / "1.png", folder / "4.png"
    kept = [(path.stat().st_mtime_ns, path.read_bytes()) for path in (one, other)]
    one.replace(folder / "aside")
    other.replace(one)
    (folder / "aside").replace(other)
    for path, (changed, _) in zip((one, other), kept, strict=True):
        os.utime(path, ns=(changed, changed))


CHANGES = {
    "a caption": lambda folder: (folder / "1.txt").write_text(
        "view 1, sky", encoding="utf-8"
    ),  # as long as before
    "an image": lambda folder: Image.new("RGB", (300, 200)).save(folder / "1.png"),
    "one more": lambda folder: Image.effect_noise((300, 200), 9).save(folder / "more.png"),
    "one less": lambda folder: (folder / "2.png").unlink(),
    "a caption less": lambda folder: (folder / "2.txt").unlink(),
    "another name": lambda folder: (folder / "2.png").rename(folder / "two.png"),
    "two that swapped": swap,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_is_seen(paths, folder, change):
    before, _ = answer(paths, asked(folder))
    change(folder)
    after, was_known = answer(paths, asked(folder))
    assert not was_known
    shutil.rmtree(paths.home / "user" / "cache")
    fresh, _ = answer(paths, asked(folder))
    assert after == fresh
    assert after.words.tags != before.words.tags or after != before or change is swap


def test_folders_inside_and_beside(paths, folder, tmp_path):
    """Which folders count is a part of the answer: a new one changes it."""
    root = tmp_path / "set"
    shutil.copytree(folder, root / "10_sea")
    settle(root)
    first, _ = answer(paths, asked(root))
    assert answer(paths, asked(root))[1]
    shutil.copytree(folder, root / "2_sky")
    settle(root)
    second, was_known = answer(paths, asked(root))
    assert not was_known
    assert (first.images, second.images) == (8, 16)
    (root / "2_sky" / "1.txt").write_text("view 1, sun", encoding="utf-8")
    assert not answer(paths, asked(root))[1]


def test_what_was_asked_is_a_part_of_the_key(paths, folder):
    keys = {
        question_of(paths, request, machine).key
        for request, machine in (
            (asked(folder), MACHINE),
            (asked(folder, preset="character-8gb"), MACHINE),
            (asked(folder, trainer="rehearsal"), MACHINE),
            (asked((f"{folder}=3",)), MACHINE),
            (asked(folder, reg=(str(folder),)), MACHINE),
            (asked(folder, settings=(*SETTINGS, "train_batch_size=2")), MACHINE),
            (asked(folder), card(8_192, free=7_000)),
        )
    }
    assert len(keys) == 7
    same = {question_of(paths, asked(folder), card(8_192, free=free)).key for free in (10, 7_000)}
    assert len(same) == 1


def card(total, *, free):
    gpu = Gpu(
        name="NVIDIA GeForce RTX 4060", capability=(8, 9), total_mib=total, free_mib=free, driver="551.23"
    )
    return Machine(
        os="Linux",
        cores=2,
        ram_mib=16_000,
        free_ram_mib=free,
        gpus=(gpu,),
        has_bf16=Fact(value=True, reason=""),
    )


def test_the_users_settings_are_a_part_of_the_key(paths, folder):
    answer(paths, asked(folder))
    paths.user_settings.parent.mkdir(parents=True, exist_ok=True)
    paths.user_settings.write_text("[options]\nmax_token_length = 150\n", encoding="utf-8")
    report, was_known = answer(paths, asked(folder))
    assert not was_known
    assert report.words.limit == 150
    with pytest.raises(InputError):
        answer(paths, asked(folder, preset="nowhere"))


def test_what_has_just_changed_is_not_remembered(paths, folder):
    (folder / "1.txt").write_text("view 1, sky", encoding="utf-8")
    assert not answer(paths, asked(folder))[1]
    assert not answer(paths, asked(folder))[1]
    assert not paths.dataset_store.exists()


def test_a_change_while_it_looks_is_not_missed(paths, folder, monkeypatch):
    """The listing is older than the look."""
    examine = remembered.examine

    def slow(*words):
        report = examine(*words)
        (folder / "1.txt").write_text("view 1, sky", encoding="utf-8")
        return report

    monkeypatch.setattr(remembered, "examine", slow)
    answer(paths, asked(folder))
    monkeypatch.undo()
    report, was_known = answer(paths, asked(folder))
    assert not was_known
    assert ("sky", 1) in report.words.tags.top


def test_metadata_files_are_read_again(paths, folder, tmp_path):
    """They name images from anywhere."""
    (tmp_path / "meta.json").write_text(
        json.dumps({str(folder / "1.png"): {"caption": "sea"}}), encoding="utf-8"
    )
    (tmp_path / "set.toml").write_text(
        f"[[datasets]]\nresolution = 256\n[[datasets.subsets]]\nimage_dir = {json.dumps(folder.as_posix(), ensure_ascii=False)}\n"
        f"metadata_file = '{(tmp_path / 'meta.json').as_posix()}'\n", encoding="utf-8"
    )  # fmt: skip
    settle(tmp_path)
    request = asked(tmp_path / "set.toml")
    assert not answer(paths, request)[1]
    assert not answer(paths, request)[1]


def test_dataset_files_are_places_too(paths, folder, tmp_path):
    text = f"[[datasets]]\nresolution = 256\n[[datasets.subsets]]\nimage_dir = {json.dumps(folder.as_posix(), ensure_ascii=False)}\n"
    (tmp_path / "set.toml").write_text(text, encoding="utf-8")
    settle(tmp_path)
    request = asked(tmp_path / "set.toml")
    first, _ = answer(paths, request)
    assert answer(paths, request) == (first, True)
    (tmp_path / "set.toml").write_text(f"{text}num_repeats = 3\n", encoding="utf-8")
    report, was_known = answer(paths, request)
    assert not was_known
    assert report.steps.shown == 3 * first.steps.shown


DAMAGES = {
    "cut": lambda raw: raw[:-40], "empty": lambda _raw: b"", "one letter": lambda raw: raw.replace(b"sea", b"see", 1),
    "no text": lambda _raw: bytes(range(256)), "a pickle": lambda _raw: b"\x80\x04cos\nsystem\n.", "deep": lambda _raw: b"[" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_memory_is_as_good_as_none(paths, folder, damage):
    first, _ = answer(paths, asked(folder))
    (file,) = paths.dataset_store.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert answer(paths, asked(folder)) == (first, False)
    assert answer(paths, asked(folder)) == (first, True)


@pytest.mark.parametrize(
    "text", [b"[]", b"{}", b'{"places": [], "report": {}}', b'{"places": 3}', b"[" * 100_000]
)
def test_a_memory_of_another_kind(paths, folder, text):
    """Sealed as ours are, but not what we write."""
    question = question_of(paths, asked(folder), MACHINE)
    question.file.parent.mkdir(parents=True)
    question.file.write_bytes(remembered._seal(question, text).encode() + b"\n" + text)
    assert recall(question) is None


def test_only_the_newest_are_kept(paths, folder, monkeypatch):
    monkeypatch.setattr("launcher.captions.store.MOST_KEPT", 2)
    for steps in (10, 20, 30):
        answer(paths, asked(folder, settings=(*SETTINGS, f"max_train_steps={steps}")))
    assert len(list(paths.dataset_store.iterdir())) == 2


def test_a_store_that_cannot_be_written(paths, folder):
    paths.dataset_store.parent.mkdir(parents=True)
    paths.dataset_store.write_text("a file where the folder should be", encoding="utf-8")
    first, _ = answer(paths, asked(folder))
    assert answer(paths, asked(folder)) == (first, False)


# Listings


def test_listings(folder, tmp_path):
    with noted() as places:
        assert not places
    one = listing_of(folder)
    assert one == listing_of(folder)
    assert listing_of(tmp_path / "nowhere") is None
    (folder / "gone").symlink_to(tmp_path / "nowhere")
    loop = folder / "loop"
    loop.symlink_to(loop)
    assert listing_of(folder).digest != one.digest
    file = listing_of(folder / "1.txt")
    assert file.newest_ns == (folder / "1.txt").stat().st_mtime_ns


def test_words_of_another_version():
    with pytest.raises((ValueError, KeyError)):
        words_from({"files": 3})

"""What preflight says of images, and the bar while it looks."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from launcher.errors import Severity
from launcher.machine import Machine
from launcher.machine.records import Fact
from launcher.pictures import FAULTS, Look
from launcher.plan import Request, resolve
from launcher.preflight import images
from launcher.preflight.image_kinds import ODDITIES, OF_FAULT
from launcher.ui import counting
from launcher.ui.palette import ASCII

MACHINE = Machine(
    os="Linux", cores=2, ram_mib=16_000, free_ram_mib=9_000, gpus=(), gpu_note="no NVIDIA driver answers",
    has_bf16=Fact(value=True, reason="CPU"),
)  # fmt: skip
ROOMY = images.Want(pixels=1, side=1)


def noise(mode="RGB", size=(600, 500)):
    return Image.effect_noise(size, 60).convert(mode)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(3):
        noise().save(folder / f"{number}.jpg")
    return folder


def found(paths, data, *words):
    plan = resolve(paths, Request(preset="style-8gb", data=data, settings=words), MACHINE)
    return list(images.check_images(paths, plan, MACHINE))


def test_good_images_are_silent_and_remembered(paths, data):
    assert found(paths, data) == []
    assert paths.picture_store.is_file()
    assert found(paths, data) == []


def test_transparent_parts_unless_they_are_masked(paths, data):
    image = noise("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 200, 200))
    image.save(data / "x.png")
    (problem,) = found(paths, data)
    assert (problem.severity, problem.what) == (Severity.WARNING, "1 image is partly transparent")
    assert "alpha_mask=true" in problem.fix
    assert found(paths, data, "alpha_mask=true") == []


def look(**values):
    return Look(**{"path": Path("x.png"), "file_size": 9, "format": "PNG", "width": 600, "height": 500, "mode": "RGB", "bits": 8, "frames": 1, **values})  # fmt: skip


@pytest.mark.parametrize(
    ("values", "severity", "words"),
    [
        ({"mode": "I;16", "bits": 16}, Severity.ERROR, "become white"),
        ({"bits": 16}, Severity.NOTE, "uses 8"),
        ({"orientation": 6}, Severity.WARNING, "EXIF"),
        ({"mode": "CMYK"}, Severity.WARNING, "colours come out other"),
        ({"frames": 12}, Severity.NOTE, "first picture"),
        ({"format": "JPEG"}, Severity.NOTE, "looks at the content"),
        ({"format": "AVIF"}, Severity.WARNING, "older Pillow"),
        ({"is_flat": True}, Severity.WARNING, "nothing to learn"),
        ({"width": 9000, "height": 9000}, Severity.NOTE, "megapixels"),
    ],
)
def test_what_the_trainer_takes_without_a_word(values, severity, words):
    ((kind, _),) = images.kinds_of(look(**values), ROOMY)
    assert kind.severity is severity
    assert words in kind.why
    assert kind.fix


def test_every_fault_has_words():
    assert set(OF_FAULT) == set(FAULTS)
    assert all(kind.severity is Severity.ERROR and kind.fix for kind in OF_FAULT.values())
    assert not list(images.kinds_of(look(), ROOMY))
    assert len({kind.what for kind, _, _ in ODDITIES}) == len(ODDITIES)


def test_copies_are_told_of_in_groups(paths, data):
    (data / "copy of 0.jpg").write_bytes((data / "0.jpg").read_bytes())
    ground = Image.effect_noise((6, 6), 90).resize((600, 500), Image.Resampling.BICUBIC).convert("RGB")
    ground.save(data / "a.png")
    ground.save(data / "b.jpg")
    same, alike = found(paths, data)
    assert (same.severity, same.what) == (Severity.NOTE, "1 image is a copy of another")
    assert "0.jpg = copy of 0.jpg" in same.where
    assert alike.what == "2 images show nearly the same as another one"
    assert "a.png = b.jpg" in alike.where


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no text")
def test_a_name_that_is_no_text(paths, data):
    noise().save(Path(os.fsdecode(os.fsencode(data) + b"/\xff.png")))
    (problem,) = found(paths, data)
    assert problem.what == "1 image is named in signs that are no text"
    problem.where.encode("utf-8")  # can be shown and stored


def test_the_count_is_told(paths, data):
    told = []
    with images.told_to(lambda done, total: told.append((done, total))):
        found(paths, data)
    assert told[-1] == (3, 3)
    told.clear()
    found(paths, data)
    assert told == []


def test_the_bar():
    count = counting.Count(title="Looking at the images", done=2500, total=10_000, pace=250.0)
    text = counting.count_line(count, 79, ASCII).plain
    assert text.startswith("  Looking at the images")
    assert text.rstrip().endswith("2,500 / 10,000   30 s left")
    assert len(counting.count_line(count, 40, ASCII).plain) <= 40


def test_elsewhere_than_on_a_terminal_a_line_now_and_then(capsys, monkeypatch):
    clock = iter(range(0, 100, 3))
    monkeypatch.setattr(counting, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with counting.counting("Looking at the images") as tell:
        for done in range(1, 5):
            tell(done, 4)
    assert capsys.readouterr().out == "Looking at the images: 2 of 4\n"
    with counting.counting("Looking", is_quiet=True) as tell:
        tell(1, 9)
    assert capsys.readouterr().out == ""

"""`launcher check`: a dataset from all sides, on the screen, as JSON and as a contact sheet; and how long the training is."""

import json
import os
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from PIL import Image

from launcher.cli import execute
from launcher.errors import Severity
from launcher.machine import Fact, Machine
from launcher.plan import Request, resolve
from launcher.plan.buckets import Buckets
from launcher.plan.counting import count_steps, image_size
from launcher.plan.shapes import fit, make_tables
from launcher.preflight import CHECKS, dataset
from launcher.preflight.dataset import examine
from launcher.preflight.shapes import check_shapes
from launcher.preflight.steps import check_length, count
from launcher.report.contact import gather, lay_out
from launcher.ui.console import make_console
from launcher.ui.dataset_view import dataset_view
from launcher.ui.palette import ASCII, FULL

MACHINE = Machine(
    os="Linux", cores=2, ram_mib=16_000, free_ram_mib=9_000, gpus=(), gpu_note="no NVIDIA driver answers",
    has_bf16=Fact(value=True, reason="CPU"),
)  # fmt: skip
SIZES = ((256, 256), (512, 256), (256, 512), (300, 300), (900, 256))
SMALL = ("resolution=256,256", "min_bucket_reso=64", "max_bucket_reso=512")
HOSTILE = "<img src=x onerror=alert(1)> & 'q' \u202egnp.\x1b[2J"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Ten images of five shapes, with captions."""
    place = tmp_path_factory.mktemp("images")
    for number in range(10):
        picture = Image.effect_noise((40, 40), 60 + number).convert("RGB").resize(SIZES[number % 5])
        picture.save(place / f"{number}.png")
        (place / f"{number}.txt").write_text(f"view {number}, sea", encoding="utf-8")
    return place


@pytest.fixture
def folder(images, tmp_path):
    """A copy of them, in a place with an odd name."""
    place = tmp_path / "訓練 'データ'"
    shutil.copytree(images, place)
    return place


def plan_for(paths, data, *words, preset="style-8gb", trainer="sd-scripts"):
    small = (*SMALL, *words)
    return resolve(paths, Request(preset=preset, data=data, settings=small, trainer=trainer), MACHINE)


def report_of(paths, data, *words, **more):
    return examine(paths, plan_for(paths, data, *words, **more), MACHINE)


# Shapes


def test_what_becomes_of_an_image():
    buckets = Buckets(resolution=(1024, 1024), enabled=True, max_reso=2048)
    same = fit(buckets, (1024, 1024))
    assert (same.bucket, same.cropped, same.scale) == ((1024, 1024), 0, 1)
    assert fit(buckets, (512, 512)).scale == 2
    panorama = fit(buckets, (4000, 400))
    assert panorama.bucket == (2048, 256)
    assert panorama.cropped == pytest.approx(0.2)  # 2560 × 256 before
    assert fit(buckets, (0, 5)) is None
    assert fit(Buckets(resolution=(1024, 1024), enabled=True, no_upscale=True), (63, 63)) is None
    flat = fit(Buckets(resolution=(512, 512), enabled=False), (1024, 512))
    assert (flat.bucket, flat.cropped) == ((512, 512), 0.5)


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_the_table_counts_as_the_plan_counts(paths, folder, batch):
    words = (f"train_batch_size={batch}", "max_train_epochs=3", "gradient_accumulation_steps=2")
    plan = plan_for(paths, f"{folder}=3", *words)
    tables = make_tables(plan.options, plan.dataset, plan.trainer, image_size)
    steps = count(plan, tables)
    assert (steps.images, steps.shown) == (10, 30)
    found = SimpleNamespace(trainer="sd-scripts")
    assert steps.an_epoch * 3 == plan.total_steps == count_steps(plan.options, plan.dataset, found)
    assert steps.epochs == 3
    assert steps.seen == 9


def length_problems(paths, data, *words):
    plan = plan_for(paths, data, *words)
    return list(check_length(plan, count(plan, make_tables(plan.options, plan.dataset, plan.trainer, image_size))))  # fmt: skip


def test_the_guides_length(paths, folder):
    assert length_problems(paths, folder) == []  # the preset's 1000
    (long,) = length_problems(paths, folder, "max_train_steps=4000")
    assert (long.severity, long.fix) == (Severity.NOTE, "--set max_train_steps=1000")
    assert "over 2 000 is needless" in long.why
    (epochs,) = length_problems(paths, f"{folder}=10", "max_train_epochs=30")
    assert epochs.fix == "--set max_train_epochs=10"
    (huge,) = length_problems(paths, f"{folder}=500", "max_train_epochs=1")
    assert "instead of epochs: --set max_train_steps=1000" in huge.fix
    (short,) = length_problems(paths, folder, "max_train_steps=100")
    assert "only 100 pictures are seen" in short.what
    unseen = length_problems(paths, f"{folder}=200", "max_train_steps=1000")
    assert [problem.severity for problem in unseen] == [Severity.WARNING]
    assert "after 50 % of the first epoch" in unseen[0].what
    assert "repeats" in unseen[0].fix
    plan = plan_for(paths, folder)
    many = replace(count(plan, make_tables(plan.options, plan.dataset, plan.trainer, image_size)), images=3000, shown=3000, batches=3000)  # fmt: skip
    (large,) = check_length(plan, many)  # no advice to train 3000 steps, which the guides call needless
    assert (large.severity, "15 to 100" in large.fix) == (Severity.NOTE, True)
    assert plan_for(paths, folder, "max_train_epochs=4").total_steps == 40


def test_empty_buckets_and_lost_edges(paths, folder):
    found = {problem.what: problem for problem in check_shapes(paths, plan_for(paths, folder, "train_batch_size=3"), MACHINE)}  # fmt: skip
    (short,) = [what for what in found if "batch of 3" in what]
    assert "fewer images than a batch" in short
    flat = list(check_shapes(paths, plan_for(paths, folder, "enable_bucket=false"), MACHINE))
    (cut,) = [problem for problem in flat if "a quarter or more" in problem.what]
    assert cut.what.startswith("6 images")
    assert "--set enable_bucket=true" in cut.fix
    assert check_shapes in CHECKS


# The report


def test_everything_about_a_folder(paths, folder):
    shutil.copy(folder / "0.png", folder / "again.png")
    (folder / "again.txt").write_text("view, sea", encoding="utf-8")
    (folder / "1.png").write_bytes(b"")
    (folder / "2.txt").unlink()
    (folder / "3.txt").write_bytes("猫".encode("cp932"))
    told = []
    plan = plan_for(paths, folder)
    report = examine(paths, plan, MACHINE, lambda *words: told.append(words))
    assert report.images == 11
    assert ("images", 11, 11) in told
    assert ("captions", 10, 10) in told
    assert {problem.check for problem in report.problems} == {"images", "captions"}
    assert [entry.path.name for entry in report.entries[:3]] == ["1.png", "3.png", "2.png"]  # the worst first
    assert [[entry.path.name for entry in group] for group in report.same] == [["0.png", "again.png"]]
    assert report.entries[1].marks == (
        (Severity.ERROR, "caption not saved as UTF-8: Shift-JIS (cp932, Japanese Windows)"),
    )
    assert report.tables[0].images == 10
    assert report.tables[0].lost == 1
    assert {problem.what for problem in examine(paths, plan, MACHINE).problems} == {problem.what for problem in report.problems}  # fmt: skip


def test_of_many_pictures_those_with_marks_are_shown(paths, folder, monkeypatch):
    monkeypatch.setattr(dataset, "MOST_ENTRIES", 4)
    (folder / "7.txt").unlink()
    (folder / "8.png").write_bytes(b"")
    report = report_of(paths, folder)
    assert [entry.path.name for entry in report.entries] == ["8.png", "7.png", "0.png", "4.png"]
    assert "4 of 10 pictures" in gather(report).left_out


def test_all_shapes_of_data(paths, folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (tmp_path / "set.toml").write_text(
        f"[general]\nresolution = 256\nenable_bucket = true\n[[datasets]]\nbatch_size = 2\n[[datasets.subsets]]\nimage_dir = {json.dumps(folder.as_posix(), ensure_ascii=False)}\n"
        f"num_repeats = 2\n[[datasets]]\n[[datasets.subsets]]\nimage_dir = '{other.as_posix()}'\n", encoding="utf-8"
    )  # fmt: skip
    several = report_of(paths, (f"{folder}=2", str(other)))
    document = examine(paths, resolve(paths, Request(preset="style-8gb", data=tmp_path / "set.toml", settings=SMALL, trainer="sd-scripts"), MACHINE), MACHINE)  # fmt: skip
    assert several.images == document.images == 20
    assert [table.shown for table in several.tables] == [30]
    assert [(table.shown, table.batch_size) for table in document.tables] == [(20, 2), (10, 1)]


def test_a_folder_that_is_not_there(paths, tmp_path):
    report = report_of(paths, tmp_path / "nowhere")
    assert [problem.check for problem in report.problems] == ["data"]
    assert gather(report).cards == ()
    dataset_view(report, FULL)


# The contact sheet


@pytest.fixture
def hostile(paths, folder):
    """Names and captions from somebody who means no good."""
    name = "<b onclick=x>&'\u202e.png"
    shutil.copy(folder / "0.png", folder / name)
    (folder / name).with_suffix(".txt").write_text(HOSTILE, encoding="utf-8")
    (folder / "1.txt").write_text("</style><script>alert(2)</script>, {{ 7*7 }}, sea", encoding="utf-8")
    return folder


def test_the_sheet_is_complete_and_harmless(paths, hostile):
    report = report_of(paths, hostile)
    page = lay_out(gather(report))
    body = page[page.index("</style>") :]
    assert "<script" not in page
    assert "onerror=alert" not in re.sub(r"&lt;.*?&gt;", "", body)
    assert "<b onclick" not in page
    assert "{{ 7*7 }}" in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "default-src 'none'; img-src data:" in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    assert page.count('src="data:image/jpeg;base64,') == len(report.entries) + 2  # two of them side by side
    assert "the same file" in page
    for word in ("Buckets", "Tags", "Side by side", "sea"):
        assert word in page


def test_a_name_that_is_no_text(paths, folder):
    try:
        os.rename(os.fsencode(folder / "0.png"), os.fsencode(folder) + b"/\xff.png")  # noqa: PTH104  (bytes)
    except OSError:
        pytest.skip("this file system takes only text")
    report = report_of(paths, folder)
    lay_out(gather(report)).encode("utf-8")


# The command


def run(paths, capsys, *words):
    small = [word for setting in SMALL for word in ("--set", setting)]
    code = execute(["check", *map(str, words), *small], paths)
    return code, capsys.readouterr().out


def test_the_command_tells_by_its_code(paths, folder, capsys):
    assert run(paths, capsys, folder)[0] == 0
    (folder / "0.txt").unlink()
    code, text = run(paths, capsys, folder)
    assert code == 9
    assert "1 of 10 images have no caption" in text
    assert "with 1 warning" in text
    assert "--open" in text
    assert run(paths, capsys, folder, "--force")[0] == 0
    (folder / "1.txt").write_bytes(b"")
    assert run(paths, capsys, folder, "--force")[0] == 5


def test_the_command_for_programs(paths, folder, tmp_path, capsys):
    page = tmp_path / "a page.html"
    code, text = run(paths, capsys, f"{folder}=2", "--preset", "character-8gb", "--json", "--html", page)  # fmt: skip
    found = json.loads(text)
    assert (found["exit_code"], code, found["problems"]) == (0, 0, [])  # all begin with the same word
    assert found["steps"]["shown"] == 20
    assert found["tags"]["everywhere"] == ["sea"]
    assert found["page"] == str(page)
    assert "<!DOCTYPE html>" in page.read_text(encoding="utf-8")


def test_without_a_folder_nobody_waits(paths, capsys):
    from launcher.errors import UsageError

    with pytest.raises(UsageError, match="nothing to check"):
        execute(["check", "--yes"], paths)


@pytest.mark.parametrize("width", [60, 80, 140])
@pytest.mark.parametrize("glyphs", [FULL, ASCII])
def test_the_screen_fits(paths, hostile, width, glyphs):
    import io

    stream = io.StringIO()
    report = report_of(paths, hostile, "train_batch_size=2", "bucket_no_upscale=false")
    make_console(stream, width=width).print(dataset_view(report, glyphs, command="launcher check x --open"))
    lines = stream.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert "\x1b[2J" not in stream.getvalue()
    assert any("Buckets at 256 × 256" in line for line in lines)
    assert any("batches" in line for line in lines)

"""Preflight: everything that a bad folder, file or disk may do to a run is said before it starts, in words."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from launcher.errors import Severity
from launcher.forecast import disk
from launcher.machine import Fact, Gpu, Machine
from launcher.paths import Paths
from launcher.plan import Request, resolve
from launcher.preflight import CHECKS, captions, check_plan, room
from launcher.preflight.environment import check_environment
from launcher.preflight.model import check_files, check_model, why_no_checkpoint
from launcher.preflight.options import check_options
from launcher.preflight.output import check_output

ROOT = Path(__file__).resolve().parent.parent
MACHINE = Machine(
    os="Linux", cores=2, ram_mib=16_000, free_ram_mib=9_000, gpus=(), gpu_note="no NVIDIA driver answers",
    has_bf16=Fact(value=True, reason="CPU"),
)  # fmt: skip
SIZE = (600, 500)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "訓練 'データ'"
    folder.mkdir()
    for number in range(6):
        Image.effect_noise(SIZE, 60).convert("RGB").save(folder / f"{number}.jpg")
        (folder / f"{number}.txt").write_text(f"cat {number}", encoding="utf-8")
    return folder


def plan_for(paths, data, *words, machine=MACHINE):
    return resolve(paths, Request(preset="style-8gb", data=data, settings=words), machine)


def problems_in(paths, data, *words, machine=MACHINE):
    """What the checks say, but for the training environment, which is none of this file's business."""
    plan = plan_for(paths, data, *words, machine=machine)
    checks = [check for check in CHECKS if check is not check_environment]
    return [problem for check in checks for problem in check(paths, plan, machine)]


def only(problems):
    (problem,) = problems
    assert problem.what
    assert problem.where
    return problem


def test_a_good_folder_has_no_problems(paths, data):
    assert problems_in(paths, data) == []


def test_all_checks_are_asked(paths, data):
    (data / "0.jpg").write_bytes(b"")
    (data / "1.txt").write_text("")
    plan = plan_for(replace(paths, root=data), data)
    assert [problem.severity for problem in check_plan(replace(paths, root=data), plan, MACHINE)] == [
        Severity.ERROR
    ] * 3


# Data folder


def test_missing_folder(paths, tmp_path):
    problem = only(problems_in(paths, tmp_path / "nowhere"))
    assert problem.severity is Severity.ERROR
    assert "not there" in problem.what
    assert str(tmp_path / "nowhere") in problem.where
    assert problem.fix


def test_a_file_instead_of_a_folder(paths, data):
    assert "a file, not a folder" in only(problems_in(paths, data / "0.jpg")).what


def test_empty_folder(paths, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    assert "no images" in only(problems_in(paths, folder)).what


def test_images_two_folders_down_are_not_searched_for_but_named(paths, data, tmp_path):
    (tmp_path / "parent" / "animals").mkdir(parents=True)
    data.rename(tmp_path / "parent" / "animals" / "cats")
    problem = only(problems_in(paths, tmp_path / "parent"))
    assert "no images" in problem.what
    assert "animals" in problem.fix
    assert "one folder deeper" in problem.why


def test_blank_captions_are_told_apart_from_empty_ones(paths, data):
    (data / "0.txt").write_text("")
    (data / "1.txt").write_text("  ")
    (data / "2.txt").write_text("\na cat")
    found = [problem.what for problem in problems_in(paths, data)]
    assert found == [
        "1 caption file is empty",
        "1 caption file is as good as empty",
        "1 caption file is empty in the first line",
    ]


def test_few_images_warn(paths, data):
    for number in range(2, 6):
        (data / f"{number}.jpg").unlink()
        (data / f"{number}.txt").unlink()
    problem = only(problems_in(paths, data))
    assert problem.severity is Severity.WARNING
    assert "only 2 images" in problem.what


UNPRIVILEGED = 65534  # `nobody`: root may read everything


PROBLEMS_OF_NOBODY = """
import json, os, sys
from pathlib import Path
from launcher.machine import look_at_machine
from launcher.paths import Paths
from launcher.plan import Request, resolve
from launcher.preflight import check_plan
home, data, uid = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
paths = Paths(root=home.parent, home=home, shipped=Path.cwd())
machine = look_at_machine()
plan = resolve(paths, Request(preset="style-8gb", data=data), machine)
check_plan(paths, plan, machine)  # imports what it needs while it may still read Python's own files
if os.getuid() == 0:
    os.setgid(uid), os.setuid(uid)
found = [[problem.severity.value, problem.what] for problem in check_plan(paths, plan, machine)]
print(json.dumps(found))
"""


def problems_of_nobody(home, data):
    """Preflight by a user without rights over the files of this test (which may well run as root)."""
    command = [sys.executable, "-c", PROBLEMS_OF_NOBODY, str(home), str(data), str(UNPRIVILEGED)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def open_to_all(folder):
    for place in (folder, *folder.parents):
        if place.stat().st_uid == os.getuid() and place != Path("/tmp"):
            place.chmod(place.stat().st_mode | 0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
@pytest.mark.parametrize("what", ["folder", "image", "output", "parent"])
def test_without_permission(paths, data, what):
    open_to_all(data)
    open_to_all(paths.home)
    paths.home.chmod(0o777)
    closed = {"folder": data, "image": data / "3.jpg", "output": paths.home, "parent": data.parent}[what]
    closed.chmod(0o555 if what == "output" else 0)
    try:
        found = problems_of_nobody(paths.home, data)
    finally:
        closed.chmod(0o755)
    sentences = {
        "folder": "cannot be read", "image": "not readable", "output": "nothing can be written", "parent": "cannot be looked at"
    }  # fmt: skip
    assert any(severity == "error" and sentences[what] in text for severity, text in found), found


# Images


def test_truncated_jpeg(paths, data):
    raw = (data / "2.jpg").read_bytes()
    (data / "2.jpg").write_bytes(raw[: len(raw) // 2])
    problem = only(problems_in(paths, data))
    assert problem.severity is Severity.ERROR
    assert problem.what == "1 image is damaged"
    assert str(data / "2.jpg") in problem.where
    assert problem.fix


def test_zip_renamed_png(paths, data):
    with zipfile.ZipFile(data / "photo.png", "w") as archive:
        archive.writestr("x", "y")
    (data / "photo.txt").write_text("a cat")
    problem = only(problems_in(paths, data))
    assert "not what the name says" in problem.what
    assert "it is a zip archive" in problem.where


def test_many_damaged_images_are_one_problem(paths, data):
    for number in range(10, 20):
        (data / f"{number}.png").write_bytes(b"nonsense")
        (data / f"{number}.txt").write_text("a cat")
    problem = only(problems_in(paths, data))
    assert problem.what == "10 images are not what the name says"
    assert "10.png" in problem.where
    assert "and 5 more" in problem.where
    assert "19.png" not in problem.where


def test_small_images_warn(paths, data):
    Image.effect_noise((100, 100), 60).convert("RGB").save(data / "0.jpg")
    problem = only(problems_in(paths, data))
    assert problem.severity is Severity.WARNING
    assert "100 × 100" in problem.where


# Captions


def test_images_without_captions(paths, data):
    for path in data.glob("*.txt"):
        path.unlink()
    problem = only(problems_in(paths, data))
    assert problem.severity is Severity.WARNING
    assert problem.what == "none of the images has a caption"
    assert "class_tokens" in problem.fix


def test_some_images_without_captions(paths, data):
    (data / "0.txt").unlink()
    assert only(problems_in(paths, data)).what == "1 of 6 images have no caption"


def test_a_word_for_all_turns_the_warning_into_a_note(paths, data):
    (data / "0.txt").unlink()
    problem = only(problems_in(paths, data, "dataset.class_tokens=cat"))
    assert problem.severity is Severity.NOTE
    assert '"cat"' in problem.why


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", captions.EMPTY),
        (
            b"\n\na cat",
            captions.STRICT["later-words"],
        ),  # to the rehearsal; sd-scripts goes on: tests/test_captions.py
        (b"  ", captions.STRICT["blank"]),
        ("猫".encode("cp932"), captions.NOT_UTF8),
        ("猫".encode("utf-16"), captions.NOT_UTF8),
        (b"x" * 70_000, captions.LONG),
    ],
)
def test_captions_that_stop_a_trainer_or_give_it_no_words(paths, data, raw, kind):
    (data / "0.txt").write_bytes(raw)
    problem = only(problems_in(paths, data))
    assert problem.severity is kind.severity
    assert problem.what == f"1 caption file is {kind.what}"


def test_byte_order_mark_in_a_caption_is_only_told(paths, data):
    (data / "0.txt").write_bytes(b"\xef\xbb\xbfa cat")
    problem = only(problems_in(paths, data))
    assert (problem.severity, problem.what) == (Severity.NOTE, f"1 caption file is {captions.MARK.what}")


# Output


def test_output_below_a_file(paths, data):
    blocked = replace(paths, home=data / "0.jpg")
    problem = only(check_output(blocked, plan_for(paths, data), MACHINE))
    assert problem.severity is Severity.ERROR
    assert "nothing can be written" in problem.what


def test_the_probe_leaves_nothing_behind(paths, data):
    paths.runs.mkdir()
    assert list(check_output(paths, plan_for(paths, data), MACHINE)) == []
    assert list(paths.runs.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB (needs the right to mount)."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if sys.platform != "linux" or not mount:
        pytest.skip("no tmpfs here")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("not allowed to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(paths, data, small_disk):
    full = Paths(root=paths.root, home=small_disk, shipped=paths.shipped)
    problem = only(problems_in(full, data))
    assert problem.severity is Severity.ERROR
    assert "nearly full" in problem.what
    fill(small_disk)
    assert [problem.what.split(" ")[0] for problem in problems_in(full, data)] == ["nothing", "the"]


def fill(folder):
    with (folder / "filler").open("wb", buffering=0) as stream:
        while True:
            try:
                stream.write(bytes(65_536))
            except OSError:
                return


def test_disk_that_may_become_full(paths, data, monkeypatch):
    plan = plan_for(paths, data)
    need = disk.writes_of(plan)
    for free, severity in (
        (need.total + 300 * room.MIB, None),
        (need.least + 250 * room.MIB, Severity.WARNING),
        (0, Severity.ERROR),
    ):
        monkeypatch.setattr(room, "free_disk_mib", lambda _folder, free=free: free // room.MIB)
        found = [problem.severity for problem in room.check_room(paths, plan, MACHINE)]
        assert found == ([severity] if severity else [])


def test_forecast_of_a_full_size_run(paths, data):
    """Measured with sd-scripts v0.10.1 at dim 32: 85.1 M parameters, a state of AdamW8bit takes about 510 MB."""
    need = disk.writes_of(replace(plan_for(paths, data), trainer="sd-scripts"))
    assert need.lora == pytest.approx(170e6, rel=0.02)
    assert need.state == pytest.approx(510e6, rel=0.02)
    assert need.saves == 5
    assert need.states == 4, "three are kept beside the one that is being written"
    assert disk.writes_of(plan_for(paths, data, "save_state=false")).state, "the clock saves states too"


# Environment, model, machine


def test_missing_environment(paths, data, tmp_path):
    elsewhere = replace(paths, root=tmp_path)
    problem = only(check_environment(elsewhere, plan_for(elsewhere, data), MACHINE))
    assert problem.severity is Severity.ERROR
    assert problem.fix == "python setup_env.py install rehearsal"


def write_checkpoint(path, *, cut=0):
    header = json.dumps(
        {"a": {"dtype": "F16", "shape": [8], "data_offsets": [0, 16]}, "__metadata__": {"x": "y"}}
    ).encode()
    raw = len(header).to_bytes(8, "little") + header + bytes(16)
    path.write_bytes(raw[: len(raw) - cut])


def test_base_model(paths, data, tmp_path):
    plan = replace(plan_for(paths, data), trainer="sd-scripts")
    (problem,) = check_model(paths, plan, MACHINE)
    assert "no base model" in problem.what
    assert "--model" in problem.fix
    missing = replace(plan, model=tmp_path / "model.safetensors")
    assert "it is not there" in only(check_model(paths, missing, MACHINE)).what
    write_checkpoint(missing.model)
    assert "not an SDXL checkpoint" in only(check_model(paths, missing, MACHINE)).what  # see test_model_check


@pytest.mark.parametrize(
    "raw", [b"", b"PK\x03\x04", b"\x80\x02}q\x00.", bytes(1000), b"\x05\0\0\0\0\0\0\0[1,2]" + bytes(50)]
)
def test_files_that_are_no_checkpoints(tmp_path, raw):
    path = tmp_path / "x.safetensors"
    path.write_bytes(raw)
    assert why_no_checkpoint(path)


def test_interrupted_download(tmp_path):
    path = tmp_path / "x.safetensors"
    write_checkpoint(path, cut=1)
    assert "interrupted" in why_no_checkpoint(path)
    assert why_no_checkpoint(tmp_path) == "it is a folder"


def test_files_named_by_options(paths, data):
    problem = only(check_files(paths, plan_for(paths, data, "sample_prompts=prompts.txt"), MACHINE))
    assert "sample_prompts" in problem.what
    assert str(Path.cwd() / "prompts.txt") in problem.what


def test_little_memory(paths, data):
    machine = replace(MACHINE, free_ram_mib=1000)
    (problem,) = check_options(paths, plan_for(paths, data), machine)
    assert problem.severity is Severity.WARNING
    assert "1000 MiB" in problem.what


def test_small_card_or_none_for_a_full_size_run(paths, data):
    plan = replace(plan_for(paths, data), trainer="sd-scripts")
    (problem,) = check_options(paths, plan, MACHINE)
    assert problem.severity is Severity.ERROR
    gpu = Gpu(name="RTX 3050", capability=(8, 6), total_mib=6144, free_mib=5000, driver="551")
    (problem,) = check_options(paths, plan, replace(MACHINE, gpus=(gpu,)))
    assert problem.severity is Severity.WARNING
    assert "6144 MiB" in problem.what
    whole = replace(gpu, total_mib=8188)
    assert list(check_options(paths, plan, replace(MACHINE, gpus=(whole,)))) == []


def test_doubtful_options_are_said_again_for_the_whole_plan(paths, data):
    (problem,) = check_options(paths, plan_for(paths, data, "sample_prompts="), MACHINE)
    assert problem.severity is Severity.WARNING
    assert "sample_prompts" in problem.what


def test_precision_that_somebody_insists_on(paths, data):
    problem = only(check_options(paths, plan_for(paths, data, "mixed_precision=fp16"), MACHINE))
    assert problem.severity is Severity.ERROR
    assert "fp16 needs a graphics card" in problem.what
    gpu = Gpu(name="GTX 1070", capability=(6, 1), total_mib=8192, free_mib=7000, driver="551")
    old = replace(
        MACHINE, gpus=(gpu,), has_bf16=Fact(value=False, reason="GTX 1070 has compute capability 6.1")
    )
    here = replace(paths, root=data)  # no record of an environment: the card counts
    problem = only(check_options(here, plan_for(here, data, "mixed_precision=bf16", machine=old), old))
    assert problem.severity is Severity.WARNING
    assert list(check_options(here, plan_for(here, data, machine=old), old)) == []

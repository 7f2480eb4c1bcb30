"""The parts of the rehearsal that need no torch: command line, dataset configuration, buckets, images, refusals."""

import io
import json
import re
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from launcher.demo import IMAGES
from launcher.demo import generate as drawing
from launcher.errors import InputError
from launcher.trainers import rehearsal
from launcher.trainers.rehearsal import images
from launcher.trainers.rehearsal.buckets import BucketBatches, BucketSettings
from launcher.trainers.rehearsal.checks import check_options, tell_ignored
from launcher.trainers.rehearsal.config import int_or_float, read_config_from_file, setup_parser
from launcher.trainers.rehearsal.dataset import load_datasets, make_batches


def parse(*words):
    return setup_parser().parse_args(["--network_train_unet_only", *words])


# ---- command line and config file


def test_parser_has_upstreams_defaults_and_types():
    args = setup_parser().parse_args(["--lr_warmup_steps", "10%", "--text_encoder_lr", "1e-4", "2e-4"])
    assert args.learning_rate == 2e-06
    assert args.lr_warmup_steps == 0.1
    assert args.text_encoder_lr == [1e-4, 2e-4]
    assert args.mixed_precision == "no"
    assert args.fp8_base is False
    assert len(vars(args)) == 196


@pytest.mark.parametrize(
    "words", [["--nosuch"], ["--network_dim", "x"], ["--mixed_precision", "fp8"], ["--learning_rat", "1"]]
)
def test_parser_refuses(words, capsys):
    with pytest.raises(SystemExit):
        setup_parser().parse_args(words)
    capsys.readouterr()


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("0.25", 0.25), ("10%", 0.1), ("100", 100)])
def test_int_or_float(text, value):
    assert int_or_float(text) == value


def test_config_file_is_flattened_and_the_command_line_wins(tmp_path):
    file = tmp_path / "train.toml"
    file.write_bytes("\ufeff[one]\nnetwork_dim = 8\nfp8_base = true\n[two]\nnetwork_dim = 16\n".encode())
    words = ["--config_file", str(file.with_suffix("")), "--network_alpha", "2"]
    args = read_config_from_file(setup_parser().parse_args(words), setup_parser(), words)
    assert (args.network_dim, args.network_alpha, args.fp8_base) == (16, 2.0, True)
    words += ["--network_dim", "4"]
    args = read_config_from_file(setup_parser().parse_args(words), setup_parser(), words)
    assert args.network_dim == 4


def test_wrong_types_in_the_config_file_are_all_named(tmp_path):
    file = tmp_path / "train.toml"
    file.write_text(
        "network_dim = '16'\ngradient_checkpointing = 'false'\nmixed_precision = 'fp8'\nlearning_rate = 1\n"
        "optimizer_args = 'x=1'\nseed = true\nnobody = 1\n",
        encoding="utf-8",
    )
    words = ["--config_file", str(file)]
    with pytest.raises(InputError) as caught:
        read_config_from_file(setup_parser().parse_args(words), setup_parser(), words)
    for name in ("network_dim", "gradient_checkpointing", "mixed_precision", "optimizer_args", "seed"):
        assert name in caught.value.what
    assert "learning_rate" not in caught.value.what


@pytest.mark.parametrize("content", [None, b"a = [", b"\xff\xfea\x00"])
def test_config_file_that_is_none(tmp_path, content):
    file = tmp_path / "train.toml"
    if content is not None:
        file.write_bytes(content)
    words = ["--config_file", str(file)]
    with pytest.raises(InputError, match=r"train\.toml"):
        read_config_from_file(setup_parser().parse_args(words), setup_parser(), words)


# ---- refusals


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fp8_base"], "fp8_base needs"),
        (["--full_bf16"], "full_bf16 needs"),
        (["--cache_latents", "--random_crop"], "random_crop"),
        (["--cache_text_encoder_outputs", "--shuffle_caption"], "shuffle_caption"),
        (["--lr_warmup_steps", "5"], "constant_with_warmup"),
        (["--gradient_accumulation_steps", "0"], "gradient_accumulation_steps"),
        (["--save_every_n_steps", "0"], "save_every_n_steps"),
        (["--network_module", "lycoris.kohya"], "lycoris"),
        (["--v2"], "v2"),
    ],
)
def test_combinations_that_upstream_refuses(words, said):
    with pytest.raises(InputError, match=said):
        check_options(parse(*words))


def test_refusals_are_told_at_once():
    with pytest.raises(InputError) as caught:
        check_options(parse("--fp8_base", "--v2", "--full_fp16"))
    assert caught.value.what.count(";") == 2


def test_good_options_pass():
    check_options(
        parse("--fp8_base", "--mixed_precision", "bf16", "--cache_text_encoder_outputs", "--cache_latents")
    )


def test_ignored_options_are_named_and_harmless_ones_are_not(caplog):
    tell_ignored(parse("--sdpa", "--v_parameterization"), setup_parser().parse_args([]))
    assert [record.getMessage() for record in caplog.records] == [
        "without effect in a rehearsal: v_parameterization"
    ]


def test_every_option_called_honoured_is_looked_at():
    """The launcher tells the user which options a rehearsal honours: that list must not promise more than the code."""
    folder = Path(rehearsal.__file__).parent
    code = "\n".join(p.read_text(encoding="utf-8") for p in folder.glob("*.py") if p.name != "__init__.py")
    always_done = {"skip_until_initial_step"}
    assert {name for name in rehearsal.HONOURED - always_done if not re.search(rf"\b{name}\b", code)} == set()


# ---- buckets and batches


def bucket_settings(**changes):
    values = {"resolution": (1024, 1024), "enabled": True, "min_reso": 512, "max_reso": 2048, "steps": 64}
    return BucketSettings(**{**values, "no_upscale": False, **changes})


@given(width=st.integers(1, 9000), height=st.integers(1, 9000), no_upscale=st.booleans())
def test_buckets_keep_area_raster_and_shape(width, height, no_upscale):
    chosen = bucket_settings(no_upscale=no_upscale).choose((width, height))
    assert chosen[0] % 64 == chosen[1] % 64 == 0
    assert min(chosen) >= 64
    if 0.5 <= width / height <= 2 and min(width, height) > 2048:
        assert chosen[0] * chosen[1] <= 1024 * 1024
        assert abs(chosen[0] / chosen[1] - width / height) < 0.25


def test_known_buckets():
    settings_ = bucket_settings()
    assert settings_.choose((3000, 2000)) == (1216, 832)
    assert settings_.choose((500, 500)) == (1024, 1024)
    assert settings_.choose((2000, 3000)) == (832, 1216)
    assert bucket_settings(no_upscale=True).choose((384, 256)) == (384, 256)
    assert bucket_settings(enabled=False).choose((3000, 2000)) == (1024, 1024)


@pytest.mark.parametrize(
    "changes", [{"steps": 48}, {"min_reso": 2000}, {"max_reso": 512}, {"resolution": (0, 4)}]
)
def test_bucket_settings_that_upstream_refuses(changes):
    with pytest.raises(InputError):
        bucket_settings(**changes).check()


@settings(max_examples=50)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4)), min_size=1, max_size=4),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 50),
)
def test_an_epoch_has_every_item_once_and_one_order(sizes, seed, epoch):
    groups, first = [], 0
    for count, batch_size in sizes:
        groups.append((list(range(first, first + count)), batch_size))
        first += count
    batches = BucketBatches(groups, seed)
    batches.epoch = epoch
    drawn = list(batches)
    assert sorted(item for batch in drawn for item in batch) == list(range(first))
    assert len(drawn) == len(batches)
    again = BucketBatches(groups, seed)
    again.epoch = epoch
    assert list(again) == drawn
    owner = {item: number for number, (items, _) in enumerate(groups) for item in items}
    assert all(len({owner[item] for item in batch}) == 1 for batch in drawn)


def test_epochs_differ():
    batches = BucketBatches([(list(range(30)), 1)], 7)
    first = list(batches)
    batches.epoch = 1
    assert list(batches) != first


# ---- dataset


def dataset_args(tmp_path, text):
    (tmp_path / "dataset.toml").write_text(text, encoding="utf-8")
    return parse(
        "--dataset_config", str(tmp_path / "dataset.toml"), "--train_batch_size", "3", "--enable_bucket"
    )


def test_dataset_lookup_order_and_captions(tmp_path):
    folder = tmp_path / "絵 'a'"
    folder.mkdir()
    for name in ("b.png", "a.JPG", "note.txt"):
        if name.endswith("txt"):
            continue
        Image.new("RGB", (60, 40)).save(folder / name, format="PNG")
    (folder / "a.txt").write_text("\ufeffone, two\nsecond line", encoding="utf-8")
    args = dataset_args(
        tmp_path,
        "[general]\ncaption_extension = '.txt'\nmax_bucket_reso = 2048\n[[datasets]]\nresolution = 1024\n"
        f"[[datasets.subsets]]\nimage_dir = {json.dumps(str(folder))}\nnum_repeats = 2\nclass_tokens = 'hill'\n"
        "caption_prefix = 'style,'\n",
    )
    (dataset,) = load_datasets(args)
    assert dataset.batch_size == 3
    assert [(item.path.name, item.caption) for item in dataset.items] == [
        ("a.JPG", "style, one, two"),
        ("b.png", "style, hill"),
    ]
    items, batches = make_batches((dataset,), 1)
    assert len(items) == 2
    assert sorted(number for batch in batches for number in batch) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[datasets]]\nresolution = 64\nnonsense = 1\n", "nonsense"),
        ("[[datasets]]\nresolution = 'x'\n", "resolution"),
        ("[[datasets]]\nresolution = 1024\nenable_bucket = 1\n", "enable_bucket"),
        ("[[datasets]]\nresolution = 1024\n[[datasets.subsets]]\nnum_repeats = 2\n", "image_dir"),
        ("[[datasets]]\nresolution = 1024\n[[datasets.subsets]]\nimage_dir = '/nowhere/at all'\n", "nowhere"),
        ("[[datasets]]\nresolution = 1024\n", "no images"),
    ],
)
def test_dataset_errors_are_sentences(tmp_path, text, said):
    with pytest.raises(InputError, match=said):
        load_datasets(dataset_args(tmp_path, text))


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00a"])
def test_bad_captions_are_named(tmp_path, content):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(content)
    text = f"[[datasets]]\nresolution = 1024\n[[datasets.subsets]]\nimage_dir = {json.dumps(str(tmp_path))}\ncaption_extension = '.txt'\n"
    with pytest.raises(InputError, match=r"a\.txt"):
        load_datasets(dataset_args(tmp_path, text))


# ---- images


def test_transparency_lies_on_white(tmp_path):
    layer = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    layer.putpixel((1, 0), (255, 0, 0, 255))
    layer.save(tmp_path / "a.png")
    loaded = images.load_image(tmp_path / "a.png")
    assert [loaded.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), (255, 0, 0)]


def test_camera_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert images.read_size(tmp_path / "a.jpg") == (20, 40)
    assert images.load_image(tmp_path / "a.jpg").size == (20, 40)


def test_sixteen_bit_grey_is_not_clipped(tmp_path):
    grey = Image.new("I;16", (4, 4), 32768)
    grey.save(tmp_path / "a.png")
    assert images.load_image(tmp_path / "a.png").getpixel((0, 0)) == (128, 128, 128)


def huge_png():
    """A well-formed header that claims 60,000 x 60,000 pixels: a few bytes that decode to 10 GB."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


def half_jpeg():
    whole = (IMAGES / "05_autumn.jpg").read_bytes()
    return whole[: len(whole) // 2]


def zip_file():
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "a")
    return stream.getvalue()


@pytest.mark.parametrize(
    "make", [huge_png, half_jpeg, zip_file, bytes, lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * 50]
)
def test_bad_images_are_one_sentence_with_the_files_name(tmp_path, make):
    path = tmp_path / "bad.png"
    path.write_bytes(make())
    with pytest.raises(InputError, match=r"bad\.png"):
        images.load_image(path)


@settings(max_examples=150, deadline=None)
@given(
    position=st.integers(0, 7000),
    junk=st.binary(min_size=1, max_size=40),
    name=st.sampled_from(["01_morning.png", "05_autumn.jpg"]),
)
def test_any_damage_is_an_input_error_or_a_picture(tmp_path_factory, position, junk, name):
    raw = bytearray((IMAGES / name).read_bytes())
    raw[position : position + len(junk)] = junk
    path = tmp_path_factory.mktemp("damage") / name
    path.write_bytes(raw)
    try:
        images.read_size(path)
        assert images.load_image(path).mode == "RGB"
    except InputError as error:
        said = error.what
    else:
        return
    assert name in said


# ---- the demo's pictures


def test_shipped_pictures_are_what_the_script_draws(tmp_path):
    drawing.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in IMAGES.iterdir()}
    for path in IMAGES.iterdir():
        if path.suffix == ".txt":
            assert path.read_bytes() == (tmp_path / path.name).read_bytes()
            continue
        shipped, drawn = (Image.open(folder / path.name).convert("RGB") for folder in (IMAGES, tmp_path))
        far = max(high for _, high in Image.merge("RGB", [*shipped.split()]).getextrema())
        assert far > 150
        difference = sum(abs(a - b) for a, b in zip(shipped.tobytes(), drawn.tobytes(), strict=True))
        assert (
            difference / len(shipped.tobytes()) < 2
        )  # another Pillow may scale and pack a little differently


def test_shipped_pictures_are_small():
    assert sum(path.stat().st_size for path in Path(IMAGES).iterdir()) < 400_000
    assert len({Image.open(path).size for path in IMAGES.iterdir() if path.suffix != ".txt"}) == 3

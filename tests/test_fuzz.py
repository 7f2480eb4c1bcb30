"""The readers of what others have written, fed with what nobody would write: only a refusal in words may come of it.

A few examples of each in the suite, always the same; for a long run with new ones each time: LAUNCHER_FUZZ=20000.
"""

import json
import os
import string
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from launcher.captions import Tally
from launcher.captions.reading import caption_of
from launcher.captions.tokens import Tokenizer, longest_drawn
from launcher.checkpoint import HeaderError, lora_base, precisions, predicts_v, read_header, recognise
from launcher.errors import InputError
from launcher.plan.document import read_document_file
from launcher.plan.metadata import read_metadata
from launcher.preset import load_preset
from tests.hostile.models import SDXL

COUNT = int(os.environ.get("LAUNCHER_FUZZ", "0"))
fuzz = settings(
    max_examples=COUNT or 60, deadline=None, derandomize=not COUNT, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)  # fmt: skip
pytestmark = pytest.mark.timeout(0 if COUNT else 120)

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(min_value=-(2**70), max_value=2**70), st.floats(), st.text(max_size=20),
    st.lists(st.integers(-2, 2**65), max_size=4), st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)  # fmt: skip
ANY_TEXT = st.text(st.characters(), max_size=60)


def mostly(good, odd=ODD):
    """What belongs there, and now and then something else."""
    return st.integers(0, 5).flatmap(lambda roll: good if roll else odd)


# --- headers of model files

NAMES = st.one_of(st.sampled_from([*SDXL, "v_pred", "lora_unet_x.lora_down.weight", "__metadata__", "a"]), ANY_TEXT)  # fmt: skip
SHAPES = mostly(st.lists(mostly(st.integers(0, 9)), max_size=4))
DTYPES = mostly(st.sampled_from(["F16", "F32", "BF16", "F8_E4M3", "I8", "C64", "F4"]))
ENTRIES = mostly(
    st.fixed_dictionaries(
        {}, optional={"dtype": DTYPES, "shape": SHAPES, "data_offsets": mostly(st.lists(mostly(st.integers(0, 600)), max_size=3)), "x": ODD}
    )
)  # fmt: skip


@st.composite
def sound_headers(draw):
    """A header as the library writes it."""
    table, at = {}, 0
    for name in draw(st.lists(NAMES.filter(lambda name: name != "__metadata__"), max_size=6, unique=True)):
        shape = draw(st.lists(st.integers(0, 5), max_size=3))
        size = 2
        for side in shape:
            size *= side
        table[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    if draw(st.booleans()):
        table["__metadata__"] = draw(st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3))
    return json.dumps(table).encode(), at


@st.composite
def broken(draw, raw):
    """Bytes with some of them changed, taken out or doubled."""
    content = bytearray(draw(raw))
    for _ in range(draw(st.integers(0, 4))):
        if not content:
            break
        at = draw(st.integers(0, len(content) - 1))
        kind = draw(st.integers(0, 2))
        if kind == 0:
            content[at] = draw(st.integers(0, 255))
        elif kind == 1:
            del content[at : at + draw(st.integers(1, 20))]
        else:
            content[at:at] = content[at : at + draw(st.integers(1, 40))]
    return bytes(content)


FILES = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda table, body: struct.pack("<Q", len(json.dumps(table))) + json.dumps(table).encode() + bytes(body),
        st.dictionaries(NAMES, ENTRIES, max_size=4), st.integers(0, 600),
    ),
    broken(sound_headers().map(lambda made: struct.pack("<Q", len(made[0])) + made[0] + b"\1" * made[1])),
    st.builds(lambda length, body: struct.pack("<Q", length) + body, st.integers(0, 2**64 - 1), st.binary(max_size=100)),
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def header_of(path, raw):
    path.write_bytes(raw)
    try:
        return read_header(path)
    except HeaderError:
        return None


@fuzz
@given(raw=FILES)
def test_any_model_file_is_read_or_refused(place, raw):
    header = header_of(place / "x.safetensors", raw)
    if header is None:
        return
    assert recognise(header).what
    assert predicts_v(header) is not None
    assert isinstance(lora_base(header), str)
    assert sum(precisions(header).values()) <= 1.001
    assert set(header.shapes) == set(header.dtypes)


@fuzz
@given(made=sound_headers())
def test_every_sound_header_is_read(place, made):
    header, size = made
    assume(size)
    raw = struct.pack("<Q", len(header)) + header + b"\1" * size
    found = header_of(place / "y.safetensors", raw)
    half = any("\ud800" <= char <= "\udfff" for char in json.dumps(json.loads(header), ensure_ascii=False))
    assert (found is None) == half
    assert header_of(place / "y.safetensors", raw[:-1]) is None


# --- captions

TAGS = st.lists(st.sampled_from(["1girl", "a cat", "(x:1.2)", "{a|b}", "{", "}", "|", "\\(", "__w__", "3$$", "\0", "\r", "\n", "猫", "\u202e", ",,", " "]), max_size=30).map(", ".join)  # fmt: skip
WORDS = st.one_of(st.binary(max_size=300), TAGS.map(str.encode), broken(TAGS.map(str.encode)), ANY_TEXT.map(lambda text: text.encode("utf-16", "surrogatepass")), ANY_TEXT.map(lambda text: text.encode("cp932", "replace")))  # fmt: skip


@fuzz
@given(raw=WORDS, has_wildcards=st.booleans())
def test_any_caption_is_read_or_refused(raw, has_wildcards):
    found = caption_of(raw, has_wildcards=has_wildcards)
    assert all(isinstance(line, str) for line in found.lines)
    assert found.lines or found.faults
    tally = Tally()
    for line in found.lines:
        assert Tokenizer().count(longest_drawn(line)) >= 0
        tally.add(line)
    tally.result()


# --- presets and dataset files

OPTIONS = ["seed", "learning_rate", "resolution", "network_args", "optimizer_args", "xformers", "max_train_steps", "vae", "network_dim", "save_precision", "lr_warmup_steps"]  # fmt: skip
KEYS = st.one_of(st.sampled_from(OPTIONS), st.text(string.ascii_letters + "_-.", min_size=1, max_size=12), ANY_TEXT.map(json.dumps))  # fmt: skip
VALUES = st.one_of(
    ODD.map(lambda value: json.dumps(value, ensure_ascii=True)),
    st.sampled_from(["true", "True", "1e-4", "1e999", "nan", "-inf", "0x" + "f" * 99, "2026-01-01", "[1, 'a']", "{a = 1}", "'''", '"""', "1024", '"1024,1024"', "[]", "-1"]),
    ANY_TEXT.map(json.dumps), ANY_TEXT,
)  # fmt: skip
TABLES = st.sampled_from(["preset", "options", "dataset", "launcher", "datasets", "general", "a.b", ""])
LINES = st.one_of(
    st.builds("{} = {}".format, KEYS, VALUES), TABLES.map("[{}]".format), TABLES.map("[[{}]]".format), ANY_TEXT, st.just("# a comment"),
    st.sampled_from(['title = "x"', 'extends = "style-8gb"', 'extends = "../x"', 'extends = "x.toml"', "[[datasets.subsets]]", "image_dir = 'x'"]),
)  # fmt: skip
TEXTS = st.lists(LINES, max_size=14).map("\n".join)
SOUND = '[preset]\ntitle = "mine"\nextends = "style-8gb"\n\n[options]\nseed = 7  # why\nnetwork_args = ["a=1"]\n[dataset]\nnum_repeats = 3\n'
PRESET_FILES = st.one_of(
    TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")),
    TEXTS.map(lambda text: f'[preset]\ntitle = "x"\nextends = "style-8gb"\n[options]\n{text}'.encode("utf-8", "surrogatepass")),
    broken(st.just(SOUND.encode())), st.binary(max_size=200),
)  # fmt: skip


def refusal(read):
    """What a reader refuses with, or None; any other exception fails the test."""
    try:
        read()
    except InputError as error:
        return error
    return None


@fuzz
@given(raw=PRESET_FILES)
def test_any_preset_is_read_or_refused_at_its_lines(fuzz_paths, place, raw):
    path = place / "mine.toml"
    path.write_bytes(raw)
    error = refusal(lambda: load_preset(fuzz_paths, path))
    if error is None:
        return
    assert error.what
    assert all(problem.what and problem.where for problem in error.problems)
    assert not any(char < " " and char != "\n" for problem in error.problems for char in problem.what), error.problems  # fmt: skip


@pytest.fixture(scope="module")
def fuzz_paths(tmp_path_factory):
    from launcher.paths import Paths

    root = Path(__file__).resolve().parent.parent
    return Paths(root=root, home=tmp_path_factory.mktemp("home"), shipped=root)


SOUND_SET = '[general]\nresolution = [1024, 1024]\n[[datasets]]\nbatch_size = 2\n[[datasets.subsets]]\nimage_dir = "x"\nnum_repeats = 3\n'
JSON_VALUES = st.recursive(ODD, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["datasets", "subsets", "image_dir", "general", "resolution", "num_repeats", "caption", "tags", "image_size", "a.png"]), inner, max_size=4)), max_leaves=12)  # fmt: skip


@fuzz
@given(raw=st.one_of(TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")), broken(st.just(SOUND_SET.encode())), JSON_VALUES.map(lambda value: json.dumps(value).encode())), suffix=st.sampled_from([".toml", ".json"]), trainer=st.sampled_from(["sd-scripts", "sd-scripts-fp8", "rehearsal"]))  # fmt: skip
def test_any_dataset_file_is_read_or_refused(place, raw, suffix, trainer):
    path = place / f"set{suffix}"
    path.write_bytes(raw)
    error = refusal(lambda: read_document_file(path, trainer))
    assert error is None or all(problem.what and problem.where for problem in error.problems)


@fuzz
@given(value=JSON_VALUES, trainer=st.sampled_from(["sd-scripts", "sd-scripts-fp8"]))
def test_any_metadata_file_is_read_or_refused(place, value, trainer):
    path = place / "meta.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    error = refusal(lambda: read_metadata(path, place, trainer))
    assert error is None or error.what

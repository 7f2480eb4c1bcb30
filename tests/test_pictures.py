"""Images as people have them: broken, renamed, turned, transparent; and the store that remembers them."""

import io
import os
import pickle
import random
import sqlite3
import struct
import subprocess
import sys
import zipfile
import zlib
from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, PngImagePlugin

from launcher import pictures
from launcher.pictures import copies, decoding, limits, store
from launcher.pictures.limits import Budget

LONG_AGO = 1_600_000_000  # files that have not changed a moment ago are remembered


def drawn(number=0, size=(160, 120), mode="RGB"):
    """A picture that is like no other number's."""
    dice = random.Random(number)
    image = Image.frombytes("RGB", (6, 6), dice.randbytes(108)).resize(size, Image.Resampling.BICUBIC)
    return image.convert(mode)


def saved(path, image=None, **options):
    (image or drawn()).save(path, **options)
    return settled(path)


def settled(path):
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def looked(path, **options):
    (look,) = pictures.look_at([path], **{"store": None, "threads": 1, **options})
    return look


def png(*chunks, side=8, bits=8, colour=2):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    channels = {0: 1, 2: 3}[colour]
    deflate = zlib.compressobj(9)
    row = bytes(1 + (side * channels * bits + 7) // 8)
    rows = b"".join(deflate.compress(row) for _ in range(side)) + deflate.flush()
    header = struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunk(*it) for it in chunks) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")  # fmt: skip


def jpeg_of_scans(count):
    """A progressive JPEG whose last scan is repeated: a few bytes that cost a pass over all pixels each."""
    raw = io.BytesIO()
    Image.new("RGB", (2000, 1500)).save(raw, "JPEG", progressive=True)
    data = raw.getvalue()
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * count + b"\xff\xd9"


def zipped():
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("x", "y")
    return raw.getvalue()


BROKEN = {
    "empty": (b"", pictures.EMPTY, ""),
    "text": (b"hello", pictures.NO_IMAGE, "it is text"),
    "zeros": (bytes(5000), pictures.NO_IMAGE, "only zeros"),
    "zip": (zipped(), pictures.NO_IMAGE, "a zip archive"),
    "pickle": (pickle.dumps({"a": [1, 2]}), pictures.NO_IMAGE, "a Python pickle"),
    "web page": (b"\n <!DOCTYPE html><html>", pictures.NO_IMAGE, "a web page"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", pictures.NO_IMAGE, "an SVG drawing"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", pictures.NO_IMAGE, "HEIC photo: export it"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", pictures.NO_IMAGE, "a PostScript drawing"),
    "photoshop": (b"8BPS\0\1", pictures.NO_IMAGE, "a Photoshop file"),
    "sound": (b"RIFF\0\0\0\0WAVE", pictures.NO_IMAGE, "a sound or a video"),
    "nothing known": (b"\x01\x02\x03\x04" * 50, pictures.NO_IMAGE, ""),
    "begun png": (b"\x89PNG\r\n\x1a\n", pictures.DAMAGED, "begins like a PNG"),
    "begun jpeg": (b"\xff\xd8\xff\xe0\0\x10JF", pictures.DAMAGED, "Truncated"),
    "begun webp": (b"RIFF\xff\0\0\0WEBPVP8 ", pictures.DAMAGED, ""),
    "900 megapixels": (png(side=30_000, bits=1, colour=0), pictures.HUGE, ""),
    "zip bomb in a text chunk": (png((b"zTXt", b"a\0\0" + zlib.compress(bytes(20_000_000)))), pictures.HUGE, "unfolds"),
    "many scans": (jpeg_of_scans(400), pictures.HUGE, "scans"),
    "no size": (png(side=0), pictures.DAMAGED, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_are_no_good_images(tmp_path, name):
    raw, fault, words = BROKEN[name]
    path = tmp_path / "x.png"
    path.write_bytes(raw)
    look = looked(path)
    assert look.fault == fault, look
    assert words in look.detail
    assert (look.width, look.height, look.likeness) == (0, 0, None)
    assert look.file_size == len(raw)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "gif", "tif", "avif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_every_format_is_decoded_to_its_end(tmp_path, ending, share):
    path = saved(tmp_path / f"x.{ending}", Image.effect_noise((300, 200), 80).convert("RGB"))
    look = looked(path)
    assert (look.fault, look.width, look.height, look.frames) == ("", 300, 200, 1)
    assert not look.has_wrong_ending
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    assert looked(path).fault == pictures.DAMAGED


def test_places_that_are_no_files(tmp_path):
    (tmp_path / "folder.png").mkdir()
    paths = [tmp_path / "folder.png", tmp_path / "missing.png"]
    if sys.platform != "win32":
        (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
        os.mkfifo(tmp_path / "pipe.png")  # opening it would wait for ever
        paths += [tmp_path / "loop.png", tmp_path / "pipe.png"]
    looks = list(pictures.look_at(paths, store=None, threads=2))
    assert [look.path for look in looks] == paths
    assert {look.fault for look in looks} == {pictures.UNREADABLE}
    assert all(look.detail for look in looks)


# What decoded images tell


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_exif_rotation(tmp_path, ending):
    look = looked(saved(tmp_path / f"x.{ending}", exif=exif(6)))
    assert (look.orientation, look.width, look.height) == (6, 120, 160)
    assert look.is_rotated
    assert look.stored_size == (160, 120)
    assert not looked(saved(tmp_path / f"x.{ending}", exif=exif(77))).is_rotated


def test_pillow_turns_a_tiff_by_itself(tmp_path):
    """... and so it does for the trainer."""
    look = looked(saved(tmp_path / "x.tif", exif=exif(6)))
    assert (look.orientation, look.width, look.height) == (1, 120, 160)


def transparent(mode):
    image = drawn(mode="RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 40, 40))
    return image.convert(mode) if mode != "P" else image.quantize(16)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_counts_where_it_is_seen(tmp_path, mode):
    assert looked(saved(tmp_path / "a.png", transparent(mode))).has_alpha
    assert not looked(saved(tmp_path / "b.png", drawn(mode="RGB").convert(mode))).has_alpha


def test_a_colour_that_counts_as_transparent(tmp_path):
    image = drawn()
    image.paste((1, 2, 3), (0, 0, 40, 40))
    assert looked(saved(tmp_path / "a.png", image, transparency=(1, 2, 3))).has_alpha
    assert not looked(saved(tmp_path / "b.png", drawn(), transparency=(255, 0, 254))).has_alpha


def test_print_colours_and_16_bits(tmp_path):
    assert looked(saved(tmp_path / "a.jpg", drawn(mode="CMYK"))).is_cmyk
    grey = looked(saved(tmp_path / "g.png", Image.linear_gradient("L").convert("I;16")))
    assert (grey.mode, grey.bits, grey.is_deep) == ("I;16", 16, True)
    (tmp_path / "c.png").write_bytes(png(bits=16))
    colour = looked(tmp_path / "c.png")
    assert (colour.mode, colour.bits) == ("RGB", 16)


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif"])
def test_animations(tmp_path, ending):
    path = saved(tmp_path / f"x.{ending}", save_all=True, append_images=[drawn(1), drawn(2)])
    assert looked(path).is_animated
    assert not looked(saved(tmp_path / f"y.{ending}")).is_animated


def test_a_phones_second_picture_is_no_animation(tmp_path):
    look = looked(saved(tmp_path / "x.jpg", format="MPO", save_all=True, append_images=[drawn(1)]))
    assert (look.format, look.is_animated, look.has_wrong_ending) == ("MPO", False, False)


def test_wrong_endings(tmp_path):
    look = looked(saved(tmp_path / "x.png", format="WEBP"))
    assert (look.format, look.has_wrong_ending) == ("WEBP", True)


def test_large_images_are_not_decoded_in_full(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "LARGE_PIXELS", 10_000)
    for ending, has_likeness in (("jpg", True), ("png", False), ("webp", False)):
        path = saved(tmp_path / f"x.{ending}", drawn(size=(320, 240)))
        look = looked(path)
        assert (look.fault, look.width, look.height) == ("", 320, 240)
        assert (look.likeness is not None) is has_likeness
    for ending in ("jpg", "png"):  # cut ones are found all the same
        path = tmp_path / f"x.{ending}"
        path.write_bytes(path.read_bytes()[:-200])
        assert looked(path).fault == pictures.DAMAGED


def test_room_for_pixels_is_shared():
    budget = Budget(10_000_000)
    with budget.spend(8_000_000), budget.spend(500_000):  # small ones do not wait
        assert budget._free == 2_000_000
    with budget.spend(900_000_000):  # alone
        assert budget._free == 0
    assert budget._free == 10_000_000


SCRIPTS = ("latin é", "кириллица", "日本語", "한국어", "العربية", "עברית", "ไทย", "हिन्दी", "emoji 🦊", "quote's \"and\" %s", "a" * 200)  # fmt: skip


def test_names_in_many_scripts(tmp_path):
    names = [name.replace('"', "_") if sys.platform == "win32" else name for name in SCRIPTS]
    paths = [saved(tmp_path / f"{name}.png", drawn(n)) for n, name in enumerate(names)]
    memory = tmp_path / "store"
    for _ in range(2):
        looks = list(pictures.look_at(paths, store=memory, threads=2))
        assert [(look.path, look.fault) for look in looks] == [(path, "") for path in paths]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no text")
def test_a_name_that_is_no_text(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.png"))
    saved(path)
    look = looked(path, store=tmp_path / "store")
    assert look.fault == pictures.UNREADABLE_NAME


def test_many_files_keep_their_order_and_are_counted(tmp_path):
    one = saved(tmp_path / "x.png", drawn(size=(8, 8)))
    paths = [one if n % 3 else tmp_path / f"missing {n}" for n in range(1000)]
    told = []
    looks = pictures.look_at(
        paths, store=None, threads=3, tell=lambda done, total: told.append((done, total))
    )
    assert [look.path for look in looks] == paths
    assert told[-1] == (1000, 1000)
    assert told == sorted(told)


def test_only_a_part_is_held_at_a_time(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "launcher.pictures.looking.decode",
        lambda path, _budget: seen.append(path) or pictures.Look(path=path, file_size=0),
    )
    paths = [tmp_path / str(n) for n in range(10_000)]
    looks = pictures.look_at(paths, store=None, threads=2)
    next(looks)
    looks.close()
    assert len(seen) <= 4 * 256


# The store


@pytest.fixture
def folder(tmp_path):
    paths = [saved(tmp_path / f"{n}.png", drawn(n)) for n in range(6)]
    (tmp_path / "6.png").write_bytes(b"nonsense")
    return [*paths, settled(tmp_path / "6.png")]


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that were really decoded."""
    names = []

    def decode(path, budget):
        names.append(path.name)
        return decoding.decode(path, budget)

    monkeypatch.setattr("launcher.pictures.looking.decode", decode)
    return names


def look_all(paths, memory):
    return list(pictures.look_at(paths, store=memory, threads=2))


def test_the_second_look_decodes_nothing_and_says_the_same(folder, tmp_path, decoded):
    memory = tmp_path / "cache" / "store"
    first = look_all(folder, memory)
    assert len(decoded) == 7
    decoded.clear()
    assert look_all(folder, memory) == first
    assert not decoded
    assert first[6].fault == pictures.NO_IMAGE  # also that is remembered


def test_a_changed_file_is_looked_at_again(folder, tmp_path, decoded):
    memory = tmp_path / "store"
    look_all(folder, memory)
    decoded.clear()
    folder[0].write_bytes(b"now broken")  # another time
    os.utime(folder[1], (LONG_AGO + 1, LONG_AGO + 1))
    raw = folder[2].read_bytes()  # the same size and time, another file
    (tmp_path / "other").write_bytes(raw[:-20] + bytes(20))
    settled(tmp_path / "other").replace(folder[2])
    looks = look_all(folder, memory)
    assert sorted(decoded) == ["0.png", "1.png", "2.png"]
    assert looks[0].fault == pictures.NO_IMAGE


def test_a_file_that_changed_a_moment_ago_is_not_trusted(tmp_path, decoded):
    path = saved(tmp_path / "x.png")
    os.utime(path)
    look_all([path], tmp_path / "store")
    look_all([path], tmp_path / "store")
    assert decoded == ["x.png", "x.png"]


def wreck_all(path):
    path.write_bytes(b"this is no database" * 500)


def wreck_a_page(path):
    raw = bytearray(path.read_bytes())
    raw[5000:9000] = os.urandom(4000)
    path.write_bytes(raw)


def cut(path):
    path.write_bytes(path.read_bytes()[:5000])


def other_version(path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE made SET version = 'old'")
    connection.close()


def other_columns(path):
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE looks")
        connection.execute("CREATE TABLE looks (path)")
    connection.close()


@pytest.mark.parametrize("wreck", [wreck_all, wreck_a_page, cut, other_version, other_columns])
def test_a_damaged_store_is_thrown_away(folder, tmp_path, decoded, wreck):
    memory = tmp_path / "store"
    first = look_all(folder, memory)
    wreck(memory)
    assert look_all(folder, memory) == first
    assert look_all(folder, memory) == first
    decoded.clear()
    assert look_all(folder, memory) == first
    assert not decoded  # a new one took its place


def test_a_locked_store_is_worked_around(folder, tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(store, "LOCK_TIMEOUT_S", 0.05)
    memory = tmp_path / "store"
    look_all(folder[:3], memory)
    other = sqlite3.connect(memory, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert [look.path for look in look_all(folder, memory)] == folder
    finally:
        other.rollback()
        other.close()
    decoded.clear()
    look_all(folder, memory)
    assert sorted(decoded) == ["3.png", "4.png", "5.png", "6.png"]  # nothing that was known is lost


def test_a_store_that_cannot_be_is_worked_around(folder, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "a folder").mkdir()
    for memory in (tmp_path / "file" / "store", tmp_path / "a folder"):
        assert len(look_all(folder, memory)) == 7


def test_after_an_interruption_it_goes_on_where_it_was(tmp_path, decoded):
    paths = [saved(tmp_path / f"{n:04}.png", drawn(n, (8, 8))) for n in range(600)]
    memory = tmp_path / "store"
    looks = pictures.look_at(paths, store=memory, threads=2)
    for _ in range(300):
        next(looks)
    looks.close()
    decoded.clear()
    look_all(paths, memory)
    assert len(decoded) <= 600 - 256


TWO = """
import sys
from pathlib import Path
from launcher.pictures import look_at
paths = sorted(Path(sys.argv[1]).glob("*.png"))
print(sum(not look.fault for _ in range(3) for look in look_at(paths, store=Path(sys.argv[2]), threads=2)))
"""


def test_two_processes_share_a_store(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for n in range(300):
        saved(folder / f"{n}.png", drawn(n, (8, 8)))
    command = [sys.executable, "-c", TWO, str(folder), str(tmp_path / "store")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for child in both:
        out, err = child.communicate(timeout=60)
        assert (out.split(), err) == ([b"900"], b"")


def test_looks_that_nobody_asks_for_are_forgotten(folder, tmp_path, monkeypatch):
    memory = tmp_path / "store"
    look_all(folder, memory)
    later = store.time.time() + (store.FORGET_DAYS + 5) * store.DAY_S
    monkeypatch.setattr(store.time, "time", lambda: later)
    look_all(folder[:2], memory)
    with sqlite3.connect(memory) as connection:
        assert connection.execute("SELECT count(*) FROM looks").fetchone() == (2,)
    connection.close()


# Copies


def test_same_bytes_and_the_same_picture_saved_again(tmp_path):
    image = drawn(1, (640, 480))
    paths = [
        saved(tmp_path / "a.png", image), saved(tmp_path / "b.jpg", image, quality=70), saved(tmp_path / "c.webp", image.resize((320, 240))),
        saved(tmp_path / "d.png", drawn(2, (640, 480))), saved(tmp_path / "e.png", image.resize((200, 480))),
    ]  # fmt: skip
    (tmp_path / "f.png").write_bytes(paths[3].read_bytes())
    looks = look_all([*paths, tmp_path / "f.png"], None)
    assert names(pictures.same_files(looks)) == [["d.png", "f.png"]]
    assert names(pictures.alike(looks)) == [["a.png", "b.jpg", "c.webp"]]


def names(groups):
    return [[look.path.name for look in group] for group in groups]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "I;16"])
def test_flat_images_are_like_nothing(tmp_path, mode):
    paths = [saved(tmp_path / f"{n}.png", Image.new(mode, (64, 64 + n), n)) for n in range(3)]
    looks = look_all(paths, None)
    assert all(look.is_flat and look.likeness is None for look in looks)
    assert pictures.alike(looks) == []


def test_drawings_on_white_are_told_apart(tmp_path):
    paths = []
    for n in range(40):
        dice = random.Random(n)
        image = Image.new("RGB", (256, 256), "white")
        for _ in range(5):
            x, y, r = dice.gauss(128, 40), dice.gauss(128, 40), dice.uniform(10, 50)
            ImageDraw.Draw(image).ellipse((x - r, y - r, x + r, y + r), fill=tuple(dice.randbytes(3)))
        paths.append(saved(tmp_path / f"{n}.png", image))
    assert pictures.alike(look_all(paths, None)) == []


def test_near_pairs_are_all_found():
    dice = random.Random(3)
    hashes = {dice.getrandbits(128) for _ in range(300)}
    for base in list(hashes)[:60] + [0] * 300:  # and a crowd
        hashes.add(base ^ sum(1 << bit for bit in dice.sample(range(128), dice.randrange(1, 12))))
    found = {frozenset(pair) for pair in copies.near_pairs(list(hashes))}
    near = {
        frozenset(p) for p in combinations(hashes, 2) if (p[0] ^ p[1]).bit_count() <= copies.MOST_DISTANCE
    }
    assert found == near
    assert len(near) > 500


def test_a_film_is_one_group(tmp_path, monkeypatch):
    """Where all are near each other the comparisons run out; the chain holds all the same."""
    monkeypatch.setattr(copies, "MOST_COMPARED", 1000)
    film = copies.Copies()
    for n in range(2000):
        film.add(
            pictures.Look(path=tmp_path / f"{n}", file_size=1, width=9, height=9, likeness=n, digest=str(n))
        )
    (group,) = film.alike()
    assert len(group) == 2000


def test_start_is_light():
    code = "import launcher.pictures, sys; print({'PIL', 'sqlite3', 'dhash'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_text_of_a_picture_that_was_made_by_a_program(tmp_path):
    """Settings of an image generator in a PNG are no bomb."""
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "{" + "x" * 500_000 + "}", zip=True)
    assert looked(saved(tmp_path / "x.png", pnginfo=info)).fault == ""


def test_files_that_lie_far_apart_are_found_as_well(tmp_path, decoded):
    paths = [saved(tmp_path / f"{n:04}.png", drawn(n, (8, 8))) for n in range(300)]
    memory = tmp_path / "store"
    look_all(paths, memory)
    decoded.clear()
    few = [paths[299], paths[0], tmp_path / "0000a.png", paths[150]]
    looks = look_all(few, memory)
    assert [look.fault for look in looks] == ["", "", pictures.UNREADABLE, ""]
    assert decoded == ["0000a.png"]

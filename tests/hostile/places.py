"""Folders with images: names, links, things that are no files."""

import os

import pytest

from tests.hostile.case import Case, folder_of, link_to, pipe_of, socket_of
from tests.hostile.images import sound

SCRIPTS = ("猫の絵", "고양이", "кошка", "قطة", "חתול", "แมว", "बिल्ली", "γάτα", "mačka", "🐈", "貓 \u3000圖")
DEEP = 12  # folders of 25 letters: 300 characters


def named(*names):
    """Sound images with these names."""

    def build(folder):
        for name in names:
            try:
                (folder / name).write_bytes(sound())
            except (OSError, ValueError):
                pytest.skip("such a name cannot be here")
        return folder

    return build


def with_one(*builders):
    """One sound image, and odd things beside it."""

    def build(folder):
        (folder / "good.png").write_bytes(sound())
        for make in builders:
            make(folder)
        return folder

    return build


def deep(folder):
    for number in range(DEEP):
        folder = folder / f"{number:02}{'x' * 23}"
    try:
        folder.mkdir(parents=True)
    except OSError:
        pytest.skip("paths are shorter here")
    (folder / f"{'y' * 200}.png").write_bytes(sound())
    return folder


def no_text(folder):
    """A name of bytes that are no characters."""
    try:
        (folder / os.fsdecode(b"\xff\xfe.png")).write_bytes(sound())
    except (OSError, UnicodeError):
        pytest.skip("names are text here")
    return folder


def closed(folder):
    (folder / "x.png").write_bytes(sound())
    folder.chmod(0)
    if os.access(folder, os.R_OK):
        folder.chmod(0o700)
        pytest.skip("this user may read everything")
    return folder


def gone(folder):
    """A folder that is away when it is looked at, as a stick that was pulled out."""
    place = folder / "away"
    place.mkdir()
    place.rmdir()
    return place


def round_about(folder):
    """A folder in which a link leads back to the folder itself."""
    (folder / "good.png").write_bytes(sound())
    return link_to("again", folder)(folder).parent


def in_folders(folder):
    """Images in a folder below, and beside that folder a link to itself."""
    (folder / "10_cat").mkdir()
    (folder / "10_cat" / "good.png").write_bytes(sound())
    return link_to("loop", "loop")(folder).parent


PLACES = (
    Case(name="a link to itself among folders", build=in_folders),
    Case(name="names of eleven scripts", build=named(*(f"{script}.png" for script in SCRIPTS))),
    Case(name="names that a shell would carry out", build=named("$(reboot).png", "`id`.png", "-rf.png", "a;b&c.png", "'\".png")),
    Case(name="names that draw on a terminal", build=named("\x1b[31mred\x07.png", "a\nb.png", "\u202egnp.png")),
    Case(name="a path of 550 characters", build=deep),
    Case(name="a name that is no text", build=no_text, says="named in signs that are no text"),
    Case(name="a pipe among images", build=with_one(pipe_of("x.png"))),
    Case(name="a socket among images", build=with_one(socket_of("x.png"))),
    Case(name="an endless device among images", build=with_one(link_to("x.png", "/dev/zero"))),
    Case(name="a link to itself among images", build=with_one(link_to("x.png", "x.png"))),
    Case(name="a folder named like an image", build=with_one(folder_of("x.png"))),
    Case(name="a folder that holds itself", build=round_about),
    Case(name="a folder that is a link to itself", build=link_to("loop", "loop"), says="cannot be looked at"),
    Case(name="a folder that is away", build=gone, says="not there"),
    Case(name="a folder closed to us", build=closed, says="cannot be"),
    Case(name="a folder that is a pipe", build=pipe_of("data"), says="not a folder"),
    Case(name="only a pipe", build=lambda folder: pipe_of("x.png")(folder).parent, says="no images in it"),
    Case(name="nothing", build=lambda folder: folder, says="no images in it"),
)  # fmt: skip

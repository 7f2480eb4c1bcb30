"""Caption files, beside one sound image."""

import os

import pytest

from tests.hostile.case import Case, file_of, folder_of, link_to, pipe_of, socket_of

NAME = "x.txt"


def caption(name, content, says, *, severity="error", file=NAME):
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    build = (
        file_of(file, content)
        if isinstance(content, bytes) or getattr(content, "__name__", "") == "<lambda>"
        else content
    )
    return Case(name=name, build=build, says=says, severity=severity)


def closed(folder):
    path = folder / NAME
    path.write_text("a cat", encoding="utf-8")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    return path


NONE = "none of the images has a caption"
CAPTIONS = (
    caption("empty", b"", "empty"),
    caption("blanks", b"   \n\t\n", "empty"),
    caption("UTF-16", "a cat, sitting".encode("utf-16"), "not saved as UTF-8"),
    caption("cp932", "猫、座る、訓練データ".encode("cp932"), "not saved as UTF-8"),
    caption("half a character", b"a cat \xed\xa0\x80", "not saved as UTF-8"),
    caption("an overlong character", b"a cat \xc0\xaf", "not saved as UTF-8"),
    caption("binary", bytes(range(256)) * 100, "not saved as UTF-8"),
    caption("50 MB in one line", lambda: b"cat, " * 10_000_000, "far too long", severity="warning"),
    caption("50 MB of wrong bytes", lambda: b"\xff" * 50_000_000, "not saved as UTF-8"),
    caption("zero characters", b"a\0cat\0" * 20, "control characters", severity="note"),
    caption("colours for a terminal", "\x1b[31mred\x1b[0m \x07 \x9b2J", "control characters", severity="note"),
    caption("a byte order mark", b"\xef\xbb\xbfa cat", "byte order mark", severity="note"),
    caption("10,000 braces", "{" * 10_000 + "a|b" + "}" * 10_000, ""),
    caption("10,000 brackets", "(" * 10_000 + "cat:1.5" + ")" * 10_000, ""),
    caption("a wildcard in a wildcard", "{a|{b|{c|{d|__x__}}}} 3$$, $$", ""),
    caption("20,000 commas", "," * 20_000, ""),
    caption("right to left, joined, astral", "قطة \u202e\u200f\u2066 👩‍👩‍👧‍👦 𝕮𝖆𝖙 ก็็็็็็็็็็", ""),
    caption("10,000 accents on one letter", "a" + "\u0301" * 10_000, ""),
    caption("100,000 lines", b"a cat\n" * 10_000, "longer than one line", severity="warning"),
    caption("lines of the old Macintosh", b"a cat\rand a dog\r", "longer than one line", severity="warning"),
    caption("one word of 60,000 letters", b"x" * 60_000, ""),
    caption("a pipe", pipe_of(NAME), NONE, severity="warning"),
    caption("a socket", socket_of(NAME), NONE, severity="warning"),
    caption("an endless device", link_to(NAME, "/dev/zero"), NONE, severity="warning"),
    caption("a terminal", link_to(NAME, "/dev/tty"), NONE, severity="warning"),
    caption("a link to itself", link_to(NAME, NAME), NONE, severity="warning"),
    caption("a folder", folder_of(NAME), NONE, severity="warning"),
    caption("closed to us", closed, "unreadable"),
)  # fmt: skip

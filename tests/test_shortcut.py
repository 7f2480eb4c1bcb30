"""Shortcuts: their bytes, that they really start what they should from hostile folders, and whose files they touch."""

import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.errors import InstallError
from launcher.install import shell_folders, shell_link, shortcut
from launcher.install.shell_link import Link, read_link, write_link
from launcher.install.shortcut import Shortcut, find_shortcuts, make_shortcuts, remove_shortcuts

HOSTILE = 'a\'; echo foo $HOME `id` "q" 100%u \\n 訓練 データ'
WINDOWS_ROOT = "C:\\my loras\\a'; echo 100% 訓練 データ"
posix = pytest.mark.skipif(os.name == "nt", reason="needs /bin/sh")


def at(root, system, python=sys.executable):
    return Shortcut(system=system, python=str(python), script=str(root / "setup_env.py"), folder=str(root))


def windows(root=WINDOWS_ROOT, python="C:\\Program Files\\Python 3.12\\python.exe"):
    return Shortcut(system="windows", python=python, script=f"{root}\\setup_env.py", folder=root)


# --- Windows: the format, read by another reader than ours


def pieces(raw):
    """[MS-SHLLINK] 2.1-2.5 again, by hand: header, names of the item list, strings, extra blocks."""
    size, flags, attributes = struct.unpack_from("<I", raw)[0], *struct.unpack_from("<II", raw, 20)
    assert (size, raw[4:20].hex()) == (0x4C, "0114020000000000c000000000000046")
    assert struct.unpack_from("<I", raw, 60)[0] == 1, "shown as a normal window"
    assert raw[64:76] == bytes(12)
    place, names, strings, blocks = 76, [], {}, {}
    if flags & 1:
        (length,) = struct.unpack_from("<H", raw, place)
        items = raw[place + 2 : place + 2 + length]
        place += 2 + length
        while (one := struct.unpack_from("<H", items)[0]) != 0:
            names.append(item_name(items[:one]))
            items = items[one:]
        assert items == b"\0\0", "the list ends where its size says"
    for bit, name in ((2, "description"), (3, "relative"), (4, "folder"), (5, "arguments"), (6, "icon")):
        if flags & 1 << bit:
            (count,) = struct.unpack_from("<H", raw, place)
            strings[name] = raw[place + 2 : place + 2 + 2 * count].decode("utf-16-le")
            place += 2 + 2 * count
    while (length := struct.unpack_from("<I", raw, place)[0]) >= 4:
        blocks[struct.unpack_from("<I", raw, place + 4)[0]] = raw[place + 8 : place + length]
        place += length
    assert place + 4 == len(raw), "nothing behind the last block"
    return flags, attributes, names, strings, blocks


def item_name(item):
    if item[2] == 0x1F:
        assert item[4:].hex() == "e04fd020ea3a6910a2d808002b30309d"
        return "computer"
    if item[2] == 0x2F:
        return item[3:].rstrip(b"\0").decode()
    narrow = item[14:].split(b"\0")[0]
    (begin,) = struct.unpack_from("<H", item, len(item) - 2)
    assert begin % 2 == 0
    length, version, sign = struct.unpack_from("<HHI", item, begin)
    assert (version, sign, begin + length) == (3, 0xBEEF0004, len(item))
    wide = item[begin + 20 : -2].decode("utf-16-le")
    assert wide.endswith("\0")
    assert len(narrow) == len(wide) - 1
    is_folder = item[2] == 0x31
    assert struct.unpack_from("<H", item, 12)[0] == (0x10 if is_folder else 0x20)
    return wide[:-1] + ("\\" if is_folder else "")


def test_link_has_everything_that_windows_looks_for():
    flags, attributes, names, strings, blocks = pieces(shortcut.content(windows()))
    assert flags == 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 9
    assert attributes == 0x20
    assert names == ["computer", "C:\\", "Program Files\\", "Python 3.12\\", "python.exe"]
    assert strings == {
        "description": shortcut.COMMENT, "folder": WINDOWS_ROOT, "arguments": f'"{WINDOWS_ROOT}\\setup_env.py"',
    }  # fmt: skip
    (block,) = blocks.values()
    assert len(block) == 780
    assert block[260:].decode("utf-16-le").rstrip("\0") == "C:\\Program Files\\Python 3.12\\python.exe"
    assert block[:260].rstrip(b"\0") == b"C:\\Program Files\\Python 3.12\\python.exe"


@pytest.mark.parametrize(
    ("target", "has_items"),
    [
        ("C:\\x\\python.exe", True), ("D:\\訓練 データ\\𠮷野\\python.exe", True), ("\\\\server\\share\\python.exe", False),
        ("C:\\" + "long\\" * 60 + "python.exe", True), ("python.exe", False), ("C:\\" + "x" * 40_000, False),
    ],
)  # fmt: skip
def test_links_are_read_back(target, has_items):
    link = Link(target=target, arguments='"a b"', folder="C:\\訓練", icon="C:\\i.ico", description="日本")
    raw = write_link(link)
    _, _, names, strings, blocks = pieces(raw)
    assert bool(names) is has_items
    assert strings["icon"] == "C:\\i.ico"
    if has_items:
        assert "".join(names) == f"computer{target}"
    is_short = len(target) < 260
    assert bool(blocks) is is_short
    assert read_link(raw) == (link if is_short else Link(target="", arguments='"a b"', folder="C:\\訓練", icon="C:\\i.ico", description="日本"))  # fmt: skip


@pytest.mark.parametrize("raw", [b"", b"[InternetShortcut]\nURL=x", b"L\0\0\0" + bytes(100), bytes(5000)])
def test_what_is_no_link_is_not_read_as_one(raw):
    assert read_link(raw) is None


def test_every_cut_link_is_survived():
    raw = shortcut.content(windows())
    for end in range(len(raw)):
        read_link(raw[:end])
    assert read_link(raw[:200]) is None


# --- Linux and macOS: really started


def words_of(entry):
    """What a desktop environment makes of an Exec line: string escapes, quoting, field codes (the specification's steps)."""
    (line,) = re.findall(r"^Exec=(.*)$", entry, re.MULTILINE)
    escapes = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
    value = re.sub(r"\\(.)", lambda found: escapes[found[1]], line)
    words = re.findall(r'"((?:[^"\\`$]|\\["\\`$])*)"(?: |$)', value)
    assert " ".join(f'"{word}"' for word in words) == value, "every argument stands in quotes"
    assert not re.search(r"(?<!%)(?:%%)*%(?!%)", value), "no field code"
    return [re.sub(r"\\(.)", r"\1", word).replace("%%", "%") for word in words]


@pytest.fixture
def root(tmp_path):
    """An installation whose `setup_env.py` writes down how it was called."""
    folder = tmp_path / HOSTILE
    folder.mkdir()
    (folder / "setup_env.py").write_text(
        "import os, sys\nopen('called', 'w', encoding='utf-8').write(os.getcwd() + '\\n' + repr(sys.argv))\nsys.exit(int(os.environ.get('CODE', 0)))\n"
    )
    return folder


def calls(root):
    return (root / "called").read_text(encoding="utf-8").splitlines()


@posix
@pytest.mark.parametrize("code", [0, 3])
def test_desktop_entry_starts_the_script_and_waits_after_a_failure(root, tmp_path, code):
    (path,) = make_shortcuts(at(root, "linux"), [tmp_path / "desk top"])
    assert path.name == "sdxl-lora-launcher.desktop"
    assert path.stat().st_mode & 0o111
    entry = path.read_text(encoding="utf-8")
    assert "Terminal=true" in entry.splitlines()
    done = subprocess.run(
        words_of(entry), cwd=root, env={**os.environ, "CODE": str(code)}, input="\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert calls(root) == [str(root), repr([str(root / "setup_env.py")])]
    assert done.stderr == ""
    assert ("Press Enter" in done.stdout) is (code != 0)


@posix
@pytest.mark.skipif(not shutil.which("desktop-file-validate"), reason="desktop-file-utils is not installed")
def test_desktop_entry_is_valid(root, tmp_path):
    (path,) = make_shortcuts(at(root, "linux"), [tmp_path])
    done = subprocess.run(["desktop-file-validate", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@posix
def test_command_file_starts_the_script(root, tmp_path):
    (path,) = make_shortcuts(at(root, "macos"), [tmp_path])
    assert path.name == "SDXL LoRA launcher.command"
    done = subprocess.run([path], cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert calls(root) == [str(root), repr([str(root / "setup_env.py")])]
    assert subprocess.run(["/bin/sh", path], cwd="/", check=False).returncode == 0


@posix
def test_a_folder_name_of_two_lines_adds_no_line(tmp_path):
    root = tmp_path / "two\nTerminal=false\n# lines"
    for system in ("linux", "macos"):
        assert shortcut._mark(at(root, system)).count("\n") == 0
    assert shortcut.desktop_entry(at(root, "linux")).count("\n") == 11


# --- whose files


@pytest.mark.parametrize("system", ["linux", "macos", "windows"])
def test_made_twice_it_is_one_file_and_removal_takes_it(tmp_path, system):
    mine = windows() if system == "windows" else at(tmp_path / "root", system)
    folders = [tmp_path / "desktop", tmp_path / "menu"]
    first = make_shortcuts(mine, folders)
    assert make_shortcuts(mine, folders) == first
    assert find_shortcuts(mine, folders) == first
    assert [len(list(folder.iterdir())) for folder in folders] == [1, 1]
    assert remove_shortcuts(mine, folders) == first
    assert remove_shortcuts(mine, [*folders, tmp_path / "nowhere"]) == []
    assert [list(folder.iterdir()) for folder in folders] == [[], []]


@pytest.mark.parametrize("system", ["linux", "macos", "windows"])
def test_files_of_others_stay(tmp_path, system):
    mine = windows() if system == "windows" else at(tmp_path / "root", system)
    other = windows("D:\\other") if system == "windows" else at(tmp_path / "other", system)
    (theirs,) = make_shortcuts(other, [tmp_path])
    before = theirs.read_bytes()
    (ours,) = make_shortcuts(mine, [tmp_path])
    assert ours != theirs
    foreign = ours.with_name(ours.name.replace("2", "3"))
    foreign.write_text("a file of the user's")
    assert remove_shortcuts(mine, [tmp_path]) == [ours]
    assert theirs.read_bytes() == before
    assert foreign.read_text() == "a file of the user's"


@posix
def test_a_link_to_somewhere_is_not_written_through(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("x")
    desktop = tmp_path / "desktop"
    desktop.mkdir()
    (desktop / "sdxl-lora-launcher.desktop").symlink_to(precious)
    (made,) = make_shortcuts(at(tmp_path / "root", "linux"), [desktop])
    assert made.name == "sdxl-lora-launcher-2.desktop"
    assert precious.read_text() == "x"


def test_a_python_that_moved_is_put_right(tmp_path):
    (path,) = make_shortcuts(windows(python="C:\\old\\python.exe"), [tmp_path])
    assert make_shortcuts(windows(python="C:\\new\\python.exe"), [tmp_path]) == [path]
    assert read_link(path.read_bytes()).target == "C:\\new\\python.exe"


def test_all_names_taken_is_said_in_words(tmp_path):
    mine = at(tmp_path / "root", "linux")
    for path in shortcut._names(mine, tmp_path):
        path.write_text("somebody else's")
    with pytest.raises(InstallError) as caught:
        make_shortcuts(mine, [tmp_path])
    assert "other files have all the names" in caught.value.why


def test_a_folder_that_cannot_be_written_is_said_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InstallError, match="could not be written"):
        make_shortcuts(at(tmp_path / "root", "linux"), [tmp_path / "file" / "desktop"])


def test_by_default_it_starts_the_python_behind_the_environment(tmp_path):
    found = shortcut.shortcut_for(tmp_path, system="linux")
    assert Path(found.python).resolve() == Path(sys._base_executable).resolve()
    pythonw = tmp_path / "pythonw.exe"
    assert shortcut.shortcut_for(tmp_path, python=pythonw).python == str(pythonw)
    (tmp_path / "python.exe").write_text("")
    assert shortcut.shortcut_for(tmp_path, python=pythonw).python == str(tmp_path / "python.exe")


# --- places


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("", "/home/u/Desktop"), ('XDG_DESKTOP_DIR="$HOME/Schreibtisch"', "/home/u/Schreibtisch"),
        ('# XDG_DESKTOP_DIR="$HOME/x"\n  XDG_DESKTOP_DIR="/data/my desk"\n', "/data/my desk"),
        ('XDG_DESKTOP_DIR="$HOME"', None), ('XDG_DESKTOP_DIR="$HOME/"', None),
        ('XDG_DESKTOP_DIR="$HOME/a\\"b\\$c"', '/home/u/a"b$c'), ('XDG_DESKTOP_DIR="relative"', "/home/u/Desktop"),
        ('XDG_DESKTOP_DIR="$HOME/デスクトップ"', "/home/u/デスクトップ"), ('XDG_DOWNLOAD_DIR="$HOME/x"', "/home/u/Desktop"),
    ],
)  # fmt: skip
def test_desktop_of_a_linux_user(text, folder):
    assert shell_folders.xdg_desktop(text, Path("/home/u")) == (Path(folder) if folder else None)


def test_start_menu_of_a_linux_user():
    assert shell_folders.xdg_menu({}, Path("/h")) == Path("/h/.local/share/applications")
    assert shell_folders.xdg_menu({"XDG_DATA_HOME": "/d"}, Path("/h")) == Path("/d/applications")
    assert shell_folders.xdg_menu({"XDG_DATA_HOME": "relative"}, Path("/h")) == Path(
        "/h/.local/share/applications"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads the folders of a Linux user")
def test_no_desktop_folder_means_none(safe_home, monkeypatch):
    assert shell_folders.desktop_folder() is None
    (safe_home / "Tisch").mkdir()
    (safe_home / "user-dirs.dirs").write_text('XDG_DESKTOP_DIR="$HOME/Tisch"\n')
    assert shell_folders.desktop_folder() == safe_home / "Tisch"


def test_folder_ids_are_the_documented_ones():
    """KNOWNFOLDERID of Desktop and Programs as bytes, the way SHGetKnownFolderPath takes them."""
    assert shell_folders.DESKTOP.bytes_le.hex() == "3accbfb42cdb4c42b0297fe99a87c641"
    assert shell_folders.PROGRAMS.bytes_le.hex() == "775d7fa72b2ec344a6a2aba601054a51"
    assert shell_link.CLASS.hex() == "0114020000000000c000000000000046"

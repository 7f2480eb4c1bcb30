"""Pythons: found by starting them, chosen by rules, brought by the real uv from a server on this computer."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import threading
import time
from pathlib import Path

import pytest

from launcher.errors import InstallError
from launcher.install.commands import Commands, Log
from launcher.install.index import PipSettings
from launcher.install.interpreter import Interpreter, bring_python, choose_python, python_plan_words
from launcher.machine.aliases import Kind, kind_of
from launcher.machine.places import Place, in_folder, in_homes, on_path, parse_py_list, python_places
from launcher.machine.pythons import Python, ask_python, describe, find_pythons

OWN = Path(getattr(sys, "_base_executable", None) or sys.executable)
VERSION = sys.version_info[:2]
needs_sh = pytest.mark.skipif(os.name == "nt", reason="the stand-ins for broken Pythons are shell scripts")


def write_program(path, body):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


# Asking.


def test_this_python_is_found_once_and_known_as_ours():
    found = [python for python in find_pythons() if python.is_own]
    assert len(found) == 1
    assert found[0].version == sys.version_info[:3]
    assert found[0].bits == 64
    assert found[0].problem is None
    assert found[0].path.samefile(OWN)


def test_the_same_python_by_other_names_counts_once(tmp_path):
    places = [Place(OWN, "one"), Place(Path(sys.executable), "its environment")]
    if os.name != "nt":
        (tmp_path / "python3").symlink_to(OWN)
        places.append(Place(tmp_path / "python3", "link"))
    assert [python.source for python in find_pythons(places)] == ["one"]


@needs_sh
def test_broken_pythons_are_listed_with_their_reason(tmp_path):
    cases = {
        "crash": ("echo 'Fatal Python error: no encodings'; exit 1", "no encodings"),
        "silent": ("exit 9", "code 9"),
        "old": ("echo 'Unknown option: -I'; exit 2", "Python 2"),
        "chatty": ("echo '{\"version\": [3]}'", "does not work"),
    }
    places = [
        Place(write_program(tmp_path / name / "python3", body), name) for name, (body, _) in cases.items()
    ]
    hangs = write_program(tmp_path / "hangs" / "python3", "exec sleep 60")
    empty = tmp_path / "empty" / "python3"
    empty.parent.mkdir()
    empty.write_bytes(b"\x7fELF not really")
    empty.chmod(0o755)
    began = time.monotonic()
    found = find_pythons([*places, Place(hangs, "hangs"), Place(empty, "empty")], timeout_s=1.0)
    assert time.monotonic() - began < 15
    problems = {python.source: python.problem for python in found}
    for name, (_, words) in cases.items():
        assert words in problems[name], name
    assert "did not end" in problems["hangs"]
    assert "does not start" in problems["empty"]


@needs_sh
def test_the_stores_alias_and_pyenvs_door_are_not_started(tmp_path):
    witness = tmp_path / "started"
    alias = tmp_path / "Microsoft" / "WindowsApps" / "python.exe"
    alias.parent.mkdir(parents=True)
    alias.touch(mode=0o755)
    shim = write_program(tmp_path / ".pyenv" / "shims" / "python3", f"touch '{witness}'")
    found = find_pythons([Place(alias, "PATH"), Place(shim, "PATH")])
    assert [(python.path, python.version) for python in found] == [(alias, None)]
    assert "Store" in found[0].problem
    assert not witness.exists()
    assert ask_python(shim, "PATH") is None


@pytest.mark.parametrize(
    ("path", "size", "kind"),
    [
        (r"C:\Users\x\AppData\Local\Microsoft\WindowsApps\python.exe", 0, Kind.STUB),
        (r"C:\Users\x\AppData\Local\Microsoft\WindowsApps\python3.exe", None, Kind.STUB),
        (r"c:/users/x/appdata/local/microsoft/windowsapps/Python.exe", 0, Kind.STUB),
        (r"C:\Users\x\AppData\Local\Microsoft\WindowsApps\python.exe", 90_000, Kind.ORDINARY),
        (r"C:\Users\x\AppData\Local\Microsoft\WindowsApps\PythonSoftwareFoundation.Python.3.11_qbz5n2kfra8p0\python.exe", 0, Kind.STORE),
        (r"C:\Program Files\WindowsApps\PythonSoftwareFoundation.Python.3.11_3.11.2544.0_x64__qbz5n2kfra8p0\python3.11.exe", 90_000, Kind.STORE),
        (r"C:\Users\x\AppData\Local\Microsoft\WindowsApps\PythonSoftwareFoundation.PythonManager_qbz5n2kfra8p0\python.exe", 0, Kind.STUB),
        (r"C:\Users\x\AppData\Local\Programs\Python\Python311\python.exe", 0, Kind.ORDINARY),
        (r"C:\Users\x\.pyenv\pyenv-win\shims\python.exe", 500, Kind.SHIM),
        ("/home/x/.pyenv/shims/python3", 500, Kind.SHIM),
        ("/usr/bin/python3", 500, Kind.ORDINARY),
    ],
)  # fmt: skip
def test_what_a_path_gives_away(path, size, kind):
    assert kind_of(path, size=size) is kind


def test_macos_placeholder_is_known_by_what_stands_behind_it():
    assert kind_of("/usr/bin/python3", size=170_000, has_developer_tools=False) is Kind.STUB
    assert kind_of("/opt/homebrew/bin/python3", size=50_000, has_developer_tools=False) is Kind.ORDINARY


GOOD = {
    "version": [3, 11, 7], "level": "final", "bits": 64, "implementation": "CPython", "platform": "win-amd64", "abi": "",
    "is_free_threaded": False, "is_conda": False, "missing": [], "has_venv": True, "base": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"bits": 32, "platform": "win32"}, "32-bit"),
        ({"is_free_threaded": True, "version": [3, 13, 1]}, "free-threaded"),
        ({"implementation": "PyPy"}, "PyPy"),
        ({"level": "alpha"}, "preview"),
        ({"abi": "cpython-311-x86_64-linux-musl"}, "musl"),
        ({"platform": "mingw_x86_64_ucrt"}, "mingw"),
        ({"missing": ["_lzma", "_ssl"]}, "without lzma, ssl"),
    ],
)
def test_a_python_that_no_torch_fits_is_refused(changed, words):
    path = Path("/somewhere/python3.11")
    assert describe(GOOD, path=path, source="PATH").problem is None
    assert words in describe({**GOOD, **changed}, path=path, source="PATH").problem


def test_store_and_conda_are_usable_and_second_choice():
    store = Path(
        r"C:\Users\x\AppData\Local\Microsoft\WindowsApps\PythonSoftwareFoundation.Python.3.11_q\python.exe"
    )
    told = describe({**GOOD, "base": str(store)}, path=store, source="Microsoft Store")
    assert (told.problem, "Store" in told.warning, "Store" in told.title) == (None, True, True)
    assert "conda" in describe({**GOOD, "is_conda": True}, path=Path("p"), source="PATH").warning


@needs_sh
def test_where_pythons_are_looked_for(tmp_path, monkeypatch):
    for name in ("python", "python3.11", "python3.13t", "python3-config", "pythonw", "python2.7", "ipython"):
        write_program(tmp_path / "bin" / name, "")
    names = sorted(place.path.name for place in in_folder(tmp_path / "bin", "PATH"))
    assert names == ["python", "python3.11", "python3.13t"]
    monkeypatch.chdir(tmp_path)
    assert list(on_path({"PATH": f"bin{os.pathsep}.{os.pathsep}{os.pathsep}{tmp_path / 'not there'}"})) == []
    for place in (".pyenv/versions/3.10.13", ".local/share/uv/python/cpython-3.12.1-x", "miniconda3"):
        write_program(tmp_path / place / "bin" / "python3", "")
    (tmp_path / ".local/share/uv/python/.temp").mkdir()
    assert [(place.source, place.path.name) for place in in_homes({}, tmp_path)] == [
        ("pyenv", "python3"), ("uv", "python3"), ("conda", "python3"),
    ]  # fmt: skip
    assert next(iter(python_places({}))).path == OWN


def test_the_list_of_py():
    listing = (
        " -V:3.12 *        C:\\Users\\x\\AppData\\Local\\Programs\\Python\\Python312\\python.exe\n"
        " -3.9-32 \tC:\\Program Files (x86)\\Python39-32\\python.exe\r\n"
        " -V:ContinuumAnalytics/py311 D:\\mini conda\\python.exe\nNo other Pythons\n"
    )
    assert [str(path) for path in parse_py_list(listing)] == [
        "C:\\Users\\x\\AppData\\Local\\Programs\\Python\\Python312\\python.exe",
        "C:\\Program Files (x86)\\Python39-32\\python.exe",
        "D:\\mini conda\\python.exe",
    ]


# Choosing.


def python(version, *, name=None, **changes):
    return Python(
        path=Path(name or f"/p/{version}"), source="PATH", bits=64, title=f"CPython {version}",
        version=tuple(map(int, version.split("."))), **changes,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ([python("3.13.0"), python("3.10.13"), python("3.12.1"), python("3.9.18")], "/p/3.12.1"),
        ([python("3.13.0", is_own=True), python("3.10.13")], "/p/3.10.13"),
        ([python("3.12.1"), python("3.10.13", is_own=True)], "/p/3.10.13"),
        ([python("3.12.1", problem="it is a 32-bit Python"), python("3.11.2")], "/p/3.11.2"),
        ([python("3.12.1", warning="conda"), python("3.10.2")], "/p/3.10.2"),
        ([python("3.12.1", warning="conda", is_own=True), python("3.10.2")], "/p/3.10.2"),
        ([python("3.12.1", warning="conda")], "/p/3.12.1"),
        ([python("3.11.2", name="/p/a"), python("3.11.7", name="/p/b")], "/p/b"),
    ],
)
def test_the_best_python_is_taken(candidates, chosen):
    interpreter = choose_python(candidates, ((3, 10), (3, 12)))
    assert interpreter.path == Path(chosen)
    assert interpreter.version == next(c.version[:2] for c in candidates if c.path == Path(chosen))
    assert "3.10 to 3.12" in interpreter.reason


def test_where_none_fits_uv_is_asked_and_the_reason_says_why_each_does_not():
    stub = Python(path=Path("/x"), source="PATH", problem="an alias of the Store")
    candidates = [python("3.13.0"), python("3.9.18"), python("3.11.1", problem="it is a 32-bit Python"), stub]
    interpreter = choose_python(candidates, ((3, 10), (3, 11)))
    assert (interpreter.path, interpreter.version) == (None, (3, 11))
    for words in (
        "3.13.0 is too new",
        "3.9.18 is too old",
        "3.11.1: it is a 32-bit",
        "uv brings Python 3.11",
    ):
        assert words in interpreter.reason
    assert "uninstall" not in interpreter.reason
    assert choose_python([stub], ((3, 11), (3, 11))) == Interpreter(
        path=None, version=(3, 11),
        reason="There is no Python here that an environment can be made from. uv brings Python 3.11 (needed: 3.11).",
    )  # fmt: skip


# Bringing, with the real uv.

SKIPPED = {
    "test", "tests", "site-packages", "idlelib", "lib2to3", "ensurepip", "__pycache__", "tkinter", "turtledemo",
    "pydoc_data", "unittest", "xmlrpc", "curses", "dbm", "sqlite3", "wsgiref",
}  # fmt: skip


@pytest.fixture(scope="session")
def packed_python(tmp_path_factory):
    """This Python, small, in the layout of python-build-standalone."""
    if sys.platform != "linux":
        pytest.skip("the packed Python is made from the one that runs, in Linux' layout")
    name = f"python{VERSION[0]}.{VERSION[1]}"
    archive = tmp_path_factory.mktemp("packed") / "python.tar.gz"

    def keep(member):
        last = Path(member.name).name
        is_needless = last in SKIPPED or last.startswith("config-") or last.endswith((".a", ".pyc"))
        is_elsewhere = member.issym() and member.linkname.startswith("/")  # Debian's; newer uv refuses such
        return None if is_needless or is_elsewhere else member

    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(OWN.resolve(), f"python/bin/{name}")
        tar.add(sysconfig.get_path("stdlib"), f"python/lib/{name}", filter=keep)
        for library in (Path(sys.base_prefix) / "lib").glob("libpython*.so*"):
            tar.add(library, f"python/lib/{library.name}")
    return archive.read_bytes()


class Server(http.server.ThreadingHTTPServer):
    """Has a list of Pythons and one Python; `trouble` says how it gives it."""

    daemon_threads = True

    def __init__(self, body):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.trouble, self.asked, self.sha256 = body, "", [], hashlib.sha256(body).hexdigest()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def listing(self):
        major, minor, patch = sys.version_info[:3]
        arch = {"family": os.uname().machine, "variant": None}
        return {
            f"cpython-{major}.{minor}.{patch}-linux-{arch['family']}-gnu": {
                "name": "cpython", "arch": arch, "os": "linux", "libc": "gnu", "major": major, "minor": minor,
                "patch": patch, "prerelease": "", "url": f"{self.url}/python.tar.gz", "variant": None,
                "sha256": self.sha256 if self.trouble != "hash" else "0" * 64, "build": "20250101",
            }
        }  # fmt: skip


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        is_list = self.path.endswith("list.json")
        if server.trouble.isdecimal() and not is_list:
            self.send_error(int(server.trouble))
            return
        body = json.dumps(server.listing()).encode() if is_list else server.body
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if is_list or not server.trouble:
            self.wfile.write(body)
        elif server.trouble == "slow":
            for start in range(0, len(body), 1 << 18):
                self.wfile.write(body[start : start + (1 << 18)])
                time.sleep(0.1)
        else:
            self.wfile.write(body[: len(body) // 2 if server.trouble == "cut" else len(body)])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(packed_python, monkeypatch):
    server = Server(packed_python)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", f"{server.url}/list.json")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def uv():
    found = pytest.importorskip("uv", reason="uv is not installed beside the tests").find_uv_bin()
    return Path(found)


@pytest.fixture
def commands(tmp_path):
    return Commands(settings=PipSettings(), cache=tmp_path / "cache", log=Log(tmp_path / "install.log"))


class Words(list):
    def __call__(self, words, /, **_):
        self.append(words)


def folder_state(folder):
    """What a user would find: without uv's own files and its link."""
    return sorted(
        path.name for path in folder.iterdir() if not path.name.startswith(".") and not path.is_symlink()
    )


def bring(commands, uv, folder, tell=lambda *_, **__: None):
    return bring_python(commands, uv, VERSION, folder, tell)


def test_uv_brings_a_python_that_makes_environments(tmp_path, commands, uv, server, safe_home):
    folder, words = tmp_path / "vendor 訓練" / "python", Words()
    found = bring(commands, uv, folder, words)
    assert folder in found.parents
    assert ask_python(found, "uv").version == sys.version_info[:3]
    assert any("MiB" in line for line in words)
    assert not list(safe_home.rglob("*python*")), "something was put into the user's home"
    venv = tmp_path / "venv"
    commands.need(commands.uv(uv, ["venv", "--python", str(found), str(venv)]), "no environment")
    prefix = subprocess.run([venv / "bin" / "python", "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True, check=True)  # fmt: skip
    assert Path(prefix.stdout.strip()).resolve() == found.parent.parent.resolve()
    asked = len(server.asked)
    assert bring(commands, uv, folder) == found
    assert len(server.asked) == asked, "what is here was fetched again"


def test_a_mirror_counts(tmp_path, commands, uv, server, monkeypatch):
    # uv puts the mirror in the place of GitHub's address: a URL of its own list is what it needs to know.
    address = "https://github.com/astral-sh/python-build-standalone/releases/download/20250101/python.tar.gz"
    listing = server.listing()
    next(iter(listing.values()))["url"] = address
    monkeypatch.setattr(server, "listing", lambda: listing)
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", f"{server.url}/mirror")
    assert bring(commands, uv, tmp_path / "python").is_file()
    assert "/mirror/20250101/python.tar.gz" in server.asked


@pytest.mark.parametrize("trouble", ["404", "403", "500", "cut", "hash"])
def test_a_failed_download_says_what_to_do_and_leaves_nothing(tmp_path, commands, uv, server, trouble):
    server.trouble = trouble
    with pytest.raises(InstallError) as caught:
        bring(commands, uv, tmp_path / "python")
    error = caught.value
    assert error.why
    assert "UV_PYTHON_INSTALL_MIRROR" in error.fix
    assert "python.org" in error.fix
    assert Path(error.where).is_file()
    assert folder_state(tmp_path / "python") == []
    server.trouble = ""
    assert bring(commands, uv, tmp_path / "python").is_file()


def test_without_a_server_without_a_network_without_uv(tmp_path, commands, uv, server, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("UV_OFFLINE", "1")
        with pytest.raises(InstallError) as caught:
            bring(commands, uv, tmp_path / "python")
        assert "python.org" in caught.value.fix
    server.shutdown()
    server.server_close()
    with pytest.raises(InstallError) as caught:
        bring(commands, uv, tmp_path / "python")
    assert "network" in caught.value.fix
    with pytest.raises(InstallError, match="uv") as caught:
        bring(commands, None, tmp_path / "python")
    assert "stays as it is" in caught.value.fix


def test_killed_in_the_middle_it_leaves_nothing_half_and_starts_again(tmp_path, commands, uv, server):
    folder = tmp_path / "python"
    server.trouble = "slow"
    script = (
        "import sys; from pathlib import Path\n"
        "from launcher.install.commands import Commands, Log; from launcher.install.index import PipSettings\n"
        "from launcher.install.interpreter import bring_python\n"
        "here = Path(sys.argv[1])\n"
        "commands = Commands(settings=PipSettings(), cache=here / 'cache', log=Log(here / 'killed.log'))\n"
        "bring_python(commands, Path(sys.argv[2]), sys.version_info[:2], here / 'python', lambda *_, **__: None)\n"
    )
    for delay in (0.4, 0.9):
        child = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), str(uv)], start_new_session=True
        )
        deadline = time.monotonic() + 30
        while not any((folder / ".temp").glob("*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(delay)
        assert child.poll() is None
        os.killpg(child.pid, 9)
        child.wait()
        assert list((folder / ".temp").glob("*")), "it was not killed in the middle"
        assert folder_state(folder) == []
    server.trouble = ""
    assert ask_python(bring(commands, uv, folder), "uv").problem is None
    assert not list((folder / ".temp").glob("*"))


def test_a_damaged_one_is_fetched_anew(tmp_path, commands, uv, server):
    found = bring(commands, uv, tmp_path / "python")
    found.write_bytes(b"damaged")
    assert bring(commands, uv, tmp_path / "python") == found
    assert ask_python(found, "uv").problem is None


def test_the_dry_run_shows_what_would_run(tmp_path, commands, uv, server):
    lines = python_plan_words(uv, VERSION, tmp_path / "python")
    assert len(lines) == 1
    assert "--no-bin" in lines[0]
    assert not (tmp_path / "python").exists()
    bring(commands, uv, tmp_path / "python")
    assert lines[0] in commands.log.path.read_text(encoding="utf-8")

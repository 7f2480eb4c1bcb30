"""Finding and fetching the torch family: pages, sources in their order, what wheels require, words when there is none."""

import http.server
import json
import os
import re
import sys
import threading
import zipfile
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from launcher.errors import InstallError
from launcher.install import wheels as module
from launcher.install.closure import NotFoundError
from launcher.install.commands import Commands, Log
from launcher.install.default_index import with_index
from launcher.install.engine import find_uv
from launcher.install.family import is_family
from launcher.install.index import PipSettings
from launcher.install.links import folder_links, read_links
from launcher.install.pins import Platform, TorchSet
from launcher.install.target import target_of
from launcher.install.web import Page
from launcher.install.wheels import download_of, fetch_wheels, find_wheels, require_room
from tests.tiny_wheels import make_index, make_wheel, serve

LINUX = Platform(os="linux", arch="x86_64")
WINDOWS = Platform(os="windows", arch="x86_64")
PYTHON = (3, 11)
TAG = "cp311-cp311-manylinux_2_17_x86_64"
NOWHERE = "http://127.0.0.1:9/whl"  # the discard port: nobody listens
DIGEST = "a" * 64


# --- pages


def page(text, url="http://index.test/simple/torch/", content_type="text/html"):
    return Page(url=url, body=text.encode(), content_type=content_type)


def test_html_page():
    [link] = read_links(
        page(
            '<!DOCTYPE html><html><body><a href="../../files/torch-2.5.1%2Bcu121-cp311-cp311-win_amd64.whl#sha256='
            + DIGEST.upper()
            + '" data-requires-python="&gt;=3.8.0" data-core-metadata="sha256='
            + "b" * 64
            + '" data-yanked="">x</a></body></html>'
        )
    )
    assert link.file == "torch-2.5.1+cu121-cp311-cp311-win_amd64.whl"
    assert link.url == "http://index.test/files/torch-2.5.1%2Bcu121-cp311-cp311-win_amd64.whl"
    assert link.sha256 == DIGEST
    assert link.requires_python == ">=3.8.0"
    assert link.is_yanked
    assert link.has_metadata
    assert link.metadata_sha256 == "b" * 64
    assert link.name == "torch"


@pytest.mark.parametrize("attribute", ["data-dist-info-metadata", "data-core-metadata"])
@pytest.mark.parametrize(("value", "digest"), [("true", None), (f"sha256={DIGEST}", DIGEST)])
def test_metadata_by_its_old_and_new_name(attribute, value, digest):
    [link] = read_links(page(f'<a href="torch-1-py3-none-any.whl" {attribute}="{value}">x</a>'))
    assert (link.has_metadata, link.metadata_sha256) == (True, digest)


def test_base_decides_what_links_are_relative_to():
    text = '<base href="http://files.test/a/"><a href="torch-1-py3-none-any.whl">x</a>'
    assert [link.url for link in read_links(page(text))] == ["http://files.test/a/torch-1-py3-none-any.whl"]


def test_flat_page_of_links_and_what_is_no_package():
    """As torch_stable.html and its mirrors are: everything on one page, in folders by channel."""
    text = """<a>no address</a> <a href="http://[bad/torch-1-py3-none-any.whl">x</a> <a href="readme.html">x</a>
        <A HREF="cu121/torch-2.5.1%2Bcu121-cp311-cp311-linux_x86_64.whl">x</A> <a href="xformers-0.0.35.tar.gz">x"""
    links = read_links(page(text, "http://mirror.test/whl/torch_stable.html"))
    assert [link.file for link in links] == ["torch-2.5.1+cu121-cp311-cp311-linux_x86_64.whl", "xformers-0.0.35.tar.gz"]  # fmt: skip
    assert links[0].url == "http://mirror.test/whl/cu121/torch-2.5.1%2Bcu121-cp311-cp311-linux_x86_64.whl"
    assert [link.is_wheel for link in links] == [True, False]


def test_json_page():
    text = json.dumps(
        {
            "files": [
                {
                    "filename": "torch-1-py3-none-any.whl",
                    "url": "../f/torch-1-py3-none-any.whl#x",
                    "hashes": {"sha256": DIGEST},
                    "size": 7,
                    "requires-python": ">=3.9",
                    "yanked": "broken",
                    "core-metadata": {"sha256": "b" * 64},
                },
                {"filename": "torch-1.tar.gz", "url": "y", "hashes": {}, "yanked": False, "size": None},
            ]
        }
    )
    wheel, source = read_links(page(text, content_type="application/vnd.pypi.simple.v1+json"))
    assert wheel.url == "http://index.test/simple/f/torch-1-py3-none-any.whl"
    assert (wheel.sha256, wheel.size, wheel.requires_python) == (DIGEST, 7, ">=3.9")
    assert (wheel.is_yanked, wheel.has_metadata, wheel.metadata_sha256) == (True, True, "b" * 64)
    assert (source.sha256, source.size, source.is_yanked, source.has_metadata) == (None, None, False, False)


@pytest.mark.parametrize("text", ["", "[]", '{"files": 1}', '{"files": [{}]}', "no json"])
def test_json_that_is_no_page_offers_nothing(text):
    assert read_links(page(text, content_type="application/json")) == []


def test_folder_offers_its_files_only(tmp_path):
    make_wheel(tmp_path / "a b", "torch", "1+cu121")
    make_wheel(tmp_path / "a b" / "deeper", "torch", "2")
    (tmp_path / "a b" / "folder.whl").mkdir()
    assert [link.file for link in folder_links(tmp_path / "a b")] == ["torch-1+cu121-py3-none-any.whl"]


# --- which wheel fits


@pytest.mark.parametrize(
    ("tag", "python", "platform", "fits"),
    [
        ("cp311-cp311-manylinux1_x86_64", (3, 11), LINUX, True),
        ("cp311-cp311-manylinux_2_28_x86_64", (3, 11), LINUX, True),
        ("cp311-cp311-linux_x86_64", (3, 11), LINUX, True),  # how older builds of the PyTorch index are named
        ("cp39-abi3-manylinux_2_28_x86_64", (3, 12), LINUX, True),
        ("py39-none-manylinux_2_28_x86_64", (3, 10), LINUX, True),
        ("py3-none-any", (3, 10), WINDOWS, True),
        ("cp310-cp310-win_amd64", (3, 10), WINDOWS, True),
        ("cp310-cp310-win_amd64", (3, 11), WINDOWS, False),
        ("cp311-cp311-win_amd64", (3, 11), LINUX, False),
        ("cp311-cp311-manylinux1_x86_64", (3, 11), WINDOWS, False),
        ("cp313-cp313t-manylinux_2_28_x86_64", (3, 13), LINUX, False),  # free-threaded: another ABI
        ("cp312-abi3-manylinux_2_28_x86_64", (3, 11), LINUX, False),
        ("cp311-none-macosx_11_0_arm64", (3, 11), Platform(os="macos", arch="arm64"), True),
        ("cp311-cp311-manylinux2014_aarch64", (3, 11), Platform(os="linux", arch="arm64"), True),
    ],
)
def test_tags_of_another_python_and_system(tag, python, platform, fits):
    from packaging.tags import parse_tag

    if platform == LINUX and not sys.platform.startswith("linux"):
        pytest.skip("asks this computer's C library")
    assert (target_of(python, platform).rank(parse_tag(tag)) is not None) == fits


def test_the_target_is_not_the_python_that_runs():
    assert target_of((3, 12), WINDOWS).markers["python_version"] == "3.12"
    assert target_of((3, 12), WINDOWS).markers["sys_platform"] == "win32"
    assert target_of((3, 10), WINDOWS).allows(">=3.10.1")
    assert not target_of((3, 10), WINDOWS).allows(">=3.11")


@pytest.mark.parametrize(
    ("name", "belongs"),
    [("nvidia-cublas-cu12", True), ("Torch", True), ("cuda_toolkit", True), ("nvidia-ml-py", False), ("numpy", False)],
)  # fmt: skip
def test_family(name, belongs):
    assert is_family(name) == belongs


# --- sources


class Shop:
    """Wheels in a folder, a `find` with as little to say as possible, and what was told."""

    def __init__(self, folder):
        self.folder = folder
        self.kept = folder / "kept wheels"
        self.said = []

    def wheel(self, place, name, version, tag=TAG, **more):
        return make_wheel(self.folder / place, name, version, tag=tag, **more)

    def index(self, place, *wheels, **more):
        return make_index(self.folder / place, *wheels, **more)

    def find(self, *packages, index=None, user=None, fallback=(), python=PYTHON, platform=LINUX, may_fetch=True, log=None, **settings):  # fmt: skip
        """`index`: of the set; `user`: the configured one."""
        torch_set = TorchSet(
            name="x", title="X", packages=packages, index=index, fallback=fallback, pythons=(PYTHON, PYTHON), disk_mib=1
        )  # fmt: skip
        return find_wheels(
            torch_set, python, PipSettings(index=user, **settings), folder=self.kept, tell=self.tell, platform=platform,
            may_fetch=may_fetch, log=log,
        )  # fmt: skip

    def tell(self, words, /, *, keep=False, done=None, total=None):
        self.said.append((words, keep, done, total))


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def versions(wheels):
    return {wheel.name: wheel.version for wheel in wheels}


def test_own_file_is_used_where_it_lies(shop):
    own = shop.wheel("my 車 wheels, old", "torch", "2.5.1+cu121")
    [wheel] = shop.find("torch==2.5.1+cu121", index=NOWHERE, find_links=(str(own.parent),))
    assert wheel.file == own
    assert wheel.remote is None
    assert fetch_wheels([wheel], shop.kept, settings=PipSettings(), tell=shop.tell) == [own]
    assert not shop.kept.exists()
    [wheel] = shop.find("torch==2.5.1+cu121", find_links=(own.parent.as_uri(),))
    assert wheel.file == own


def test_page_of_links_is_a_source_as_for_pip(shop):
    own = shop.wheel("mirror/cu121", "torch", "2.5.1+cu121")
    (shop.folder / "mirror" / "stable.html").write_text(
        f'<a href="cu121/{own.name.replace("+", "%2B")}">x</a>'
    )
    with serve(shop.folder / "mirror") as host:
        [wheel] = shop.find("torch==2.5.1+cu121", find_links=(f"http://{host}/stable.html",))
        [file] = fetch_wheels([wheel], shop.kept, settings=PipSettings(), tell=shop.tell)
    assert file == shop.kept / own.name
    assert file.read_bytes() == own.read_bytes()
    file.unlink()
    [wheel] = shop.find("torch==2.5.1+cu121", find_links=((shop.folder / "mirror" / "stable.html").as_uri(),))
    assert wheel.file == own


def test_order_of_sources(shop):
    """Tagged builds: the user's indexes before the set's. Untagged ones mean another build on every index."""
    ours = [shop.wheel("a", "torch", "2.5.1+cu121"), shop.wheel("a", "xformers", "0.0.29")]
    theirs = [shop.wheel("b", "torch", "2.5.1+cu121"), shop.wheel("b", "xformers", "0.0.29")]
    shop.index("set", *ours)
    shop.index("theirs", *theirs)
    found = {
        wheel.name: wheel.file.parent.parent.name
        for wheel in shop.find(
            "torch==2.5.1+cu121", "xformers==0.0.29",
            index=(shop.folder / "set").as_uri(), user=(shop.folder / "theirs").as_uri(),
        )
    }  # fmt: skip
    assert found == {"torch": "theirs", "xformers": "set"}


def test_xformers_from_elsewhere_is_told(shop):
    shop.index("set", shop.wheel("a", "torch", "2.5.1+cu121"))
    shop.index("theirs", shop.wheel("b", "xformers", "0.0.29"))
    places = {"index": (shop.folder / "set").as_uri(), "user": (shop.folder / "theirs").as_uri()}
    found = shop.find("torch==2.5.1+cu121", "xformers==0.0.29", **places)
    assert versions(found) == {"torch": "2.5.1+cu121", "xformers": "0.0.29"}
    assert any(
        keep and "xformers 0.0.29 is not on the PyTorch index" in words for words, keep, *_ in shop.said
    )


def test_extra_indexes_are_asked_too(shop):
    shop.index("more", shop.wheel("a", "torch", "2.5.1+cu121"))
    [wheel] = shop.find("torch==2.5.1+cu121", user=NOWHERE, extra_indexes=((shop.folder / "more").as_uri(),))
    assert wheel.file.is_file()


def test_an_index_that_is_gone_is_asked_once(shop):
    """Fifteen packages must not cost fifteen waits."""
    pins = [f"nvidia-{n}==1" for n in range(5)]
    shop.index("user", shop.wheel("a", "torch", "1", requires=pins), *[shop.wheel("a", f"nvidia-{n}", "1") for n in range(5)])  # fmt: skip
    with dead_server() as (host, asked):
        found = shop.find("torch==1", index=f"http://{host}/whl", user=(shop.folder / "user").as_uri())
    assert len(found) == 6
    assert len(asked) == 3  # the attempts for the first package


def test_indexes_are_left_alone_where_the_user_forbids_them(shop):
    shop.index("set", shop.wheel("a", "torch", "1"))
    place = (shop.folder / "set").as_uri()
    with pytest.raises(NotFoundError) as caught:
        shop.find("torch==1", index=place, user=place, no_index=True)
    assert "downloaded before: has no torch" in caught.value.why
    assert place not in caught.value.why


def test_tagged_build_never_stands_for_an_untagged_wish(shop):
    """`==2.5.1` takes `2.5.1+cu124` by the rules of versions, and a torch of another channel than its torchvision."""
    shop.index("user", shop.wheel("a", "torch", "2.5.1+cu124"))
    with pytest.raises(NotFoundError) as caught:
        shop.find("torch==2.5.1", user=(shop.folder / "user").as_uri())
    assert "has torch 2.5.1+cu124, but not torch==2.5.1" in caught.value.why


def test_fallback_is_told_aloud(shop):
    shop.index("user", shop.wheel("a", "torch", "2.13.0"))
    [wheel] = shop.find("torch==2.13.0+cpu", index=NOWHERE, user=(shop.folder / "user").as_uri(), fallback=("torch==2.13.0",))  # fmt: skip
    assert wheel.version == "2.13.0"
    [words] = [words for words, keep, *_ in shop.said if keep]
    assert words.startswith("torch==2.13.0+cpu for Python 3.11 on linux-x86_64 could not be found. Instead: torch==2.13.0")  # fmt: skip


# --- the best of several


def test_best_tag_then_build_number(shop):
    for tag in ("py3-none-any", "cp39-abi3-manylinux_2_17_x86_64", TAG):
        shop.wheel("own", "torch", "1", tag=tag)
    shop.wheel("own", "torch", "1", tag=TAG, build="3")
    [wheel] = shop.find("torch==1", find_links=(str(shop.folder / "own"),))
    assert wheel.file_name == f"torch-1-3-{TAG}.whl"


def test_withdrawn_file_only_for_those_who_name_it(shop):
    one, two = shop.wheel("f", "torch", "1"), shop.wheel("f", "nvidia-x", "2")
    old = shop.wheel("f", "nvidia-x", "1")
    three = shop.wheel("f", "torch", "3", requires=["nvidia-x"])
    links = f'<a href="f/{one.name}" data-yanked="bad">x</a><a href="f/{two.name}" data-yanked>x</a><a href="f/{old.name}">x</a><a href="f/{three.name}">x</a>'  # fmt: skip
    (shop.folder / "links.html").write_text(links)
    places = (str(shop.folder / "links.html"),)
    assert versions(shop.find("torch==1", find_links=places)) == {"torch": "1"}
    assert versions(shop.find("torch==3", find_links=places)) == {"torch": "3", "nvidia-x": "1"}


def test_file_for_newer_pythons_is_left_out(shop):
    wheel = shop.wheel("f", "torch", "1", tag="py3-none-any")
    (shop.folder / "links.html").write_text(
        f'<a href="f/{wheel.name}" data-requires-python="&gt;=3.12">x</a>'
    )
    places = (str(shop.folder / "links.html"),)
    with pytest.raises(NotFoundError):
        shop.find("torch==1", find_links=places)
    assert shop.find("torch==1", find_links=places, python=(3, 12))


# --- in words


def test_error_tells_what_each_source_said(shop):
    shop.wheel("own", "torch", "2.5.1+cu121", tag="cp312-cp312-win_amd64")
    shop.index("set", *[shop.wheel("a", "torch", f"2.{n}.0+cu121") for n in range(6)])
    shop.index("user", shop.wheel("b", "numpy", "1"))
    with pytest.raises(NotFoundError) as caught:
        shop.find(
            "torch==2.5.1+cu121", find_links=(str(shop.folder / "own"),), index=(shop.folder / "set").as_uri(),
            user=(shop.folder / "user").as_uri(), extra_indexes=(NOWHERE,),
        )  # fmt: skip
    assert caught.value.what == "torch==2.5.1+cu121 for Python 3.11 on linux-x86_64 could not be found."
    kept, own, user, gone, theirs = caught.value.why.splitlines()
    assert kept.endswith("has no torch")
    assert own.endswith("torch 2.5.1+cu121 is there, but only for Python 3.12 on Windows")
    assert user.endswith("has no torch")
    assert "127.0.0.1" in gone
    assert theirs.startswith("the PyTorch index (file://")
    assert theirs.endswith("has torch 2.5.0+cu121, 2.4.0+cu121, 2.3.0+cu121, 2.2.0+cu121, ..., but not torch==2.5.1+cu121")  # fmt: skip
    assert "Choose a Python" in caught.value.fix


def test_source_code_is_no_wheel(shop):
    (shop.folder / "own").mkdir()
    (shop.folder / "own" / "xformers-0.0.29.post1.tar.gz").touch()
    with pytest.raises(NotFoundError) as caught:
        shop.find("xformers==0.0.29.post1", find_links=(str(shop.folder / "own"),))
    assert "has xformers only as source code" in caught.value.why


@pytest.mark.parametrize("code", [403, 500])
def test_refusing_index_is_named(code, shop):
    with answering(code) as host, pytest.raises(NotFoundError) as caught:
        shop.find("torch==1", index=f"http://{host}/whl")
    assert str(code) in caught.value.why


def test_who_wants_what_cannot_be_had(shop):
    shop.index(
        "user", shop.wheel("a", "torch", "1", requires=["nvidia-x==1", "nvidia-y==1"]), shop.wheel("a", "nvidia-x", "1"),
        shop.wheel("a", "nvidia-x", "2"), shop.wheel("a", "nvidia-y", "1", requires=["nvidia-x>=2"]),
    )  # fmt: skip
    with pytest.raises(NotFoundError) as caught:
        shop.find("torch==1", user=(shop.folder / "user").as_uri())
    assert "nvidia-y 1 requires nvidia-x>=2, torch 1 requires nvidia-x==1" in caught.value.what


def test_damaged_own_file_is_passed_over(shop):
    own = shop.wheel("own", "torch", "1")
    own.write_bytes(own.read_bytes()[:100])
    shop.index("user", shop.wheel("a", "torch", "1"))
    links = (str(own.parent),)
    [wheel] = shop.find("torch==1", find_links=links, user=(shop.folder / "user").as_uri())
    assert wheel.file.parent.parent.name == "user"
    with pytest.raises(NotFoundError, match="could not be found") as caught:
        shop.find("torch==1", find_links=links)
    assert f"{own.name} is damaged" in caught.value.why


# --- what wheels require


def test_markers_are_those_of_the_target(shop):
    requires = [
        'nvidia-linux==1; platform_system == "Linux" and platform_machine == "x86_64"',
        'nvidia-windows==1; sys_platform == "win32"',
        'triton==1; python_version < "3.11"',
        'nvidia-extra==1; extra == "opt"',
        "numpy<2",
        "not a requirement at all (",
    ]
    for tag in (TAG, "cp310-cp310-win_amd64", "cp311-cp311-win_amd64"):
        shop.wheel("own", "torch", "1", tag=tag, requires=requires)
    for name in ("nvidia-linux", "nvidia-windows", "triton"):
        shop.wheel("own", name, "1", tag="py3-none-any")
    links = (str(shop.folder / "own"),)
    assert set(versions(shop.find("torch==1", find_links=links))) == {"torch", "nvidia-linux"}
    found = shop.find("torch==1", find_links=links, platform=WINDOWS, python=(3, 10))
    assert set(versions(found)) == {"torch", "nvidia-windows", "triton"}


class Handler(http.server.SimpleHTTPRequestHandler):
    """A server that can send parts, if it is told so, and remembers what it was asked."""

    can_range = True
    asked: list = []  # noqa: RUF012  (each server has its own class)

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        self.asked.append((self.command, self.path, self.headers.get("Range")))
        if not self.can_range or "Range" not in self.headers or not path.is_file():
            return super().do_GET()
        body = path.read_bytes()
        first, last = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers["Range"]).groups()
        start = int(first) if first else max(0, len(body) - int(last))
        end = min(int(last) + 1, len(body)) if first and last else len(body)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(body)}")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        self.wfile.write(body[start:end])
        return None

    def do_HEAD(self):
        self.asked.append((self.command, self.path, None))
        super().do_HEAD()

    def log_message(self, *_):
        pass


@contextmanager
def listening(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def offering(folder, *, can_range=True):
    """Yields the host and the list of what it is asked."""
    kind = type("Kind", (Handler,), {"can_range": can_range, "asked": []})
    with listening(lambda *words: kind(*words, directory=str(folder))) as host:
        yield host, kind.asked


@contextmanager
def answering(code):
    class Refusing(Handler):
        def do_GET(self):
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with listening(Refusing) as host:
        yield host


@contextmanager
def dead_server():
    """It takes a request and hangs up without a word."""
    asked = []

    class Silent(Handler):
        def do_GET(self):
            asked.append(self.path)
            self.close_connection = True

    with listening(Silent) as host:
        yield host, asked


def big_wheel(shop, *, requires=("triton==1",)):
    """A wheel whose list of contents and whose requirements are far apart."""
    contents = {f"torch/part{n}.txt": os.urandom(200).hex() for n in range(3000)}
    return shop.wheel("a", "torch", "1", files=contents, requires=requires)


def fetched_bytes(asked):
    return [it for it in asked if it[1].endswith(".whl") and it[0] == "GET"]


def test_requirements_are_read_from_a_piece_of_the_wheel(shop):
    wheel = big_wheel(shop)
    shop.index("site", wheel, shop.wheel("a", "triton", "1"))
    with offering(shop.folder / "site") as (host, asked):
        found = shop.find("torch==1", index=f"http://{host}")
    assert versions(found) == {"torch": "1", "triton": "1"}
    assert all(piece for _, _, piece in fetched_bytes(asked))  # never the whole
    assert len(fetched_bytes(asked)) <= 6
    assert wheel.stat().st_size > 1_000_000
    assert not shop.kept.exists()
    assert {wheel.name: wheel.size for wheel in found}["torch"] == wheel.stat().st_size  # asked of the server
    assert any(command == "HEAD" for command, *_ in asked)


def test_metadata_beside_the_wheel_is_enough(shop):
    shop.index("site", big_wheel(shop), shop.wheel("a", "triton", "1"), metadata=True)
    with offering(shop.folder / "site") as (host, asked):
        assert len(shop.find("torch==1", index=f"http://{host}")) == 2
    assert fetched_bytes(asked) == []


@pytest.mark.parametrize("lie", ["gone", "changed"])
def test_promised_metadata_that_is_not_right_is_read_from_the_wheel(lie, shop):
    index = shop.index("site", big_wheel(shop), shop.wheel("a", "triton", "1"), metadata=True)
    promised = next((index / "torch").glob("*.metadata"))
    if lie == "gone":
        promised.unlink()
    else:
        promised.write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1\nRequires-Dist: torchao==1\n")
    with offering(index) as (host, _):
        assert versions(shop.find("torch==1", index=f"http://{host}")) == {"torch": "1", "triton": "1"}


def test_server_without_parts_gives_the_whole_wheel_once(shop):
    wheel = big_wheel(shop)
    shop.index("site", wheel, shop.wheel("a", "triton", "1"), hashes=True)
    with offering(shop.folder / "site", can_range=False) as (host, asked):
        found = shop.find("torch==1", index=f"http://{host}")
        assert (shop.kept / wheel.name).is_file()
        assert any("must be downloaded to see what it requires" in words for words, *_ in shop.said)
        files = fetch_wheels(found, shop.kept, settings=PipSettings(), tell=shop.tell)
    assert [file.name.split("-")[0] for file in files] == ["torch", "triton"]
    whole = [
        path for command, path, piece in asked if command == "GET" and path.endswith(wheel.name) and not piece
    ]
    assert (
        len(whole) <= 2
    )  # the attempt to read a part, which was answered with everything and left, and the download


def test_only_looking_downloads_nothing(shop):
    shop.index("site", big_wheel(shop), shop.wheel("a", "triton", "1"))
    with offering(shop.folder / "site", can_range=False) as (host, _):
        found = shop.find("torch==1", index=f"http://{host}", may_fetch=False)
    assert versions(found) == {"torch": "1"}
    assert not shop.kept.exists()


# --- secrets


def test_password_of_an_index_reaches_its_files_and_no_words(shop, tmp_path):
    shop.index(
        "site", shop.wheel("a", "torch", "1+x", requires=["triton==9"]), shop.wheel("a", "triton", "1")
    )
    log = Log(tmp_path / "log.txt")
    with serve(shop.folder / "site", password="me:pässwort") as host:
        place = f"http://me:p%C3%A4sswort@{host}/"
        with pytest.raises(NotFoundError) as caught:
            shop.find("torch==1+x", user=place, log=log)
        words = f"{caught.value.what}{caught.value.why}{shop.said}"
        assert "has triton 1, but not triton==9" in caught.value.why
        shop.index("site", shop.wheel("a", "triton", "9"))
        found = shop.find("torch==1+x", user=place, log=log)
        files = fetch_wheels(found, shop.kept, settings=PipSettings(index=place), tell=shop.tell, log=log)
    assert len(files) == 2
    words += f"{shop.said}{[wheel.source for wheel in found]}{log.path.read_text(encoding='utf-8')}"
    assert "swort" not in words
    assert host in words


# --- fetching


def test_one_progress_over_all(shop):
    wheels = [shop.wheel("a", name, "1", files={"x": os.urandom(size).hex()}) for name, size in (("torch", 400_000), ("torchvision", 9), ("xformers", 200_000))]  # fmt: skip
    shop.index("site", *wheels, hashes=True)
    whole = sum(wheel.stat().st_size for wheel in wheels)
    with offering(shop.folder / "site") as (host, _):
        found = shop.find("torch==1", "torchvision==1", "xformers==1", index=f"http://{host}")
        assert download_of(found).known_bytes == whole
        shop.said.clear()
        files = fetch_wheels(found, shop.kept, settings=PipSettings(), tell=shop.tell)
    assert [file.name for file in files] == [wheel.name for wheel in wheels]
    told = [(done, total) for _, _, done, total in shop.said if done is not None]
    assert told == sorted(told)
    assert {total for _, total in told} == {whole}
    assert told[-1][0] == whole


def test_wrong_file_is_refused(shop):
    index = shop.index("site", shop.wheel("a", "torch", "1"), hashes=True, metadata=True)
    with offering(index) as (host, _):
        found = shop.find("torch==1", index=f"http://{host}")
        next((index / "torch").glob("*.whl")).write_bytes(b"x" * found[0].size)
        with pytest.raises(InstallError):
            fetch_wheels(found, shop.kept, settings=PipSettings(), tell=shop.tell)
    assert not list(shop.kept.glob("*.whl"))


def test_room_is_required_before(shop, monkeypatch):
    own = shop.wheel("own", "torch", "1")
    wheels = shop.find("torch==1", find_links=(str(own.parent),))
    require_room(wheels, shop.kept / "not" / "there" / "yet")
    monkeypatch.setattr(module, "SPARE_BYTES", 10**18)
    with pytest.raises(InstallError, match="The drive is too full: about 953674316406 MiB are needed"):
        require_room(wheels, shop.kept)


# --- the default index


@pytest.fixture
def commands(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    return Commands(settings=PipSettings(), cache=tmp_path / "cache", log=Log(tmp_path / "log.txt"))


def test_pip_and_uv_tell_the_same_default_index(commands):
    nobody = Path(sys.prefix, "no python")
    by_pip = with_index(PipSettings(), commands, python=Path(sys.executable), uv=None).index
    by_uv = with_index(PipSettings(), commands, python=nobody, uv=find_uv(commands)).index
    assert by_pip.startswith("https://")
    assert by_pip.endswith("/simple")
    assert by_uv == by_pip
    assert with_index(PipSettings(), commands, python=nobody, uv=None).index is None


def test_index_of_the_user_stays(commands, monkeypatch):
    python = Path(sys.executable)
    own = PipSettings(index="http://own.test/simple")
    assert with_index(own, commands, python=python, uv=None) is own
    forbidden = PipSettings(no_index=True)
    assert with_index(forbidden, commands, python=python, uv=None) is forbidden
    monkeypatch.setenv("UV_INDEX_URL", "http://uv.test/simple")
    assert with_index(PipSettings(), commands, python=python, uv=None).index == "http://uv.test/simple"


def test_hashes_of_the_test_index_are_right(shop):
    """The helper that these tests stand on."""
    wheel = shop.wheel("a", "torch", "1")
    shop.index("site", wheel, hashes=True, metadata=True)
    text = (shop.folder / "site" / "torch" / "index.html").read_text()
    assert sha256(wheel.read_bytes()).hexdigest() in text
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None

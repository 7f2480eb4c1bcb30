"""The whole installer against servers that refuse, stall, cut and lie, and on a drive that fills up.

Each time: clear words, the environment that worked before still does, nothing half-done counts as done, and once the
trouble is over the same call finishes.
"""

import os
import shutil
import subprocess
import sys
from hashlib import sha256

import pytest

from launcher.errors import InstallError
from launcher.install import packages, upkeep, wheels
from tests.loopback import Site as Server
from tests.loopback import Trick, serving
from tests.test_install import Site, installed_site, tries
from tests.tiny_wheels import make_wheel

NEW = "tinytorch-1.0+gpu-py3-none-any.whl"
PATH = f"/gpu/tinytorch/{NEW.replace('+', '%2B')}"
MANY = 60  # more tries than anybody makes


@pytest.fixture
def site(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "a'; echo foo 訓練"
    site = Site(folder)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", site.wheels.as_uri())
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "2")  # a server that stalls is given up soon
    (folder / "empty index").mkdir()
    monkeypatch.setenv("PIP_INDEX_URL", (folder / "empty index").as_uri())
    return installed_site(site)


@pytest.fixture
def server(site, tmp_path):
    """An index with the build that is wished next. It has a megabyte, so that it can be cut."""
    files = {"tinytorch/__init__.py": "", "tinytorch/weights.txt": "0123456789abcdef" * 65536}
    wheel = make_wheel(tmp_path / "elsewhere", "tinytorch", "1.0+gpu", files=files)
    raw = wheel.read_bytes()
    page = f'<a href="{PATH}#sha256={sha256(raw).hexdigest()}">{NEW}</a>'
    server = Server({"/gpu/tinytorch/": page.encode(), PATH: raw})
    with serving(server):
        site.pin(index=server.url("/gpu"))
        site.edit('["tinytorch==2.0+gpu"]', '["tinytorch==1.0+gpu"]')
        yield server


def wrong_hash(server):
    server.files[PATH] = server.files[PATH][:-1] + b"X"


def broken_file(server, **trick):
    server.tricks[PATH] = [Trick(**trick) for _ in range(MANY)]


TROUBLES = {
    "403": lambda server: broken_file(server, status=403),
    "404": lambda server: broken_file(server, status=404),
    "500": lambda server: broken_file(server, status=500),
    "stalls": lambda server: broken_file(server, stall=0),
    "cut": lambda server: broken_file(server, cut=0),
    "login page": lambda server: broken_file(server, body=b"<html>Please log in</html>", headers={"Content-Type": "text/html"}),
    "wrong hash": wrong_hash,
    "page 403": lambda server: server.tricks.update({"/gpu/tinytorch/": [Trick(status=403)] * MANY}),
    "page 404": lambda server: server.files.pop("/gpu/tinytorch/"),
}  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLES)
def test_clear_words_nothing_half_done_and_then_it_goes_on(trouble, site, server):
    before, right = site.record(), dict(server.files)
    TROUBLES[trouble](server)
    with pytest.raises(InstallError) as caught:
        site.install(cuda="gpu")
    error = caught.value
    assert error.what
    assert error.why
    assert error.fix
    assert "Traceback" not in error.why
    assert site.ready is None
    assert site.record() == before
    assert tries(site)
    assert "tinytorch" not in packages.installed(site.growing / "venv")

    server.tricks.clear()
    server.files.update(right)
    site.install(cuda="gpu")
    assert site.record()["versions"]["tinytorch"] == "1.0+gpu"
    assert upkeep.differences(site.paths, "tiny") == []


def test_a_download_that_was_cut_is_not_begun_again(site, server):
    """The drop comes with the first installation, the rest with the second."""
    half = len(server.files[PATH]) // 2
    server.tricks[PATH] = [
        Trick(),
        Trick(cut=half),
        *[Trick(status=403)] * MANY,
    ]  # the first asks for the size
    with pytest.raises(InstallError):
        site.install(cuda="gpu")
    server.tricks.clear()
    server.asked.clear()
    site.install(cuda="gpu")
    assert site.record()["torch_set"] == "gpu"
    assert f"bytes={half}-" in [asked.headers.get("range") for asked in server.asked if asked.path == PATH]


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounts a small drive")
def test_a_drive_that_fills_up(site, tmp_path, monkeypatch):
    """A real full drive: the environment before works, and with room the same call finishes."""
    monkeypatch.setattr(
        wheels, "SPARE_BYTES", 0
    )  # what is asked for beforehand: here the drive shall run full
    small = tmp_path / "small"
    small.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(small)], check=False, capture_output=True)  # fmt: skip
    if done.returncode:
        pytest.skip("no small drive can be mounted here")
    try:
        root = small / "root"
        shutil.copytree(site.paths.pins, root / "shipped" / "vendor")
        on_drive = Site.__new__(Site)
        on_drive.paths = site.paths.__class__(root=root, home=root / "data", shipped=root / "shipped")
        on_drive.wheels, on_drive.events, on_drive.locked = site.wheels, [], site.locked
        on_drive.install()
        assert on_drive.ready is None
        filler = small / "filler"
        free = shutil.disk_usage(small).free
        filler.write_bytes(b"\0" * max(0, free - 300_000))
        with pytest.raises(InstallError) as caught:
            on_drive.install(again=True)
        assert "room" in (caught.value.fix + caught.value.what).lower() or "full" in caught.value.what
        assert on_drive.ready is None
        assert tries(on_drive)
        filler.unlink()
        on_drive.install(again=True)
        assert upkeep.differences(on_drive.paths, "tiny") == []
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)

"""Downloads against servers that misbehave: real sockets, real kills, a real full drive."""

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from launcher.errors import InstallError
from launcher.install.commands import Log
from launcher.install.fetch import Patience, Remote, WebError, fetch, read_page, size_of
from launcher.install.index import PipSettings
from launcher.process import wait_until
from tests.loopback import Cutter, Site, Trick, serving

ROOT = Path(__file__).resolve().parent.parent
DATA = bytes(range(256)) * 4096  # 1 MiB
SHA = hashlib.sha256(DATA).hexdigest()
QUICK = Patience(stall_s=0.5, tries=3, first_wait_s=0.01, longest_wait_s=0.02)
FILE = "/some-1.0+cu121-py3-none-any.bin"


class Told(list):
    def __call__(self, words, /, *, done=None, total=None, **_):
        self.append((words, done, total))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def site():
    with serving(Site({FILE: DATA})) as site:
        yield site


def get(site, folder, *, url=None, path=FILE, sha256=SHA, size=None, settings=None, patience=QUICK, **more):
    remote = Remote(url=url or site.url(path), name=path.strip("/"), sha256=sha256, size=size)
    return fetch(
        remote,
        folder,
        settings=settings or PipSettings(),
        tell=more.pop("tell", Told()),
        patience=patience,
        **more,
    )


def left_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_a_file_comes_whole_and_is_not_asked_for_again(site, tmp_path):
    told = Told()
    path = get(site, tmp_path, tell=told, before=1000, whole=5_000_000)
    assert path.read_bytes() == DATA
    assert left_in(tmp_path) == [path.name]
    assert told[-1][1:] == (1000 + len(DATA), 5_000_000)
    assert get(site, tmp_path) == path
    assert len(site.asked) == 1


def test_a_damaged_file_that_lies_there_is_fetched_again(site, tmp_path):
    get(site, tmp_path).write_bytes(b"x" * len(DATA))
    assert get(site, tmp_path).read_bytes() == DATA
    assert len(site.asked) == 2


@pytest.mark.parametrize("trick", ["cut", "stall"])
def test_a_broken_connection_goes_on_where_it_stopped(site, tmp_path, trick):
    site.tricks[FILE] = [Trick(**{trick: 300_000}), Trick(**{trick: 200_000})]
    assert get(site, tmp_path).read_bytes() == DATA
    assert site.first_bytes(FILE) == [0, 300_000, 500_000]


def test_progress_resets_the_count_of_tries(site, tmp_path):
    site.tricks[FILE] = [Trick(cut=60_000) for _ in range(10)]
    assert get(site, tmp_path).read_bytes() == DATA
    assert len(site.asked) == 11  # QUICK allows three in a row without progress


def test_without_progress_the_tries_end_in_words(site, tmp_path):
    site.tricks[FILE] = [Trick(cut=70_000), *[Trick(cut=0) for _ in range(50)]]
    with pytest.raises(WebError, match="could not be downloaded") as caught:
        get(site, tmp_path)
    assert "cut after 70000 of 1048576 bytes" in caught.value.why
    assert "goes on where it stopped" in caught.value.fix
    assert len(site.asked) == 3
    site.tricks[FILE].clear()
    assert get(site, tmp_path).read_bytes() == DATA  # as a new start would
    assert site.first_bytes(FILE)[-1] == 70_000


def test_a_server_that_knows_no_ranges_is_asked_from_the_start(tmp_path):
    with serving(Site({FILE: DATA}, ranges=False)) as site:
        site.tricks[FILE] = [Trick(cut=300_000)]
        assert get(site, tmp_path).read_bytes() == DATA


def test_a_file_that_changes_on_the_server_is_not_mixed(site, tmp_path):
    site.tricks[FILE] = [Trick(cut=300_000, body=b"o" * len(DATA))]
    assert get(site, tmp_path, sha256=None).read_bytes() == DATA
    assert site.asked[1].headers["if-range"].startswith('"')


def test_a_server_that_ignores_if_range_is_seen_through(tmp_path):
    with serving(Site({FILE: DATA})) as site:
        tag = f'"{hash(DATA) & 0xFFFFFFFF:x}"'
        site.tricks[FILE] = [
            Trick(cut=300_000, body=b"o" * len(DATA), headers={"ETag": tag}),
            Trick(headers={"ETag": '"other"'}),
        ]
        assert get(site, tmp_path, sha256=None).read_bytes() == DATA
        assert site.first_bytes(FILE) == [0, 300_000, 0]


def test_without_hash_and_validator_nothing_is_pieced_together(tmp_path):
    with serving(Site({FILE: DATA}, etags=False)) as site:
        site.tricks[FILE] = [Trick(cut=300_000)]
        assert get(site, tmp_path, sha256=None).read_bytes() == DATA
        assert site.first_bytes(FILE) == [0, 0]


def test_another_mirror_goes_on_when_the_hash_is_known(site, tmp_path):
    site.tricks[FILE] = [Trick(cut=300_000), *[Trick(status=404)]]
    with pytest.raises(WebError):
        get(site, tmp_path)
    with serving(Site({"/mirror" + FILE: DATA}, etags=False)) as mirror:
        get(site, tmp_path, url=mirror.url("/mirror" + FILE))
        assert mirror.first_bytes("/mirror" + FILE) == [300_000]


def test_a_part_of_another_file_is_not_used(site, tmp_path):
    site.tricks[FILE] = [Trick(cut=300_000), Trick(status=404)]
    with pytest.raises(WebError):
        get(site, tmp_path)
    other = b"other" * 200_000
    site.files[FILE] = other
    assert get(site, tmp_path, sha256=hashlib.sha256(other).hexdigest()).read_bytes() == other
    assert site.first_bytes(FILE)[-1] == 0


def test_a_part_that_was_damaged_on_the_drive_costs_one_fresh_try(site, tmp_path):
    site.tricks[FILE] = [Trick(cut=300_000), Trick(status=404)]
    with pytest.raises(WebError):
        get(site, tmp_path)
    part = tmp_path / (FILE[1:] + ".part")
    part.write_bytes(b"\0" * 300_000)  # as after a power cut
    assert get(site, tmp_path).read_bytes() == DATA
    assert site.first_bytes(FILE)[2:] == [300_000, 0]


@pytest.mark.parametrize("has_size", [True, False])
def test_a_complete_part_is_not_downloaded_again(site, tmp_path, has_size):
    (tmp_path / (FILE[1:] + ".part")).write_bytes(DATA)
    note = {"url": site.url(FILE), "validator": None, "sha256": SHA}
    (tmp_path / (FILE[1:] + ".part.json")).write_text(json.dumps(note))
    assert get(site, tmp_path, size=len(DATA) if has_size else None).read_bytes() == DATA
    assert [asked.first_byte for asked in site.asked] == ([] if has_size else [len(DATA)])  # 416, and enough


def test_a_part_longer_than_the_file_begins_anew(site, tmp_path):
    (tmp_path / (FILE[1:] + ".part")).write_bytes(DATA + b"more")
    note = {"url": site.url(FILE), "validator": None, "sha256": SHA}
    (tmp_path / (FILE[1:] + ".part.json")).write_text(json.dumps(note))
    assert get(site, tmp_path).read_bytes() == DATA


def test_a_wrong_hash_is_tried_once_more_then_nothing_stays(site, tmp_path):
    with pytest.raises(InstallError, match="not the file that it should be") as caught:
        get(site, tmp_path, sha256="0" * 64)
    assert SHA in caught.value.why
    assert "A second download was wrong too" in caught.value.why
    assert left_in(tmp_path) == []
    assert site.first_bytes(FILE) == [0, 0]
    site.tricks[FILE] = [Trick(body=b"x" * len(DATA))]
    assert get(site, tmp_path).read_bytes() == DATA  # wrong once only


def test_a_login_page_in_place_of_the_file_is_named(site, tmp_path):
    site.files[FILE] = b"<!DOCTYPE html><html>Please log in"
    with pytest.raises(InstallError) as caught:
        get(site, tmp_path)
    assert "web page" in caught.value.why


def test_a_wrong_size_is_found_before_the_body(site, tmp_path):
    with pytest.raises(InstallError, match="not the file") as caught:
        get(site, tmp_path, size=5)
    assert "1048576 bytes instead of 5" in caught.value.why


def test_a_wheel_without_hash_is_checked_by_its_checksums(tmp_path):
    wheel = tmp_path / "w.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a.txt", "a" * 1000)
    good = wheel.read_bytes()
    bad = good.replace(b"a" * 1000, b"a" * 999 + b"b")
    with serving(Site({"/w.whl": bad})) as site:
        with pytest.raises(InstallError) as caught:
            get(site, tmp_path / "here", path="/w.whl", sha256=None)
        assert "a.txt inside it is damaged" in caught.value.why
        site.files["/w.whl"] = good
        assert get(site, tmp_path / "here", path="/w.whl", sha256=None).read_bytes() == good


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "password"), (403, "refuses"), (404, "does not have it"), (407, "proxy"), (451, "legal")],
)
def test_refusals_are_worded_and_not_repeated(site, tmp_path, status, says):
    site.tricks[FILE] = [Trick(status=status) for _ in range(9)]
    with pytest.raises(WebError) as caught:
        get(site, tmp_path)
    assert says in caught.value.why
    assert caught.value.fix
    assert caught.value.code == status
    assert len(site.asked) == 1


def test_a_server_in_trouble_is_asked_again(site, tmp_path):
    site.tricks[FILE] = [Trick(status=500), Trick(status=503, headers={"Retry-After": "0"})]
    assert get(site, tmp_path).read_bytes() == DATA
    site.tricks["/gone"] = [Trick(status=502) for _ in range(9)]
    with pytest.raises(WebError, match="could not") as caught:
        get(site, tmp_path, path="/gone")
    assert "502" in caught.value.why


def test_dead_and_unknown_servers_in_words(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(WebError) as caught:
        get(None, tmp_path, url=f"http://127.0.0.1:{port}{FILE}")
    assert "does not take connections" in caught.value.why

    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(WebError) as caught:
        get(None, tmp_path, url=f"http://nowhere.invalid{FILE}")
    assert "The name nowhere.invalid cannot be found" in caught.value.why


def test_bad_addresses_and_names_in_words(site, tmp_path):
    for url in ("ftp://127.0.0.1/x", "http://[bad/x", "http://127.0.0.1:port/x"):
        with pytest.raises(InstallError):
            get(site, tmp_path, url=url)
    for name in ("../up", "a/b", "C:evil", "", ".hidden", "a\\b"):
        with pytest.raises(InstallError, match="not a name"):
            fetch(Remote(url=site.url(FILE), name=name), tmp_path, settings=PipSettings(), tell=Told())
    assert site.asked == []


# --- redirects and secrets


def test_a_redirect_keeps_secrets_at_home(site, tmp_path):
    with serving(Site({"/there": DATA})) as other:
        site.tricks[FILE] = [Trick(status=302, headers={"Location": other.url("/there")})]
        log = Log(tmp_path / "log")
        url = site.url(FILE, user="anna:s3cr%40t@")
        get(site, tmp_path / "files", url=url, headers={"X-Other": "1"}, log=log)
        basic = "Basic " + base64.b64encode(b"anna:s3cr@t").decode()
        assert site.asked[0].headers["authorization"] == basic
        assert "authorization" not in other.asked[0].headers
        assert other.asked[0].headers["x-other"] == "1"
        for path in tmp_path.rglob("*"):
            assert path.is_dir() or b"s3cr" not in path.read_bytes()


def test_a_redirect_within_the_host_keeps_the_password(site, tmp_path):
    site.files["/there"] = DATA
    site.tricks[FILE] = [Trick(status=308, headers={"Location": "/there"})]
    get(site, tmp_path, url=site.url(FILE, user="anna:pw@"))
    assert all("authorization" in asked.headers for asked in site.asked)
    page = read_page(site.url("/there", user="anna:pw@"), settings=PipSettings())
    assert page.url == site.url("/there", user="anna:pw@")  # links on it need the password too


def test_the_part_note_has_no_password(site, tmp_path):
    site.tricks[FILE] = [Trick(cut=1000), Trick(status=404)]
    with pytest.raises(WebError) as caught:
        get(site, tmp_path, url=site.url(FILE, user="anna:s3cret@") + "?token=abc123")
    site.files[FILE + "?token=abc123"] = DATA
    site.tricks[FILE + "?token=abc123"] = [Trick(cut=1000), Trick(status=404)]
    with pytest.raises(WebError) as caught:
        get(site, tmp_path, url=site.url(FILE, user="anna:s3cret@") + "?token=abc123")
    texts = [path.read_text() for path in tmp_path.glob("*.json")]
    assert len(texts) == 1
    said = str(vars(caught.value)) + texts[0]
    assert "s3cret" not in said
    assert "abc123" not in said


def test_passwords_come_from_the_index_settings_and_netrc(site, tmp_path, monkeypatch):
    settings = PipSettings(index=site.url("/simple/", user="anna:pw@"))
    get(site, tmp_path / "a", settings=settings)
    assert site.asked[-1].headers["authorization"] == "Basic " + base64.b64encode(b"anna:pw").decode()
    rc = tmp_path / "netrc"
    rc.write_text("machine 127.0.0.1 login otto password pw2\n")
    rc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(rc))
    get(site, tmp_path / "b")
    assert site.asked[-1].headers["authorization"] == "Basic " + base64.b64encode(b"otto:pw2").decode()


def test_a_loop_of_redirects_ends(site, tmp_path):
    site.tricks[FILE] = [Trick(status=302, headers={"Location": FILE}) for _ in range(99)]
    with pytest.raises(WebError) as caught:
        get(site, tmp_path)
    assert "from one address to the next" in caught.value.why


def test_redirects_to_files_of_this_computer_are_refused(site, tmp_path):
    site.tricks[FILE] = [Trick(status=302, headers={"Location": "file:///etc/passwd"})]
    with pytest.raises(WebError) as caught:
        get(site, tmp_path)
    assert "not a web address" in caught.value.why


# --- TLS and proxies


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A server context with a fresh certificate for localhost, and the certificate's file."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl program here to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert


def test_certificates_are_checked_unless_pip_is_told_otherwise(tls, tmp_path):
    context, cert = tls
    with serving(Site({FILE: DATA}), tls=context) as site:
        url = site.url(FILE).replace("http:", "https:")
        with pytest.raises(WebError) as caught:
            get(site, tmp_path, url=url)
        assert "is not trusted" in caught.value.why
        assert "global.cert" in caught.value.fix
        assert get(site, tmp_path / "a", url=url, settings=PipSettings(cert=str(cert))).read_bytes() == DATA
        for host in ("127.0.0.1", f"127.0.0.1:{site.port}"):
            settings = PipSettings(trusted_hosts=(host,))
            assert (
                get(site, tmp_path / host.replace(":", "_"), url=url, settings=settings).read_bytes() == DATA
            )
        with pytest.raises(InstallError, match="certificates that pip is told to use"):
            get(site, tmp_path / "c", url=url, settings=PipSettings(cert=str(tmp_path / "none.pem")))


def test_a_redirect_out_of_encryption_is_refused(tls, site, tmp_path):
    context, cert = tls
    with serving(Site({FILE: DATA}), tls=context) as secure:
        secure.tricks[FILE] = [Trick(status=302, headers={"Location": site.url(FILE)})]
        with pytest.raises(WebError) as caught:
            get(
                site,
                tmp_path,
                url=secure.url(FILE).replace("http:", "https:"),
                settings=PipSettings(cert=str(cert)),
            )
        assert "unencrypted" in caught.value.why
        assert site.asked == []


def test_the_proxy_of_pip_is_used_with_its_password(site, tmp_path, monkeypatch):
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda _host: False)
    with serving(Site({f"http://files.invalid{FILE}": DATA})) as proxy:
        settings = PipSettings(proxy=proxy.url("", user="pa:pw@"))
        get(site, tmp_path, url=f"http://files.invalid{FILE}", settings=settings)
        assert proxy.asked[0].headers["proxy-authorization"] == "Basic " + base64.b64encode(b"pa:pw").decode()


def test_a_proxy_that_wants_a_password_is_named(site, tmp_path, monkeypatch):
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda _host: False)

    class Refusing(Site):
        pass

    with serving(Refusing({})) as proxy:
        settings = PipSettings(proxy=proxy.url(""))
        address = f"http://files.invalid{FILE}"
        proxy.tricks[address] = [Trick(status=407)]
        with pytest.raises(WebError) as caught:
            get(site, tmp_path, url=address, settings=settings)
        assert "global.proxy" in caught.value.fix
        with pytest.raises(WebError) as caught:  # CONNECT: this server does not know it and says 501
            get(site, tmp_path, url=f"https://files.invalid{FILE}", settings=settings)
        assert "The proxy does not let us through to files.invalid" in caught.value.why


# --- the drive


def test_a_local_file_is_used_where_it_lies(tmp_path):
    file = tmp_path / "a b+c.bin"
    file.write_bytes(DATA)
    for url in (str(file), file.as_uri()):
        remote = Remote(url=url, name="x.bin", sha256=SHA)
        assert fetch(remote, tmp_path / "to", settings=PipSettings(), tell=Told()) == file
    assert not (tmp_path / "to").exists()
    with pytest.raises(InstallError, match="not the file"):
        fetch(Remote(url=str(file), name="x", sha256="0" * 64), tmp_path, settings=PipSettings(), tell=Told())
    assert file.exists()
    with pytest.raises(InstallError, match="cannot be read"):
        fetch(Remote(url=str(tmp_path / "no"), name="x"), tmp_path, settings=PipSettings(), tell=Told())


def test_room_is_looked_at_before_the_first_byte(site, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(InstallError, match="too full"):
        get(site, tmp_path, size=len(DATA))
    assert site.asked == []
    with pytest.raises(InstallError, match="too full"):
        get(site, tmp_path)
    assert len(site.asked) == 1


@pytest.fixture
def tiny_drive(tmp_path):
    """A real drive of 512 KiB."""
    folder = tmp_path / "drive"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], check=False, capture_output=True) if shutil.which("mount") and sys.platform == "linux" else None  # fmt: skip
    if mount is None or mount.returncode:
        pytest.skip("no small drive can be mounted here (needs root on Linux)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_drive_in_words_and_the_part_stays(site, tiny_drive, monkeypatch):
    site.tricks[FILE] = [Trick(hide_length=True)]
    with pytest.raises(InstallError, match="drive is full") as caught:
        get(site, tiny_drive, patience=QUICK)
    assert "Make room" in caught.value.fix
    part = tiny_drive / (FILE[1:] + ".part")
    size = part.stat().st_size
    assert 0 < size < len(DATA)
    subprocess.run(["mount", "-o", "remount,size=4m", str(tiny_drive)], check=True)
    monkeypatch.setattr("launcher.install.part.RESERVE_BYTES", 0)
    assert get(site, tiny_drive).read_bytes() == DATA
    assert site.first_bytes(FILE) == [0, size]


def test_a_folder_that_cannot_be_made_in_words(site, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InstallError, match="could not be written"):
        get(site, tmp_path / "file")


# --- other processes


CHILD = """
import sys
from pathlib import Path
from launcher.install.fetch import Remote, fetch, Patience
from launcher.install.index import PipSettings
url, folder, sha = sys.argv[1:]
fetch(Remote(url=url, name="big.bin", sha256=sha), Path(folder), settings=PipSettings(), tell=lambda *_a, **_k: None)
"""


def child(url, folder, sha):
    words = [sys.executable, "-c", CHILD, url, str(folder), sha]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_a_killed_download_asks_for_the_rest_only(tmp_path):
    big = DATA * 4
    with serving(Site({"/big.bin": big})) as site:
        site.tricks["/big.bin"] = [Trick(slow_s=0.05) for _ in range(3)]
        sizes = []
        for least in (500_000, 1_500_000):
            process = child(site.url("/big.bin"), tmp_path, hashlib.sha256(big).hexdigest())
            part = tmp_path / "big.bin.part"
            assert wait_until(lambda: part.exists() and part.stat().st_size > least, timeout_s=30)  # noqa: B023
            process.send_signal(signal.SIGKILL)
            process.communicate()
            sizes.append(part.stat().st_size)
        site.tricks["/big.bin"].clear()
        path = get(site, tmp_path, path="/big.bin", sha256=hashlib.sha256(big).hexdigest())
        assert path.read_bytes() == big
        assert site.first_bytes("/big.bin") == [0, *sizes]


def test_two_processes_download_once(tmp_path):
    with serving(Site({"/big.bin": DATA})) as site:
        site.tricks["/big.bin"] = [Trick(slow_s=0.1)]
        children = [child(site.url("/big.bin"), tmp_path, SHA) for _ in range(2)]
        for process in children:
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 0, output
        assert site.first_bytes("/big.bin") == [0]
        assert left_in(tmp_path) == ["big.bin"]


def test_waiting_for_another_window_shows_its_progress(site, tmp_path):
    site.tricks[FILE] = [Trick(slow_s=0.1)]
    other = child(site.url(FILE), tmp_path, SHA)
    lock = tmp_path / ".locks" / "big.bin"
    assert wait_until(lambda: lock.exists() and (tmp_path / "big.bin.part").exists(), timeout_s=30)
    told = Told()
    remote = Remote(url=site.url(FILE), name="big.bin", sha256=SHA)
    fetch(remote, tmp_path, settings=PipSettings(), tell=told, patience=QUICK)
    other.communicate()
    assert "Another window is downloading" in told[0][0]
    assert told[0][1] > 0
    assert len(site.asked) == 1


def test_memory_does_not_grow_with_the_file(tmp_path):
    if sys.platform != "linux":
        pytest.skip("the peak of a process's memory is read from /proc")
    code = CHILD + "\nprint(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    peaks = []
    for size in (2, 96):
        data = os.urandom(1 << 20) * size
        sha256 = hashlib.sha256(data).hexdigest()
        folder = tmp_path / str(size)
        with serving(Site({"/big.bin": data})) as site:
            url = site.url("/big.bin")
            folder.mkdir()  # half is there, the other half comes
            (folder / "big.bin.part").write_bytes(data[: len(data) // 2])
            (folder / "big.bin.part.json").write_text(json.dumps({"url": url, "sha256": sha256}))
            words = [sys.executable, "-c", code, url, str(folder), sha256]
            done = subprocess.run(words, cwd=ROOT, capture_output=True, check=True)
            peaks.append(int(done.stdout))
            assert site.first_bytes("/big.bin") == [len(data) // 2]
    assert peaks[1] - peaks[0] < 20_000  # KiB: the file has 96 MiB


def test_progress_is_told_at_most_ten_times_a_second(tmp_path):
    with serving(Site({FILE: DATA * 16})) as site:
        site.tricks[FILE] = [Trick(slow_s=0.004)]
        told, start = Told(), time.monotonic()
        get(site, tmp_path, sha256=None, tell=told)
        assert len(told) <= (time.monotonic() - start) * 10 + 3
        assert len(told) > 5
        assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


# --- pages and sizes


def test_pages_packed_or_not_and_their_limit(site):
    site.files["/simple/"] = gzip.compress(b"<html>" + b"a" * 100_000)
    site.tricks["/simple/"] = [
        Trick(headers={"Content-Encoding": "gzip", "Content-Type": "text/html"}) for _ in range(2)
    ]
    page = read_page(site.url("/simple/"), settings=PipSettings(), headers={"Accept": "text/html"})
    assert len(page.body) == 100_006
    assert page.content_type == "text/html"
    assert site.asked[0].headers["accept"] == "text/html"
    with pytest.raises(WebError) as caught:
        read_page(site.url("/simple/"), settings=PipSettings(), limit=10_000)
    assert "larger than" in caught.value.why
    with pytest.raises(WebError) as caught:
        read_page(site.url("/none/"), settings=PipSettings())
    assert caught.value.code == 404


def test_a_page_that_breaks_is_asked_again(site):
    site.files["/simple/"] = b"x" * 100_000
    site.tricks["/simple/"] = [Trick(cut=10), Trick(stall=10)]
    assert len(read_page(site.url("/simple/"), settings=PipSettings(), stall_s=0.3).body) == 100_000
    site.tricks["/simple/"] = [Trick(stall=10) for _ in range(9)]
    with pytest.raises(WebError) as caught:
        read_page(site.url("/simple/"), settings=PipSettings(), stall_s=0.2)
    assert "has sent nothing" in caught.value.why


def test_pages_of_this_computer(tmp_path):
    (tmp_path / "index.html").write_text("<a>")
    assert read_page(tmp_path.as_uri(), settings=PipSettings()).body == b"<a>"
    with pytest.raises(WebError) as caught:
        read_page(str(tmp_path / "none"), settings=PipSettings())
    assert caught.value.code == 404


def test_sizes_by_head_or_by_the_headers_of_get(site, tmp_path):
    assert size_of(site.url(FILE), settings=PipSettings()) == len(DATA)
    assert site.asked[-1].method == "HEAD"
    site.tricks[FILE] = [Trick(status=405)]
    assert size_of(site.url(FILE), settings=PipSettings()) == len(DATA)
    site.tricks[FILE] = [Trick(status=302, headers={"Location": FILE})]
    assert size_of(site.url(FILE), settings=PipSettings()) == len(DATA)
    assert size_of(site.url("/none"), settings=PipSettings()) is None
    assert size_of("http://[bad", settings=PipSettings()) is None
    (tmp_path / "f").write_bytes(b"abc")
    assert size_of(str(tmp_path / "f"), settings=PipSettings()) == 3


def test_what_does_not_speak_http_in_words(tmp_path):
    with serving(Site({FILE: DATA})) as site, Cutter(site.port, after=20) as way:
        with pytest.raises(WebError) as caught:
            get(site, tmp_path, url=f"http://127.0.0.1:{way.port}{FILE}")
        assert re.search(r"127\.0\.0\.1", caught.value.why)
        assert way.connections == 3

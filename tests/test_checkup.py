"""The check-up: places judged from facts, the network asked for real, everything as JSON."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from launcher.commands.checkup import Environment, Survey, findings
from launcher.commands.facts import document
from launcher.errors import Problem, Severity
from launcher.install.index import PipSettings
from launcher.install.reach import Later, hub_target, index_targets, probe, proxies, trainer_targets
from launcher.machine import Fact, Gpu, Machine
from launcher.machine.drives import Mount, cloud_roots, look_at_folder, mount_of, write_error
from launcher.machine.folder import INNER, LONGEST_PREFIX, FolderFacts, examine_folder
from launcher.machine.pythons import Python
from launcher.paths import HOME_VARIABLE

ROOT = Path(__file__).resolve().parent.parent
WINDOWS = FolderFacts(os_name="windows", has_long_paths=False, file_system="ntfs")
LINUX = FolderFacts(os_name="linux", file_system="ext4")


def judged(folder, facts):
    return [(problem.severity, problem.what) for problem in examine_folder(folder, facts)]


# Folders.


@pytest.mark.parametrize(
    ("folder", "facts", "severity", "words"),
    [
        ("C:\\Users\\Mia\\AppData\\Local\\Temp\\Temp1_launcher-main.zip\\launcher-main", WINDOWS, Severity.ERROR, "inside a ZIP"),
        ("C:\\Users\\Mia\\AppData\\Local\\Temp\\a1b2_launcher.zip.5c6\\launcher", WINDOWS, Severity.ERROR, "inside a ZIP"),
        ("C:/Users/Mia/AppData/Local/Temp/7zO4C2/launcher", WINDOWS, Severity.ERROR, "inside a ZIP"),
        ("C:\\Users\\Mia\\AppData\\Local\\Temp\\Rar$EXa1.2\\launcher", WINDOWS, Severity.ERROR, "inside a ZIP"),
        ("C:\\" + "x" * (LONGEST_PREFIX - len(INNER) - 2), WINDOWS, Severity.WARNING, "40 characters"),
        ("D:\\Mia\\Cloud\\lora", replace(WINDOWS, cloud_roots=("d:\\mia\\cloud\\",)), Severity.WARNING, "OneDrive"),
        ("C:\\Users\\Mia\\OneDrive - School\\lora", WINDOWS, Severity.WARNING, "OneDrive"),
        ("C:\\Users\\Mia\\Dropbox\\lora", WINDOWS, Severity.WARNING, "Dropbox"),
        ("\\\\nas\\share\\lora", replace(WINDOWS, is_network=True, file_system=""), Severity.WARNING, "network drive"),
        ("C:\\lora", replace(WINDOWS, write_error="Permission denied"), Severity.ERROR, "nothing can be written"),
        ("E:\\lora", replace(WINDOWS, file_system="exfat"), Severity.NOTE, "no hard links"),
        ("E:\\lora", replace(WINDOWS, file_system="fat32"), Severity.WARNING, "no files above 4 GB"),
        ("C:\\訓練", WINDOWS, Severity.NOTE, "letters beyond English"),
        ("C:\\a;b", WINDOWS, Severity.WARNING, "`;`"),
        ("/mnt/nas/lora", replace(LINUX, file_system="nfs4"), Severity.WARNING, "network drive (nfs4)"),
        ("/mnt/nas/lora", replace(LINUX, file_system="fuse.sshfs"), Severity.WARNING, "network drive"),
        ("/mnt/c/lora", replace(LINUX, file_system="9p"), Severity.WARNING, "Windows drive"),
        ("/media/stick/lora", replace(LINUX, file_system="exfat"), Severity.ERROR, "cannot hold an environment"),
        ("/data/lora", replace(LINUX, is_noexec=True), Severity.ERROR, "noexec"),
        ("/data/訓練", replace(LINUX, encoding="ascii"), Severity.WARNING, "ascii"),
        ("/data/a:b", LINUX, Severity.WARNING, "`:`"),
        ("/Users/mia/Library/CloudStorage/OneDrive-Personal/lora", replace(LINUX, os_name="macos", file_system="apfs"), Severity.WARNING, "OneDrive"),
        ("/Users/mia/Library/Mobile Documents/x/lora", replace(LINUX, os_name="macos", file_system="apfs"), Severity.WARNING, "iCloud"),
    ],
)  # fmt: skip
def test_a_bad_folder_is_named(folder, facts, severity, words):
    found = judged(folder, facts)
    assert len(found) == 1, found
    assert found[0][0] is severity
    assert words in found[0][1]


@pytest.mark.parametrize(
    ("folder", "facts"),
    [
        ("C:\\lora", WINDOWS),
        ("C:\\my lora training", WINDOWS),
        ("C:\\" + "x" * (LONGEST_PREFIX - len(INNER) - 3), WINDOWS),
        ("C:\\" + "x" * 150, replace(WINDOWS, has_long_paths=True)),
        ("D:\\Mia\\Clouds\\lora", replace(WINDOWS, cloud_roots=("D:\\Mia\\Cloud",))),
        ("C:\\Temp\\lora", WINDOWS),
        ("C:\\Users\\Mia\\OneDriver\\lora", WINDOWS),
        ("/home/mia/訓練 データ", LINUX),
        ("/home/mia/" + "x" * 200, LINUX),
        ("/home/mia/a;b", LINUX),
    ],
)
def test_a_good_folder_is_left_in_peace(folder, facts):
    assert judged(folder, facts) == []


def test_the_longest_file_of_an_environment_fits_below_the_longest_folder():
    """Facts, section 5: 171 characters below site-packages; 259 are all that old Windows takes."""
    folder = "C:\\" + "x" * (LONGEST_PREFIX - len(INNER) - 3)
    assert len(folder + INNER) + 171 == 259
    assert judged(folder + "x", WINDOWS)


def test_onedrive_is_known_by_its_variables():
    environ = {
        "OneDrive": "C:\\O",
        "OneDriveConsumer": "C:\\O",
        "OneDriveCommercial": "D:\\W",
        "PATH": "C:\\x",
    }
    assert cloud_roots(environ) == ("C:\\O", "D:\\W")


def test_the_drive_of_a_folder():
    mounts = [Mount("/", "ext4", "rw"), Mount("/mnt/nas", "nfs4", "rw"), Mount("/mnt", "tmpfs", "rw"), Mount("/mnt/nas", "cifs", "rw,noexec")]  # fmt: skip
    assert mount_of(PurePosixPath("/mnt/nas/a/b"), mounts).fstype == "cifs"
    assert mount_of(PurePosixPath("/mnt/nasty"), mounts).fstype == "tmpfs"
    assert mount_of(PurePosixPath("/home"), mounts).fstype == "ext4"
    assert mount_of(PurePosixPath("/home"), []) is None


def test_this_systems_own_folders(tmp_path):
    facts = look_at_folder(tmp_path / "not" / "yet")
    assert facts.write_error == ""
    assert list(tmp_path.iterdir()) == [], "looking left something behind"
    if sys.platform == "linux":
        assert facts.os_name == "linux"
        assert facts.file_system
        assert write_error(Path("/proc/self"))  # nobody can write there, not even root
        assert examine_folder("/proc/self")[0].severity is Severity.ERROR


# The network.


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        if "slow" in self.path:
            time.sleep(3)
        code = int(self.path.strip("/").split("/")[0]) if self.path[1:4].isdecimal() else 200
        self.send_response(code)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.asked = True, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def free_port():
    with socket.socket() as probe_socket:
        probe_socket.bind(("127.0.0.1", 0))
        return probe_socket.getsockname()[1]


def test_every_place_is_asked_and_says_what_is_wrong(server):
    here = f"http://127.0.0.1:{server.server_port}"
    targets = [
        ("good", f"{here}/simple/torch/"), ("missing", f"{here}/404/torch/"), ("refused", f"{here}/403/torch/"),
        ("broken", f"{here}/503/torch/"), ("nobody", f"http://127.0.0.1:{free_port()}/"), ("no address", "nonsense://x/"),
        ("secret", f"http://mia:hunter2@127.0.0.1:{server.server_port}/401/"),
    ]  # fmt: skip
    found = {place.name: place for place in probe(targets, PipSettings(index=targets[-1][1]))}
    assert [name for name, place in found.items() if place.is_reached] == ["good", "missing"]
    assert "403" in found["refused"].words
    assert "503" in found["broken"].words
    assert found["nobody"].words
    assert found["no address"].words
    assert "hunter2" not in repr(found)
    assert any(secret and secret.startswith("Basic ") for path, secret in server.asked if "401" in path)


def test_a_proxy_of_pips_settings_is_used(server):
    settings = PipSettings(proxy=f"http://127.0.0.1:{server.server_port}")
    assert probe([("index", "http://index.invalid/simple/torch/")], settings)[0].is_reached
    assert server.asked[0][0] == "http://index.invalid/simple/torch/"


def test_a_silent_place_costs_no_more_than_the_deadline(server):
    here = f"http://127.0.0.1:{server.server_port}"
    began = time.monotonic()
    found = probe([("a", f"{here}/slow"), ("b", f"{here}/slow/2"), ("c", f"{here}/quick")], PipSettings(), deadline_s=0.7)  # fmt: skip
    assert time.monotonic() - began < 2.5
    assert [place.is_reached for place in found] == [False, False, True]
    assert "no answer" in found[0].words


def test_what_is_done_meanwhile_keeps_its_error():
    with pytest.raises(ZeroDivisionError):
        Later(lambda: 1 // 0).result(until=time.monotonic() + 5)
    assert Later(lambda: time.sleep(1)).result(until=time.monotonic() + 0.05) is None
    assert Later(lambda: 7).result(until=time.monotonic() + 5) == 7


def test_a_folder_of_wheels_is_looked_at(tmp_path):
    settings = PipSettings(index=(tmp_path / "simple").as_uri(), extra_indexes=(str(tmp_path),))
    assert [place.is_reached for place in probe(index_targets(settings), settings)] == [False, True]
    assert index_targets(PipSettings(index="https://x/simple", no_index=True)) == []


def test_the_trainers_indexes_and_the_hub_are_asked_too(paths):
    urls = [url for _, url in trainer_targets(paths)]
    assert any(url.startswith("https://download.pytorch.org/whl/") for url in urls)
    assert len(urls) == len(set(urls))
    assert hub_target({})[1] == "https://huggingface.co"
    assert hub_target({"HF_ENDPOINT": "https://mirror.example"})[1] == "https://mirror.example"


def test_a_proxy_is_told_by_the_name_of_its_variable_only():
    environ = {
        "https_proxy": "http://mia:hunter2@proxy:1",
        "NO_PROXY": "localhost",
        "HTTP_PROXY": "",
        "PATH": "x",
    }
    assert proxies(environ, PipSettings()) == ["NO_PROXY", "https_proxy"]
    assert proxies({}, PipSettings(proxy="http://mia:hunter2@proxy:1")) == ["pip's configuration"]
    assert proxies({"PIP_PROXY": "x"}, PipSettings(proxy="x")) == ["PIP_PROXY"]


# Judging.

MACHINE = Machine(
    os="Linux 6", os_name="linux", arch="x86_64", cores=8, ram_mib=32_000, free_ram_mib=20_000, swap_mib=0,
    gpus=(Gpu(name="NVIDIA GeForce RTX 3060 Ti", capability=(8, 6), total_mib=8192, free_mib=7000, driver="551.23"),),
    has_bf16=Fact(value=True, reason="8.6"), driver="551.23", cuda_driver="12.4", gpu_source="pynvml",
)  # fmt: skip
READY = Environment(name="rehearsal", reason=None, is_begun=True, folder=Path("/x/1"), generations=("1",))
SEEN = Survey(
    machine=MACHINE, disk_mib=50_000, folder=Path("/x"), folder_problems=(), home=Path("/x"), home_error="",
    environments=(READY,), default_trainer="rehearsal", accelerate_note=None, pythons=(), reached=(), proxies=(),
)  # fmt: skip


def problems_of(seen):
    return {(title, problem.severity) for title, _, problem in findings(seen) if problem}


def on_machine(**changes):
    return replace(SEEN, machine=replace(MACHINE, **changes))


def text_of(seen):
    return "\n".join(f"{title} {value} {problem}" for title, value, problem in findings(seen))


def test_a_good_computer_has_no_problem():
    assert problems_of(SEEN) == set()
    text = text_of(SEEN)
    for words in (
        "RTX 3060 Ti",
        "8192 MiB",
        "7000 free",
        "compute capability 8.6",
        "551.23",
        "CUDA up to 12.4",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("seen", "title", "severity"),
    [
        (replace(SEEN, disk_mib=5000), "disk", Severity.WARNING),
        (replace(SEEN, home_error="read-only"), "your data", Severity.ERROR),
        (
            replace(SEEN, folder_problems=(Problem(severity=Severity.ERROR, what="zip"),)),
            "folder",
            Severity.ERROR,
        ),
        (on_machine(ram_mib=12_000, swap_mib=2_000), "memory", Severity.WARNING),
        (on_machine(arch_note="this Python is a 32-bit one"), "system", Severity.WARNING),
        (
            on_machine(gpu_note="not every card answers (card 1: GPU is lost)"),
            "graphics card",
            Severity.WARNING,
        ),
        (on_machine(gpus=(), gpu_note="Driver/library version mismatch"), "graphics card", Severity.WARNING),
        (
            on_machine(gpus=(), gpu_note="an NVIDIA card is in this computer, but"),
            "graphics card",
            Severity.WARNING,
        ),
        (on_machine(gpus=(), gpu_note="no NVIDIA driver answers"), "graphics card", Severity.NOTE),
        (on_machine(visible_devices="0"), "hidden cards", Severity.NOTE),
        (replace(SEEN, accelerate_note="Your own configuration says fp8"), "accelerate", Severity.NOTE),
        (replace(SEEN, reached=None), "network", Severity.WARNING),
        (
            replace(SEEN, environments=(replace(READY, reason="no marker"),)),
            "trainer rehearsal",
            Severity.ERROR,
        ),
        (
            replace(SEEN, environments=(READY, replace(READY, name="b", reason="damaged"))),
            "trainer b",
            Severity.ERROR,
        ),
    ],
)
def test_what_is_wrong_is_judged(seen, title, severity):
    assert problems_of(seen) == {(title, severity)}


def test_enough_swap_makes_up_for_memory():
    assert problems_of(on_machine(ram_mib=12_000, swap_mib=8_000)) == set()
    assert problems_of(on_machine(ram_mib=0)) == set()  # not known is not too little


def test_a_trainer_that_nobody_wanted_is_no_fault():
    other = replace(READY, name="sd-scripts", reason="not there", is_begun=False)
    assert problems_of(replace(SEEN, environments=(READY, other))) == set()
    alone = replace(SEEN, environments=(replace(READY, reason="not there", is_begun=False), other))
    assert problems_of(alone) == {("trainer rehearsal", Severity.ERROR)}


def test_pythons_are_named_with_what_is_wrong():
    good = Python(path=Path("/p/3.11"), source="PATH", version=(3, 11, 7), bits=64, title="CPython 3.11.7")
    stub = Python(path=Path("/w/python.exe"), source="PATH", problem="an alias of the Microsoft Store")
    old = replace(good, version=(3, 8, 1), title="CPython 3.8.1")
    text = text_of(replace(SEEN, pythons=(good, old, stub)))
    assert "CPython 3.11.7" in text
    assert "3.8.1" not in text
    assert f"{stub.path}: an alias" in text
    assert "uv brings one" in text_of(replace(SEEN, pythons=(stub,)))


# The whole command.


def doctor(home, *words, **environ):
    environment = {**os.environ, HOME_VARIABLE: str(home), **environ}
    return subprocess.run([sys.executable, "-m", "launcher", "doctor", *words], cwd=ROOT, env=environment, capture_output=True, text=True, encoding="utf-8", check=False, timeout=60)  # fmt: skip


def test_the_json_tells_everything_and_no_secret(tmp_path, server):
    """No network but loopback: pip's settings name this server as index and as proxy, HF_ENDPOINT too."""
    here = f"127.0.0.1:{server.server_port}"
    done = doctor(
        tmp_path, "--json", PIP_CONFIG_FILE=os.devnull, PIP_INDEX_URL=f"http://mia:hunter2@{here}/simple",
        PIP_PROXY=f"http://mia:hunter3@{here}", HF_ENDPOINT=f"http://{here}/hub", https_proxy=f"http://mia:hunter3@{here}",
        CUDA_VISIBLE_DEVICES="7",
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "hunter" not in done.stdout + done.stderr
    told = json.loads(done.stdout)
    facts = told["facts"]
    assert facts["machine"]["ram_mib"] > 0
    assert facts["machine"]["arch"]
    assert facts["machine"]["gpu_source"]
    assert facts["machine"]["visible_devices"] == "7"
    assert isinstance(facts["gpus"], list)
    assert any(python["is_own"] and python["version"] for python in facts["pythons"])
    assert facts["folder"]["path"] == str(ROOT)
    assert [environment["name"] for environment in facts["environments"]]
    assert set(facts["proxy"]) >= {"https_proxy", "PIP_PROXY"}
    reached = {place["name"]: place["is_reached"] for place in facts["indexes"]}
    assert reached["package index"] is True
    assert reached["model hub"] is True
    assert any(name.startswith("torch ") for name in reached)
    titles = [finding["title"] for finding in told["findings"]]
    assert {"folder", "memory", "disk", "Pythons", "package index", "your data"} <= set(titles)


def test_where_nothing_answers_it_still_ends_within_ten_seconds(tmp_path):
    with socket.socket() as hole:  # accepts connections (by its backlog) and never says a word
        hole.bind(("127.0.0.1", 0))
        hole.listen(64)
        here = f"http://127.0.0.1:{hole.getsockname()[1]}"
        began = time.monotonic()
        done = doctor(tmp_path, "--json", PIP_CONFIG_FILE=os.devnull, PIP_INDEX_URL=f"{here}/simple", PIP_PROXY=here, HF_ENDPOINT=here)  # fmt: skip
        took = time.monotonic() - began
    places = json.loads(done.stdout)["facts"]["indexes"]
    assert places
    assert not any(place["is_reached"] for place in places)
    assert took < 12, took  # ten, and what a busy computer adds


def test_a_record_is_written_down_as_it_was_seen():
    told = document(SEEN, findings(SEEN))
    assert json.loads(json.dumps(told)) == told
    assert told["facts"]["gpus"][0]["capability"] == "8.6"
    assert told["facts"]["machine"]["cuda_driver"] == "12.4"
    assert document(replace(SEEN, pythons=None), [])["facts"]["pythons"] is None

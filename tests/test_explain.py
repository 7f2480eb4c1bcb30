"""What tools really say (tests/sayings) is explained; what they say when all is well is not."""

import random
import re
import string
import sys
import time
from pathlib import Path

import pytest

from launcher.errors import InstallError
from launcher.install.commands import Commands, Log, advice
from launcher.install.explain import RULES, explain, known, without_noise
from launcher.install.explain_rule import compile_sign
from launcher.install.index import PipSettings
from launcher.process import Finished

SAYINGS = Path(__file__).parent / "sayings"
LIMIT_S = (
    2.0  # "well under a second" when nothing else runs: measured 0.1 to 0.5 s; the machines of CI are shared
)
MEGABYTE = 1_000_000
CHATTER = "".join(f"Downloading package-{n} (12.3MiB)\r + package-{n}==1.{n}\n" for n in range(20_000))


class Saying:
    """One recorded output: what is expected of it, how it was provoked, what was said."""

    def __init__(self, path):
        head, _, self.output = path.read_text(encoding="utf-8").partition("----\n")
        lines = dict(line.split(": ", 1) for line in head.splitlines())
        self.name = path.relative_to(SAYINGS).with_suffix("").as_posix()
        self.expect = lines["expect"]
        self.how = lines["how"]
        self.code = int(lines["code"])
        self.windows = lines.get("windows") == "yes"

    def explain(self):
        return explain(self.output, code=self.code, windows=self.windows)


ALL = [Saying(path) for path in sorted(SAYINGS.rglob("*.txt")) if "training" not in path.parts]
FAILED = [saying for saying in ALL if saying.expect != "none"]
FINE = [saying for saying in ALL if saying.expect == "none"]


def by_name(name):
    return next(saying for saying in ALL if saying.name == name)


# --- every saying has its explanation


@pytest.mark.parametrize("saying", FAILED, ids=lambda saying: saying.name)
def test_saying_is_explained(saying):
    found = saying.explain()
    assert found is not None
    assert (found.name, found.what != "", found.why != "", found.fix != "") == (
        saying.expect,
        True,
        True,
        True,
    )
    whole = f"{found.what} {found.why} {found.fix}"
    assert not re.search(r"\{\w+\}", whole), "a placeholder was left"


@pytest.mark.parametrize("saying", FINE, ids=lambda saying: saying.name)
def test_success_is_not_explained(saying):
    assert saying.code == 0
    assert explain(saying.output, windows=saying.windows) is None


def test_every_saying_tells_where_it_is_from():
    assert len(ALL) > 150
    assert {saying.how.strip() != "" for saying in ALL} == {True}
    assert all(saying.code != 0 for saying in FAILED if saying.name != "git-portal")


def test_entries_that_no_saying_shows_are_few():
    """An entry without an example may have never been right: these are Windows', exit codes', or need a GPU."""
    shown = {saying.expect for saying in FAILED}
    unseen = {entry.name for entry in known()} - shown
    assert unseen == {"bad-cache", "crashed", "git-old", "network", "old-processor", "stopped", "tls"}


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("Failed to deserialize cache entry", "bad-cache"),
        ("Segmentation fault (core dumped)", "crashed"),
        ("git: 'sparse-checkout' is not a git command. See 'git --help'.", "git-old"),
        ("error: error sending request for url (https://index.test/simple/six/)", "network"),
        ("Illegal instruction (core dumped)", "old-processor"),
        ("Traceback\nKeyboardInterrupt", "stopped"),
        ("[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:1006)", "tls"),
        ("fatal: unable to access 'https://x.test/y/': gnutls_handshake() failed: handshake failure", "tls"),
    ],
)
def test_the_others_by_a_line_each(output, name):
    assert explain(output, windows=False).name == name


@pytest.mark.parametrize(
    "output", ["", "\n\n", "all is well", "Installed 57 packages in 3.40s", "100%|█| 9/9"]
)
def test_nothing_known_is_nothing_said(output):
    assert explain(output, code=1) is None


# --- names from the output reach the words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("uv-dns", "nowhere.invalid"),
        ("git-dns", "nowhere.invalid"),
        ("uv-hash-required", "six==1.0"),
        ("pip-hash-required", "six==1.0"),
        ("pip-no-version", "six==9.9"),
        ("uv-conflict", "xformers"),
        ("uv-no-wheel-glibc", "six==1.0"),
        ("uv-metadata-missing", "six==1.0"),
        ("uv-requires-python", "Python 3.12.1"),
        ("git-dubious", "/home/user/launcher/repo"),
        ("git-no-branch", "v9.9"),
        ("uv-permission-cache", "/home/user/launcher/cache"),
        ("pip-cert-file-missing", "/gone/ca.pem"),
        ("uv-python-download", "Python 3.12"),
        ("python-no-module", "einops"),
        ("quoted/glibcxx", "GLIBCXX_3.4.29"),
        ("quoted/torch-fbgemm", "fbgemm.dll"),
        ("quoted/windows-in-use", r"c:\users\u\appdata"),
    ],
)
def test_names_are_taken_over(name, words):
    found = by_name(name).explain()
    assert words in f"{found.what} {found.why} {found.fix}"


def test_progress_of_carriage_returns_hides_nothing():
    progress = "".join(f"Receiving objects: {n % 100}%\r" for n in range(50_000))
    assert explain(f"{progress}fatal: early EOF").name == "connection-lost"


def test_said_is_the_line_that_gave_it_away():
    assert by_name("git-dies").explain().said.startswith("error: RPC failed; curl 18")
    assert len(by_name("pip-path-too-long").explain().said) <= 250


# --- systems


def test_numbers_mean_other_things_on_windows():
    in_use = "failed to remove file `C:\\lora\\venv\\x.dll`: Der Prozess kann nicht zugreifen (os error 32)"
    assert explain(in_use, windows=True).name == "in-use"
    assert "x.dll" in explain(in_use, windows=True).why
    assert explain("failed to write: Broken pipe (os error 32)", windows=False).name == "connection-lost"
    denied = "error: failed to rename: Zugriff verweigert (os error 5)"
    assert explain(denied, windows=True).name == "access-denied"
    assert explain("read: Input/output error (os error 5)", windows=False).name == "io-error"
    python = "PermissionError: [Errno 13] Permission denied: 'C:\\\\lora\\\\x'"
    assert explain(python, windows=True).name == "access-denied"
    assert explain(python.replace("C:\\\\", "/"), windows=False).name == "permission"


def test_remedies_fit_the_system(monkeypatch):
    full = "OSError: [WinError 206] The filename or extension is too long"
    assert "LongPathsEnabled" in explain(full, windows=True).fix
    cloud = "the cloud file provider is not running"
    assert "C:\\lora" in explain(cloud, windows=True).fix
    monkeypatch.setattr(sys, "platform", "linux")
    assert "C:\\lora" not in explain(cloud, windows=False).fix
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "iCloud" in explain(cloud, windows=False).fix


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (-9, "out-of-memory"), (137, "out-of-memory"), (-4, "old-processor"), (3221225501, "old-processor"),
        (-11, "crashed"), (3221225477, "crashed"), (3221225781, "dll-missing"), (9009, "store-python"),
        (-2, "stopped"), (3221225786, "stopped"),
    ],
)  # fmt: skip
def test_exit_code_speaks_when_the_output_does_not(code, name):
    assert explain("Resolved 57 packages\n", code=code).name == name
    assert explain("No space left on device (os error 28)", code=code).name == "disk-full"


# --- the special wins over the general, wherever it stands


@pytest.mark.parametrize(
    ("special", "general"),
    [
        ("uv-disk-full-venv", "uv-dns"),
        ("pip-proxy-407", "pip-new-401"),
        ("pip-proxy-407", "pip-refused"),
        ("pip-tls-self-signed", "pip-401"),
        ("uv-hash-required", "pip-timeout"),
        ("pip-conflict", "pip-timeout"),
        ("pip-no-version", "pip-timeout"),
        ("pip-dns", "pip-401"),
        ("quoted/torch-paging-file", "quoted/torch-fbgemm"),
        ("quoted/pip-virus", "pip-build-raises"),
        ("torch-xformers-other-torch", "torch-xformers-cpu"),
        ("uv-no-compiler", "uv-build-raises"),
        ("torch-no-driver", "python-no-module"),
    ],
)
def test_special_wins_in_any_order(special, general):
    one, other = by_name(special), by_name(general)
    assert one.expect != other.expect
    for output in (one.output + other.output, other.output + one.output):
        assert explain(output, windows=one.windows).name == one.expect


@pytest.mark.parametrize("saying", FAILED, ids=lambda saying: saying.name)
def test_much_chatter_around_it_does_not_hide_it(saying):
    for output in (CHATTER + saying.output, saying.output + CHATTER):
        found = explain(output, windows=saying.windows)
        assert found.name == saying.expect


# --- no secrets


SECRETS = ("hunter2secret", "tok3nvalue", "p%40ss", "p@ss")


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hunter2secret@index.test/simple/six/",
        "https://tok3nvalue@index.test/simple/six/",
        "https://me:p@ss@index.test/simple/six/",
        "https://me:p%40ss@index.test:8443/simple/six/",
        "https://aws:" + "tok3nvalue" * 150 + "@index.test/simple/",
        "https://aws:" + "tok3nvalue" * 900 + "@index.test/simple/",
        "https://index.test/simple/?token=tok3nvalue",
    ],
)
@pytest.mark.parametrize(
    "output",
    [
        "error: Failed to fetch: {}\n  cause: dns error\n",
        "error sending request for url ({}): Connection refused (os error 111)",
        "fatal: unable to access '{}': Could not resolve host: index.test",
        "fatal: repository '{}' not found",
        "fatal: Authentication failed for '{}'",
        "ERROR: HTTP error 403 while getting {}",
        "Looking in indexes: {}\nERROR: No matching distribution found for six",
        "Could not fetch URL {}: There was a problem confirming the ssl certificate: certificate verify failed",
    ],
)
def test_no_secret_of_a_url_is_repeated(output, url):
    for text in (
        output.format(url),
        "x" * 30_000 + output.format(url),
        output.format(url) + "\n" + "x\n" * 90_000,
    ):
        found = explain(text, windows=False)
        told = repr(found)
        assert not any(secret in told for secret in SECRETS)


def test_recorded_sayings_hold_no_password():
    assert "hunter2secret" not in "".join(saying.output for saying in ALL)


# --- nothing takes long, whatever the output


def hostile():
    rng = random.Random(5)
    printable = string.printable
    yield "random", "".join(rng.choices(printable, k=MEGABYTE))
    yield "one line", "a" * MEGABYTE
    yield "one line of URLs", "https://" * (MEGABYTE // 8)
    yield "lines of letters", ("a" * 1_999 + "\n") * (MEGABYTE // 2_000)
    yield "lines of URLs", ("https://a:b@" * 160 + "\n") * (MEGABYTE // 1_921)
    yield "empty lines", "\n" * MEGABYTE
    yield "spaces", " " * MEGABYTE
    yield "bars", "│ " * (MEGABYTE // 2)
    yield "colours", "\x1b[" * (MEGABYTE // 2)
    yield "quotes", "'`\"" * (MEGABYTE // 3)
    yield "digits", "(os error 1" * (MEGABYTE // 11)
    yield "carriage returns", "Receiving objects: 12%\r" * (MEGABYTE // 23)
    yield "not characters of ours", "訓練İ" * (MEGABYTE // 3)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("name", "output"), list(hostile()), ids=[name for name, _ in hostile()])
def test_hostile_output_takes_no_time(name, output):
    started = time.thread_time()
    explain(output, windows=True)
    explain(output, windows=False)
    assert time.thread_time() - started < 2 * LIMIT_S


def beginnings(sign):
    """Texts that begin as the sign does, and then never come to an end."""
    plain = re.split(r"[\\\[\](){}.*+?|^$]", sign.replace(r"\.", "."))[0]
    yield from (plain + filler for filler in ("", " ", "a", "`", "'", ": "))


@pytest.mark.timeout(280)
def test_no_sign_backtracks():
    """Every sign against megabytes of its own beginning: with a repetition inside a repetition this would take hours."""
    slow = []
    signs = {sign for rule in RULES for sign in rule.signs}
    for sign in sorted(signs):
        pattern = compile_sign(sign)
        for text in {text for text in beginnings(sign) if text.strip()}:
            line = (text * (2_000 // len(text)))[:1_990] + "\n"
            output = line * 30
            started = time.thread_time()
            pattern.search(output)
            taken = time.thread_time() - started
            if taken > 0.5:
                slow.append((sign, text, taken))
    assert slow == []


# --- the registry keeps its own rules


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_entry_is_well_formed(rule):
    assert re.fullmatch(r"[a-z0-9-]+", rule.name)
    assert rule.signs
    assert rule.only in {"", "windows", "unix"}
    for words in (rule.what, rule.why, rule.fix):
        assert words
        assert set(re.findall(r"\{(\w+)\}", words)) <= {"package", "host", "file", "version"}
        assert "  " not in words
    assert rule.what.endswith("."), "a sentence"
    assert rule.why.endswith("."), "a sentence"


@pytest.mark.parametrize("sign", sorted({sign for rule in RULES for sign in rule.signs}))
def test_sign_is_well_formed(sign):
    bare = re.sub(r"\(\?P<\w+>|\(\?P=\w+\)", "(", re.sub(r"\\.", "X", sign))
    assert bare.replace("X", "") == bare.replace("X", "").lower(), "the output is in lower case"
    classes = re.findall(r"\[[^\]]*\]", bare)
    assert not [one for one in classes if " " in one], (
        "a space in a class: it would stand for a run of spaces"
    )
    plain = re.sub(r"\[[^\]]*\]", "C", bare)
    assert not re.search(r" [*+?{]", plain), "a repeated space: it stands for a run already"
    assert not re.search(r"[*+]", plain.replace("(?:C*@)?", "")), "a repetition without a bound"
    assert not re.match(r"[CX.][?{]", plain), "it begins with anything: slow on long lines"


def test_known_is_the_table_for_the_documents():
    entries = known()
    names = [entry.name for entry in entries]
    assert len(names) == len(set(names)) > 90
    assert not any("{" in f"{entry.what}{entry.why}{entry.fix}" for entry in entries)
    assert {"disk-full", "dns", "proxy-login", "hash", "torch-cpu", "no-kernel", "access-denied"} <= set(
        names
    )


# --- where it is used


def failing(tmp_path, output, code=1):
    commands = Commands(settings=PipSettings(), cache=tmp_path, log=Log(tmp_path / "log.txt"))
    with pytest.raises(InstallError) as caught:
        commands.need(
            Finished(argv=("uv",), code=code, output=output), "The packages could not be installed."
        )
    return caught.value


def test_failed_command_is_told_in_words(tmp_path):
    error = failing(tmp_path, by_name("uv-disk-full-venv").output, 2)
    assert error.what == "The packages could not be installed."
    assert error.why.startswith("The drive is full.")
    assert "It said: cause: failed to copy file" in error.why
    assert "Make room" in error.fix
    assert error.where == str(tmp_path / "log.txt")


def test_unknown_failure_shows_the_end_of_what_was_said(tmp_path):
    chatter = "\n".join(f"line {n}" for n in range(99))
    error = failing(
        tmp_path, f"{chatter}\nwarning: Failed to hardlink files; falling back to full copy.\nodd\n"
    )
    assert error.why.splitlines()[-2:] == ["line 98", "odd"]
    assert len(error.why.splitlines()) == 12
    assert "goes on where it stopped" in error.fix


def test_silent_failure_is_not_an_empty_message(tmp_path):
    assert "ended with code 7 and said nothing" in failing(tmp_path, "", 7).why
    killed = failing(tmp_path, "", -9)
    assert "memory" in killed.why
    assert "It said" not in killed.why


def test_success_passes_through(tmp_path):
    commands = Commands(settings=PipSettings(), cache=tmp_path, log=Log(tmp_path / "log.txt"))
    done = Finished(argv=("uv",), code=0, output="No space left on device")
    assert commands.need(done, "no") is done


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("error: failed to write: No space left on device (os error 28)", "Make room"),
        ("cause: dns error: failed to lookup address", "network connection"),
        ("invalid peer certificate: UnknownIssuer", "global.cert"),
        ("ProxyError('Cannot connect to proxy.', 407 Proxy Authentication Required)", "proxy"),
        ("HTTP status client error (401 Unauthorized)", "refuses the name or password"),
        ("Because torch was not found in the package registry", "does not have what is needed"),
        ("failed to remove file: Access is denied. (os error 5)", "virus scanner"),
        ("something new", "goes on where it stopped"),
    ],
)
def test_advice_fits_the_failure(output, words):
    assert words in advice(output)


def test_noise_is_what_tools_say_when_all_is_well():
    fine = by_name("fine-uv-hard-link").output
    assert "hardlink" in fine
    assert "hardlink" not in without_noise(fine)
    assert "Installed 1 package" in without_noise(fine)

"""The trainer's code: real git, real zips, real dying servers; the real trainers' trees where a checkout is at hand."""

import os
import random
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading
import warnings
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.errors import InstallError
from launcher.install import archive, git_tree, source
from launcher.install.archive import Limits, unpack
from launcher.install.commands import Commands, Log
from launcher.install.fetch import Patience
from launcher.install.git import find_git
from launcher.install.index import PipSettings
from launcher.install.pins import SourcePin, load_pins
from launcher.install.source import ChangedSourceError, SourceState, ensure_source, state_of, tree_of
from launcher.paths import Paths
from launcher.process import wait_until
from tests.loopback import Cutter, Site, Trick, serving

ROOT = Path(__file__).resolve().parent.parent
GIT = shutil.which("git")
QUICK = Patience(stall_s=1.0, tries=2, first_wait_s=0.01)
CODE = {
    "train.py": b"print('training')\n",
    "library/util.py": b"A = 1\n" * 200,
    "library/stored_with_crlf.py": b"B = 1\r\n" * 20,
    "library/sub/deep.bin": bytes(range(256)) * 40,
    "run.sh": b"#!/bin/sh\n",
    "dll/old.dll": b"MZ" * 50,
    # What this asks for must not happen on the way out of git.
    ".gitattributes": b"*.py text eol=crlf ident export-subst\ndocs export-ignore\n*.bin filter=evil\n*.sh working-tree-encoding=UTF-16\n",
    "docs/read.md": b"$Format:%H$ $Id$\n",
    "library/subst.py": b"ID = '$Format:%H$ $Id$'\n",
}  # fmt: skip


AS_STORED = "* -text !eol -ident !filter !working-tree-encoding\n"


def git(*words, cwd, **env):
    done = subprocess.run(
        [GIT, *words], cwd=cwd, capture_output=True, text=True, check=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **env},
    )  # fmt: skip
    return done.stdout.strip()


def write(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def commit(folder, message="one"):
    who = {f"GIT_{role}_{what}": "t@e.st" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    git("-c", "core.autocrlf=false", "add", "-A", "-f", cwd=folder)
    git("commit", "-q", "--allow-empty", "-m", message, cwd=folder, **who)
    return git("rev-parse", "HEAD", cwd=folder)


class Home:
    """A repository with the trainer's code, its zip, and everything `ensure_source` wants."""

    def __init__(self, folder):
        self.folder = folder
        self.repository = folder / "repository"
        self.repository.mkdir(parents=True)
        git("init", "-q", "-b", "main", cwd=self.repository)
        info = self.repository / ".git" / "info"
        info.mkdir(exist_ok=True)
        (info / "attributes").write_text(AS_STORED)  # here, and only here, nothing is converted
        write(self.repository, CODE)
        git("add", "-A", cwd=self.repository)
        git("update-index", "--chmod=+x", "run.sh", cwd=self.repository)
        (self.repository / "run.sh").chmod(0o755)
        commit(self.repository)
        dll = git("rev-parse", "HEAD:dll/old.dll", cwd=self.repository)
        self.pin = SourcePin(
            git=str(self.repository), zip=str(self.make_zip(folder / "code.zip")),
            commit=git("rev-parse", "HEAD", cwd=self.repository),
            tree=git("rev-parse", "HEAD^{tree}", cwd=self.repository), ref="main", executables=("run.sh",),
            omitted={"dll/old.dll": dll}, script="train.py",
        )  # fmt: skip
        self.told = []
        self.target = folder / "vendor" / "1" / "code"
        self.cache = folder / "sources"
        self.commands = Commands(settings=PipSettings(), cache=folder / "cache", log=Log(folder / "log"))

    def make_zip(self, path, files=CODE, top="trainer-1.0/"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, data in files.items():
                packed.writestr(top + name, data)
        return path

    def tell(self, words, /, **_):
        self.told.append(words)

    def ensure(self, given=None, *, pin=None, **more):
        ensure_source(
            self.commands, pin or self.pin, self.target, given=None if given is None else str(given), cache=self.cache,
            settings=self.commands.settings, tell=self.tell, patience=QUICK, **more,
        )  # fmt: skip
        assert state_of(self.target, pin or self.pin).state is SourceState.OK
        self.check_target()

    def check_target(self):
        found = {name: path.read_bytes() for name, path in git_tree.files_in(self.target)}
        assert found == {name: data for name, data in CODE.items() if name != "dll/old.dll"}
        assert not (self.target / ".git").exists()

    def leftovers(self):
        """What stands beside finished things."""
        places = [self.cache, self.target.parent]
        names = [path.name for place in places if place.exists() for path in place.iterdir()]
        return [n for n in names if n not in {"code", self.pin.tree, f".{self.pin.tree}.lock", ".locks"}]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path):
    if not GIT:
        pytest.skip("no git here to make a repository with")
    return Home(tmp_path / "a home ü")


NO_GIT = "launcher.install.source.find_git"


@pytest.fixture
def without_git(monkeypatch):
    monkeypatch.setattr(NO_GIT, lambda *_, **__: "git is not installed")


# --- git's tree hash


def test_the_tree_hash_is_gits_for_random_trees(tmp_path):
    if not GIT:
        pytest.skip("no git here to compare with")
    dice = random.Random(20)
    names = [
        "a",
        "a.b",
        "a-b",
        "a0",
        "A",
        "ab",
        "é",
        "z z",
        "b",
        "b.c",
        "-x",
        "訓練",
        "lib",
        "lib.py",
        "lib-x",
    ]
    for turn in range(25):
        folder = tmp_path / str(turn)
        folder.mkdir()
        git("init", "-q", cwd=folder)
        for _ in range(dice.randint(1, 25)):
            path = folder.joinpath(*dice.choices(names, k=dice.randint(1, 4)))
            if not any(parent.is_file() for parent in path.parents) and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(dice.randbytes(dice.choice([0, 1, 10, 3000])))
        (folder / "empty" / "inside").mkdir(parents=True)
        (folder / "__pycache__").mkdir()
        git("-c", "core.autocrlf=false", "add", "-A", cwd=folder)
        files = git("-c", "core.quotePath=false", "ls-files", cwd=folder).split("\n")
        runnable = tuple(dice.sample(files, k=min(len(files), 2)))
        git("update-index", "--chmod=+x", "--", *runnable, cwd=folder)
        blobs = git_tree.blobs_in(folder)
        tree = git("write-tree", cwd=folder)
        assert git_tree.tree_id(blobs, runnable) == tree
        pin = SourcePin(
            git="", zip="", commit="", tree=tree, ref="", executables=runnable, omitted={}, script=""
        )
        assert git_tree.listing_of(folder, pin) == blobs  # read from the index, without git


def test_files_that_may_be_absent_count_by_their_recorded_id(home):
    folder = home.repository
    assert tree_of(folder, home.pin) == home.pin.tree
    (folder / "dll" / "old.dll").write_bytes(b"another")
    assert tree_of(folder, home.pin) != home.pin.tree
    shutil.rmtree(folder / "dll")
    assert tree_of(folder, home.pin) == home.pin.tree
    (folder / "library" / "__pycache__").mkdir()
    (folder / "library" / "__pycache__" / "x.pyc").write_bytes(b"")
    assert tree_of(folder, home.pin) == home.pin.tree
    (folder / "library" / "extra.py").write_bytes(b"")
    assert tree_of(folder, home.pin) != home.pin.tree


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_are_refused(home, tmp_path):
    write(home.target, {"train.py": b"x"})
    (home.target / "link.py").symlink_to(home.target / "train.py")
    with pytest.raises(InstallError, match=r"link\.py"):
        tree_of(home.target, home.pin)
    assert state_of(home.target, home.pin).state is SourceState.CHANGED


@pytest.mark.parametrize(
    ("trainer", "variable", "tree"),
    [
        ("sd-scripts", "LAUNCHER_SD_SCRIPTS", "c956226d4432fcae1040419c4e70d1a09ce1bbf7"),
        ("sd-scripts-fp8", "LAUNCHER_SD_SCRIPTS_FP8", "f07b84a34ca5b0641a8c476dc9296d3008b0df5c"),
    ],
)
def test_the_real_trainers_have_their_pinned_trees(trainer, variable, tree, tmp_path):
    checkout = os.environ.get(variable)
    if not checkout:
        pytest.skip(f"{variable} names no checkout of {trainer}")
    pin = load_pins(Paths(root=ROOT, home=ROOT, shipped=ROOT), trainer).source
    assert pin.tree == tree
    commands = Commands(settings=PipSettings(), cache=tmp_path / "cache", log=Log(tmp_path / "log"))
    target = tmp_path / "code"
    ensure_source(
        commands, pin, target, given=checkout, cache=tmp_path / "sources", settings=PipSettings(),
        tell=lambda *_, **__: None,
    )  # fmt: skip
    assert tree_of(target, pin) == tree
    assert not any((target / name).exists() for name in pin.omitted)


# --- the ways it comes


def test_by_git_exactly_as_stored(home):
    home.ensure()
    assert home.leftovers() == []
    home.told.clear()
    home.ensure()
    assert home.told == []


def test_git_settings_of_the_user_change_nothing(home, tmp_path, monkeypatch):
    """His filters, line ends, hooks and attributes; and what a hook's environment would say."""
    evil = tmp_path / "ran"
    hooks = tmp_path / "hooks"
    write(
        hooks,
        {
            name: f"#!/bin/sh\ntouch '{evil}'\n".encode()
            for name in ("post-checkout", "reference-transaction", "post-index-change")
        },
    )
    for path in hooks.iterdir():
        path.chmod(0o755)
    attributes = tmp_path / "attributes"
    attributes.write_text("* text eol=crlf\n*.py filter=evil\n")
    config = tmp_path / "config"
    config.write_text(
        f'[core]\nautocrlf = true\neol = crlf\nhooksPath = {hooks}\nattributesFile = {attributes}\nfsmonitor = "touch {evil}"\n'
        f'[filter "evil"]\nsmudge = touch {evil}\nclean = touch {evil}\nrequired = true\n[init]\ntemplateDir = {tmp_path}\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nowhere2"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "nowhere3"))
    home.ensure(pin=replace(home.pin, zip="http://127.0.0.1:9/none.zip"))
    assert not evil.exists()
    assert not list(tmp_path.glob("nowhere*"))


def test_by_zip_where_there_is_no_git(home, without_git):
    home.ensure()
    assert home.leftovers() == []
    assert Path(home.pin.zip).exists()


def test_by_zip_from_a_server_goes_on(home, without_git):
    data = Path(home.pin.zip).read_bytes()
    with serving(Site({"/zip/code": data})) as site:
        site.tricks["/zip/code"] = [Trick(cut=700), *[Trick(status=404)]]
        pin = replace(home.pin, zip=site.url("/zip/code"))
        with pytest.raises(InstallError):
            home.ensure(pin=pin)
        assert state_of(home.target, pin).state is SourceState.MISSING
        home.ensure(pin=pin)
        assert site.first_bytes("/zip/code") == [0, 700, 700]
        assert home.leftovers() == []


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_zip_of_the_user(home, wrapped, tmp_path):
    given = home.make_zip(tmp_path / "mine.zip", top="x/" if wrapped else "")
    before = given.read_bytes()
    home.ensure(given)
    assert given.read_bytes() == before


def test_a_checkout_of_the_user_without_his_own_files(home):
    checkout = home.folder / "mine"
    git("clone", "-q", str(home.repository), str(checkout), cwd=home.folder)
    for name, data in CODE.items():  # as a checkout without the filters of its .gitattributes
        (checkout / name).write_bytes(data)
    write(checkout, {"venv/lib/x.py": b"", "my models/a.safetensors": b"x", "notes.txt": b"mine"})
    (checkout / "link").symlink_to("/")
    home.ensure(checkout)
    assert (checkout / "notes.txt").exists()
    assert home.leftovers() == []


def test_changes_of_the_user_are_listed_and_not_taken(home):
    checkout = home.folder / "mine"
    git("clone", "-q", str(home.repository), str(checkout), cwd=home.folder)
    for name, data in CODE.items():
        (checkout / name).write_bytes(data)
    (checkout / "train.py").write_bytes(b"my own\n")
    (checkout / "library" / "util.py").unlink()
    with pytest.raises(ChangedSourceError) as caught:
        home.ensure(checkout)
    assert caught.value.changes == ("missing library/util.py", "changed train.py")
    assert "changed train.py" in caught.value.why
    assert "stash" in caught.value.fix
    assert (checkout / "train.py").read_bytes() == b"my own\n"
    assert not home.target.exists()


@pytest.mark.parametrize("has_git", [True, False])
def test_line_ends_changed_by_autocrlf_are_told_and_healed(home, has_git, monkeypatch):
    if not has_git:
        monkeypatch.setattr(NO_GIT, lambda *_, **__: "git is not installed")
    checkout = home.folder / "mine"
    git("clone", "-q", "-n", str(home.repository), str(checkout), cwd=home.folder)
    (checkout / ".git" / "info").mkdir(exist_ok=True)
    (checkout / ".git" / "info" / "attributes").write_text(
        "* !text !eol -ident !filter !working-tree-encoding\n"
    )
    git("-c", "core.autocrlf=true", "checkout", "-q", "main", cwd=checkout)
    assert (checkout / "train.py").read_bytes().endswith(b"\r\n")
    home.ensure(checkout)
    assert any("autocrlf" in words for words in home.told)


def test_a_checkout_at_another_commit_gives_the_pinned_one_from_its_history(home):
    checkout = home.folder / "mine"
    git("clone", "-q", str(home.repository), str(checkout), cwd=home.folder)
    (checkout / "train.py").write_bytes(b"newer\n")
    commit(checkout, "newer")
    (checkout / "train.py").write_bytes(b"dirty\n")
    home.ensure(checkout)
    assert any("history" in words for words in home.told)
    assert (checkout / "train.py").read_bytes() == b"dirty\n"


def test_a_checkout_that_lacks_the_commit_in_words(home):
    other = home.folder / "other"
    other.mkdir()
    git("init", "-q", cwd=other)
    write(other, {"train.py": b"x"})
    commit(other)
    git("gc", "-q", cwd=other)
    with pytest.raises(InstallError, match="stands at another version") as caught:
        home.ensure(other)
    assert home.pin.commit in caught.value.fix


def test_a_bare_repository_and_a_worktree_will_do(home):
    bare = home.folder / "bare.git"
    git("clone", "-q", "--bare", str(home.repository), str(bare), cwd=home.folder)
    home.ensure(bare)
    shutil.rmtree(home.cache)
    shutil.rmtree(home.target)
    tree = home.folder / "worktree"
    git("worktree", "add", "-q", "-b", "side", str(tree), cwd=bare)
    for name, data in CODE.items():
        (tree / name).write_bytes(data)
    home.ensure(tree)


@pytest.mark.parametrize("wrapped", [True, False])
def test_an_unpacked_zip_of_the_user(home, wrapped):
    folder = write(home.folder / "unpacked" / ("trainer-1.0" if wrapped else ""), CODE)
    write(folder, {"venv/x.py": b"", ".DS_Store": b"", "library/__pycache__/u.pyc": b""})
    home.ensure(home.folder / "unpacked")


def test_unpacked_zips_that_will_not_do_in_words(home):
    folder = write(home.folder / "unpacked", CODE)
    (folder / "train.py").write_bytes(b"other")
    with pytest.raises(InstallError, match="not the pinned version") as caught:
        home.ensure(folder)
    assert home.pin.commit in caught.value.fix
    with pytest.raises(InstallError, match="does not hold the trainer's code"):
        home.ensure(write(home.folder / "empty", {"a.txt": b""}))
    with pytest.raises(InstallError, match="does not exist"):
        home.ensure(home.folder / "none")
    assert not home.target.exists()
    assert home.leftovers() == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_in_a_given_folder_lead_nowhere(home, tmp_path):
    secret = write(tmp_path / "secret", {"util.py": CODE["library/util.py"]})
    folder = write(home.folder / "unpacked", CODE)
    (folder / "library" / "util.py").unlink()
    (folder / "library" / "util.py").symlink_to(secret / "util.py")
    with pytest.raises(InstallError, match="alone"):
        home.ensure(folder)
    (folder / "library" / "util.py").unlink()
    os.mkfifo(folder / "library" / "util.py")  # reading it would wait for ever
    with pytest.raises(InstallError, match="alone"):
        home.ensure(folder)


def test_the_cache_serves_without_network_and_is_not_trusted_blindly(home):
    home.ensure()
    shutil.rmtree(home.target)
    gone = replace(home.pin, git="http://127.0.0.1:9/x.git", zip="http://127.0.0.1:9/x.zip")
    home.ensure(pin=gone)
    shutil.rmtree(home.target)
    (home.cache / home.pin.tree / "train.py").write_bytes(b"damaged")
    home.ensure()
    assert any("damaged" in words for words in home.told)


def test_a_changed_target_is_never_overwritten(home):
    home.ensure()
    (home.target / "train.py").write_bytes(b"my experiment")
    (home.target / "extra.py").write_bytes(b"")
    with pytest.raises(ChangedSourceError, match="not overwritten") as caught:
        home.ensure()
    assert caught.value.changes == ("added extra.py", "changed train.py")
    assert (home.target / "train.py").read_bytes() == b"my experiment"
    state = state_of(home.target, home.pin, home.cache / home.pin.tree)
    assert state.state is SourceState.CHANGED
    assert "changed train.py" in state.reason
    assert state_of(home.target, home.pin).reason  # without a copy to compare with
    (home.target / "extra.py").unlink()
    for name in ("train.py", "library/util.py"):
        (home.target / name).write_bytes(CODE[name].replace(b"\n", b"\r\n"))
    assert "autocrlf" in state_of(home.target, home.pin, home.cache / home.pin.tree).reason


# --- servers that die


@contextmanager
def daemon(folder):
    """A real `git daemon` for every repository below `folder`. Yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [
        GIT,
        "daemon",
        "--reuseaddr",
        "--export-all",
        "--listen=127.0.0.1",
        f"--port={port}",
        f"--base-path={folder}",
        str(folder),
    ]
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:

        def answers():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        if not wait_until(answers, timeout_s=10):
            pytest.skip("no git daemon can be started here")
        yield port
    finally:
        os.killpg(process.pid, 9)
        process.wait()


@pytest.fixture
def big_home(home):
    """With enough to send that a server can die in the middle."""
    data = random.Random(1).randbytes(400_000)
    (home.repository / "library" / "sub" / "deep.bin").write_bytes(data)
    files = {**CODE, "library/sub/deep.bin": data}
    head = commit(home.repository, "two")
    home.check_target = lambda: None
    home.pin = replace(
        home.pin, commit=head, tree=git("rev-parse", "HEAD^{tree}", cwd=home.repository),
        zip=str(home.make_zip(home.folder / "big.zip", files)),
    )  # fmt: skip
    return home


def test_a_git_server_that_dies_hands_over_to_the_zip(big_home):
    home = big_home
    with daemon(home.folder) as port, Cutter(port, after=100_000) as way:
        home.ensure(pin=replace(home.pin, git=f"git://127.0.0.1:{way.port}/repository"))
        assert way.connections >= 1
    assert any("trying as a zip file" in words for words in home.told)
    assert home.leftovers() == []


def test_a_git_server_that_goes_silent_is_given_up(big_home):
    home = big_home
    with daemon(home.folder) as port, Cutter(port, after=100_000, silent=True) as way:
        home.ensure(pin=replace(home.pin, git=f"git://127.0.0.1:{way.port}/repository"), git_timeout_s=3.0)
    assert any("trying as a zip file" in words for words in home.told)


def test_an_http_server_that_goes_silent_is_given_up(home):
    with serving(Site({"/x.git/info/refs?service=git-upload-pack": b"x" * 1000})) as site:
        site.tricks["/x.git/info/refs?service=git-upload-pack"] = [Trick(stall=10) for _ in range(5)]
        home.ensure(pin=replace(home.pin, git=site.url("/x.git")))
        assert site.asked
    assert any("trying as a zip file" in words for words in home.told)


def test_git_works_through_the_same_way_when_nothing_dies(big_home):
    home = big_home
    with daemon(home.folder) as port, Cutter(port) as way:
        home.ensure(
            pin=replace(
                home.pin, git=f"git://127.0.0.1:{way.port}/repository", zip="http://127.0.0.1:9/x.zip"
            )
        )


@pytest.mark.parametrize("has_moved", [True, False])
def test_a_server_that_refuses_commit_ids_is_asked_for_the_branch(home, has_moved, monkeypatch):
    count = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "protocol.version", "GIT_CONFIG_VALUE_0": "0"}
    for name, value in count.items():
        monkeypatch.setenv(name, value)  # the old protocol gives what names point to, and nothing else
    if has_moved:
        (home.repository / "newer.txt").write_bytes(b"newer")
        commit(home.repository, "newer")
    with daemon(home.folder) as port:
        home.ensure(
            pin=replace(home.pin, git=f"git://127.0.0.1:{port}/repository", zip="http://127.0.0.1:9/x.zip")
        )
    log = (home.folder / "log").read_text()
    assert ("unadvertised object" in log) is has_moved


def test_both_ways_dead_tells_both_reasons(home):
    with serving(Site()) as site:
        pin = replace(home.pin, git=site.url("/none.git"), zip=site.url("/none.zip"))
        with pytest.raises(InstallError, match="could not be fetched") as caught:
            home.ensure(pin=pin)
    assert "by git: " in caught.value.why
    assert "as a zip file: " in caught.value.why
    assert "does not have it" in caught.value.why
    assert "--source FILE" in caught.value.fix
    assert not home.target.exists()
    assert home.leftovers() == []


def test_a_repository_without_the_commit_in_words(home):
    pin = replace(home.pin, commit="1" * 40, ref="no-such-branch", zip="http://127.0.0.1:9/x.zip")
    with pytest.raises(InstallError) as caught:
        home.ensure(pin=pin)
    assert "no-such-branch" in caught.value.why


def test_a_commit_with_another_tree_is_refused(home, without_git):
    with pytest.raises(InstallError, match="not the pinned version"):
        home.ensure(pin=replace(home.pin, tree="0" * 40))
    assert not home.target.exists()


def test_mirrors_by_address(home):
    data = Path(home.pin.zip).read_bytes()
    with serving(Site({"/mirror/archive/1.zip": data, "/plain": data})) as site:
        home.ensure(site.url("/mirror/archive/1.zip"))
        shutil.rmtree(home.cache)
        shutil.rmtree(home.target)
        home.ensure(site.url("/plain"))  # says nothing: git is tried, then a zip
        assert any("service=git-upload-pack" in asked.path for asked in site.asked)
    shutil.rmtree(home.cache)
    shutil.rmtree(home.target)
    with daemon(home.folder) as port:
        home.ensure(f"git://127.0.0.1:{port}/repository")
    shutil.rmtree(home.cache)
    shutil.rmtree(home.target)
    home.ensure(home.repository.as_uri())
    for bad in ("--upload-pack=touch /tmp/x", "ext::sh -c id", "-oProxyCommand=x@y:z"):
        shutil.rmtree(home.cache)
        shutil.rmtree(home.target, ignore_errors=True)
        with pytest.raises(InstallError):
            home.ensure(bad)


def test_a_password_is_neither_on_a_command_line_nor_kept(home, tmp_path, monkeypatch):
    """Seen by a git that writes down its arguments and then is the real one."""
    arguments = tmp_path / "arguments"
    tools = tmp_path / "tools"
    write(tools, {"git": f'#!/bin/sh\nprintf "%s\\n" "$@" >> "{arguments}"\nexec {GIT} "$@"\n'.encode()})
    (tools / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    with serving(Site()) as site:
        site.tricks["/x.git/info/refs?service=git-upload-pack"] = [
            Trick(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        ]
        with pytest.raises(InstallError) as caught:
            home.ensure(site.url("/x.git", user="anna:s3cret@"))
        assert any("authorization" in asked.headers for asked in site.asked)
    assert "s3cret" not in str(vars(caught.value))
    assert "fetch" in arguments.read_text()
    assert "s3cret" not in arguments.read_text()
    for path in home.folder.rglob("*"):
        assert path.is_dir() or b"s3cret" not in path.read_bytes(), path


def test_git_of_the_current_folder_is_not_run(home, tmp_path, monkeypatch):
    write(tmp_path / "here", {"git": b"#!/bin/sh\nexit 9\n"})
    (tmp_path / "here" / "git").chmod(0o755)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PATH", os.pathsep.join([".", "", str(tmp_path / "here"), str(Path(GIT).parent)]))
    assert find_git(home.commands).program == Path(GIT)
    monkeypatch.setenv("PATH", ".")
    assert "not installed" in find_git(home.commands)


def test_an_old_or_broken_git_is_passed_over(home, tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    monkeypatch.setenv("PATH", str(tools))
    for said, words in (("echo git version 2.17.1", "too old"), ("echo hm", "does not work")):
        write(tools, {"git": f"#!/bin/sh\n{said}\n".encode()})
        (tools / "git").chmod(0o755)
        assert words in find_git(home.commands)


CHILD = """
import sys
from pathlib import Path
from launcher.install.commands import Commands, Log
from launcher.install.index import PipSettings
from launcher.install.pins import SourcePin
from launcher.install.source import ensure_source
import json
folder, pin = Path(sys.argv[1]), SourcePin(**json.loads(sys.argv[2]))
commands = Commands(settings=PipSettings(), cache=folder / "cache", log=Log(folder / "log"))
ensure_source(commands, pin, folder / "vendor/1/code", given=None, cache=folder / "sources",
              settings=PipSettings(), tell=lambda *_a, **_k: None)
"""


def test_killed_at_any_moment_the_next_call_finishes(home):
    import json
    import time
    from dataclasses import asdict

    words = [
        sys.executable,
        "-c",
        CHILD,
        str(home.folder),
        json.dumps({**asdict(home.pin), "omitted": dict(home.pin.omitted)}),
    ]
    start = time.monotonic()
    subprocess.run(words, cwd=ROOT, check=True, timeout=60)
    whole_s = time.monotonic() - start
    dice = random.Random(5)
    for _ in range(12):
        shutil.rmtree(home.cache)
        shutil.rmtree(home.target.parent)
        for _ in range(2):
            process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(dice.uniform(0.3, 1.0) * whole_s)
            process.kill()
            process.wait()
            if home.target.exists():
                home.check_target()  # under its final name it is whole or not there
        home.ensure()
        # A git whose parent was killed may write for a moment longer: what it leaves is swept by the next call.
        assert wait_until(lambda: home.ensure() or not home.leftovers(), timeout_s=10), home.leftovers()


# --- zips


def zip_with(path, *names, **entry):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "w") as packed:
            for name in ("top/ok.txt", *names):
                info = zipfile.ZipInfo(name)
                for key, value in (entry if name != "top/ok.txt" else {}).items():
                    setattr(info, key, value)
                info.filename = info.orig_filename = name  # ZipInfo would mend some
                packed.writestr(info, b"x")
    return path


BAD = [
    "../evil.txt", "top/../../evil.txt", "/evil.txt", "top//evil.txt", "top/./evil.txt", "C:/evil.txt", "C:evil.txt",
    "top/a:stream", "top\\..\\..\\evil.txt", "\\\\server\\share\\x", "top/con", "top/NUL.txt", "top/aux.tar.gz",
    "top/COM1/x", "top/lpt9.py", "top/trailing.", "top/trailing ", "top/bell\x07", "top/star*", "top/OK.TXT", "top/ok.txt",
    "top/ok.txt/below", "top/" + "n" * 300, "top/" + "/".join(["d" * 200] * 6), "..", "top/..",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_names_that_lead_out_or_mislead_are_refused(tmp_path, name):
    packed = zip_with(tmp_path / "bad.zip", name)
    target = tmp_path / "in" / "folder"
    with pytest.raises(InstallError, match="not unpacked"):
        unpack(packed, target)
    assert sorted(path.name for path in tmp_path.rglob("*")) in (["bad.zip"], ["bad.zip", "in"])


def test_case_and_composition_clashes_of_folders_are_refused(tmp_path):
    for number, names in enumerate(
        (["a/Lib/x.py", "a/lib/y.py"], ["a/é.py", "a/e\u0301.py"], ["a/straße", "a/strasse"])
    ):
        packed = zip_with(tmp_path / f"{number}.zip", *names)
        with pytest.raises(InstallError, match="not unpacked"):
            unpack(packed, tmp_path / str(number))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path, kind):
    packed = zip_with(tmp_path / "bad.zip", "top/odd", external_attr=(kind | 0o777) << 16)
    with pytest.raises(InstallError, match="not unpacked") as caught:
        unpack(packed, tmp_path / "to")
    assert "link or a device" in caught.value.why


def test_encrypted_and_nul_names_are_refused(tmp_path):
    packed = zip_with(tmp_path / "a.zip", "top/x")
    raw = bytearray(packed.read_bytes())
    at = raw.rfind(b"PK\x01\x02")
    struct.pack_into("<H", raw, at + 8, 1)
    (tmp_path / "encrypted.zip").write_bytes(raw)
    with pytest.raises(InstallError, match="not unpacked") as caught:
        unpack(tmp_path / "encrypted.zip", tmp_path / "to")
    assert "encrypted" in caught.value.why
    nul = packed.read_bytes().replace(b"top/x", b"top\0x")
    (tmp_path / "nul.zip").write_bytes(nul)
    with pytest.raises(InstallError):
        unpack(tmp_path / "nul.zip", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_bombs_are_refused_before_the_first_byte(tmp_path):
    packed = tmp_path / "bomb.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bomb:
        bomb.writestr("top/zeros", bytes(64 << 20))
    assert packed.stat().st_size < 100_000
    with pytest.raises(InstallError) as caught:
        unpack(packed, tmp_path / "to")
    assert "too tightly" in caught.value.why
    small = zip_with(tmp_path / "small.zip", *[f"top/{number}" for number in range(30)])
    for limits in (Limits(files=10), Limits(total_bytes=20)):
        with pytest.raises(InstallError, match="not unpacked"):
            unpack(small, tmp_path / "to", limits=limits)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bomb.zip", "small.zip"]


def test_a_bomb_that_lies_about_its_size_unpacks_no_more(tmp_path):
    packed = tmp_path / "liar.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("top/zeros", bytes(8 << 20))
    raw = bytearray(packed.read_bytes())
    for at, offset in ((raw.find(b"PK\x03\x04"), 22), (raw.rfind(b"PK\x01\x02"), 24)):
        struct.pack_into("<I", raw, at + offset, 1000)
    packed.write_bytes(raw)
    with pytest.raises(InstallError, match="damaged"):
        unpack(packed, tmp_path / "to")
    assert [path.name for path in tmp_path.iterdir()] == ["liar.zip"]


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "empty"])
def test_damaged_zips_leave_nothing(tmp_path, damage):
    packed = tmp_path / "x.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as whole:
        for number in range(20):
            whole.writestr(f"top/{number}", random.Random(number).randbytes(2000))
    raw = packed.read_bytes()
    flipped = bytearray(raw)
    flipped[20_000] ^= 0xFF
    packed.write_bytes({"cut": raw[:-500], "flip": bytes(flipped), "text": b"<html>", "empty": b""}[damage])
    with pytest.raises(InstallError, match="damaged"):
        unpack(packed, tmp_path / "to")
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_a_good_zip_loses_its_top_folder_only(tmp_path):
    packed = zip_with(tmp_path / "a.zip", "top/b/c.txt", "top/b/d/", "top/.hidden")
    unpack(packed, tmp_path / "to", without=["b/c.txt"])
    assert sorted(path.name for path in (tmp_path / "to").rglob("*")) == [".hidden", "ok.txt"]
    two = zip_with(tmp_path / "b.zip", "other/x.txt")
    unpack(two, tmp_path / "two")
    assert (tmp_path / "two" / "top" / "ok.txt").exists()


def test_a_full_drive_while_unpacking_in_words(tmp_path):
    drive = tmp_path / "drive"
    drive.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(drive)]
    if not shutil.which("mount") or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("no small drive can be mounted here (needs root on Linux)")
    try:
        packed = tmp_path / "x.zip"
        with zipfile.ZipFile(packed, "w") as whole:
            whole.writestr("top/a", bytes(1 << 20))
        with pytest.raises(InstallError, match="drive is full"):
            unpack(packed, drive / "to")
        assert list(drive.iterdir()) == []
    finally:
        subprocess.run(["umount", str(drive)], check=True)


def test_two_windows_fetch_once(home):
    results = []

    def one():
        try:
            home.ensure()
        except InstallError as error:
            results.append(error)

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == []
    assert sum("Fetching" in words for words in home.told) == 1


def test_no_limit_stands_against_the_real_trainers():
    assert archive.LIMITS.files >= 1000
    assert archive.LIMITS.total_bytes >= 100 << 20
    assert source.TURN_S > 0

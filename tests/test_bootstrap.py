"""setup_env.py on bare Pythons: quick when ready, safe when killed, in any folder, in plain words when it fails.

The trees here are small: the real set-up code, a build backend of their own and packages of a few bytes, so that a
set-up takes seconds and no network. One slow test at the end does the real thing.
"""

import ast
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher import __version__
from launcher.install import marker
from launcher.install.bootstrap import link_sources
from launcher.install.remedy import remedy
from launcher.install.window import should_hold
from tests.tiny_wheels import make_wheel, serve

ROOT = Path(__file__).resolve().parent.parent
HOSTILE = "a'; echo foo 訓練"
BASE = Path(sys._base_executable)
COPIED = (
    "__init__.py",
    "__main__.py",
    "cli.py",
    "errors.py",
    "events.py",
    "files.py",
    "paths.py",
    "process.py",
)
DEPENDENCIES = ("rich", "psutil")  # what the bootstrap tries at the end
TIMEOUT_S = 120
BACKEND = """
import base64, hashlib, os, zipfile

def get_requires_for_build_editable(config_settings=None):
    return []

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "tiny_launcher-1.0-py3-none-any.whl"
    info = "tiny_launcher-1.0.dist-info/"
    requires = "".join(f"Requires-Dist: {name}\\n" for name in REQUIRES)
    contents = {
        "_tiny_launcher.pth": os.getcwd() + "\\n",
        info + "METADATA": "Metadata-Version: 2.1\\nName: tiny-launcher\\nVersion: 1.0\\n" + requires,
        info + "WHEEL": "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        info + "entry_points.txt": "[console_scripts]\\nlauncher = launcher.__main__:main\\n",
    }
    contents[info + "RECORD"] = "".join(f"{path},,\\n" for path in [*contents, info + "RECORD"])
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text.encode())
    return name
"""
PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tiny-launcher"
version = "1.0"

[tool.something]
value = 1
"""


class Tree:
    """A small copy of the product, with its own folder of wheels."""

    def __init__(self, folder, wheels):
        self.folder = folder
        self.wheels = wheels
        (folder / "launcher").mkdir(parents=True)
        shutil.copy(ROOT / "setup_env.py", folder)
        for name in COPIED:
            shutil.copy(ROOT / "launcher" / name, folder / "launcher")
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "launcher" / "install", folder / "launcher" / "install", ignore=ignored)
        (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
        self.require(*DEPENDENCIES)

    def require(self, *names):
        (self.folder / "backend.py").write_text(f"REQUIRES = {names!r}\n{BACKEND}", encoding="utf-8")

    @property
    def environment(self):
        keep = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
        return {
            **keep,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.wheels.as_uri(),
            "PIP_CONFIG_FILE": os.devnull,
        }

    def argv(self, *words, python=BASE):
        return [str(python), str(self.folder / "setup_env.py"), *words]

    def start(self, *words, **changes):
        return subprocess.Popen(
            self.argv(*words), env={**self.environment, **changes}, cwd=self.folder.parent, text=True,
            encoding="utf-8", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *words, cwd=None, python=BASE, **changes):
        return subprocess.run(
            self.argv(*words, python=python), env={**self.environment, **changes}, cwd=cwd or self.folder.parent,
            text=True, encoding="utf-8", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip

    @property
    def venv(self):
        return self.folder / ".venv"


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    for name in (*DEPENDENCIES, "later"):
        make_wheel(folder, name, "1.0")
    return folder


@pytest.fixture
def tree(tmp_path, wheels):
    return Tree(tmp_path / HOSTILE, wheels)


@pytest.fixture(scope="session")
def ready_tree(tmp_path_factory, wheels):
    """A set-up tree. Tests that change it use `tree`."""
    tree = Tree(tmp_path_factory.mktemp("ready") / HOSTILE, wheels)
    os.environ.setdefault("HOME", str(tmp_path_factory.mktemp("home")))
    result = tree.run("--help")
    assert result.returncode == 0, result.stdout
    return tree


def is_set_up(result):
    return "Setting up" in result.stdout


def is_untouched(home):
    """Nothing of ours grows in the user's home. (pip asks `rustc` for its version, and rustup makes itself a folder.)"""
    return {path.name for path in home.iterdir()} <= {".rustup"}


# --- the version guard


def test_parses_on_old_pythons():
    source = (ROOT / "setup_env.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))
    assert source.isascii()  # Python 2 refuses anything else without a coding line
    before_guard, _, _ = source.partition("sys.exit(1)")
    assert (
        " import "
        not in before_guard.replace("\nimport os", "").replace("\nimport sys", "").partition('"""')[0]
    )


def old_pythons():
    beside = BASE.resolve().parent.parent.parent  # pyenv keeps all versions side by side
    found = [path for number in ("2.7", "3.6", "3.9") for path in beside.glob(f"{number}.*/bin/python")]
    names = [shutil.which(name) for name in ("python2.7", "python3.6")]
    return found or [Path(name) for name in names if name and ".pyenv/shims" not in name]


@pytest.mark.parametrize("python", old_pythons(), ids=lambda path: path.parent.parent.name)
@pytest.mark.parametrize("words", [(), ("--version",), ("train", "x")])
def test_old_pythons_get_one_sentence(python, words, tree):
    result = tree.run(*words, python=python)
    assert result.returncode == 1
    assert result.stdout.count("\n") == 1
    assert "needs Python 3.10 or newer" in result.stdout
    assert not tree.venv.exists()


# --- the fast path


def test_version_needs_no_environment(tree):
    result = tree.run("--version")
    assert (result.returncode, result.stdout) == (0, f"launcher {__version__}\n")
    assert not tree.venv.exists()


def test_fast_path_imports_nothing_heavy(ready_tree):
    """Deterministic, where a time would not be: what is loaded when the second interpreter takes over."""
    code = (
        "import os, runpy, sys; before = set(sys.modules)\n"
        "def stop(*words): print(sorted(set(sys.modules) - before)); raise SystemExit(0)\n"
        "os.execve = stop; import pkgutil; before = set(sys.modules)\n"
        f"sys.argv = ['setup_env.py', 'runs', '--help']; runpy.run_path({str(ready_tree.folder / 'setup_env.py')!r}, run_name='__main__')"
    )
    result = subprocess.run(
        [BASE, "-c", code], env=ready_tree.environment, capture_output=True, text=True, check=True
    )
    names = ["launcher", "launcher.install", "launcher.install.entry", "launcher.install.marker"]
    assert ast.literal_eval(result.stdout) == names


def test_ready_means_no_set_up(ready_tree):
    result = ready_tree.run("presets", "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("usage: launcher presets")


def test_nothing_in_the_current_folder_is_imported(ready_tree, tmp_path):
    for name in ("launcher", "rich", "argparse", "json", "pip", "psutil", "sitecustomize", "venv"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the current folder')\n")
    result = ready_tree.run("presets", "--help", cwd=tmp_path)
    assert result.stdout.startswith("usage: launcher presets")


def test_foreign_python_variables_do_not_leak(ready_tree, tmp_path):
    (tmp_path / "rich.py").write_text("raise SystemExit('taken from PYTHONPATH')\n")
    code = "import os, sys, rich; print(rich.__file__, 'PYTHONPATH' in os.environ, sys.flags.utf8_mode)"
    main = f"def main(argv=None):\n    exec({code!r})\n    return 0\n"
    original = (ready_tree.folder / "launcher" / "__main__.py").read_text(encoding="utf-8")
    try:
        (ready_tree.folder / "launcher" / "__main__.py").write_text(main, encoding="utf-8")
        result = ready_tree.run("x", PYTHONPATH=str(tmp_path))
    finally:
        (ready_tree.folder / "launcher" / "__main__.py").write_text(original, encoding="utf-8")
    assert result.stdout.strip().endswith("rich.py False 1")
    assert str(ready_tree.venv) in result.stdout


def test_words_folder_and_exit_code_pass_through(ready_tree, tmp_path):
    main = "def main(argv=None):\n    import os\n    print(argv, os.getcwd())\n    return 7\n"
    original = (ready_tree.folder / "launcher" / "__main__.py").read_text(encoding="utf-8")
    words = ["train", "it's", 'a "b"', "訓練 データ", "", "--set=x=1", "$HOME"]
    try:
        (ready_tree.folder / "launcher" / "__main__.py").write_text(main, encoding="utf-8")
        result = ready_tree.run(*words, cwd=tmp_path)
    finally:
        (ready_tree.folder / "launcher" / "__main__.py").write_text(original, encoding="utf-8")
    assert result.returncode == 7
    assert result.stdout == f"{words} {tmp_path}\n"


def test_works_from_inside_the_environment(ready_tree):
    result = ready_tree.run("presets", "--help", python=marker.python_of(str(ready_tree.venv)))
    assert result.stdout.startswith("usage: launcher presets")


# --- the set-up


def test_set_up_in_a_hostile_folder(tree, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "venv.py").write_text("raise SystemExit('taken from the current folder')\n")
    (elsewhere / "pip.py").write_text("raise SystemExit('taken from the current folder')\n")
    first = tree.run("presets", "--help", cwd=elsewhere)
    assert first.returncode == 0, first.stdout
    assert is_set_up(first)
    assert "usage: launcher presets" in first.stdout
    assert not is_set_up(tree.run("presets", "--help"))
    assert is_untouched(Path(os.environ["HOME"]))
    script = tree.venv / "bin" / "launcher"
    for locale in ("C", "C.UTF-8", "POSIX"):
        answer = subprocess.run(
            [script, "--version"], env={**tree.environment, "LC_ALL": locale}, cwd=elsewhere, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        assert answer.stdout == f"launcher {__version__}\n"


def test_link_to_the_sources_is_relative(tmp_path):
    """An absolute one with Japanese in it would stop every interpreter of the environment on Windows."""
    site = tmp_path / "訓練" / ".venv" / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    (site / "ours.pth").write_text(f"{tmp_path / '訓練'}\n", encoding="utf-8")
    (site / "other.pth").write_text("import sys\n", encoding="utf-8")
    link_sources(tmp_path / "訓練", tmp_path / "訓練" / ".venv")
    assert (site / "ours.pth").read_text(encoding="ascii") == "../../../..\n"
    assert (site / "other.pth").read_text(encoding="ascii") == "import sys\n"


def test_two_at_once(tree):
    both = [tree.start("presets", "--help") for _ in range(2)]
    outputs = [process.communicate(timeout=TIMEOUT_S)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum("Setting up" in output for output in outputs) == 1
    assert sum("waiting until it is done" in output for output in outputs) == 1
    assert all("usage: launcher presets" in output for output in outputs)


KILL_AT = {
    "folder begun": lambda venv: venv.exists(),
    "Python there": lambda venv: (venv / "pyvenv.cfg").exists(),
    "pip half there": lambda venv: any(venv.glob("lib/*/site-packages/pip")),
    "pip there": lambda venv: any(venv.glob("lib/*/site-packages/pip-*.dist-info/RECORD")),
    "packages": lambda venv: any(venv.glob("lib/*/site-packages/psutil.py")),
}


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(name, marks=[] if name in {"pip half there", "packages"} else pytest.mark.slow)
        for name in KILL_AT
    ],
)
def test_killed_at_any_moment(moment, tree):
    process = tree.start("presets", "--help")
    deadline = time.monotonic() + TIMEOUT_S
    while not KILL_AT[moment](tree.venv) and process.poll() is None:
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.communicate()
    result = tree.run("presets", "--help")
    assert result.returncode == 0, result.stdout
    assert "usage: launcher presets" in result.stdout
    assert not list(tree.folder.glob(".venv.trash-*"))
    assert not is_set_up(tree.run("presets", "--help"))


def test_new_requirements_are_added_and_lint_rules_are_not_requirements(tree):
    assert tree.run("--help").returncode == 0
    project = tree.folder / "pyproject.toml"
    witness = tree.venv / "witness"
    witness.touch()
    project.write_text(PROJECT.replace("value = 1", "value = 2"), encoding="utf-8")
    assert not is_set_up(tree.run("--help"))
    tree.require(*DEPENDENCIES, "later")
    project.write_text(PROJECT.replace('version = "1.0"', 'version = "1.1"'), encoding="utf-8")
    assert is_set_up(tree.run("--help"))
    assert list(tree.venv.glob("lib/*/site-packages/later.py"))
    assert witness.exists()  # added to, not made anew


def test_moved_tree_is_made_anew(tree, tmp_path, wheels):
    assert tree.run("--help").returncode == 0
    (tree.venv / "witness").touch()
    new = tmp_path / "new place"
    tree.folder.rename(new)
    tree.folder = new
    result = tree.run("presets", "--help")
    assert is_set_up(result)
    assert "usage: launcher presets" in result.stdout
    assert not (tree.venv / "witness").exists()
    script = (tree.venv / "bin" / "launcher").read_text(encoding="utf-8")
    assert str(new) in script
    assert HOSTILE not in script


def test_environment_of_others_is_added_to(tree):
    subprocess.run([BASE, "-m", "venv", "--without-pip", tree.venv], check=True)
    (tree.venv / "theirs").touch()
    result = tree.run("presets", "--help")
    assert result.returncode == 0, result.stdout
    assert (tree.venv / "theirs").exists()
    assert not is_set_up(tree.run("presets", "--help"))


# --- when it fails


def test_missing_package_is_one_paragraph_and_a_log(tree):
    tree.require(*DEPENDENCIES, "does-not-exist")
    result = tree.run()
    assert result.returncode == 6
    assert "The launcher's packages could not be installed." in result.stdout
    assert "Traceback" not in result.stdout
    log = Path(result.stdout.rpartition("The log: ")[2].strip())
    assert "does-not-exist" in log.read_text(encoding="utf-8")
    tree.require(*DEPENDENCIES)
    assert tree.run("--help").returncode == 0


def test_unwritable_folder_is_told_without_traceback(tree):
    (tree.folder / ".cache").write_text("a file where a folder should be", encoding="utf-8")
    result = tree.run()
    assert result.returncode == 6
    assert "could not be written" in result.stdout
    assert "Traceback" not in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="signals to a group")
def test_interrupted_from_the_keyboard(tree):
    process = tree.start("--help")
    assert "Setting up" in process.stdout.readline()
    os.kill(process.pid, signal.SIGINT)
    output = process.communicate(timeout=TIMEOUT_S)[0]
    assert process.returncode == 130
    assert "Interrupted" in output
    assert "Traceback" not in output
    assert tree.run("--help").returncode == 0


def test_user_settings_for_other_places_do_not_count(tree, tmp_path):
    result = tree.run("presets", "--help", PIP_USER="1", PIP_TARGET=str(tmp_path / "target"))
    assert result.returncode == 0, result.stdout
    assert not (tmp_path / "target").exists()


def test_logs_go_where_the_user_data_is(tree, tmp_path):
    tree.require("does-not-exist")
    tree.run(LAUNCHER_HOME=str(tmp_path / "data"))
    assert list((tmp_path / "data" / "logs").glob("setup-*.log"))
    assert not (tree.folder / "logs").exists()


def test_passwords_are_neither_shown_nor_logged(tree, tmp_path):
    with serve(tmp_path, password="me:other") as host:
        result = tree.run(PIP_NO_INDEX="", PIP_INDEX_URL=f"http://me:s3cret-word@{host}/", PIP_FIND_LINKS="")
    assert result.returncode == 6
    texts = [log.read_text(encoding="utf-8") for log in (tree.folder / "logs").iterdir()]
    assert any("pip" in text for text in texts)
    assert not any("s3cret-word" in text for text in (result.stdout, *texts))


def test_python_without_ensurepip(tree, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import sys\nsys.modules['ensurepip'] = None\n")
    result = tree.run(PYTHONPATH=str(tmp_path / "site"))
    assert result.returncode == 6
    assert "cannot make environments" in result.stdout
    assert "then start this again" in result.stdout
    assert not tree.venv.exists()


@pytest.mark.parametrize(
    ("os_release", "words"),
    [
        ("ID=debian\nVERSION_ID=12\n", "sudo apt install python3.12-venv"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "sudo apt install python3.12-venv"),
        ("ID=fedora\n", "sudo dnf install python3.12 python3-pip"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "sudo dnf install"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', "sudo zypper install python312"),
        ("ID=manjaro\nID_LIKE=arch\n", "sudo pacman -S python"),
        ("ID=alpine\n", "sudo apk add python3"),
        ("", "complete Python 3.12"),
        ("garbage", "complete Python 3.12"),
    ],
)
def test_remedy_of_each_distribution(os_release, words):
    assert words in remedy(os_release, (3, 12))


@pytest.mark.parametrize(
    ("is_double_click", "is_terminal", "processes", "holds"),
    [
        (True, True, 1, True),
        (True, True, 2, True),  # py.exe and python.exe
        (True, True, 3, False),  # a shell is there: its window stays by itself
        (True, True, 0, False),  # no console of our own
        (True, False, 1, False),  # nobody can press a key
        (False, True, 1, False),  # somebody typed words
    ],
)
def test_window_is_kept_only_when_it_would_vanish(is_double_click, is_terminal, processes, holds):
    decision = should_hold(
        is_double_click=is_double_click, is_terminal=is_terminal, console_processes=processes
    )
    assert decision is holds


# --- the real thing


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a checkout")
def test_fresh_copy_with_an_empty_home(tmp_path):
    """As a new user has it: `env -i`, an empty home, real packages from the configured index."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True,
        text=True, check=True,
    ).stdout  # fmt: skip
    target = tmp_path / HOSTILE
    for name in filter(None, listing.split("\0")):
        source = ROOT / name
        if source.is_file() and not source.is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)
    passed = ("PIP_", "SSL_", "REQUESTS_CA_BUNDLE", "HTTP", "http", "NO_PROXY", "no_proxy", "ALL_PROXY")
    environment = {name: value for name, value in os.environ.items() if name.startswith(passed)}
    environment |= {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    outputs = [
        subprocess.run(
            [BASE, target / "setup_env.py", "--help"], env=environment, cwd=tmp_path, capture_output=True, text=True,
            encoding="utf-8", check=True,
        ).stdout
        for _ in range(2)
    ]  # fmt: skip
    assert "Setting up" in outputs[0]
    assert outputs[1].startswith("usage: launcher")
    assert is_untouched(tmp_path / "home")

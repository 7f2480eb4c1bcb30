"""accelerate's configuration with the real accelerate: its prompt driven, its launcher started, its traps shown."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from launcher.install import accelerate
from launcher.install.accelerate import QUESTIONS, VARIABLES, config_text, global_config_note
from launcher.install.commands import Commands, Log
from launcher.install.index import read_pip_settings
from launcher.paths import Paths
from launcher.plan.command import SHIM, make_argv, make_env
from launcher.process import environment
from launcher.trainers import load_trainer

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("0.25.0", "0.30.0", "1.6.0")  # of the fork, of sd-scripts 0.9.1, of sd-scripts 0.10.1
PRECISIONS = ("no", "fp16", "bf16")
TIMEOUT_S = 120
LONG_WAY = {"launch": "accelerate"}
SCRIPT = """\
import json, os, sys
from accelerate import Accelerator, __version__
got = {"version": __version__, **{name: os.environ.get(name) for name in sys.argv[2:]}}
try:
    made = Accelerator(mixed_precision=sys.argv[1])  # as sd-scripts does, with its own flag
    got.update(precision=made.mixed_precision, device=str(made.device), processes=made.num_processes,
               kind=str(made.distributed_type.value), steps=made.gradient_accumulation_steps)
except ValueError as error:
    got["precision"] = str(error)
print("GOT " + json.dumps(got))
"""
# What another program of the user's may have left: a configuration that says fp8, CPU and several cards ...
HOSTILE_CONFIG = """\
compute_environment: LOCAL_MACHINE
distributed_type: MULTI_GPU
mixed_precision: fp8
num_machines: 1
num_processes: 4
use_cpu: true
"""
# ... and variables. Each of them alone changes or breaks a training.
HOSTILE = {
    "ACCELERATE_MIXED_PRECISION": "fp8",
    "ACCELERATE_USE_CPU": "true",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "7",
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_TORCH_DEVICE": "meta",
    "WORLD_SIZE": "4",
    "RANK": "1",
    "LOCAL_RANK": "1",
}


@pytest.fixture(scope="session")
def accelerates(training_python, tmp_path_factory):
    """Folders with the real accelerate of each version and nothing else, to stand in front of torch's environment.

    They come from the index that pip is configured for: this one fixture needs it, and is skipped without.
    """
    import uv

    folder = tmp_path_factory.mktemp("accelerate")
    settings = read_pip_settings((Path(sys.executable),), cwd=folder)
    commands = Commands(settings=settings, cache=folder / "cache", log=Log(folder / "log"))
    impatient = {"UV_HTTP_TIMEOUT": "15", "UV_HTTP_RETRIES": "0"}
    for version in VERSIONS:
        words = [
            "pip",
            "install",
            "--python",
            str(training_python),
            "--no-deps",
            "--target",
            str(folder / version),
        ]
        finished = commands.uv(Path(uv.find_uv_bin()), [*words, f"accelerate=={version}"], changes=impatient)
        if finished.code:
            pytest.skip(
                f"accelerate {version} cannot be had here: {finished.output.strip().splitlines()[-1:]}"
            )
    return {version: folder / version for version in VERSIONS}


# --- the prompt


@pytest.fixture
def drive(accelerates, training_python, tmp_path):
    """Answers the questions of the real `accelerate config` on a terminal, as the guide says."""
    pexpect = pytest.importorskip("pexpect", reason="no pseudo-terminals here")
    if os.name == "nt":
        pytest.skip("accelerate's menus read the console itself on Windows")

    def run(version):
        file = tmp_path / "made.yaml"
        env = {
            **os.environ,
            "TERM": "xterm",
            "PYTHONPATH": str(accelerates[version]),
            "HF_HOME": str(tmp_path / "hub"),
        }
        words = ["-m", "accelerate.commands.accelerate_cli", "config", "--config_file", str(file)]
        child = pexpect.spawn(
            str(training_python), words, env=env, encoding="utf-8", timeout=60, dimensions=(50, 200)
        )
        asked = []
        for question in QUESTIONS:
            _answer(pexpect, child, question, asked)
        rest = child.read()
        child.close()
        return file, child.exitstatus, rest, asked

    yield run
    assert not list((tmp_path / "hub").rglob("*config*")), "the user's own configuration was written"


def _answer(pexpect, child, question, asked):
    """Waits for a question and answers it; a question of which the guide knows nothing gets its default."""
    words = "mixed precision" if question is QUESTIONS[-1] else question.text.rstrip("?")
    while child.expect([re.escape(words), r"Would you like to enable numa efficiency\?.*: "]):
        asked.append(child.after)
        child.sendline("")
    asked.append(question.text)
    if question.answer.isupper() or question.answer == "all":
        child.expect(r"\]: ?")
        child.sendline(question.answer)
        return
    child.expect("selecting with enter")
    child.expect(r"\?25l")  # the menu is painted, the cursor hidden, and it listens
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]?", "", child.before).replace("\u2794", "")
    menu = [line.strip() for line in plain.splitlines() if line.strip()]
    child.send("\x1b[B" * menu.index(question.answer) + "\r")


@pytest.mark.training
@pytest.mark.parametrize("version", ["0.25.0", "0.30.0"])
def test_file_is_the_one_that_the_real_prompt_writes(version, drive):
    file, code, rest, asked = drive(version)
    assert code == 0, rest
    assert asked == [question.text for question in QUESTIONS]
    assert file.read_bytes() == config_text(version).encode()
    assert "mixed_precision: fp8\n" in config_text(version)
    assert not accelerate.crashes_on_fp8(version)


@pytest.mark.training
def test_newer_prompt_crashes_on_the_guide_s_answers(drive):
    """Why the file is written by us: 1.6.0 asks one more question, and has no file to give."""
    file, code, rest, asked = drive("1.6.0")
    assert code == 1
    assert "ValueError: FP8 (either Transformer Engine or MSAMP) is not installed" in rest
    assert len(asked) == len(QUESTIONS) + 1
    assert not file.exists()
    assert accelerate.crashes_on_fp8("1.6.0")
    assert config_text("1.6.0") == config_text("0.25.0")


# --- launches


def installation(root, python, version):
    """A folder that looks like an installed rehearsal, with the environment that `python` belongs to."""
    paths = Paths(root=root, home=root, shipped=ROOT)
    paths.trainer("rehearsal").mkdir(parents=True, exist_ok=True)
    if not paths.trainer_venv("rehearsal").exists():
        paths.trainer_venv("rehearsal").symlink_to(python.parent.parent, target_is_directory=True)
    accelerate.write_config(paths.accelerate_config("rehearsal"), version)
    return paths


@pytest.fixture
def launch(accelerates, training_python, tmp_path, monkeypatch):
    """Starts the very command line of a plan, with a small script in place of shim and trainer."""
    home = tmp_path / "hub"
    (home / "accelerate").mkdir(parents=True)
    (home / "accelerate" / "default_config.yaml").write_text(HOSTILE_CONFIG)
    monkeypatch.setenv("HF_HOME", str(home))
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    script = tmp_path / "a script 訓練.py"
    script.write_text(SCRIPT)

    def run(version, precision, *, without=(), protected=True):
        root = tmp_path / f"{version} {precision}"
        paths = installation(root, training_python, version)
        argv = make_argv(
            paths, load_trainer(paths, "rehearsal"), mixed_precision=precision, threads=1, resume_state=None,
            switches=LONG_WAY,
        )  # fmt: skip
        words = list(argv[: argv.index(str(SHIM))])
        for flag in without:
            del words[words.index(flag) : words.index(flag) + 2]
        env = environment(make_env(paths, root)) if protected else dict(os.environ)
        env["PYTHONPATH"] = str(accelerates[version])
        return subprocess.run(
            [*words, script, precision, *HOSTILE], env=env, cwd=root, capture_output=True, text=True, encoding="utf-8",
            timeout=TIMEOUT_S, check=False,
        )  # fmt: skip

    return run


# What a process can know of how it was started; written to the file that the last word names.
DUMP = """\
import json, os, sys
told = {
    "environment": dict(os.environ), "words": sys.argv, "python": sys.executable, "prefix": sys.prefix, "flags": str(sys.flags),
    "options": sys._xoptions, "warnings": sys.warnoptions, "line": sys.orig_argv, "path": sys.path, "folder": os.getcwd(),
}
with open(sys.argv[-1], "w", encoding="utf-8") as stream:
    json.dump(told, stream)
"""


@pytest.fixture
def dump(accelerates, training_python, tmp_path, monkeypatch):
    """Starts a small script in place of shim and trainer, with a plan's line and environment: what it sees."""
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    script = tmp_path / "a script 訓練.py"
    script.write_text(DUMP, encoding="utf-8")
    words = [
        str(script),
        "--run",
        "a'; echo foo",
        "訓練 データ",
        "--",
        "--mixed_precision",
        "no",
        "-m",
        "x=y",
    ]

    def run(version, precision, way, gpus=()):
        paths = installation(tmp_path / f"{version} {precision} {gpus}", training_python, version)
        argv = make_argv(
            paths, load_trainer(paths, "rehearsal"), mixed_precision=precision, threads=3, resume_state=None, gpus=gpus,
            switches={"launch": way},
        )  # fmt: skip
        said = accelerate.child_variables(version, mixed_precision=precision, threads=3)
        env = environment(make_env(paths, paths.root, gpus=gpus, direct=said if way == "direct" else None))
        if version in VERSIONS:
            env["PYTHONPATH"] = str(accelerates[version])
        out = paths.root / "told.json"
        subprocess.run(
            [*argv[: argv.index(str(SHIM))], *words, str(out)], env=env, cwd=paths.root, capture_output=True, timeout=TIMEOUT_S,
            check=True,
        )  # fmt: skip
        return json.loads(out.read_text(encoding="utf-8"))

    return run


@pytest.mark.training
@pytest.mark.skipif(os.name == "nt", reason="links the environment")
@pytest.mark.parametrize("version", [*VERSIONS, "installed"])
def test_the_direct_way_starts_the_very_process_that_accelerate_would(version, dump, training_python):
    """Environment, words, interpreter, flags and paths: all that a process can know of its start."""
    if version == "installed":
        ask = "from importlib.metadata import version; print(version('accelerate'))"
        version = subprocess.run([training_python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip

    def both(case):
        precision, gpus = case
        return (
            precision,
            dump(version, precision, "accelerate", gpus),
            dump(version, precision, "direct", gpus),
        )

    cases = [*((precision, ()) for precision in PRECISIONS), ("bf16", (0,))]
    with ThreadPoolExecutor(max_workers=2) as pool:
        for precision, long, direct in pool.map(both, cases):
            assert direct["environment"] == long["environment"]
            assert direct == long
            assert long["environment"]["ACCELERATE_MIXED_PRECISION"] == precision
            assert long["environment"]["OMP_NUM_THREADS"] == "3"
            kept_out = set(HOSTILE) - {"ACCELERATE_MIXED_PRECISION", "ACCELERATE_USE_CPU"}
            assert not kept_out & set(long["environment"])


def got(finished):
    lines = [line for line in finished.stdout.splitlines() if line.startswith("GOT ")]
    assert len(lines) == 1, finished.stdout + finished.stderr
    return json.loads(lines[0].removeprefix("GOT "))


@pytest.mark.training
@pytest.mark.skipif(os.name == "nt", reason="links the environment")
@pytest.mark.parametrize("version", VERSIONS)
def test_every_launch_works_with_the_fp8_file(version, launch):
    """... in the precision asked for, on what there is, whatever the user's configuration and variables say."""
    with ThreadPoolExecutor(max_workers=len(PRECISIONS)) as pool:
        finished = dict(zip(PRECISIONS, pool.map(lambda it: launch(version, it), PRECISIONS), strict=True))
    for precision, run in finished.items():
        assert run.returncode == 0, run.stdout + run.stderr
        found = got(run)
        assert found["version"] == version
        assert found["ACCELERATE_MIXED_PRECISION"] == precision
        assert found["ACCELERATE_USE_CPU"] == "False"
        survivors = set(HOSTILE) - {"ACCELERATE_MIXED_PRECISION", "ACCELERATE_USE_CPU"}
        assert {name: found[name] for name in survivors} == dict.fromkeys(survivors)
        if precision == "fp16" and "fp16 mixed precision requires a GPU" in found["precision"]:
            continue  # it asked for fp16, and there is no card
        assert found["precision"] == precision
        assert (found["processes"], found["kind"], found["steps"]) == (1, "NO", 1)
        assert found["device"] in {"cpu", "cuda"}


@pytest.mark.training
@pytest.mark.skipif(os.name == "nt", reason="links the environment")
def test_without_the_flag_newer_versions_crash_on_the_file(launch):
    """The trap itself: were --mixed_precision ever dropped from the line, this is what users would see."""
    finished = launch("1.6.0", "bf16", without=["--mixed_precision"])
    assert finished.returncode != 0
    assert "FP8 is not available on this machine" in finished.stderr
    assert "GOT" not in finished.stdout


@pytest.mark.training
@pytest.mark.skipif(os.name == "nt", reason="links the environment")
def test_without_our_file_and_environment_the_user_s_would_count(launch, monkeypatch):
    """The same line, unprotected: what is kept out really would come in."""
    for name in set(HOSTILE) - {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS"}:
        monkeypatch.delenv(name)
    found = got(launch("0.25.0", "bf16", without=["--config_file"], protected=False))
    assert found["steps"] == 7
    assert found["LOCAL_RANK"] == "0"  # started as one of several cards


@pytest.mark.training
def test_every_variable_of_accelerate_s_is_known(accelerates, training_python):
    installed = next((training_python.parent.parent).rglob("site-packages/accelerate"))
    folders = [*(folder / "accelerate" for folder in accelerates.values()), installed]
    text = "\n".join(
        file.read_text(encoding="utf-8")
        for folder in folders
        for file in folder.rglob("*.py")
        if "test_utils" not in file.parts
    )
    named = set(re.findall(r"""["'](ACCELERATE_[A-Z0-9_]+[A-Z0-9])["']""", text))
    for names in re.findall(r"get_int_from_env\(\s*\[([^]]*)\]", text):
        named |= set(re.findall(r"\w+", names))
    named -= {"OMP_NUM_THREADS", "MKL_NUM_THREADS"}  # the number of threads is said on the line
    assert sorted(named - set(VARIABLES)) == []
    known_by_parts = (
        "ACCELERATE_DYNAMO_",
        "ACCELERATE_FP8_",
        "MPI_",
        "NODE_RANK",
        "NPROC",
        "FORK_",
        "MASTER_",
    )
    assert [name for name in VARIABLES if name not in named and not name.startswith(known_by_parts)] == []


# --- our file, and the user's


def test_file_is_written_once_and_mended(tmp_path):
    file = tmp_path / "new folder" / "accelerate.yaml"
    assert accelerate.wrong_config(file, "0.30.0") == "it is missing"
    accelerate.write_config(file, "0.30.0")
    assert accelerate.wrong_config(file, "0.30.0") is None
    assert (
        accelerate.wrong_config(file, "0.25.0") == "it was changed"
    )  # it would refuse a key of the later one
    assert b"\r" not in file.read_bytes()


@pytest.mark.parametrize(
    ("version", "crashes"),
    [("0.25.0", False), ("0.30.0", False), ("1.6.0", True), ("1.15.0", True), ("", False)],
)
def test_remark_tells_who_wrote_the_file(version, crashes):
    assert ("crashes" in accelerate.remark(version)) == crashes


def put(folder, text, name="default_config.yaml"):
    (folder / "accelerate").mkdir(parents=True)
    file = folder / "accelerate" / name
    file.write_text(text, encoding="utf-8")
    return file


def test_nothing_of_the_user_s_nothing_to_say(tmp_path):
    assert global_config_note({"PATH": "x", "ACCELERATE": "x"}, tmp_path) is None


@pytest.mark.parametrize("variable", ["HF_HOME", "XDG_CACHE_HOME", None])
def test_configuration_of_the_user_s_is_found_named_and_left(variable, tmp_path):
    folder = {
        "HF_HOME": tmp_path / "models",
        "XDG_CACHE_HOME": tmp_path / "cache" / "huggingface",
        None: tmp_path / ".cache" / "huggingface",
    }[variable]
    value = folder if variable == "HF_HOME" else folder.parent
    file = put(folder, HOSTILE_CONFIG)
    before = file.stat().st_mtime_ns
    note = global_config_note({variable: str(value)} if variable else {}, tmp_path)
    assert str(file) in note
    assert "fp8" in note
    assert "CPU only" in note
    assert "several cards" in note
    assert "--config_file" in note
    assert (file.read_text(), file.stat().st_mtime_ns) == (HOSTILE_CONFIG, before)


@pytest.mark.parametrize(
    ("text", "words", "not_words"),
    [
        ('{\n  "mixed_precision": "fp8",\n  "use_cpu": true\n}\n', ["fp8", "CPU only"], ["several"]),
        (
            "mixed_precision: 'bf16'\nuse_cpu: false\ndistributed_type: 'NO'\n",
            [],
            ["fp8", "CPU", "several", "says"],
        ),
        ("\x00\xff nothing: [", [], ["says"]),
        ("# mixed_precision: fp8\n", [], ["fp8"]),
    ],
)
def test_words_of_a_configuration(text, words, not_words, tmp_path):
    put(tmp_path / ".cache" / "huggingface", text)
    note = global_config_note({}, tmp_path)
    assert "stays as it is" in note
    assert [word for word in words if word not in note] == []
    assert [word for word in not_words if word in note] == []


def test_home_in_a_variable_and_json_by_name(tmp_path):
    file = put(tmp_path / "hub", "{}", "default_config.json")
    assert accelerate.global_configs({"HF_HOME": "~/hub"}, tmp_path) == [file]


def test_variables_that_would_leak_in_are_named(tmp_path):
    note = global_config_note({"ACCELERATE_USE_CPU": "1", "Accelerate_Use_Fsdp": "1", "PATH": ""}, tmp_path)
    assert note.startswith("ACCELERATE_USE_CPU, Accelerate_Use_Fsdp are set")

"""Made-up installations for the tests of the screens. Look at one: `python -m tests.install_views plan`. Nothing is measured."""

import sys
import time
from pathlib import Path

from launcher.errors import InstallError, Problem, Severity
from launcher.install.accelerate import QUESTIONS, remark
from launcher.install.findings import Check, Report
from launcher.install.steps import StepEvent, StepState
from launcher.machine import Fact, Gpu, Machine
from launcher.machine.pythons import Python
from launcher.ui.install_ask import InstallOptions, Option
from launcher.ui.install_end import Done, Gone, next_steps
from launcher.ui.install_machine import Surroundings, machine_lines
from launcher.ui.install_view import AnsweredQuestion, Decision, Download, InstallView, PlannedStep
from launcher.ui.palette import FULL

HOSTILE = "[red]x[/red] \x1b[2J\x07\u202e訓練データ" + "長" * 60
ROOT = "/home/aki/my loras/a'; echo foo 訓練"
WHEEL = "torch-2.5.1+cu121-cp311-cp311-linux_x86_64.whl"


def machine(**changes):
    card = Gpu(
        name="NVIDIA GeForce RTX 3060 Ti", capability=(8, 6), total_mib=8192, free_mib=7066, driver="566.36"
    )
    facts = {
        "os": "Windows 11", "os_name": "windows", "arch": "x86_64", "cores": 6, "ram_mib": 32675, "free_ram_mib": 18330,
        "swap_mib": 4864, "gpus": (card,), "has_bf16": Fact(value=True, reason="8.6"), "driver": "566.36", "cuda_driver": "12.7",
        "other_gpus": ("Intel(R) UHD Graphics 770",),
    }  # fmt: skip
    return Machine(**{**facts, **changes})


def no_card():
    return machine(gpus=(), driver=None, cuda_driver=None, other_gpus=("AMD Radeon RX 6700 XT",), swap_mib=0, gpu_note="no NVIDIA driver answers")  # fmt: skip


PROBLEMS = (
    Problem(
        severity=Severity.WARNING, what="This folder lies in OneDrive.", why="OneDrive uploads gigabytes of it, and locks files while it does.",
        fix="Move the folder to something like C:\\lora, then start this again.",
    ),
    Problem(severity=Severity.NOTE, what="The card's memory is used by other programs: 6.9 of 8.0 GiB are free.", fix="Close the browser before training."),
)  # fmt: skip


def around(problems=PROBLEMS):
    pythons = (
        Python(path=Path("C:/Users/aki/AppData/Local/Programs/Python/Python314/python.exe"), source="PATH", version=(3, 14, 0), problem="PyTorch cu121 has no build for Python 3.14; 3.9 to 3.12 are served"),
        Python(path=Path("C:/Users/aki/AppData/Local/Programs/Python/Python311/python.exe"), source="registry", version=(3, 11, 9)),
        Python(path=Path("C:/Users/aki/AppData/Local/Microsoft/WindowsApps/python.exe"), source="PATH", problem="not a Python: it opens the Microsoft Store"),
    )  # fmt: skip
    return Surroundings(
        folder="C:\\Users\\aki\\OneDrive\\my loras", disk_free_mib=202_000, pythons=pythons, proxy="HTTPS_PROXY", problems=problems,
        indexes=(("PyTorch index", "answers in 0.2 s"),),
    )  # fmt: skip


def commands():
    venv = f"{ROOT}/vendor/sd-scripts/2/venv/bin/python"
    quoted = venv.replace("'", "'\"'\"'")
    cache = ROOT.replace("'", "'\"'\"'")
    return (
        f"'{cache}/.venv/bin/uv' pip install --python '{quoted}' --no-index --no-deps '{cache}/.cache/wheels/{WHEEL}' '{cache}/.cache/wheels/torchvision-0.20.1+cu121-cp311-cp311-linux_x86_64.whl'",
        f"'{cache}/.venv/bin/uv' pip install --python '{quoted}' --require-hashes --no-deps -r vendor/locks/sd-scripts-cu121.txt",
    )


def view(**changes):
    one, two = commands()
    facts = {
        "title": "Training environment: sd-scripts v0.10.1",
        "folder": ROOT,
        "machine": machine_lines(machine(), FULL),
        "decisions": (
            Decision(question="PyTorch", answer="cu121: torch 2.5.1, torchvision 0.20.1, xformers 0.0.29.post1", reason="The build of the guide. It serves capability 8.6, and driver 566.36 is new enough."),
            Decision(question="Attention", answer="xformers", reason="Saves the most memory; PyTorch's own (SDPA) stands by."),
            Decision(question="Python", answer="3.11.9, which is here", reason="cu121 has builds for 3.9 to 3.12."),
            Decision(question="Engine", answer="uv 0.9.7", reason="Several times faster than pip; falls back to it."),
            Decision(question="Code", answer="GitHub, commit ae72efb", reason="Checked against its pinned fingerprint."),
            Decision(question="Tokenizers", answer="the Hugging Face hub", reason="Once, so that training runs without a network."),
        ),
        "downloads": (
            Download(what=WHEEL, source="download.pytorch.org/whl/cu121", mib=2385.0),
            Download(what="torchvision-0.20.1+cu121-cp311-cp311-linux_x86_64.whl", source="download.pytorch.org/whl/cu121", mib=7.3, is_here=True),
            Download(what="81 packages", source="the configured index", mib=612.0),
            Download(what="sd-scripts, commit ae72efb", source="github.com/kohya-ss/sd-scripts", mib=None),
            Download(what="tokenizers", source="huggingface.co", mib=3.9),
        ),
        "disk_need_mib": 11_400.0,
        "disk_free_mib": 202_000.0,
        "steps": (
            PlannedStep(title="Python", words="3.11.9 is taken as it is."),
            PlannedStep(title="Code", commands=("git -c core.autocrlf=false fetch --depth 1 https://github.com/kohya-ss/sd-scripts ae72efb92babe89ff8e70f057e42db68440e8d61",)),
            PlannedStep(title="PyTorch", words="The files above are fetched (broken downloads go on where they stopped) and checked, then:", commands=(one,)),
            PlannedStep(title="Packages", commands=(two,)),
        ),
        "questions": tuple(AnsweredQuestion(text=one.text, answer=one.answer, why=one.why) for one in QUESTIONS),
        "question_remark": remark("1.6.0"),
        "problems": PROBLEMS[:1],
    }  # fmt: skip
    return InstallView(**{**facts, **changes})


def options():
    return InstallOptions(
        trainers=(
            Option(value="sd-scripts", title="sd-scripts v0.10.1", reason="The maintained one; trains SDXL with fp8 base weights.", is_recommended=True),
            Option(value="sd-scripts-fp8", title="sd-scripts-fp8", reason="The fork of January 2024 that first had fp8, for reproducing old runs."),
        ),
        torch_sets=(
            Option(value="cu121", title="cu121: torch 2.5.1, xformers 0.0.29.post1", reason="The build of the guide; serves this card and this driver.", is_recommended=True),
            Option(value="cu124", title="cu124: torch 2.6.0, xformers 0.0.29.post3", reason="Same drivers; the version that sd-scripts' own README asks for."),
            Option(value="cu128", title="cu128: torch 2.8.0, SDPA", reason="For RTX 50.", problem="Its lowest driver is 570.65; this computer has 566.36."),
        ),
        attentions=(
            Option(value="xformers", title="xformers", reason="Saves the most memory.", is_recommended=True),
            Option(value="sdpa", title="SDPA", reason="PyTorch's own: nothing to install, a little more memory."),
        ),
    )  # fmt: skip


def report(*, is_failed=False):
    checks = (
        Check(title="Python", value="3.11.9"), Check(title="versions", value="84 as planned: torch 2.5.1+cu121"),
        Check(title="CUDA", value="12.1, NVIDIA GeForce RTX 3060 Ti"), Check(title="compute capability", value="8.6 is among sm_50 ... sm_90"),
        Check(title="bf16", value="product of two matrices"), Check(title="fp8 storage", value="kept in float8_e4m3fn, computed in bf16"),
        Check(title="attention: xformers", value="", state="fell back", detail="No operator found for memory_efficient_attention: SDPA is used instead."),
        Check(title="attention: SDPA", value="same result as by hand"),
        Check(title="8-bit optimizer", state="failed", detail="CUDA Setup failed despite GPU being available.") if is_failed
        else Check(title="8-bit optimizer", value="one step of AdamW8bit"),
        Check(title="trainer", value="sdxl_train_network.py --help", state="skipped", detail="not asked for"),
    )  # fmt: skip
    return Report(
        checks=checks, python="3.11.9", versions={"torch": "2.5.1+cu121"}, attention="sdpa", attention_reason="xformers has no operator for this card",
        cuda="12.1", device="NVIDIA GeForce RTX 3060 Ti", capability=(8, 6),
    )  # fmt: skip


def done():
    return Done(
        title="sd-scripts v0.10.1 is ready", folder=f"{ROOT}/vendor/sd-scripts/2", seconds=431, downloaded_bytes=3_140_000_000,
        facts=("torch 2.5.1+cu121", "attention xformers"), remarks=("The environment before is kept: `rollback` returns to it.",),
        next_steps=next_steps(can_rehearse=True),
    )  # fmt: skip


def gone():
    return Gone(
        title="sd-scripts is removed", removed=(Path(f"{ROOT}/vendor/sd-scripts/2"), Path(f"{ROOT}/vendor/sd-scripts/1")), freed_bytes=11_800_000_000,
        kept=("your runs, presets and logs: they are yours", "vendor/sd-scripts/notes.txt: it was not made by the installer"),
    )  # fmt: skip


def failure():
    return InstallError(
        "The packages could not be installed.", why="The package index refused the name or the password (401).",
        fix="`pip config list` shows which index is asked; put the password right, then start this again: it goes on where it stopped.",
    )  # fmt: skip


def events():
    """An installation of a few seconds."""
    titles = ["Python", "Room on the drive", "The trainer's code", "Fetching PyTorch", "Packages", "Proof"]
    for number, title in enumerate(titles, start=1):
        about = {"step": title, "title": title, "number": number, "total": len(titles)}
        if number <= 2:
            yield 0.2, StepEvent(state=StepState.SKIPPED, **about)
            continue
        yield 0.1, StepEvent(state=StepState.BEGIN, detail="it is missing", **about)
        if title == "Fetching PyTorch":
            yield (
                0.2,
                StepEvent(
                    state=StepState.NOTE, detail="2.5 GB from download.pytorch.org, 1.2 GB are here", **about
                ),
            )
            for part in range(80):
                yield (
                    0.1,
                    StepEvent(
                        state=StepState.PROGRESS,
                        detail=WHEEL,
                        done_bytes=1_200_000_000 + part * 1_150_000,
                        total_bytes=2_500_000_000,
                        **about,
                    ),
                )
        else:
            for part in range(25):
                yield 0.1, StepEvent(state=StepState.PROGRESS, detail=f"Installed package-{part}", **about)
        yield 0.1, StepEvent(state=StepState.DONE, **about)


def _progress(slowness=1.0):
    from launcher.ui.progress import install_progress

    with install_progress() as take:
        for pause, event in events():
            time.sleep(pause * slowness)
            take(event)


def _failure():
    from launcher.ui import install_screens

    log = Path("/tmp/sample-install.log")
    log.write_text(
        "\n".join(f"line {number} of what uv said " + "x" * (number % 200) for number in range(400))
    )
    install_screens.show_failure(failure(), log=log)


def main(name):
    from launcher.ui import install_ask, install_screens

    shows = {
        "machine": lambda: install_screens.show_machine(machine(), around()),
        "no-card": lambda: install_screens.show_machine(no_card(), around(())),
        "summary": lambda: install_screens.show_summary(view()),
        "plan": lambda: install_screens.show_plan(view()),
        "ask": lambda: print(install_ask.ask_install(view(), options())),
        "changed": lambda: print(install_ask.ask_changed_source([f"library/train_util_{n}.py" for n in range(11)])),
        "progress": _progress,
        "proof": lambda: install_screens.show_proof(report()),
        "proof-failed": lambda: install_screens.show_proof(report(is_failed=True)),
        "done": lambda: install_screens.show_done(done()),
        "gone": lambda: install_screens.show_gone(gone()),
        "changes": lambda: install_screens.show_changes("What differs from the plan", ["numpy 2.1.0 is installed, 1.26.4 is planned"]),
        "failure": _failure,
        "shortcut": lambda: print(install_screens.offer_shortcut()),
    }  # fmt: skip
    shows[name]()


if __name__ == "__main__":
    main(sys.argv[1])

"""Everything that a script says, before it is written down in a language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher import __version__
from launcher.exporter.dataset import CHANGE
from launcher.plan.cards import cards_of
from launcher.plan.switches import ALLOCATOR_VARIABLE, switch_values
from launcher.trainers import COMMITS, FORK, TITLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.exporter.words import Said
    from launcher.plan import Plan

SCRIPT = "sdxl_train_network.py"
SOURCES = {
    "sd-scripts": "https://github.com/kohya-ss/sd-scripts",
    FORK: "https://github.com/KohakuBlueleaf/sd-scripts",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """A training without the launcher. All texts are true values: each language writes them down in its own way.

    Args:
        about: lines of comment on top.
        lost: what is lost, and `marks` what the launcher reads back of it.
        env: variables to set.
        accelerate: words between `accelerate launch` and the script.
        model: the base model.
        words: all other options of the trainer.
    """

    about: tuple[str, ...]
    lost: tuple[str, ...]
    marks: tuple[tuple[str, str], ...]
    env: Mapping[str, str]
    accelerate: tuple[str, ...]
    model: str
    words: tuple[Said, ...]

    @property
    def all_texts(self) -> list[tuple[str, str]]:
        """Every text of somebody else's with the option that it belongs to."""
        own = [("pretrained_model_name_or_path", self.model)]
        return own + [(said.name, text) for said in self.words for text in said.texts]

    @property
    def trainer_words(self) -> list[str]:
        """The trainer's command line."""
        return [f"--pretrained_model_name_or_path={self.model}", *(word for said in self.words for word in said.words)]  # fmt: skip


def accelerate_words(plan: Plan) -> tuple[str, ...]:
    """What accelerate must be told so that nobody's own configuration of it counts."""
    gpus = cards_of(plan.machine["gpus"].value) if "gpus" in plan.machine else ()
    threads = plan.machine["threads"].value if "threads" in plan.machine else 1
    several = ("--multi_gpu",) if len(gpus) > 1 else ()
    cards = ("--gpu_ids", ",".join(map(str, gpus))) if gpus else ()
    return (
        "--num_cpu_threads_per_process", str(threads), "--mixed_precision", str(plan.train.get("mixed_precision", "no")),
        "--num_processes", str(max(1, len(gpus))), "--num_machines", "1", "--dynamo_backend", "no", *several, *cards,
    )  # fmt: skip


def environment(plan: Plan, *, is_windows: bool) -> dict[str, str]:
    """Variables that matter to sd-scripts: the others of a run are the launcher's own."""
    names = ["PYTHONUTF8", "CUDA_DEVICE_ORDER"] + (["XFORMERS_FORCE_DISABLE_TRITON"] if is_windows else [])
    found = {name: value for name in names if (value := plan.env.get(name))}
    # torch has memory that grows on Linux only; a plan that was made elsewhere does not say so.
    if not is_windows and switch_values(plan.options).get("allocator") == "expandable":
        found[ALLOCATOR_VARIABLE] = "expandable_segments:True"
    return found


def about(plan: Plan, origin: str, paths_in_it: Sequence[str], notes: Sequence[str]) -> tuple[str, ...]:
    """What the script is and what it needs."""
    title, commit = TITLES[plan.trainer], COMMITS[plan.trainer]
    lines = [
        f"{plan.name}: a LoRA training for SDXL with sd-scripts. Written by the SDXL LoRA launcher {__version__} from {origin}.",
        "It needs nothing of the launcher, and 'launcher import' makes a preset of it again.",
        "",
        "What you must have:",
        f"  - {title}, commit {commit},",
        f"    from {SOURCES[plan.trainer]}, in the folder that is named below (sd-scripts beside this file).",
        "    Its README says how its Python environment is made: in its folder venv, or any that has accelerate on the PATH.",
        "  - an NVIDIA card, and the Internet once: sd-scripts fetches two tokenizers at its first start.",
    ]  # fmt: skip
    if any(path.startswith(CHANGE) for path in paths_in_it):
        lines += ["", f"CHANGE THIS before you start it: every path that begins with {CHANGE}."]
    here = [path for path in paths_in_it if not path.startswith(CHANGE)]
    if here:
        lines += ["", "Paths in it, which are of the computer where it was written:", *(f"  {path}" for path in here)]  # fmt: skip
    return (*lines, *("", "Notes:", *(f"  {note}" for note in notes)) * bool(notes))

"""accelerate's configuration: the guide's questions, the file that answers them, the launch line that works with it.

The guide answers "fp8" to the last question. accelerate up to 0.30 writes that down; 1.6 and later crash on it, and
on launching from such a file, unless the launch line says the precision again (install facts, section 2). Training
is not touched by the answer either way: fp8 comes from the trainer's own `fp8_base`, computing is bf16 or fp16.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

READ_BYTES = 65536  # of a configuration that is not ours


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One question of `accelerate config`, in its words, and the answer given."""

    text: str
    answer: str
    why: str


QUESTIONS = (
    Question(
        text="In which compute environment are you running?",
        answer="This machine",
        why="The other choice is a rented Amazon service.",
    ),
    Question(
        text="Which type of machine are you using?",
        answer="No distributed training",
        why="One process on one card: several would each need the whole model.",
    ),
    Question(
        text="Do you want to run your training on CPU only?",
        answer="NO",
        why="The card does the work; without one accelerate takes the CPU by itself.",
    ),
    Question(
        text="Do you wish to optimize your script with torch dynamo?",
        answer="NO",
        why="Compiling costs minutes at every start and does not work on Windows without Triton.",
    ),
    Question(
        text="Do you want to use DeepSpeed?",
        answer="NO",
        why="It shares out a model among several cards.",
    ),
    Question(
        text="What GPU(s) (by id) should be used for training on this machine?",
        answer="all",
        why="With one process this is the first card.",
    ),
    Question(
        text="Do you wish to use FP16 or BF16 (mixed precision)?",
        answer="fp8",
        why="As asked for. The weights are kept in fp8 by the trainer's own fp8_base; each launch says bf16 or fp16, "
        "which is what it computes in.",
    ),
)

# Byte for byte what `accelerate config` 0.25.0 writes for these answers; 0.25.0, 0.30.0, 1.6.0 and 1.15.0 accept it.
_FORM = """\
compute_environment: LOCAL_MACHINE
debug: false
distributed_type: 'NO'
downcast_bf16: 'no'
{more}gpu_ids: all
machine_rank: 0
main_training_function: main
mixed_precision: fp8
num_machines: 1
num_processes: 1
rdzv_backend: static
same_network: true
tpu_env: []
tpu_use_cluster: false
tpu_use_sudo: false
use_cpu: false
"""
# Keys that a version writes beyond that (and that 0.25.0 would refuse). Versions that are not named here either write
# the form as it is, or cannot write any: 1.6.0 and 1.15.0 ask an eighth question and then crash (tests drive them).
_MORE = {"0.30.0": "enable_cpu_affinity: false\n"}
_REGIONS_SINCE = (1, 7)  # 1.6.0 has no such variable, 1.15.0 has it
_CRASHES_SINCE = (1, 6)  # the first version seen to; what lies between it and 0.30 was not tried

# The same for Python itself. PYTHONIOENCODING would undo UTF-8, in which Japanese can be printed everywhere.
PYTHON_VARIABLES = ("PYTHONHOME", "PYTHONIOENCODING", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV")
# Every name that accelerate 0.25.0, 0.30.0, 1.6.0 or 1.15.0 takes from the environment to decide how to train; a test
# compares the list with their sources. What a shell, another tool or another launch left there must not come through.
VARIABLES = (
    "ACCELERATE_ALLOW_CP_STANDALONE", "ACCELERATE_BYPASS_DEVICE_MAP", "ACCELERATE_CONFIG_DS_FIELDS",
    "ACCELERATE_CPU_AFFINITY", "ACCELERATE_DEBUG_MODE", "ACCELERATE_DEBUG_RDV_FILE",
    "ACCELERATE_DEEPSPEED_CONFIG_FILE", "ACCELERATE_DEEPSPEED_MOE_LAYER_CLS_NAMES",
    "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE", "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_NVME_PATH",
    "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE", "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_NVME_PATH",
    "ACCELERATE_DEEPSPEED_ZERO3_INIT", "ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL",
    "ACCELERATE_DEEPSPEED_ZERO_STAGE", "ACCELERATE_DISABLE_RICH", "ACCELERATE_DOWNCAST_BF16",
    "ACCELERATE_DYNAMO_BACKEND", "ACCELERATE_DYNAMO_MODE", "ACCELERATE_DYNAMO_USE_DYNAMIC",
    "ACCELERATE_DYNAMO_USE_FULLGRAPH", "ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION", "ACCELERATE_ENABLE_RICH",
    "ACCELERATE_FP8_BACKEND", "ACCELERATE_FP8_OPT_LEVEL", "ACCELERATE_GRADIENT_ACCUMULATION_STEPS",
    "ACCELERATE_GRADIENT_CLIPPING", "ACCELERATE_INIT_INCLUDE_BUFFERS",
    "ACCELERATE_LOG_LEVEL", "ACCELERATE_MIXED_PRECISION",
    "ACCELERATE_SAGEMAKER_DISTRIBUTED_TYPE", "ACCELERATE_TORCH_DEVICE", "ACCELERATE_USE_CPU",
    "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_FSDP", "ACCELERATE_USE_IPEX", "ACCELERATE_USE_MEGATRON_LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG", "ACCELERATE_USE_SAGEMAKER", "ACCELERATE_USE_TP", "ACCELERATE_USE_XPU",
    # from torchrun, MPI and their kin: a number above 1 here makes one process wait for others for ever
    "CCL_WORKER_COUNT", "FORK_LAUNCHED", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "MPI_LOCALNRANKS", "MPI_LOCALRANKID", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE",
    "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "NODE_RANK", "NPROC", "OMPI_COMM_WORLD_LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK", "PMI_SIZE", "RANK",
    "WORLD_SIZE",
)  # fmt: skip


def config_text(version: str) -> str:
    """What `accelerate config` of that version writes for `QUESTIONS`; where it cannot, the form that it accepts."""
    return _FORM.format(more=_MORE.get(version, ""))


def crashes_on_fp8(version: str) -> bool:
    """Whether `accelerate config` of that version ends with a traceback, and without a file, on the answer fp8."""
    return _numbers(version) >= _CRASHES_SINCE


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def remark(version: str) -> str:
    """One sentence to show below the questions: how the answers became a file."""
    if crashes_on_fp8(version):
        return (
            f"accelerate {version} itself crashes on the answer fp8 (it looks for Transformer Engine), so the launcher "
            "writes the file, and says the precision again at every launch."
        )
    return (
        f"The file is the one that accelerate {version} writes for these answers; it is this trainer's own."
    )


def wrong_config(file: Path, version: str) -> str | None:
    """Why the file must be written (again), or None."""
    try:
        found = file.read_bytes()
    except OSError:
        return "it is missing"
    return None if found == config_text(version).encode() else "it was changed"


def write_config(file: Path, version: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, config_text(version).encode())


def launch_argv(
    python: Path, config: Path, *, mixed_precision: str, threads: int, processes: int = 1, gpus: Sequence[int] = (),
    port: str = "",
) -> tuple[str, ...]:  # fmt: skip
    """`accelerate launch` up to the script, by the environment's own interpreter.

    Everything that accelerate would otherwise take from the user's global configuration, or guess, is said here:
    it takes all cards, and refuses fp8 files, unless told.

    Args:
        python: of the environment.
        config: accelerate's configuration of this environment.
        mixed_precision: `no`, `fp16` or `bf16`.
        threads: of each process.
        processes: how many train together, with torchrun. Without cards they are processes on the CPU.
        gpus: numbers of the cards that several processes take, one each; empty: from the first on.
        port: where several processes meet.
    """
    several = (
        "--multi_gpu", *(("--main_process_port", port) if port else ()),
        *(("--gpu_ids", ",".join(map(str, gpus))) if gpus else ()),
    )  # fmt: skip
    return (
        str(python), "-X", "utf8", "-m", "accelerate.commands.launch",
        "--config_file", str(config), "--mixed_precision", mixed_precision,
        "--num_processes", str(processes), "--num_machines", "1", "--dynamo_backend", "no",
        "--num_cpu_threads_per_process", str(threads), *(several if processes > 1 else ()),
    )  # fmt: skip


def child_variables(version: str, *, mixed_precision: str, threads: int) -> dict[str, str]:
    """What `accelerate launch` puts into the environment of one process, with our file and the line of `launch_argv`.

    Its script gets the words behind it, started by the environment's own interpreter, and nothing else: whoever sets
    these starts the same training without it (tests/test_accelerate_config.py compares both with the real ones).

    Args:
        version: of the environment's accelerate; empty: unknown.
        mixed_precision: `no`, `fp16` or `bf16`.
        threads: of the process.
    """
    compiles_regions = _numbers(version) >= _REGIONS_SINCE
    return {
        "ACCELERATE_USE_CPU": "False", "ACCELERATE_MIXED_PRECISION": mixed_precision,
        "ACCELERATE_DYNAMO_BACKEND": "NO", "ACCELERATE_DYNAMO_MODE": "default",
        "ACCELERATE_DYNAMO_USE_FULLGRAPH": "False", "ACCELERATE_DYNAMO_USE_DYNAMIC": "False",
        **({"ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION": "False"} if compiles_regions else {}),
        "OMP_NUM_THREADS": str(threads),
    }  # fmt: skip


def global_configs(environ: Mapping[str, str], home: Path) -> list[Path]:
    """Files of `accelerate config` that belong to the user and are there, where accelerate itself looks for them."""
    cache = environ.get("XDG_CACHE_HOME") or str(home / ".cache")
    hub = environ.get("HF_HOME") or str(Path(cache) / "huggingface")
    folder = (home / hub[2:] if hub.startswith(("~/", "~\\")) else Path(hub)) / "accelerate"
    return [file for name in ("yaml", "json") if (file := folder / f"default_config.{name}").is_file()]


def global_config_note(environ: Mapping[str, str], home: Path) -> str | None:
    """What to say about settings of the user's that look as if they mattered here, and do not; None: there are none.

    Nothing of the user's is ever written.
    """
    notes = []
    for file in global_configs(environ, home):
        said = _sayings(file)
        notes.append(
            f"Your own accelerate configuration {file}{f' says {said}; it' if said else ''} stays as it is and is not "
            "read by launches from here: each names its own file with --config_file."
        )
    if names := leaking(environ):
        are = "is" if len(names) == 1 else "are"
        notes.append(f"{', '.join(names)} {are} set in this environment, and taken out for the training.")
    return " ".join(notes) or None


def leaking(environ: Mapping[str, str]) -> list[str]:
    """Variables of accelerate's that are set: on Windows their case does not count."""
    return sorted(name for name in environ if name.upper() in VARIABLES)


def _sayings(file: Path) -> str:
    """What would surprise in a configuration; it may be YAML or JSON whatever its name (accelerate writes both)."""
    try:
        with file.open("rb") as stream:
            text = stream.read(READ_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    found = {
        key.lower(): value.lower()
        for key, value in re.findall(r"""^[{\s]*["']?(\w+)["']?\s*:\s*["']?(\w+)""", text, re.MULTILINE)
    }
    words = {
        "mixed precision fp8 (accelerate 1.6 and later crash on it)": found.get("mixed_precision") == "fp8",
        "CPU only": found.get("use_cpu") in {"true", "yes", "1"},
        "several cards": found.get("distributed_type", "no").startswith("multi"),
    }
    return ", ".join(word for word, holds in words.items() if holds)

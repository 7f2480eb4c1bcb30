"""The command line and the environment of a training process."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from launcher.install import accelerate
from launcher.paths import PACKAGE
from launcher.plan.names import make_name
from launcher.plan.records import PORT, RUN
from launcher.plan.switches import ALLOCATOR_VARIABLE
from launcher.trainers.switches import NOT_FOR_THE_SHIM, switch_word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from launcher.paths import Paths
    from launcher.trainers import Trainer

SHIM = PACKAGE / "shim" / "__main__.py"
SKIP = "skip_until_initial_step"
LOG_COLUMNS = 200  # rich wraps at 80 in a pipe and tears paths apart

# What a shell, another tool or a user's accelerate configuration may have left: it would change the training.
REMOVED = (*accelerate.PYTHON_VARIABLES, *accelerate.VARIABLES)


def is_direct(processes: int, switches: Mapping[str, object] | None) -> bool:
    """Whether the training is started by itself: several processes need torchrun, and accelerate, around them."""
    return processes <= 1 and (switches or {}).get("launch", "direct") == "direct"


def make_argv(
    paths: Paths, trainer: Trainer, *, mixed_precision: str, threads: int, resume_state: Path | None,
    switches: Mapping[str, object] | None = None, processes: int = 1, gpus: Sequence[int] = (),
) -> tuple[str, ...]:  # fmt: skip
    """The trainer through the shim, by the training environment's own interpreter: directly, or by `accelerate launch`.

    The direct way is the very line that accelerate would start, and goes with `make_env(direct=...)`.

    Args:
        paths: of this installation.
        trainer: what to start.
        mixed_precision: `no`, `fp16` or `bf16`.
        threads: of each process.
        resume_state: the state to go on from.
        switches: of the launcher itself; the shim gets those that are its own.
        processes: how many train together; each has a card of its own where there are cards.
        gpus: numbers of the cards; empty: the first, or those that `processes` needs.
    """
    python = paths.trainer_python(trainer.name)
    launch = (str(python),) if is_direct(processes, switches) else accelerate.launch_argv(
        python, paths.accelerate_config(trainer.name),
        mixed_precision=mixed_precision, threads=threads, processes=processes, gpus=gpus, port=PORT,
    )  # fmt: skip
    switched = [
        word
        for name, value in (switches or {}).items()
        if name not in NOT_FOR_THE_SHIM
        for word in ("--switch", switch_word(name, value))
    ]
    shim = (
        str(SHIM), "--run", RUN, "--script", str(trainer.script), "--trainer-class", trainer.trainer_class, *switched, "--",
        "--config_file", f"{RUN}/train.toml", "--dataset_config", f"{RUN}/dataset.toml",
    )  # fmt: skip
    return (*launch, *shim, *_resume_words(trainer, resume_state))


def _resume_words(trainer: Trainer, state: Path | None) -> tuple[str, ...]:
    """The fork has no way to skip what was trained already; there the shim does it alone."""
    if state is None:
        return ()
    return ("--resume", str(state), *((f"--{SKIP}",) if SKIP in trainer.options else ()))


def make_env(
    paths: Paths, data: Path, *, gpus: Sequence[int] = (), allocator: str | None = None,
    direct: Mapping[str, str] | None = None,
) -> dict[str, str | None]:  # fmt: skip
    """Changes of the environment; None removes a variable.

    Args:
        paths: of this installation.
        data: the image folder, whose caches are shared by its runs.
        gpus: numbers of the cards to be seen; empty: all of them.
        allocator: what torch's allocator is told; None: nothing.
        direct: what accelerate would say to the process, where it is not there to say it.
    """
    return {
        "PYTHONUTF8": "1",  # Japanese in a print would end the run on a Western Windows
        "PYTHONUNBUFFERED": "1",  # the log is read while it is written
        "COLUMNS": str(LOG_COLUMNS),
        "HF_HUB_OFFLINE": "1",  # a mistyped path must not become a download
        "XFORMERS_FORCE_DISABLE_TRITON": "1",  # its absence on Windows prints a frightening, harmless traceback
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # the same numbers as the driver's, whose memory figures are shown
        "LAUNCHER_CACHE_DIR": str(cache_folder(paths, data)),
        "LAUNCHER_NOTES_DIR": str(paths.cache),  # hashes of models, and what packages look up at each import
        **({"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))} if gpus else {}),
        # torch for Windows is built without libuv, and its processes would not find each other (kohya_ss#3096)
        **({"USE_LIBUV": "0"} if len(gpus) > 1 else {}),
        **({ALLOCATOR_VARIABLE: allocator} if allocator else {}),
        **dict.fromkeys(REMOVED),
        **(direct or {}),
    }


def cache_folder(paths: Paths, data: Path) -> Path:
    """Latents and text conditioning of one data folder, shared by all runs on it and outside of it.

    The trainer names each file by a fingerprint of its image, so nothing here is ever stale.
    """
    fingerprint = hashlib.sha256(data.as_posix().encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return paths.home / "user" / "cache" / f"{make_name(data.name)[:40].strip()}-{fingerprint}"

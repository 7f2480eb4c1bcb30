"""The two TOML files that the trainer reads, as mappings and as text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.plan.dataset import DATASET
from launcher.plan.records import PORT, RUN
from launcher.plan.tomlout import write_toml
from launcher.trainers.switches import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.paths import RunPaths
    from launcher.plan.records import Plan
    from launcher.preset import Setting

HEADING = (
    "Written by the launcher when the run was created. Changing it changes nothing: a resume writes its own."
)


def make_train(
    options: Mapping[str, Setting], *, name: str, model: Path | None, tokenizers: Path | None = None
) -> dict[str, Any]:
    """`train.toml`: every option that is not its default spelling of "off", and what the launcher sets itself."""
    train = {key: setting.value for key, setting in options.items() if not key.startswith((DATASET, PREFIX))}
    train["output_dir"] = f"{RUN}/output"
    train["output_name"] = name
    if "log_with" in train:
        train["logging_dir"] = f"{RUN}/output/logs"  # upstream refuses log_with without it
    if tokenizers is not None:  # training is offline, and looks for them nowhere else
        train.setdefault("tokenizer_cache_dir", tokenizers.as_posix())
    if model is not None:
        train["pretrained_model_name_or_path"] = model.as_posix()
    return train


def in_run(text: str, run: RunPaths) -> str:
    """A word of the plan with the run folder put in; only where the word begins with it."""
    if text == RUN:
        return str(run.folder)
    if text.startswith(f"{RUN}/"):
        return str(run.folder.joinpath(*text.split("/")[1:]))
    return text


def render_argv(plan: Plan, run: RunPaths) -> tuple[str, ...]:
    """The command line for one run folder, ready to be started."""
    return tuple(_free_port() if word == PORT else in_run(word, run) for word in plan.argv)


def _free_port() -> str:
    """A port that nobody listens on just now; two trainings on one computer must not meet on the usual one.

    accelerate takes a port 0 as well, but then torch's processes wait for each other on it for ever.
    """
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def render_train_toml(plan: Plan, run: RunPaths) -> str:
    """Text of `train.toml` for one run folder."""
    folders = {
        key: Path(in_run(str(plan.train[key]), run)).as_posix()
        for key in ("output_dir", "logging_dir")
        if key in plan.train
    }
    return write_toml({**plan.train, **folders}, HEADING)


def render_dataset_toml(plan: Plan) -> str:
    """Text of `dataset.toml`."""
    return write_toml(plan.dataset, HEADING)

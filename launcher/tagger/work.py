"""A tagging from beginning to end: what is missing is brought, the worker runs, captions are written as it tells tags."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from launcher.errors import LauncherError, TrainingError
from launcher.files import write_json
from launcher.install.accelerate import PYTHON_VARIABLES
from launcher.install.steps import Step, run_steps
from launcher.paths import PACKAGE
from launcher.process import run
from launcher.tagger import hub, models, runtime
from launcher.tagger.journal import RUNNING, Journal, changes_of, entries
from launcher.tagger.records import BAD_IMAGE, Left, Ready, Result
from launcher.tagger.worker import rules
from launcher.tagger.writer import sweep, write_captions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.install.commands import Commands
    from launcher.install.fetch import Patience
    from launcher.install.steps import StepEvent
    from launcher.paths import Paths
    from launcher.tagger.models import Model
    from launcher.tagger.records import Survey, Target, Wish
    from launcher.tagger.runtime import Runtime

WORKER = PACKAGE / "tagger" / "worker" / "__main__.py"
JOB = "job.json"
TAIL_LINES = 12
MOST_TAGS = 100_000  # different ones that are counted


class TaggerError(TrainingError):
    """The worker did not come to its end."""


def make_ready(
    paths: Paths, model: Model, where: Runtime, commands: Commands, *, mirror: str | None,
    report: Callable[[StepEvent], None], patience: Patience | None = None,
) -> Model:  # fmt: skip
    """Bring the packages and the model where they are missing; the model as it is now.

    Raises:
        InstallError: something cannot be had.
    """

    def bring(tell: Any) -> None:
        hub.bring(
            paths, model, mirror=mirror, settings=commands.settings, tell=tell, log=commands.log, patience=patience
        )  # fmt: skip

    steps = [
        Step(name="packages", title="Packages of the tagger", check=lambda: runtime.missing(where), do=lambda tell: runtime.install(where, commands, tell)),
        Step(name="model", title=f"Tagger {model.name}", check=lambda: models.missing(_again(paths, model)), do=bring),
    ]  # fmt: skip
    run_steps(steps, journal=paths.tagger / "install.jsonl", report=report)
    return _again(paths, model)


def _again(paths: Paths, model: Model) -> Model:
    """A model of the hub knows its files only after they were asked for."""
    return models.find(paths, model.name) if model.origin == models.HUB else model


def tag(
    paths: Paths, wish: Wish, found: Survey, model: Model, where: Runtime,
    *, on_progress: Callable[[Result, int], None] = lambda _result, _done: None,
) -> Result:  # fmt: skip
    """Tag the images; the caller holds `journal.turn`. Whatever happens on the way, what was written can be taken back.

    Args:
        paths: of this installation.
        wish: what is wanted.
        found: the images.
        model: whole and verified.
        where: the packages are there.
        on_progress: the result so far, and how many images were looked at.

    Raises:
        TaggerError: the worker failed.
        LauncherError: a caption cannot be written.
    """
    book = Journal(paths.tagger_journal, tagged=wish.folder, goes_on_with=_interrupted(paths, wish.folder))
    result = Result(
        folder=wish.folder, model=model.name, journal=book.name, images=found.images, left=list(found.left)
    )
    work = _Work(wish, found.targets, book, result, on_progress, note=where.note)
    began = time.monotonic()
    try:
        work.run(_write_job(paths, wish, found, model, where), where)
        book.end()
    finally:
        book.close()
        (paths.tagger_notes / JOB).unlink(missing_ok=True)
        result.seconds = time.monotonic() - began
    return result


def _interrupted(paths: Paths, folder: Path) -> str | None:
    """The last tagging of this folder, if it was interrupted; what it left beside captions is removed."""
    last = next((entry for entry in entries(paths.tagger_journal) if entry.folder == folder), None)
    if last is None or last.status != RUNNING:
        return None
    with suppress(LauncherError):  # a damaged journal is told of by `--undo`
        sweep(changes_of(paths.tagger_journal, last.name))
    return last.name


def _write_job(paths: Paths, wish: Wish, found: Survey, model: Model, where: Runtime) -> Path:
    job = paths.tagger_notes / JOB
    write_json(
        job,
        {
            "packages": [str(where.packages)], "model": str(model.folder), "wants_gpu": where.wants_gpu, "batch": wish.batch,
            "images": [str(target.image) for target in found.targets],
            "rules": {
                "thresholds": rules.thresholds(wish.general, wish.character, wish.rest), "rating": wish.rating,
                "has_spaces": wish.has_spaces, "undesired": list(wish.undesired),
            },
        },
    )  # fmt: skip
    return job


class _Work:
    """Follows the worker line by line."""

    def __init__(
        self, wish: Wish, targets: tuple[Target, ...], book: Journal, result: Result,
        on_progress: Callable[[Result, int], None], *, note: str,
    ) -> None:  # fmt: skip
        self._wish, self._targets, self._book, self._result = wish, targets, book, result
        self._on_progress, self._note = on_progress, note
        self._done = 0
        self._last: dict[str, Any] = {}
        self._noise: list[str] = []

    def run(self, job: Path, where: Runtime) -> None:
        env: dict[str, str | None] = {
            **dict.fromkeys(PYTHON_VARIABLES),
            "PYTHONUNBUFFERED": "1",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        }
        argv = [str(where.python), "-X", "utf8", str(WORKER), str(job)]
        finished = run(argv, env=env, on_line=self._take, most_lines=TAIL_LINES)
        if self._last.get("type") == "end":
            return
        if self._last.get("type") == "error":
            raise self._failure(where)
        raise TaggerError(
            "The tagger stopped in the middle.",
            why="\n".join([f"Its process ended with code {finished.code}.", *self._noise]),
            fix="What was written stays. Start it again: it goes on with the rest. If memory ran out: --batch 1, or --device cpu.",
        )

    def _failure(self, where: Runtime) -> TaggerError:
        message = str(self._last.get("message"))
        if self._last.get("kind") == "packages":
            runtime.spoil(where)
            return TaggerError(
                "The packages of the tagger do not work.",
                why=message,
                fix="Start this again: they are installed anew.",
            )
        return TaggerError(
            "The tagger model does not work.", why=message,
            fix="Take another model (--model), or where the graphics card's memory ran out: --batch 1, or --device cpu.",
        )  # fmt: skip

    def _take(self, line: str) -> None:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict) or "type" not in event:
            self._noise = [*self._noise, line][-TAIL_LINES:]
            return
        self._last = event
        if event["type"] == "ready":
            self._result.ready = Ready(
                device=str(event["device"]), note=str(event["note"]) or self._note, batch=int(event["batch"]), version=str(event["onnxruntime"])
            )  # fmt: skip
        elif event["type"] == "batch":
            self._write(event["images"])
        self._on_progress(self._result, self._done)

    def _write(self, images: list[dict[str, Any]]) -> None:
        batch = []
        for image in images:
            target = self._targets[int(image["i"])]
            if "error" in image:
                self._result.left.append(Left(image=target.image, why=BAD_IMAGE, detail=str(image["error"])))
                continue
            tags = [str(tag) for tag in image["tags"]]
            batch.append((target, tags))
            for tag in tags:
                if tag in self._result.tags or len(self._result.tags) < MOST_TAGS:
                    self._result.tags[tag] = self._result.tags.get(tag, 0) + 1
        written, left = write_captions(batch, self._wish, self._book)
        self._result.written += written
        self._result.left += left
        self._done += len(images)

"""After a run that failed or was cut off: say why, and go on with one key where somebody is there to press it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import TrainingError
from launcher.paths import RunPaths, command

if TYPE_CHECKING:
    from launcher.ending import Ending
    from launcher.history import RunRecord
    from launcher.paths import Paths


def end(paths: Paths, record: RunRecord, *, can_ask: bool = True) -> int:
    """Tell how the run ended; on a terminal wait for a key and carry out what it stands for. Returns the exit code.

    Raises:
        TrainingError: nobody can be asked; it says the same, with the commands.
    """
    from launcher.ending import ending_of
    from launcher.ui import prompts

    ending = ending_of(paths, record)
    if not can_ask or not prompts.can_ask():
        raise _as_error(record, ending)
    from launcher.ui.end_view import ask_offer

    offer = ask_offer(record, ending, RunPaths(folder=record.folder).log)
    if offer is None:
        return TrainingError.exit_code
    from launcher.cli import execute

    return execute(list(offer.words), paths)


def _as_error(record: RunRecord, ending: Ending) -> TrainingError:
    found = ending.explanation
    what = found.what if found else "The process is gone."
    ways = "\n".join(f"{offer.title}: {command(*offer.words)}" for offer in ending.offers)
    return TrainingError(
        f"The training ended at step {record.step or 0} without its result. {what}",
        why="\n".join(filter(None, (found.why if found else "", f"It said: {found.said}" if found and found.said else ""))),
        fix="\n".join(filter(None, (found.fix if found else "", ending.survives, ways))),
        where=str(RunPaths(folder=record.folder).log),
    )  # fmt: skip


def failure_json(record: RunRecord) -> dict[str, object] | None:
    """The same for a program; None for a run that has not failed. States are not looked at: a list must be quick."""
    from launcher.failures import explain_run

    found = explain_run(RunPaths(folder=record.folder), record.error)
    if found is None:
        return None
    return {
        "kind": found.kind,
        "title": found.title,
        "what": found.what,
        "why": found.why,
        "fix": found.fix,
        "said": found.said,
        "retry_can_succeed": found.again,
    }

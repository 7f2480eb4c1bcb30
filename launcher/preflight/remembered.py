"""The check of a dataset as a whole, remembered: as long as no file in its folders has changed, one listing is enough.

A small file for each question (which data, as which preset would train it, with which settings, on which computer, by which
version of the check): the places that the answer came from, each with the digest of its listing, and the answer. It may
be deleted at any time, and one that is damaged or was written by another version is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher import __version__
from launcher.captions.store import forget_oldest, words_from
from launcher.captions.tokens import FOLDER
from launcher.errors import Problem, Severity
from launcher.files import write_atomic
from launcher.paths import PACKAGE
from launcher.plan import resolve
from launcher.plan.listing import listing_of, noted
from launcher.plan.shapes import Bucket, Fit, Table
from launcher.plan.sources import find_sources
from launcher.preflight.dataset import DatasetReport, Entry, examine
from launcher.preflight.steps import Steps
from launcher.preset import Setting, load_preset, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.machine import Machine
    from launcher.paths import Paths
    from launcher.plan import Request
    from launcher.plan.listing import Listing
    from launcher.preflight.dataset import Tell

VERSION = 1
MOST_BYTES = 16 * 1024 * 1024
# What has changed a moment ago may change again under the same time (FAT counts in 2 s).
SETTLED_NS = 2_000_000_000
CODE = ("captions", "pictures", "plan", "preflight", "preset", "machine")  # whose change may change an answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What was asked, and where its answer is kept."""

    key: str
    file: Path


def check_again(paths: Paths, request: Request, machine: Machine, tell: Tell) -> DatasetReport:
    """The check of what a request names: remembered, or made now (`dataset.examine`).

    Raises:
        LauncherError: the request cannot be resolved.
    """
    began_ns = time.time_ns()
    question = question_of(paths, request, machine)
    known = recall(question)
    if known is not None:
        return known
    with noted() as places:
        plan = resolve(paths, request, machine)
        listings = listings_of(places)
        report = examine(paths, plan, machine, tell)
    if places <= listings.keys():
        remember(question, report, listings, began_ns=began_ns)
    return report


def question_of(paths: Paths, request: Request, machine: Machine) -> Question:
    """Everything but the data that the answer depends on.

    Raises:
        LauncherError: the preset, the settings or the words of the request cannot be used.
    """
    own = load_settings(paths)
    model = own.defaults.get("model")
    parts = (
        VERSION, __version__, request, find_sources(request, own), load_preset(paths, request.preset).sha256, own,
        replace(machine, free_ram_mib=0, gpus=tuple(replace(gpu, free_mib=0) for gpu in machine.gpus)),
        [_digest(paths.user_settings), _digest(paths.pins), _digest(paths.tokenizers / FOLDER)],
        [_digest(Path(str(model.value))) if isinstance(model, Setting) else None],
        [_digest(PACKAGE / name) for name in CODE],
    )  # fmt: skip
    key = hashlib.blake2b(repr(parts).encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()
    return Question(key=key, file=paths.dataset_store / f"{key}.json")


def _digest(place: Path) -> str | None:
    listing = listing_of(place)
    return listing.digest if listing else None


def recall(question: Question) -> DatasetReport | None:
    """The answer, if every place that it came from is as it was; else None."""
    try:
        if question.file.stat().st_size > MOST_BYTES:
            return None
        seal, _, text = question.file.read_bytes().partition(b"\n")
        if seal.decode() != _seal(question, text):
            return None
        value = json.loads(text)
        if any(_digest(Path(place)) != digest for place, digest in value["places"]):
            return None
        with suppress(OSError):
            os.utime(question.file)  # the oldest answers are forgotten first
        return _report(value["report"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def listings_of(places: Iterable[Path]) -> dict[Path, Listing | None]:
    """How the places are now: to be asked before their files are looked at, so that a later change cannot be missed."""
    return {place: listing_of(place) for place in sorted(places)}


def remember(
    question: Question, report: DatasetReport, listings: dict[Path, Listing | None], *, began_ns: int
) -> None:
    """Write the answer down, unless its files are still changing. A full disk only means that they are looked at again."""
    if not report.is_lasting or not listings:
        return
    found = {str(place): listing for place, listing in listings.items() if listing is not None}
    if len(found) < len(listings) or max(it.newest_ns for it in found.values()) > began_ns - SETTLED_NS:
        return
    places = [(place, listing.digest) for place, listing in found.items()]
    text = json.dumps({"places": places, "report": asdict(report)}, default=str).encode()
    if len(text) >= MOST_BYTES:
        return
    with suppress(OSError):
        question.file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(question.file, _seal(question, text).encode() + b"\n" + text)
        forget_oldest(question.file.parent)


def _seal(question: Question, text: bytes) -> str:
    return hashlib.blake2b(question.key.encode() + text, digest_size=20).hexdigest()


def _report(value: dict[str, Any]) -> DatasetReport:
    """Raises one of the errors above for what `remember` did not write."""
    read = {
        "data": Path(value["data"]), "problems": tuple(map(_problem, value["problems"])), "words": words_from(value["words"]),
        "formats": tuple((str(name), int(count)) for name, count in value["formats"]),
        "tables": tuple(map(_table, value["tables"])), "steps": Steps(**value["steps"]),
        "entries": tuple(map(_entry, value["entries"])),
        "same": tuple(tuple(map(_entry, group)) for group in value["same"]),
        "alike": tuple(tuple(map(_entry, group)) for group in value["alike"]),
    }  # fmt: skip
    return DatasetReport(**{**value, **read})


def _problem(value: dict[str, Any]) -> Problem:
    return Problem(**{**value, "severity": Severity(value["severity"])})


def _table(value: dict[str, Any]) -> Table:
    rows = tuple(Bucket(**{**row, "size": tuple(row["size"])}) for row in value["rows"])
    return Table(**{**value, "resolution": tuple(value["resolution"]), "rows": rows})


def _entry(value: dict[str, Any]) -> Entry:
    size, found, caption = value["size"], value["fit"], value["caption"]
    return Entry(
        path=Path(value["path"]), caption=None if caption is None else Path(caption), size=tuple(size) if size else None,
        marks=tuple((Severity(severity), str(text)) for severity, text in value["marks"]),
        fit=Fit(**{**found, "bucket": tuple(found["bucket"]), "resized": tuple(found["resized"])}) if found else None,
    )  # fmt: skip

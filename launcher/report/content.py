"""What the page says, gathered from the run folders as plain records; the template only lays it out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from launcher.events import Status
from launcher.failures import explain_run
from launcher.files import sha256_of
from launcher.plan.switches import is_telling
from launcher.report import words
from launcher.report.images import MIB, Picture, inside, load_picture, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.monitor import RunView, Save
    from launcher.paths import RunPaths
    from launcher.report.curves import Figure

IMAGES_LIMIT = 16 * MIB  # of data URIs in one page: browsers and mail still take it
HASH_LIMIT = 1024 * MIB  # seconds on a laptop; of more files only the size is told
LONGEST_VALUE = 500
STEP_IN_NAME = re.compile(r"_(?:e?\d{6})_")  # sd-scripts and the rehearsal: name_000200_00_42.png

STATUS_WORDS = {
    Status.PENDING: ("not started yet", "wait"),
    Status.RUNNING: ("still training", "wait"),
    Status.PAUSED: ("paused", "wait"),
    Status.SUCCEEDED: ("finished", "good"),
    Status.FAILED: ("failed", "bad"),
    Status.CANCELLED: ("stopped", "wait"),
    Status.INTERRUPTED: ("interrupted", "bad"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One run of a chain: its folder, what it did, what it was meant to do."""

    run: RunPaths
    view: RunView
    plan: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    step: int
    picture: Picture


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """The samples of one prompt, by step."""

    prompt: str
    shots: tuple[Shot, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraFile:
    path: str
    name: str
    step: int
    is_final: bool
    size: str
    sha256: str  # empty: not there any more, or not computed


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A line of a table: a name, a value, where the value came from, and why it is so."""

    name: str
    value: str
    source: str
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Everything that the template may say."""

    part: Part
    parts: tuple[Part, ...]
    status: str
    status_kind: str
    failure: Row | None
    facts: tuple[Row, ...]
    figures: tuple[Figure, ...]
    galleries: tuple[Gallery, ...]
    left_out: str
    files: tuple[LoraFile, ...]
    class_tokens: str
    boosts: tuple[Row, ...]
    settings: tuple[Row, ...]
    machine: tuple[Row, ...]
    chain: tuple[Row, ...]
    alerts: tuple[Row, ...]
    written: str


def failure(part: Part) -> Row | None:
    """What made the run end, why, and what to do; None when nothing did."""
    error = part.view.error
    if error is None or part.view.status.is_live or part.view.status is Status.SUCCEEDED:
        return None
    found = explain_run(part.run, {"error": error.error, "message": error.message, "kind": error.kind})
    if found is None:
        return None
    return Row(name=said(found.what), value=said(found.fix), source=found.kind, why=said(found.why))


def facts(parts: Sequence[Part]) -> tuple[Row, ...]:
    """The line of numbers under the title: label, value, small print."""
    last = parts[-1].view
    trained = sum(part.view.elapsed_s or 0.0 for part in parts)
    total = f"of {last.total_steps:,}" if last.total_steps else ""
    rows = [Row(name="Steps", value=f"{last.step:,}", source=total)]
    held = sum(part.view.held_s for part in parts)
    resumes = len(parts) - 1
    rows.append(
        Row(
            name="Training time",
            value=words.duration(trained),
            source=", ".join(
                fact
                for fact in (
                    f"resumed {words.plural(resumes, 'time')}" if resumes else "",
                    f"{words.duration(held)} of it waiting" if held else "",
                )
                if fact
            ),
        )
    )
    if last.seconds_per_step is not None:
        rows.append(Row(name="Per step", value=f"{words.number(last.seconds_per_step)} s", source="median"))
    if last.avg_loss is not None:
        rows.append(Row(name="Average loss", value=words.number(last.avg_loss), source=_loss_before(parts)))
    rows.extend(_memory(parts))
    if last.images:
        rows.append(Row(name="Images", value=f"{last.images:,}", source="in the dataset"))
    return tuple(rows)


def _loss_before(parts: Sequence[Part]) -> str:
    """What the average began with: of the first tenth, because the very first steps are noise."""
    losses = next((part.view.losses for part in parts if part.view.losses), ())
    early = losses[: max(1, len(losses) // 10)]
    return f"began near {words.number(max(point[2] for point in early[-3:]))}" if len(losses) > 50 else ""


def _memory(parts: Sequence[Part]) -> Iterator[Row]:
    peaks = [part.view.vram_peak_mib for part in parts if part.view.vram_peak_mib]
    total = next((part.view.vram_total_mib for part in reversed(parts) if part.view.vram_total_mib), None)
    if peaks:
        card = f"of {words.size(total * MIB)}" if total else ""
        yield Row(name="Peak VRAM", value=words.size(max(peaks) * MIB), source=card)
        return
    ram = [point[1] for part in parts for point in part.view.rams]
    if ram:
        yield Row(name="Peak memory", value=words.size(max(ram) * MIB), source="RAM, no GPU")


def galleries(parts: Sequence[Part]) -> tuple[tuple[Gallery, ...], str]:
    """Samples by prompt and step, the most telling steps first until the page is full, and what was left out."""
    by_step: dict[int, dict[tuple[str, str], tuple[RunPaths, str]]] = {}
    for part in parts:  # a later run of the chain made its samples anew: they win
        for sample in part.view.samples:
            name = STEP_IN_NAME.sub("_", PurePosixPath(sample.path).stem)
            by_step.setdefault(sample.step, {})[sample.prompt, name] = (part.run, sample.path)
    shots: dict[tuple[str, str], list[Shot]] = {}
    used = shown = 0
    is_full = False
    for step in spread(list(by_step)):
        for series, (run, relative) in by_step[step].items():
            path = None if is_full else inside(run, relative)
            picture = None if path is None else load_picture(path)
            if picture is None:
                continue
            is_full = used + len(picture.uri) > IMAGES_LIMIT
            if is_full:
                continue
            used += len(picture.uri)
            shown += 1
            shots.setdefault(series, []).append(Shot(step=step, picture=picture))
    found = tuple(
        Gallery(prompt=prompt or name, shots=tuple(sorted(taken, key=lambda shot: shot.step)))
        for (prompt, name), taken in sorted(shots.items(), key=lambda item: item[0][1])
    )
    named = sum(len(series) for series in by_step.values())
    return found, _left_out(named - shown, is_full=is_full)


def _left_out(count: int, *, is_full: bool) -> str:
    if not count:
        return ""
    why = "to keep this page small" if is_full else "they are gone, damaged, or no images of this run"
    verb = "was" if count == 1 else "were"
    return f"{words.plural(count, 'sample image')} {verb} left out: {why}."


def lora_files(parts: Sequence[Part]) -> tuple[LoraFile, ...]:
    """The LoRA files that still exist, newest first."""
    found: dict[Path, LoraFile] = {}
    budget = HASH_LIMIT
    saves = [(part, save) for part in parts for save in part.view.saves]
    for part, save in reversed(saves):
        path = inside(part.run, save.path)
        if path is None or path in found:
            continue
        length = path.stat().st_size
        budget -= length
        found[path] = _lora_file(part, save, path, length, can_hash=budget >= 0)
    return tuple(found.values())


def _lora_file(part: Part, save: Save, path: Path, length: int, *, can_hash: bool) -> LoraFile:
    return LoraFile(
        path=f"runs/{part.run.folder.name}/{save.path}",
        name=path.stem,
        step=save.step,
        is_final=save.is_final,
        size=words.size(length),
        sha256=sha256_of(path) if can_hash else "",
    )


def table(values: object, *, source_key: str) -> tuple[Row, ...]:
    """`{name: {value, source}}` of a plan as rows; anything else is left out."""
    if not isinstance(values, dict):
        return ()
    return tuple(
        Row(
            name=str(name),
            value=said(entry.get("value")),
            source=said(entry.get(source_key)),
            why=said(entry.get("why")),
        )
        for name, entry in values.items()
        if isinstance(entry, dict) and is_telling(str(name), entry.get("value"))
    )


def said(value: object) -> str:
    """A setting as TOML would write it, without the quotes; the home folder's name is nobody's business."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    home = str(Path.home())
    return (text.replace(home, "~") if len(home) > 1 else text)[:LONGEST_VALUE]


def file_name(path: str) -> str:
    """The last part of a path of any system: a report is shown around, folders of a home are not."""
    return PureWindowsPath(path).name or path


def class_tokens(plan: dict[str, Any]) -> str:
    """The trigger words of the dataset, if it has any: styles have none."""
    return ", ".join(sorted(set(_find(plan.get("dataset"), "class_tokens"))))


def _find(value: object, key: str, depth: int = 0) -> Iterator[str]:
    """Strings under `key` anywhere in a small tree of tables."""
    if depth > 6:
        return
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict) and isinstance(value.get(key), str):
        yield value[key]
    for child in children:
        yield from _find(child, key, depth + 1)


def chain_rows(parts: Sequence[Part]) -> tuple[Row, ...]:
    """The runs of a resumed training, oldest first; nothing when there was only one."""
    if len(parts) < 2:
        return ()
    return tuple(
        Row(
            name=part.run.folder.name,
            value=f"steps {part.view.resumed_step + 1:,} to {part.view.step:,}",
            source=f"{STATUS_WORDS[part.view.status][0]}, {words.duration(part.view.elapsed_s or 0.0)}",
        )
        for part in parts
    )

"""How a run ended: what happened, which state survives, and the commands with which to go on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.failures import evidence_of, explain_run, plan_values
from launcher.failures.picture import picture_of
from launcher.files import read_json
from launcher.forecast.stepdown import step_down
from launcher.paths import RunPaths
from launcher.plan.changes import SOURCE, WITH_STATE
from launcher.plan.document import is_document
from launcher.plan.folders import REPEATS_NAME
from launcher.resume import find_resume_point
from launcher.run.sampler import cards_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from launcher.failures import Explanation
    from launcher.history import RunRecord
    from launcher.paths import Paths
    from launcher.resume import ResumePoint

WITHOUT = "none"
LESS_RATE = 3  # times: a training that broke down learns too fast


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """One way to go on: the key for it, what it does, and the command that does the same."""

    key: str
    title: str
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """The end of a run that has not succeeded. `survives` says in words what is left to go on from."""

    explanation: Explanation | None
    point: ResumePoint | None
    survives: str
    offers: tuple[Offer, ...]


def ending_of(paths: Paths, record: RunRecord) -> Ending:
    """What to say of a run that has ended, and to offer. Checks the states: some seconds for big ones."""
    run = RunPaths(folder=record.folder)
    explanation = explain_run(run, record.error)
    can_go_on = record.status.is_resumable and not record.resumed_by
    point = find_resume_point(paths, record) if can_go_on else None
    offers = tuple(_offers(run, record, explanation, point)) if point is not None else ()
    return Ending(explanation=explanation, point=point, survives=_survives(record, point), offers=offers)


def _survives(record: RunRecord, point: ResumePoint | None) -> str:
    if point is None:
        return f"Continued by {record.resumed_by}." if record.resumed_by else ""
    if point.state is None:
        return "There is no state to go on from: it starts again from the beginning."
    lost = max(record.step - point.step, 0)
    since = f"; {lost} steps after it are lost" if lost else ""
    return f"The state of step {point.step} is whole{since}."


def _offers(
    run: RunPaths, record: RunRecord, explanation: Explanation | None, point: ResumePoint
) -> Iterator[Offer]:
    where = f"from step {point.step}" if point.state is not None else "from the beginning"
    values = plan_values(run)
    helping = _going_on(explanation, values)
    if explanation is not None and explanation.kind == "gpu-memory":
        yield from _smaller(run, record, values, where)
    elif helping:
        yield Offer(key="s", title=f"Go on {where} with {', '.join(helping)}", words=("resume", record.id, *_flags(helping)))  # fmt: skip
    elif explanation is not None:
        changes = _anew(explanation, values)
        words = new_run_words(run, changes) if changes else ()
        if words:
            yield Offer(key="n", title=f"A new run with {', '.join(changes)}", words=words)
    is_worth_it = explanation is None or explanation.again or not explanation.fix
    title = f"Go on {where}" if is_worth_it else f"Go on {where}, when that is put right"
    yield Offer(key="r", title=title, words=("resume", record.id))


def _smaller(run: RunPaths, record: RunRecord, values: Mapping[str, object], where: str) -> Iterator[Offer]:
    """After a full card: less on the card, first without, then with a change in what is learned."""
    evidence = evidence_of(run, record.error)
    missing = picture_of(f"{evidence.message}\n{evidence.traceback}").missing
    for offer in step_down(values, phase=evidence.phase, missing_mib=missing, system=_system(run)):
        about = f"{', '.join(offer.words)} (about {offer.saves_mib} MiB less{'' if offer.is_enough else ', perhaps not enough'})"
        if offer.keeps_state:
            flags = _flags(offer.words)
            yield Offer(key="s", title=f"Go on {where} with {about}", words=("resume", record.id, *flags))
            continue
        words = new_run_words(run, offer.words)
        if words:
            yield Offer(key="n", title=f"A new run with {about}", words=words)


def _going_on(explanation: Explanation | None, values: Mapping[str, object]) -> list[str]:
    """Settings that help against this kind and keep the state, as far as they would change anything."""
    found = []
    for word in explanation.going_on if explanation else ():
        name, _, value = word.partition("=")
        now = values.get(name)
        is_set = str(now).lower() == value or (value == WITHOUT and not now)
        if name in WITH_STATE and not is_set:
            found.append(word)
    return found


def _anew(explanation: Explanation, values: Mapping[str, object]) -> tuple[str, ...]:
    if explanation.kind == "nan-loss":
        rates = {name: values.get(name) for name in ("learning_rate", "unet_lr")}
        return tuple(
            f"{name}={rate / LESS_RATE:.3g}"
            for name, rate in rates.items()
            if isinstance(rate, (int, float)) and not isinstance(rate, bool) and rate > 0
        )
    return tuple(word for word in explanation.anew if str(values.get(word.partition("=")[0])).lower() != word.partition("=")[2])  # fmt: skip


def new_run_words(run: RunPaths, changes: tuple[str, ...]) -> tuple[str, ...]:
    """The command line that starts this run's training anew with `changes`; () when its plan does not tell enough."""
    try:
        plan = read_json(run.plan)
    except InputError:
        return ()
    if not isinstance(plan, dict) or not all(isinstance(plan.get(key), str) for key in ("preset", "data", "trainer")):  # fmt: skip
        return ()
    words = ["train", plan["preset"], "--trainer", plan["trainer"], *_data_words(plan)]
    if isinstance(plan.get("model"), str):
        words += ["--model", plan["model"]]
    cards = cards_of(run)
    words += ["--gpus", ",".join(map(str, cards))] if cards else []
    changed = {word.partition("=")[0] for word in changes}
    return (*words, *_flags(_typed(plan, changed)), *_flags(changes))


def _data_words(plan: Mapping[str, Any]) -> list[str]:
    """`--data` and `--reg` as they were meant: the dataset file, the one folder, or each folder of several with its repeats."""
    if is_document(Path(plan["data"])):
        return ["--data", plan["data"]]
    subsets = [
        subset
        for dataset in (plan.get("dataset") or {}).get("datasets") or ()
        for subset in (dataset.get("subsets") or () if isinstance(dataset, dict) else ())
        if isinstance(subset, dict) and isinstance(subset.get("image_dir"), str)
    ]
    if short := _one_folder(Path(plan["data"]), subsets):
        return ["--data", short]
    words = []
    for subset in subsets:
        flag = "--reg" if subset.get("is_reg") else "--data"
        words += [flag, f"{subset['image_dir']}={subset.get('num_repeats', 1)}"]
    return words


def _one_folder(data: Path, subsets: Sequence[Mapping[str, Any]]) -> str | None:
    """`DIR` or `DIR=N`, where the folders in it were found by that alone; None where each must be named."""
    folders = [Path(subset["image_dir"]) for subset in subsets]
    if any(subset.get("is_reg") for subset in subsets) or not all(
        data in {one, *one.parents} for one in folders
    ):
        return None
    said = [subset.get("num_repeats", 1) for subset in subsets]
    if folders == [data]:
        return f"{data}={said[0]}"
    matches = [REPEATS_NAME.fullmatch(one.name) for one in folders]
    numbers = [int(match[1]) if match else 0 for match in matches]  # a 0 is no number (plan.folders.look)
    if said == [number or 1 for number in numbers]:
        return str(data)
    # said once for all of them; folders with a number in their names would not listen to it
    return f"{data}={said[0]}" if len(set(said)) == 1 and not any(numbers) else None


def _typed(plan: Mapping[str, Any], changed: set[str]) -> Iterator[str]:
    """What was typed for the run, and is not changed now: it belongs to what the person wanted."""
    options = plan.get("options")
    for name, item in options.items() if isinstance(options, dict) else ():
        if not isinstance(item, dict) or name in changed:
            continue
        value = item.get("value")
        if str(item.get("source", "")).startswith(("--set", SOURCE)) and isinstance(
            value, (str, int, float, list)
        ):
            yield f"{name}={json.dumps(value) if isinstance(value, (bool, list)) else value}"


def _flags(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(part for word in words for part in ("--set", word))


def _system(run: RunPaths) -> str:
    """Where the run ran, by its plan's words about the machine."""
    try:
        plan = read_json(run.plan)
        said = str(plan["machine"]["system"]["value"]).lower()
    except (InputError, KeyError, TypeError):
        return "linux"
    return "windows" if said.startswith("windows") else "linux"

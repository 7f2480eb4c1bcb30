"""A launch as settings of the launcher: old spellings move on, what the launcher owns becomes a word of `train`.

Nothing is dropped in silence: every option is kept, changed, dropped with the reason, withheld, or listed as unreadable.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.importer.accelerate import read_accelerate, read_environment
from launcher.importer.outcome import Change, Drop, Outcome
from launcher.importer.places import at_work, look_for
from launcher.importer.words import Given, Unread, parse_words
from launcher.plan import check_name, make_name
from launcher.preset.owned import INSTEAD
from launcher.preset.schema import WrongValueError, check_value
from launcher.preset.tables import PATH_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.importer.launch import Folder, Launch, Word
    from launcher.importer.source import Source
    from launcher.trainers import Option

# Spellings that guides pass around and that no parser takes any more.
SPELLINGS = {"base-fp8": "fp8_base", "base_fp8": "fp8_base", "network_rank": "network_dim"}
# Spelling, the option it means, its value (None: the one that was given).
MOVED: dict[str, tuple[str, object]] = {
    "use_8bit_adam": ("optimizer_type", "AdamW8bit"),
    "use_lion_optimizer": ("optimizer_type", "Lion"),
    "use_dadaptation_optimizer": ("optimizer_type", "DAdaptation"),
    "use_adafactor_optimizer": ("optimizer_type", "Adafactor"),
    "save_half": ("save_precision", "fp16"),
    "caption_extention": ("caption_extension", None),
}
FLAG_SPELLINGS = frozenset({"save_half", "use_dadaptation_optimizer", "use_adafactor_optimizer"})
BECOMES = {
    "pretrained_model_name_or_path": "model", "train_data_dir": "data", "reg_data_dir": "reg", "output_name": "name",
    "dataset_config": "data",
}  # fmt: skip
FLAGS = {"model": "--model", "data": "--data", "reg": "--reg", "name": "--name"}


def translate(
    launch: Launch, source: Source, table: Mapping[str, Option], config: Sequence[Word] = ()
) -> Outcome:
    """Everything about one launch.

    Args:
        launch: the command.
        source: the script, for names and places.
        table: options of the trainer (`load_options`).
        config: words of the trainer's own `--config_file`, where it was read; the command line wins over it.
    """
    outcome = Outcome(launch=launch)
    parsed = parse_words([*config, *launch.words], {**table, **_flags()}, source.label, SPELLINGS)
    for unread in parsed.unread:
        if unread.name in INSTEAD and unread.name not in {*BECOMES, *MOVED}:
            outcome.dropped.append(
                Drop(name=unread.name, value="", why=INSTEAD[unread.name], line=unread.line)
            )
        else:
            outcome.unread.append(unread)
    outcome.secrets += [*launch.secrets, *parsed.secrets]
    outcome.changed += launch.changed
    outcome.dropped += launch.dropped
    outcome.unread += launch.unread
    outcome.dropped += [
        Drop(
            name=given.name,
            value=show(given.value),
            why="a later one of the same name counts",
            line=given.line,
        )
        for given in parsed.replaced
    ]
    for name, item in parsed.options.items():
        _take(outcome, name, item, table, source)
    for folder in launch.folders:
        _take_folder(outcome, folder, source)
    read_accelerate(outcome)
    read_environment(outcome)
    _check(outcome)
    look_for(outcome, source.path.parent)
    return outcome


def show(value: object) -> str:
    """A value as a command line has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return " ".join(show(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _take(outcome: Outcome, name: str, given: Given, table: Mapping[str, Option], source: Source) -> None:
    if name in MOVED:
        _move(outcome, given)
    elif name in BECOMES:
        _becomes(outcome, given, source)
    elif name in INSTEAD:
        value = show(given.value)
        outcome.dropped.append(Drop(name=name, value=value, why=INSTEAD[name], line=given.line))
    else:
        _keep(outcome, given, table, source)


def _move(outcome: Outcome, given: Given) -> None:
    """An old spelling. A newer one beside it wins, as upstream would refuse both."""
    name, value = MOVED[given.name]
    value = given.value if value is None else value
    if name in outcome.options:
        outcome.dropped.append(
            Drop(name=given.name, value=show(given.value), why=f"{name} says it as well", line=given.line)
        )
        return
    outcome.options[name] = replace(given, name=name, value=value)
    outcome.changed.append(
        Change(name=name, before=f"--{given.name}", after=f"{name} = {show(value)}", why="an old spelling", line=given.line)
    )  # fmt: skip


def _becomes(outcome: Outcome, given: Given, source: Source) -> None:
    """Model, images and name belong to a run, not to a preset: they become words of `train`."""
    word = BECOMES[given.name]
    value = str(given.value)
    if word != "name" and value:
        value = at_work(value, outcome.launch, source.path.parent, is_model=word == "model")
    if not value:
        outcome.dropped.append(Drop(name=given.name, value="", why="it is empty", line=given.line))
        return
    if word == "data" and outcome.data is not None:
        loser = outcome.data if given.name == "dataset_config" else given
        why = "sd-scripts takes everything about the images from dataset_config"
        outcome.dropped.append(Drop(name=loser.name, value=show(loser.value), why=why, line=loser.line))
        if loser is given:
            return
    unfit = check_name(value) if word == "name" else None
    if unfit:
        outcome.changed.append(
            Change(name=given.name, before=value, after=make_name(value), why=unfit, line=given.line)
        )
        value = make_name(value)
    setattr(outcome, word, replace(given, value=value))


def _take_folder(outcome: Outcome, folder: Folder, source: Source) -> None:
    """A folder with its repeats, as `--data DIR=10` has them."""
    word, name = ("reg", "reg_data_dir") if folder.is_reg else ("data", "train_data_dir")
    place = at_work(folder.path.text, outcome.launch, source.path.parent)
    line = folder.path.source_line
    where = f"{folder.path.file or source.label}:{folder.path.place or line}"
    given = Given(name=name, value=f"{place}={folder.repeats}", line=line, where=where)
    if getattr(outcome, word) is None:
        setattr(outcome, word, given)
    else:
        outcome.more.append(given)


def _keep(outcome: Outcome, given: Given, table: Mapping[str, Option], source: Source) -> None:
    option = table[given.name]
    value = given.value
    if given.written:
        is_short = given.name.startswith(given.written)
        why = "the whole name of a shortened one" if is_short else "an old spelling"
        outcome.changed.append(
            Change(name=given.name, before=f"--{given.written}", after=given.name, why=why, line=given.line)
        )
    try:
        value = check_value(option, value)
    except WrongValueError as error:
        outcome.unread.append(
            Unread(text=f"--{given.name} {show(given.value)}"[:160], why=f"{error.what}: {error.fix}", line=given.line, name=given.name)
        )  # fmt: skip
        return
    if given.name in PATH_OPTIONS:
        value = _place(outcome, given, value, source)
    outcome.options[given.name] = replace(given, value=value)


def _place(outcome: Outcome, given: Given, value: object, source: Source) -> object:
    """A relative path starts from the script's folder; in a preset it would start from the preset's."""
    texts = value if isinstance(value, list) else [value]
    whole = [at_work(str(text), outcome.launch, source.path.parent) if text else text for text in texts]
    if whole != texts:
        why = "written out: in a preset a path begins at the preset's folder"
        outcome.changed.append(
            Change(name=given.name, before=show(texts), after=show(whole), why=why, line=given.line)
        )
    return whole if isinstance(value, list) else whole[0]


def _flags() -> dict[str, Option]:
    """Flags that no parser has any more, so that their words are read as flags."""
    from launcher.trainers import Option

    return {
        name: Option(name=name, type="flag", default=False, choices=None, many=False)
        for name in FLAG_SPELLINGS
    }


def _check(outcome: Outcome) -> None:
    """Two ways to say the length: sd-scripts takes the epochs."""
    if {"max_train_steps", "max_train_epochs"} <= outcome.options.keys():
        steps = outcome.options.pop("max_train_steps")
        outcome.dropped.append(
            Drop(name=steps.name, value=show(steps.value), why="sd-scripts takes max_train_epochs, which is set too", line=steps.line)
        )  # fmt: skip

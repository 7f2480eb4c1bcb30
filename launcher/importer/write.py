"""The preset as a file: it extends the nearest shipped one and holds only what differs, each line with its source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from launcher.errors import InputError, LauncherError
from launcher.importer.secrets import hide
from launcher.paths import COMMAND
from launcher.plan.tomlout import write_value

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from launcher.importer.nearest import Difference
    from launcher.importer.outcome import Import, Outcome
    from launcher.paths import Paths

UNSAFE = re.compile(r"[^\w.+-]+")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)  # names that Windows keeps for itself
PLAIN = re.compile(r"[\w./\\:=@+,-]+")
STRONG = re.compile(r"[\"`$%!\u201c-\u201f]")
LEFT_OPEN = '"(write it yourself)"'
VALUE_WIDTH = 40
MOST_TRIES = 1000


def toml_value(value: object) -> str:
    """A value as a person would write it in a preset: plain texts in double quotes, paths and the like in single ones."""
    if isinstance(value, str) and value.isprintable() and not {'"', "\\"} & set(value):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    return write_value(value)


def train_words(outcome: Outcome, preset: str) -> list[str]:
    """The words of the command that trains as the script did: `train PRESET --model … --data … --name …`."""
    words = ["train", preset]
    for flag, given in (
        ("--model", outcome.model), ("--data", outcome.data), ("--reg", outcome.reg), ("--name", outcome.name),
        ("--gpus", outcome.gpus),
    ):  # fmt: skip
        if given is not None:
            words += [flag, str(given.value)]
    for given in outcome.more:
        words += ["--reg" if given.name == "reg_data_dir" else "--data", str(given.value)]
    return words


def typed(words: Sequence[str]) -> str:
    """The line to type for a command. A word of somebody's script never becomes a command of the shell it is pasted into.

    Blanks and signs that a shell reads stand in double quotes; a word with a sign that works even there is left open.
    """
    shown = []
    for word in words:
        if STRONG.search(word) or not word.isprintable():
            shown.append(LEFT_OPEN)
        elif PLAIN.fullmatch(word):
            shown.append(word)
        else:
            shown.append(
                '"' + word.rstrip("\\") + '"'
            )  # a backslash before the last quote would take it away
    return " ".join([COMMAND, *shown])


def preset_text(found: Import, outcome: Outcome, difference: Difference, name: str) -> str:
    """The whole TOML file."""
    label = found.source.label
    title = _plain(str(outcome.name.value) if outcome.name else found.source.path.stem)
    line = f", line {outcome.launch.line}" if outcome.launch.line else ""
    head = [
        f"# Imported from {_plain(label)}{line} ({found.format}, {found.source.encoding}).",
        f"# Behind each value is its {'line' if line else 'place'} in that file. The same training by the launcher:",
        f"#   {_plain(typed(train_words(outcome, name)))}",
        "",
        "[preset]",
        f"title = {toml_value(title)}",
        f"purpose = {toml_value(_plain(f'What {label} trained; imported.'))}",
        f"extends = {toml_value(difference.preset.name)}",
    ]
    if outcome.trainer is not None:
        given = outcome.trainer
        head.append(_line(given.name, given.value, _source(label, given.line, given.where)))
    if difference.preset.captions:
        head.append('captions = ""  # what the other preset says of captions is not about these images')
    if difference.without:
        names = ", ".join(toml_value(item) for item in sorted(difference.without))
        head.append(f"without = [{names}]  # they are not set there")
    lines = [
        _line(item, given.value, _source(label, given.line, given.where))
        for item, given in difference.options.items()
    ]
    lines += [_line(item, False, "it is not set there") for item in difference.off]
    switches = [
        _line(item, given.value, _source(label, given.line, given.where))
        for item, given in outcome.switches.items()
    ]
    own = ["", "[launcher]", *switches] if switches else []
    return "\n".join([*head, "", "[options]", *lines, *own]) + "\n"


def _source(label: str, line: int, where: str) -> str:
    return _plain(where if where and not where.startswith("line") else f"{label}:{line}")


def _line(name: str, value: object, source: str) -> str:
    return f"{f'{name} = {toml_value(value)}':<{VALUE_WIDTH}} # {source}"


def _plain(text: str) -> str:
    """One line, without control characters and secrets."""
    return hide("".join(char if char.isprintable() else " " for char in text))


def file_names(paths: Paths, found: Import, asked: Path | None, taken: set[Path]) -> list[Path]:
    """A new file for each training; nothing that is there is ever overwritten.

    Args:
        paths: of this installation.
        found: the import.
        asked: what `-o` says: a file (with several trainings: numbered), or an existing folder.
        taken: names that this command has given away already; the new ones are added.

    Raises:
        InputError: the file that was asked for is there already.
    """
    folder, stem = paths.user_presets, file_stem(found.source.path.stem)
    is_exact = asked is not None and not asked.is_dir()
    if asked is not None:
        folder, stem = (asked.parent, asked.name.removesuffix(".toml")) if is_exact else (asked, stem)
    shipped = {path.stem for path in paths.presets.glob("*.toml")} if not is_exact else set()
    count = len(found.outcomes)
    names = []
    for number in range(1, count + 1):
        wanted = f"{stem}-{number}" if count > 1 else stem
        path = folder / f"{wanted}.toml"
        if is_exact and (path.exists() or path in taken):
            raise InputError(
                f"{path.name} is there already", fix="give another name with -o", where=str(path)
            )
        if not is_exact:
            path = _free(folder, wanted, shipped, taken)
        taken.add(path)
        names.append(path)
    return names


def file_stem(name: str) -> str:
    """A script's name as a preset's: letters, digits and a few signs."""
    stem = UNSAFE.sub("-", name).strip(".-")[:60] or "imported"
    return f"{stem}-script" if RESERVED.fullmatch(stem.partition(".")[0]) else stem


def _free(folder: Path, wanted: str, shipped: set[str], taken: set[Path]) -> Path:
    for number in range(1, MOST_TRIES):
        name = wanted if number == 1 else f"{wanted}-{number}"
        path = folder / f"{name}.toml"
        if name not in shipped and path not in taken and not path.exists():
            return path
    raise InputError(f"there are {MOST_TRIES} presets called {wanted}", fix="give another name with -o", where=str(folder))  # fmt: skip


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        LauncherError: it is there by now, or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise LauncherError(
            f"{path.name} is there already", fix="give another name with -o", where=str(path)
        ) from error
    except OSError as error:
        raise LauncherError(
            f"{path.name} cannot be written: {error.strerror or error}", fix="choose another place with -o", where=str(path)
        ) from error  # fmt: skip


def queue_text(commands: Sequence[Sequence[str]], label: str) -> str:
    """Several trainings of one script, one after the other: the commands, a line each."""
    lines = [f"# The trainings of {_plain(label)} in their order; start each when the one before has ended."]
    return "\n".join([*lines, *(typed(words) for words in commands)]) + "\n"

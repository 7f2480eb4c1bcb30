"""Presets on their shelf: found by name or path, read with everything that they extend, listed."""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, Problem, Severity
from launcher.preset.fitting import fit_options
from launcher.preset.layers import lay_over
from launcher.preset.records import AUTOMATIC_TRAINER, BrokenPreset, Preset
from launcher.preset.rules import check_combinations
from launcher.preset.tables import Tables, names_left_out, printable, read_tables, strings, table_of
from launcher.preset.text import Document, label_of, read_document, refuse
from launcher.trainers import TRAINERS, load_options, load_trainer

if TYPE_CHECKING:
    from launcher.paths import Paths
    from launcher.preset.records import Setting

TEXTS = ("title", "purpose", "captions", "extends", "trainer", "measured")
KEYS = (*TEXTS, "min_vram_gib", "peak_mib", "base", "proposed", "activation_tag", "without")
LINE = re.compile(r":(\d+)(?: \(|$)")
MAX_CHAIN = 16  # files that extend each other; more is a mistake


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    """One file of a chain."""

    document: Document
    header: dict[str, Any]
    tables: Tables


def list_presets(paths: Paths) -> list[Preset | BrokenPreset]:
    """All presets, the shipped ones first, each folder by name; broken files are listed with their errors."""
    found: list[Preset | BrokenPreset] = []
    for path in [*_files_in(paths.presets), *_files_in(paths.user_presets)]:
        try:
            found.append(_load(paths, path, path.stem))
        except InputError as error:
            found.append(BrokenPreset(name=path.stem, path=path, error=error))
    return found


def load_preset(paths: Paths, name_or_path: str | Path) -> Preset:
    """The preset of this name, or in this file, with everything that it extends.

    Raises:
        InputError: it is not there, or something is wrong; `problems` has every error of all its files.
    """
    text = str(name_or_path)
    is_path = isinstance(name_or_path, Path) or text.endswith(".toml") or "/" in text or "\\" in text
    path = Path(text).expanduser().absolute() if is_path else _find(paths, text, shipped_only=False)
    return _load(paths, path, path.stem)


def _files_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".toml" and not path.is_dir())
    except OSError:  # the user's folder is made when the first own preset is
        return []


def _find(paths: Paths, name: str, *, shipped_only: bool) -> Path:
    """The file of a preset called `name`.

    A user's file never shadows a shipped one: with two of one name it would be a guess which is meant, so both are
    named and nothing is chosen. Shipped presets look for their parents among the shipped ones alone.
    """
    shipped = {path.stem: path for path in _files_in(paths.presets)}
    own = {} if shipped_only else {path.stem: path for path in _files_in(paths.user_presets)}
    if name in shipped and name in own:
        raise refuse(
            f"two presets are called {name}: the shipped one and yours",
            fix=f"give yours another name, such as my-{name}.toml", where=str(own[name]),
        )  # fmt: skip
    path = own.get(name) or shipped.get(name)
    if path:
        return path
    close = difflib.get_close_matches(name, [*shipped, *own], n=1)
    fix = (
        f"perhaps you meant {close[0]}"
        if close
        else f"presets: {', '.join(sorted([*shipped, *own])) or 'none'}"
    )
    raise refuse(f"there is no preset called {printable(name)}", fix=fix)


def _load(paths: Paths, path: Path, name: str) -> Preset:
    chain, problems = _read_chain(paths, path)
    layers = [file.tables for file in reversed(chain)]
    options = _inherit_options(chain)
    unreadable = {item for layer in layers for item in layer.unreadable}
    is_whole = "extends" not in chain[-1].header  # with a parent missing, every rule would be about the gap
    trainer = _inherited(chain, "trainer") or AUTOMATIC_TRAINER
    combinations = _combinations(paths, options, unreadable, trainer) if is_whole else []
    problems += [problem for problem in combinations if problem.severity is Severity.ERROR]
    if problems:
        raise _refuse_all(label_of(paths, path), problems)
    return Preset(
        name=name,
        title=chain[0].header["title"],
        purpose=chain[0].header.get("purpose", ""),
        captions=_inherited(chain, "captions") or "",
        activation_tag=_inherited(chain, "activation_tag"),
        min_vram_gib=_inherited(chain, "min_vram_gib"),
        trainer=trainer,
        # Numbers belong to these very options: a child that changes one has none.
        measured=chain[0].header.get("measured", ""),
        is_base=chain[0].header.get("base", False),
        is_proposed=chain[0].header.get("proposed", False),
        peak_mib=chain[0].header.get("peak_mib"),
        is_shipped=path.parent == paths.presets,
        chain=tuple(file.document.path for file in chain),
        options=options,
        dataset=lay_over(*(layer.dataset for layer in layers)),
        switches=lay_over(*(layer.switches for layer in layers)),
        sha256=hashlib.sha256("".join(file.document.sha256 for file in chain).encode()).hexdigest(),
        warnings=() if chain[0].header.get("base") else tuple(combinations),
    )


def _combinations(
    paths: Paths, options: dict[str, Setting], unreadable: set[str], trainer: str
) -> list[Problem]:
    """What is wrong about the options together, for the trainer that the preset names (automatic: sd-scripts)."""
    if trainer not in TRAINERS:
        return check_combinations(options, unreadable)
    fitted = fit_options(paths, options, trainer, load_trainer(paths, trainer).options)
    return [*fitted.problems, *check_combinations(fitted.options, unreadable, trainer)]


def _inherit_options(chain: list[_File]) -> dict[str, Setting]:
    """All options of a chain; what a file names in `without` is not taken over from those that it extends."""
    options: dict[str, Setting] = {}
    for file in reversed(chain):
        kept = {name: item for name, item in options.items() if name not in file.header["without"]}
        options = lay_over(kept, file.tables.options)
    return options


def _inherited(chain: list[_File], key: str) -> Any:
    return next((file.header[key] for file in chain if key in file.header), None)


def _refuse_all(label: str, problems: list[Problem]) -> InputError:
    if len(problems) == 1:
        only = problems[0]
        return InputError(only.what, problems=(only,), why=only.why, fix=only.fix, where=only.where)
    return InputError(f"{label} has {len(problems)} errors", problems=tuple(problems), fix="put them right; all are listed", where=label)  # fmt: skip


def _read_chain(paths: Paths, path: Path) -> tuple[list[_File], list[Problem]]:
    """The file and all that it extends, own file first, with everything that is wrong in them."""
    table = load_options(paths)
    chain: list[_File] = []
    problems: list[Problem] = []
    following: Path | None = path
    while following is not None:
        try:
            document = read_document(paths, following)
        except InputError as error:
            problems += error.problems
            break
        tables = read_tables(document, table, known=("preset",))
        header = _read_header(document, tables.problems)
        header["without"] = names_left_out(document, table, tables.problems)
        chain.append(_File(document=document, header=header, tables=tables))
        following = _parent(paths, chain, tables.problems)
        problems += sorted(tables.problems, key=_line)
    if not chain:
        raise _refuse_all(label_of(paths, path), problems)
    return chain, problems


def _line(problem: Problem) -> int:
    match = LINE.search(problem.where)
    return int(match[1]) if match else 0


def _parent(paths: Paths, chain: list[_File], problems: list[Problem]) -> Path | None:
    """The file that the last one of the chain extends; None at the root, and where the way is barred."""
    document = chain[-1].document
    name = chain[-1].header.get("extends")
    if name is None:
        return None
    try:
        if name.endswith(".toml"):
            parent: Path = (document.path.parent / name).absolute()
        else:
            parent = _find(paths, name, shipped_only=document.path.parent == paths.presets)
    except InputError as error:
        problems.append(document.problem(f"extends: {error.what}", "preset", "extends", fix=error.fix))
        return None
    seen = [file.document.path for file in chain]
    if any(_is_same(parent, other) for other in seen):
        circle = " → ".join([*(path.stem for path in seen), parent.stem])
        problems.append(
            document.problem(
                f"extends goes in a circle: {circle}",
                "preset",
                "extends",
                fix="remove one of these extends lines",
            )
        )
        return None
    if len(chain) >= MAX_CHAIN:
        problems.append(document.problem(f"more than {MAX_CHAIN} presets extend each other", "preset", "extends", fix="extend a preset nearer to the root"))  # fmt: skip
        return None
    return parent


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _read_header(document: Document, problems: list[Problem]) -> dict[str, Any]:
    header: dict[str, Any] = dict(strings(document, "preset", TEXTS, problems))
    raw = table_of(document, "preset", problems)
    for name, value in raw.items():
        if name not in KEYS:
            close = difflib.get_close_matches(name, KEYS, n=1)
            fix = f"perhaps you meant {close[0]}" if close else f"[preset] takes {', '.join(KEYS)}"
            problems.append(
                document.problem(f"{printable(name)} is not a key of [preset]", "preset", name, fix=fix)
            )
            if close == ["title"]:  # misspelled is not missing as well
                header.setdefault("title", value)
        elif name in {"base", "proposed", "activation_tag"}:
            _read_flag(document, name, value, header, problems)
        elif name == "min_vram_gib":
            _read_vram(document, value, header, problems)
        elif name == "peak_mib":
            _read_peak(document, value, header, problems)
    if not header.get("title") and "title" not in raw:
        problems.append(
            document.problem("the preset has no title", "preset", fix='add title = "…" below [preset]')
        )
    _check_trainer(document, header, problems)
    return header


def _read_flag(
    document: Document, name: str, value: object, header: dict[str, Any], problems: list[Problem]
) -> None:
    if isinstance(value, bool):
        header[name] = value
    else:
        problems.append(
            document.problem(f"{name} needs true or false", "preset", name, fix=f"write {name} = true")
        )


def _read_peak(document: Document, value: object, header: dict[str, Any], problems: list[Problem]) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 1024 * 1024:
        header["peak_mib"] = value
    else:
        what = "peak_mib needs a whole number of MiB"
        problems.append(
            document.problem(what, "preset", "peak_mib", fix="write peak_mib = 5000, or remove it")
        )


def _read_vram(document: Document, value: object, header: dict[str, Any], problems: list[Problem]) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and isinstance(value, (int, float)) and 0 <= value <= 1024 and math.isfinite(value):
        header["min_vram_gib"] = float(value)
    else:
        what = "min_vram_gib needs a number of GiB between 0 and 1024"
        problems.append(document.problem(what, "preset", "min_vram_gib", fix="write min_vram_gib = 8"))


def _check_trainer(document: Document, header: dict[str, Any], problems: list[Problem]) -> None:
    name = header.get("trainer")
    if name is None or name == AUTOMATIC_TRAINER or name in TRAINERS:
        return
    known = [AUTOMATIC_TRAINER, *TRAINERS]
    close = difflib.get_close_matches(name, known, n=1)
    what = f"there is no trainer called {printable(name)}"
    fix = f'perhaps you meant "{close[0]}"' if close else f"trainers: {', '.join(known)}"
    problems.append(document.problem(what, "preset", "trainer", fix=fix))

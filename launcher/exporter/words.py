"""A plan as words of the trainer's command line, by argparse's rules: each option once, as `--name=value` where it can be."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import InputError
from launcher.importer.secrets import SECRET_SHAPE, is_secret_name
from launcher.plan.records import RUN
from launcher.preset.tables import PATH_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.plan import Plan
    from launcher.trainers import Option

OUTPUT = "output"  # the folder beside the script that takes the place of the run folder's
MODEL = "pretrained_model_name_or_path"
NUMBER = re.compile(r"-\d+|-\d*\.\d+")  # what argparse takes for a number, not for an option
BREAKS = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of characters, ends of lines and paragraphs


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """One option: `texts` is empty for a flag, one value, or all those of a list."""

    name: str
    texts: tuple[str, ...] = ()
    is_list: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        if not self.texts:
            return (f"--{self.name}",)
        if self.is_list and len(self.texts) > 1:
            return (f"--{self.name}", *self.texts)
        return (f"--{self.name}={self.texts[0]}",)


def said(plan: Plan, table: Mapping[str, Option]) -> tuple[list[Said], list[str]]:
    """The options of a plan, in its order, without model and dataset; and the names of those that hold a secret.

    Flags that are off and empty lists are what the trainer takes anyway: they are not said.

    Raises:
        InputError: a value that no command line can carry, such as one of several lines.
    """
    found: list[Said] = []
    secrets: list[str] = []
    for name, value in plan.train.items():
        if name == MODEL or (name == "tokenizer_cache_dir" and name not in plan.options):
            continue
        one = _said(name, value, table.get(name))
        if one is None:
            continue
        if _is_secret(one):
            secrets.append(name)
        else:
            found.append(one)
    return found, secrets


def _said(name: str, value: object, option: Option | None) -> Said | None:
    if value is False or value is None or value == []:
        return None
    if value is True:
        return Said(name=name)
    is_list = isinstance(value, (list, tuple))
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    texts = tuple(in_folder(_text(item, option)) for item in values)
    for text in texts:
        check(name, text)
        if len(texts) > 1 and (not text or (text.startswith("-") and not NUMBER.fullmatch(text))):
            raise InputError(
                f"{name}: {text!r} cannot stand in a list on a command line", why="sd-scripts would take it for an option",
                fix="train it with the launcher, which hands it over in a file",
            )  # fmt: skip
    return Said(name=name, texts=texts, is_list=is_list)


def _text(value: object, option: Option | None) -> str:
    """A value as the trainer's own parser reads it back; a count of steps must not look like a share of them."""
    if isinstance(value, float) and option is not None and option.type == "int_or_float" and value >= 1 and value.is_integer():  # fmt: skip
        return str(int(value))
    return repr(value) if isinstance(value, float) else str(value)


def in_folder(text: str) -> str:
    """A folder of the run becomes one beside the script."""
    if text == RUN or text.startswith(f"{RUN}/"):
        return text.removeprefix(RUN).lstrip("/") or OUTPUT
    return text


def check(name: str, text: str) -> None:
    """Refuse what cannot stand in a line of a script.

    Raises:
        InputError: there is a line end or another control character in it.
    """
    if any(unicodedata.category(char) in BREAKS for char in text):
        raise InputError(
            f"{name}: a value with line ends or control characters cannot stand in a script",
            fix="write it on one line, then export again",
        )


def _is_secret(one: Said) -> bool:
    """By its name; by its look only where it is free text: a path may well hold the number of a commit."""
    if is_secret_name(one.name):
        return True
    return one.name not in PATH_OPTIONS and any(SECRET_SHAPE.search(text) for text in one.texts)

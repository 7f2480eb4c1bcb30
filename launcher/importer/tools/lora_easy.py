"""LoRA_Easy_Training_Scripts: TOML with groups of arguments, each split into `args` and `dataset_args`, and a list of subsets.

The same in the form in which its window hands it to its backend: `args` and `dataset` with the groups below them. What is
empty, false or zero is not passed on (validation.validate_args of its backend).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.importer.tools.folders import take_subsets
from launcher.importer.tools.gathering import Gathered, is_on, number, refuse, said

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.importer.launch import Reading
    from launcher.importer.source import Source
    from launcher.importer.tools.loading import Tree
    from launcher.trainers import Option

FORMAT = "LoRA_Easy_Training_Scripts settings"
OWN_CLASSES = "LoraEasyCustomOptimizer"
OWN = "is a class that only comes with that program: choose another one"
RENAMED = {"batch_size": "train_batch_size"}
USUAL_TOKENS = 75  # what the program leaves out
SETTINGS = frozenset({
    "num_repeats", "keep_tokens", "caption_extension", "shuffle_caption", "flip_aug", "color_aug", "random_crop", "is_reg", "alpha_mask",
    "face_crop_aug_range", "caption_dropout_rate", "caption_dropout_every_n_epochs", "caption_tag_dropout_rate", "token_warmup_min",
    "token_warmup_step", "keep_tokens_separator", "secondary_separator", "enable_wildcard", "caption_prefix", "caption_suffix",
    "caption_separator",
})  # fmt: skip
DROPPED = {
    "tag_occurrence": "a list of the tags beside the LoRA: it changes nothing in the training",
    "tag_file_location": "a list of the tags beside the LoRA: it changes nothing in the training",
    "save_toml": "a copy of the settings: each run folder has its plan",
    "save_toml_location": "a copy of the settings: each run folder has its plan",
}
Place = tuple[str, ...]


def is_lora_easy(tables: Mapping[str, Any]) -> bool:
    """Whether tables are those of the program, in either form."""
    if isinstance(tables.get("args"), dict) and isinstance(tables.get("dataset"), dict):
        return True
    groups = [value for value in tables.values() if isinstance(value, dict)]
    has_groups = any(isinstance(group.get(key), dict) for group in groups for key in ("args", "dataset_args"))
    return has_groups or (isinstance(tables.get("subsets"), list) and any(key.endswith("_args") for key in tables))  # fmt: skip


def read_lora_easy(source: Source, tree: Tree, table: Mapping[str, Option]) -> Reading:
    """One settings file.

    Raises:
        InputError: it is for another kind of model.
    """
    reader = _Reader(source, tree, table)
    reader.read()
    return reader.out.reading(FORMAT)


class _Reader:
    def __init__(self, source: Source, tree: Tree, table: Mapping[str, Option]) -> None:
        self.source = source
        self.tree = tree
        self.table = table
        self.out = Gathered(source.label)
        self.out.notes += tree.notes
        self.module = ""

    def read(self) -> None:
        self._check_kind()
        for place, group in self._groups("args"):
            for key, value in group.items():
                self._read_argument(key, value, (*place, key))
        if not self.module:
            self.out.give(
                "network_module", "networks.lora", was="no algo", why="the program's own choice then"
            )
        for place, group in self._groups("dataset_args"):
            for key, value in group.items():
                self._read_dataset(key, value, (*place, key))
        self._subsets()

    def _groups(self, kind: str) -> Iterator[tuple[Place, Mapping[str, Any]]]:
        """The groups of a kind, in both forms, with their places."""
        tables = self.tree.tables
        nested = "args" if kind == "args" else "dataset"
        for name, group in tables.items():
            if not isinstance(group, dict):
                continue
            if isinstance(group.get(kind), dict):
                yield (name, kind), group[kind]
            elif name == nested:
                yield from (((name, key), value) for key, value in group.items() if isinstance(value, dict))

    def _check_kind(self) -> None:
        """SDXL is a switch of the program; without it the training is one for Stable Diffusion 1.5."""
        values = {key: value for _, group in self._groups("args") for key, value in group.items()}
        for name, kind in (("flux", "FLUX"), ("v2", "Stable Diffusion 2"), ("sd3", "Stable Diffusion 3")):
            if is_on(values.get(name)) or any(key.startswith(f"{name}_args") for key in self.tree.tables):
                raise refuse(
                    self.source, f"a LoRA training for {kind} (LoRA_Easy_Training_Scripts)", f"{name} is on"
                )
        if not is_on(values.get("sdxl")):
            raise refuse(
                self.source, "a LoRA training for Stable Diffusion 1.5 (LoRA_Easy_Training_Scripts)", "sdxl is not on"
            )  # fmt: skip

    def _line(self, place: Place) -> int:
        return self.tree.line(*place)

    def _read_argument(self, key: str, value: Any, place: Place) -> None:
        line = self._line(place)
        if key in {"sdxl", "v2", "sd3", "flux"} or _is_unset(value):
            return
        if key == "fa":
            self._set_module("networks.lora_fa", "fa", line)
        elif key == "network_args" and isinstance(value, dict):
            self._network(value, line)
        elif key in {"optimizer_args", "lr_scheduler_args"} and isinstance(value, dict):
            self.out.give(key, [f"{name}={_argument(item)}" for name, item in value.items()], line)
        elif key == "warmup_ratio":
            self.out.give("lr_warmup_steps", said(value), line, was=f"{key} = {said(value)}", why="a share of all steps")  # fmt: skip
        elif key in DROPPED:
            self.out.drop(key, value, DROPPED[key], line)
        elif OWN_CLASSES in str(value):
            self.out.leave(key, value, OWN, line)
        else:
            self._give(key, value, line)

    def _give(self, key: str, value: Any, line: int) -> None:
        name = RENAMED.get(key, key)
        option = self.table.get(name)
        if option is not None and option.many and not isinstance(value, list):
            value = [value]
        if name == "resolution" and isinstance(value, list):
            value = ",".join(said(item) for item in value)
        was = f"{key} = {said(value)}" if name != key else ""
        self.out.give(name, value, line, was=was, why="another name there")

    def _set_module(self, module: str, key: str, line: int) -> None:
        if not self.module:
            self.out.give("network_module", module, line, was=key, why="as the program chooses it")
        self.module = module

    def _network(self, values: Mapping[str, Any], line: int) -> None:
        if "algo" in values:
            self._set_module("lycoris.kohya", f"algo = {said(values['algo'])}", line)
        elif "unit" in values:
            self._set_module("networks.dylora", "unit", line)
        args = [f"{name}={_argument(item)}" for name, item in values.items() if not (name == "preset" and item == "")]  # fmt: skip
        if args:
            self.out.give("network_args", args, line)

    def _read_dataset(self, key: str, value: Any, place: Place) -> None:
        if _is_unset(value) or (key == "max_token_length" and value == USUAL_TOKENS):
            return
        self._give(key, value, self._line(place))

    def _subsets(self) -> None:
        tables = self.tree.tables
        own = tables.get("subsets")
        dataset = tables.get("dataset")
        below: Place = () if isinstance(own, list) else ("dataset",)
        subsets = (
            own if isinstance(own, list) else dataset.get("subsets") if isinstance(dataset, dict) else None
        )
        if isinstance(subsets, list):
            take_subsets(
                self.out, subsets, SETTINGS, lambda at, key: self.tree.line(*below, "subsets", at, key)
            )


def _is_unset(value: Any) -> bool:
    return value in ("", None, [], {}) or value is False or number(value) == 0


def _argument(value: Any) -> str:
    """One item of a list such as network_args."""
    if isinstance(value, list):
        return ",".join(said(item) for item in value)
    text = str(value)
    return text.capitalize() if text in {"true", "false"} else text

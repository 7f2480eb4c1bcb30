"""sd-scripts' own TOML files: `--config_file` (settings, in sections or without) and `--dataset_config` (folders with images)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.importer.config_file import words_of
from launcher.importer.tools.folders import PLACES
from launcher.importer.tools.gathering import Gathered, is_on, is_plain, refuse, said

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from launcher.importer.launch import Reading
    from launcher.importer.source import Source
    from launcher.importer.tools.loading import Tree
    from launcher.trainers import Option

CONFIG = "sd-scripts settings (--config_file)"
DATASET = "sd-scripts dataset (--dataset_config)"
FEWEST_OPTIONS = 2
# Settings of other scripts of sd-scripts, and what they are for.
OTHERS = {
    "t5xxl": "a training for FLUX or Stable Diffusion 3", "ae": "a training for FLUX", "clip_g": "a training for Stable Diffusion 3",
    "gemma2": "a training for Lumina", "qwen3": "a training for Anima", "text_encoder_llm": "a training for another model",
    "token_string": "a textual inversion", "init_word": "a textual inversion", "controlnet_model_name_or_path": "a ControlNet training",
    "train_text_encoder": "a full fine-tune", "block_lr": "a full fine-tune of SDXL", "stop_text_encoder_training": "a DreamBooth training",
}  # fmt: skip
MODULES = {"flux": "a LoRA training for FLUX", "sd3": "a LoRA training for Stable Diffusion 3", "lumina": "a LoRA training for Lumina", "hunyuan": "a LoRA training for HunyuanImage", "anima": "a LoRA training for Anima"}  # fmt: skip
# Keys of a dataset file that are options of the trainer as well, under another name there or the same.
RENAMED = {"batch_size": "train_batch_size"}
OWN_OF_DATASETS = frozenset(
    {"class_tokens", "network_multiplier", "custom_attributes", "cache_info", *PLACES}
)


def is_dataset(tables: Mapping[str, Any]) -> bool:
    """Whether tables are a dataset file."""
    datasets = tables.get("datasets")
    return isinstance(datasets, list) and any(
        isinstance(item, dict) and "subsets" in item for item in datasets
    )


def is_config(tables: Mapping[str, Any], table: Mapping[str, Option]) -> bool:
    """Whether tables are settings of sd-scripts: some of their keys are its options."""
    names = {name for name, _, _ in _flat(tables)}
    return len(names & table.keys()) >= FEWEST_OPTIONS


def read_config_toml(
    source: Source, tree: Tree, table: Mapping[str, Option], beside: Path | None = None
) -> Reading:
    """Settings. All sections are one, the later of two keys counts (train_util.read_config_from_file, v0.10.1).

    Args:
        source: the file.
        tree: its tables.
        table: options of the trainer.
        beside: a dataset file that was given together with it, for settings that name no images.

    Raises:
        InputError: they are for another script (says for what).
    """
    flat = {name: (value, place) for name, value, place in _flat(tree.tables)}
    _check_kind(source, {name: value for name, (value, _) in flat.items()})
    out = Gathered(source.label)
    out.notes += tree.notes
    for name, (value, place) in flat.items():
        line = tree.line(*place)
        if isinstance(value, dict) or not is_plain(value):
            out.leave(name, value, "is a table, and sd-scripts looks only one level deep", line)
        else:
            option = table.get(name)
            is_single = option is not None and option.many and not isinstance(value, list) and value not in ("", False)  # fmt: skip
            out.give(name, [value] if is_single else value, line)
    if beside is not None and not {"dataset_config", "train_data_dir", "in_json"} & flat.keys():
        out.words += words_of({"dataset_config": str(beside.absolute())}, line=1, file=beside.name)
        out.note(f"It names no images: {beside.name}, which was given with it, does.")
    out.note("A file of settings does not say for which model it is: it was taken as one for SDXL.")
    return out.reading(CONFIG)


def _flat(tables: Mapping[str, Any]) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    for name, value in tables.items():
        if isinstance(value, dict):
            yield from ((key, item, (name, key)) for key, item in value.items())
        else:
            yield name, value, (name,)


def _check_kind(source: Source, values: Mapping[str, Any]) -> None:
    module = str(values.get("network_module") or "").lower()
    kind = next(
        (kind for sign, kind in MODULES.items() if module.startswith("networks.") and sign in module), ""
    )
    kind = kind or next(
        (kind for name, kind in OTHERS.items() if values.get(name) not in (None, "", False)), ""
    )
    if not kind and is_on(values.get("v2")):
        kind = "a LoRA training for Stable Diffusion 2"
    if kind:
        raise refuse(source, kind, "its settings are those of another script")
    if not module and values.get("network_dim") is None:
        raise refuse(source, "settings without a network (network_module)", "that is a full fine-tune, or only a part of the settings")  # fmt: skip


def read_dataset_toml(source: Source, tree: Tree, table: Mapping[str, Option]) -> Reading:
    """A dataset file alone: what it says about options. `train` takes the file itself with --data.

    What differs between its datasets or folders stays in the file, which wins over the preset.
    """
    out = Gathered(source.label)
    out.notes += tree.notes
    out.words += words_of({"dataset_config": str(source.path.absolute())}, line=1, file=source.label)
    said_there: set[str] = set()
    for key, value, place in _common(tree.tables):
        name = RENAMED.get(key, key)
        if name not in table or key in OWN_OF_DATASETS:
            continue
        is_pair = name == "resolution" and isinstance(value, list)
        plain = ",".join(said(item) for item in value) if is_pair else value
        was = f"{key} = {said(value)}" if name != key else ""
        out.give(name, plain, tree.line(*place), was=was, why="another name there")
        said_there.add(name)
    out.note(
        "A dataset file says nothing about the network, the optimizer or the length: those are the shipped preset's."
    )
    out.note(
        "`--data` takes the file as it is, with the repeats and settings of each folder; it wins over the preset."
    )
    return out.reading(DATASET, says=frozenset({*said_there, *out.implied(), "dataset_config"}))


def _common(tables: Mapping[str, Any]) -> Iterator[tuple[str, Any, tuple[str | int, ...]]]:
    """Keys that mean the same for every folder of the file, with their places: [general], a dataset's, a subset's."""
    general = tables.get("general")
    general = general if isinstance(general, dict) else {}
    found: dict[str, tuple[list[Any], tuple[str | int, ...]]] = {}
    every = list(_subsets(tables))
    for at, number, dataset, subset in every:
        for key in {**general, **dataset, **subset}:
            if isinstance(key, str) and key not in OWN_OF_DATASETS and key != "subsets":
                place: tuple[str | int, ...] = ("general", key)
                place = ("datasets", at, key) if key in dataset else place
                place = ("datasets", at, "subsets", number, key) if key in subset else place
                value = subset.get(key, dataset.get(key, general.get(key)))
                found.setdefault(key, ([], place))[0].append(value)
    for key, (values, place) in found.items():
        if len(values) == len(every) and all(value == values[0] for value in values) and is_plain(values[0]):
            yield key, values[0], place


def _subsets(tables: Mapping[str, Any]) -> Iterator[tuple[int, int, dict[str, Any], dict[str, Any]]]:
    for at, dataset in enumerate(tables.get("datasets", ())):
        subsets = dataset.get("subsets") if isinstance(dataset, dict) else None
        for number, subset in enumerate(subsets if isinstance(subsets, list) else ()):
            if isinstance(subset, dict):
                yield at, number, dataset, subset

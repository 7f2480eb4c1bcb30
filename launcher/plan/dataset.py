"""The dataset configuration that the trainer reads, from the folders that were found or from the user's own file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.plan.dataset_rules import check_dataset
from launcher.plan.document import refusal
from launcher.plan.folders import ImageFolder, look, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.plan.document import Document
    from launcher.plan.folders import Survey
    from launcher.preset import Setting

DATASET = "dataset."  # how the dataset's own keys are called among a plan's options
BUCKET_KEYS = (
    "enable_bucket",
    "min_bucket_reso",
    "max_bucket_reso",
    "bucket_reso_steps",
    "bucket_no_upscale",
)
FOUND = "data folder"  # how the source of a detected caption_extension begins


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One subset of a plan's dataset as the trainer will find it."""

    number: int  # of its dataset
    folder: ImageFolder  # without images for a metadata file
    repeats: int
    caption_extension: str
    class_tokens: str | None
    metadata: Path | None = None
    masks: Path | None = None


def make_dataset(options: Mapping[str, Setting], found: Survey) -> dict[str, Any]:
    """`dataset.toml` for sd-scripts' strict schema: whole numbers for sizes, one subset for each image folder.

    Raises:
        InputError: the user's dataset file and the options do not go together.
    """
    values = {key: setting.value for key, setting in options.items()}
    if found.document is not None:
        made = _from_document(options, found.document, found)
        problems = tuple(check_dataset(found.document, made, values))
        if problems:
            raise refusal(found.document.path, problems)
        return made
    dataset = _settings(values)
    dataset["subsets"] = [
        _subset(options, folder, is_one_of_many=len(found.folders) > 1) for folder in found.folders
    ]
    return {"general": {}, "datasets": [dataset]}


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry of `datasets` says of its images."""
    width, height = (int(side) for side in str(values["resolution"]).split(","))
    return {
        "resolution": width if width == height else [width, height],
        "batch_size": values.get("train_batch_size", 1),
        **{key: values[key] for key in BUCKET_KEYS if key in values},
    }


def _subset(options: Mapping[str, Setting], folder: ImageFolder, *, is_one_of_many: bool) -> dict[str, Any]:
    """An explicit num_repeats is for a plain folder; names like 10_name say it for each folder themselves."""
    said = options.get(f"{DATASET}num_repeats")
    tokens = options.get(f"{DATASET}class_tokens")
    own, common = folder.repeats, said.value if said and not folder.is_reg else None
    words = folder.class_tokens if folder.is_reg or tokens is None else tokens.value
    subset: dict[str, Any] = {
        "image_dir": folder.path.as_posix(),  # toml 0.10.2 and backslashes are no friends; Windows takes both
        "num_repeats": folder.said_repeats or ((own or common) if is_one_of_many else (common or own)) or 1,
        "caption_extension": _extension(options, folder),
    }
    if words:
        subset["class_tokens"] = words
    if folder.is_reg:
        subset["is_reg"] = True
    return subset


def _extension(options: Mapping[str, Setting], folder: ImageFolder) -> str:
    """What somebody said, else what most captions of this folder have, else what those of all folders have."""
    setting = options["caption_extension"]
    if setting.source.startswith(FOUND):
        return folder.caption_suffix or str(setting.value)
    return str(setting.value)


def _from_document(options: Mapping[str, Setting], document: Document, found: Survey) -> dict[str, Any]:
    """The user's tables; what they leave open is filled in, since upstream's own defaults are traps."""
    values = {key: setting.value for key, setting in options.items()}
    general = document.tables["general"]
    folders = {folder.path.as_posix(): folder for folder in found.folders}
    datasets = []
    for dataset in document.tables["datasets"]:
        settings = {key: value for key, value in _settings(values).items() if key not in general}
        filled = {**settings, **dataset}
        above = {**general, **dataset}
        filled["subsets"] = [
            {**_gaps(options, folders.get(str(subset.get("image_dir"))), subset, above), **subset}
            for subset in dataset["subsets"]
        ]
        datasets.append(filled)
    return {"general": dict(general), "datasets": datasets}


def _gaps(
    options: Mapping[str, Setting],
    folder: ImageFolder | None,
    subset: Mapping[str, Any],
    above: Mapping[str, Any],
) -> dict[str, Any]:
    """Repeats of the preset, and the caption extension of the folder, where the file says nothing at any level."""
    gaps: dict[str, Any] = {}
    repeats = options.get(f"{DATASET}num_repeats")
    if repeats is not None and "num_repeats" not in above and not subset.get("is_reg"):
        gaps["num_repeats"] = repeats.value
    if folder is not None and "metadata_file" not in subset and "caption_extension" not in above:
        gaps["caption_extension"] = _extension(options, folder)
    return gaps


def parts_of(dataset: Mapping[str, Any]) -> tuple[Part, ...]:
    """The subsets of a plan's dataset with what lies in their folders now."""
    general = dataset.get("general", {})
    return tuple(
        _part(number, {**general, **entry, **subset})
        for number, entry in enumerate(dataset["datasets"])
        for subset in entry["subsets"]
    )


def _part(number: int, values: Mapping[str, Any]) -> Part:
    metadata, masks = values.get("metadata_file"), values.get("conditioning_data_dir")
    place = values.get("image_dir")
    if metadata is None:
        folder = look(Path(str(place)))
    else:
        folder = ImageFolder(
            path=Path(str(place or Path(str(metadata)).parent)), images=(), names=frozenset(), repeats=None, class_tokens=None
        )  # fmt: skip
    extension = str(values.get("caption_extension", ".caption"))
    return Part(
        number=number,
        folder=replace(folder, is_reg=True) if values.get("is_reg") else folder,
        repeats=int(values.get("num_repeats", 1)),
        caption_extension=extension if extension.startswith(".") else f".{extension}",
        class_tokens=values.get("class_tokens"),
        metadata=None if metadata is None else Path(str(metadata)),
        masks=None if masks is None else Path(str(masks)),
    )


def data_notes(found: Survey, options: Mapping[str, Setting]) -> list[str]:
    """What the plan should say about the data: what is left out, what was understood, what overrules what."""
    notes = list(found.notes)
    if found.passed_over:
        notes.append(
            f"Folders inside the data folder are not trained on: {shortened(list(found.passed_over))}."
        )
    notes += _mixed_captions(found, options)
    if found.document is not None:
        notes += _overruled(found.document, options)
    return notes


def _mixed_captions(found: Survey, options: Mapping[str, Setting]) -> list[str]:
    notes = []
    for folder in found.folders:
        taken = _extension(options, folder)
        others = [suffix for suffix in (".txt", ".caption") if suffix != taken and folder.captioned(suffix)]
        if others and folder.captioned(taken):
            notes.append(
                f"{folder.path.name} has captions of two kinds: {folder.captioned(taken)} × {taken} are read,"
                f" {folder.captioned(others[0])} × {others[0]} are not."
            )
    return notes


def _overruled(document: Document, options: Mapping[str, Setting]) -> list[str]:
    """Options of the preset that the user's dataset file answers itself."""
    said = set(document.tables["general"])
    said |= {key for dataset in document.tables["datasets"] for key in dataset}
    names = {"batch_size": "train_batch_size"}
    overruled = sorted(name for key in said if (name := names.get(key, key)) in options)
    if not overruled:
        return []
    return [f"{document.path.name} decides for itself: {', '.join(overruled)}."]

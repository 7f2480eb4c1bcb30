"""The images of a plan for sd-scripts alone: a folder whose folders say everything by their names, or a dataset file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.plan import survey
from launcher.plan.dataset import DATASET, make_dataset
from launcher.plan.tomlout import write_toml

if TYPE_CHECKING:
    from launcher.plan import Plan

HEADING = """\
The images of a training, for --dataset_config of sd-scripts (docs/config_README-en.md there).
Written by `launcher export`; what stands here wins over the same words of the command line."""
CHANGE = "CHANGE-ME"  # begins what the reader of a script has to fill in
MODEL_TO_CHANGE = f"{CHANGE}/base-model.safetensors"
IMAGES_TO_CHANGE = f"{CHANGE}/images"


def plain_folder(plan: Plan) -> Path | None:
    """The folder of which sd-scripts itself makes the very same dataset (`10_name` folders in it); None: there is none."""
    entries = plan.dataset.get("datasets", [])
    if len(entries) != 1 or any(
        f"{DATASET}{name}" in plan.options for name in ("num_repeats", "class_tokens")
    ):
        return None
    parents = {Path(str(subset.get("image_dir", ""))).parent for subset in entries[0]["subsets"]}
    if len(parents) != 1:
        return None
    folder = parents.pop()
    if not folder.is_absolute() or not folder.is_dir():
        return None
    found = survey(folder)
    says_all = all(
        part.repeats and part.class_tokens and not part.is_reg and part.path.parent == folder
        for part in found.folders
    )
    if not (says_all and found.folders) or make_dataset(plan.options, found) != plan.dataset:
        return None
    extension = plan.train.get("caption_extension")
    is_one = all(subset["caption_extension"] == extension for subset in entries[0]["subsets"])
    return folder if is_one else None


def dataset_text(plan: Plan, *, is_open: bool) -> str:
    """The dataset file; `is_open`: its images are still to be named."""
    dataset: dict[str, Any] = dict(plan.dataset)
    heading = HEADING
    if is_open:
        heading += (
            f"\nCHANGE THIS: image_dir is the folder with your images and captions ({IMAGES_TO_CHANGE})."
        )
        dataset["datasets"] = [
            {**entry, "subsets": [{**subset, "image_dir": IMAGES_TO_CHANGE} for subset in entry["subsets"]]}
            for entry in dataset["datasets"]
        ]
    return write_toml(dataset, heading)


def folders_of(plan: Plan) -> list[str]:
    """Every folder and file of the dataset, as it is written."""
    named = (
        str(subset[key])
        for entry in plan.dataset.get("datasets", [])
        for subset in entry["subsets"]
        for key in ("image_dir", "metadata_file", "conditioning_data_dir")
        if key in subset
    )
    return list(dict.fromkeys(named))

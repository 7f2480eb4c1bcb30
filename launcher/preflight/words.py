"""The captions of a plan's dataset, read as the trainer will use them; what was read once is remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from launcher.captions import Tally, Words, load_tokenizer, look_at_captions
from launcher.captions.store import file_of, recall, remember, state_of
from launcher.captions.survey import Usage
from launcher.errors import InputError
from launcher.plan import parts_of, read_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from launcher.paths import Paths
    from launcher.plan import Part, Plan

    Groups = list[tuple[Usage, list[Path]]]

TOKENS = 75  # that CLIP reads at once; max_token_length makes it two or three times as many


def words_of(paths: Paths, plan: Plan, tell: Callable[[int, int], None] | None = None) -> Words:
    """What is known of all captions of a plan.

    Args:
        paths: this installation: its tokenizers, and where results are remembered.
        plan: the plan.
        tell: called now and then with how many files are read, of how many.
    """
    parts = parts_of(plan.dataset)
    groups = _groups(plan, parts)
    limit = token_limit(plan)
    tokenizer = load_tokenizer(paths.tokenizers)
    total = sum(len(files) for _, files in groups)
    file = file_of(paths.caption_store, groups)
    state = state_of(groups, limit, tokenizer.is_exact)
    words = recall(file, state)
    if words is None:
        words = look_at_captions(
            groups, tokenizer=tokenizer, limit=limit, tell=(lambda done: tell(done, total)) if tell else None
        )
        if total:
            remember(file, state, words)
    if tell:
        tell(total, total)
    if words.files:
        return words
    return replace(words, tags=_described(plan, parts).result())


def token_limit(plan: Plan) -> int:
    """Tokens of a caption that the trainer keeps."""
    setting = plan.options.get("max_token_length")
    return setting.value if setting is not None and isinstance(setting.value, int) else TOKENS


def _groups(plan: Plan, parts: tuple[Part, ...]) -> Groups:
    """Caption files of each subset, in the order of their images."""
    groups: Groups = []
    tables = _tables(plan)
    for part, values in zip(parts, tables, strict=True):
        if part.metadata is not None:
            continue
        names = (part.folder.caption_of(image, part.caption_extension) for image in part.folder.images)
        files = [part.folder.path / name for name in dict.fromkeys(names) if name]
        groups.append((_usage(values, is_counted=not part.folder.is_reg), files))
    return groups


def _tables(plan: Plan) -> list[Mapping[str, Any]]:
    """What holds for each subset: its own keys over those of its dataset, over the general ones, over the options."""
    defaults = {name: setting.value for name, setting in plan.options.items()}
    general = plan.dataset.get("general", {})
    return [
        {**defaults, **general, **entry, **subset}
        for entry in plan.dataset["datasets"]
        for subset in entry["subsets"]
    ]


def _usage(values: Mapping[str, Any], *, is_counted: bool) -> Usage:
    return Usage(
        separator=str(values.get("caption_separator") or ","),
        prefix=str(values.get("caption_prefix") or ""),
        suffix=str(values.get("caption_suffix") or ""),
        has_wildcards=bool(values.get("enable_wildcard")),
        is_counted=is_counted,
    )


def _described(plan: Plan, parts: tuple[Part, ...]) -> Tally:
    """Tags of metadata files: their words stand in the file itself."""
    tally = Tally()
    for part in parts:
        if part.metadata is None or part.folder.is_reg:
            continue
        try:
            entries = read_metadata(part.metadata, part.folder.path, plan.trainer)
        except InputError:  # the check of the data tells
            continue
        for entry in entries:
            tally.add(entry.words)
    return tally

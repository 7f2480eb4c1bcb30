"""From numbers to tags, as sd-scripts v0.10.1 does it (`run_batch` in finetune/tag_images_by_wd14_tagger.py).

Form with a CSV: all general tags in the model's order, then all characters in theirs; of the ratings the highest.
Form with a mapping: all tags together, the surest first; of the ratings the highest that reaches the threshold.
Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.tagger.worker.labels import CHARACTER, GENERAL, OTHERS, RATING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from launcher.tagger.worker.labels import Label, Labels

FIRST, LAST = "first", "last"
FACES = 3  # characters: so short a tag with an underscore is a face, `^_^`


@dataclass(frozen=True)
class Rules:
    """What is wanted of a tagger."""

    thresholds: Mapping[str, float]  # by category
    rating: str = "off"  # "off", "first" or "last"
    has_spaces: bool = False  # underscores become blanks
    undesired: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def from_json(cls, table: Mapping[str, object]) -> Rules:
        """Read back what the launcher wrote into the job."""
        thresholds, undesired = table["thresholds"], table["undesired"]
        assert isinstance(thresholds, dict)  # noqa: S101  (written by our own other half)
        assert isinstance(undesired, list)  # noqa: S101
        return cls(
            thresholds={str(name): float(value) for name, value in thresholds.items()},
            rating=str(table["rating"]), has_spaces=bool(table["has_spaces"]), undesired=frozenset(undesired),
        )  # fmt: skip


def spelt(tag: str, *, has_spaces: bool) -> str:
    """A tag as the caption will have it."""
    return tag.replace("_", " ") if has_spaces and len(tag) > FACES else tag


def thresholds(general: float, character: float, rest: float) -> dict[str, float]:
    """The threshold of each category."""
    return {GENERAL: general, CHARACTER: character, **dict.fromkeys(OTHERS, rest)}


def choose(labels: Labels, scores: Sequence[tuple[int, float]], rules: Rules) -> list[str]:
    """The tags of one image, in the order of its caption.

    Args:
        labels: of the model.
        scores: place and probability of the labels that reach a threshold, and of all ratings; in the model's order.
        rules: what is wanted.
    """
    by_place = {label.place: label for label in labels.labels}
    sure = [(by_place[place], score) for place, score in scores if place in by_place]
    tags = [(label, score) for label, score in sure if _is_wanted(label, score, rules)]
    if labels.is_mapping:
        tags.sort(key=lambda pair: -pair[1])
    else:
        tags.sort(key=lambda pair: pair[0].category == CHARACTER)
    names = [spelt(label.name, has_spaces=rules.has_spaces) for label, _ in tags]
    rating = _rating(labels, sure, rules)
    if rating is None or rules.rating == "off":
        return names
    return [rating, *names] if rules.rating == FIRST else [*names, rating]


def _is_wanted(label: Label, score: float, rules: Rules) -> bool:
    limit = rules.thresholds.get(label.category)
    return limit is not None and score >= limit and not _is_undesired(label, rules)


def _is_undesired(label: Label, rules: Rules) -> bool:
    """Both spellings count: who asks for blanks may still write the tag as Danbooru does."""
    names = {label.name, spelt(label.name, has_spaces=rules.has_spaces)}
    return bool(names & rules.undesired)


def _rating(labels: Labels, sure: Iterable[tuple[Label, float]], rules: Rules) -> str | None:
    found = [(score, -label.place, label) for label, score in sure if label.category == RATING]
    if labels.is_mapping:
        least = min(rules.thresholds.values())
        found = [entry for entry in found if entry[0] >= least and not _is_undesired(entry[2], rules)]
    if not found:
        return None
    best = max(found)[2]
    return None if _is_undesired(best, rules) else spelt(best.name, has_spaces=rules.has_spaces)

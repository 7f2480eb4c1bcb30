"""Are the words of the captions good for what is trained: a name for a character, none for a style; short enough; spelt alike?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import InputError, Problem, Severity
from launcher.preset import load_preset

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from launcher.captions import Tags, Words
    from launcher.paths import Paths
    from launcher.plan import Plan

SHOWN = 5
MOST_NAMED = 100
LEAST_CAPTIONS = 5  # of fewer nothing can be said
MOSTLY = 0.8  # as many captions begin with a name that the others have probably lost it
CHUNK = 75  # tokens that CLIP reads at once
MOST_TOKENS = 225  # the longest max_token_length


def check_tags(paths: Paths, plan: Plan, words: Words) -> Iterator[Problem]:
    """Length, activation tag, spelling, tags that stand twice."""
    yield from _length(words)
    tags = words.tags
    if tags.captions >= LEAST_CAPTIONS:
        yield from _activation(plan, tags, wants=wants_tag(paths, plan))
    yield from _spelling(plan, tags)
    if tags.doubled:
        yield Problem(
            severity=Severity.NOTE, what=f"{tags.doubled} of {tags.captions} captions have a tag twice",
            why="the second one takes up room and says nothing", fix="take it out", where=str(plan.data),
        )  # fmt: skip


def wants_tag(paths: Paths, plan: Plan) -> bool | None:
    """Whether what is trained is to be called by a name (`activation_tag` of the preset); None: it does not say."""
    if plan.options.get("dataset.class_tokens"):
        return True
    try:
        preset = load_preset(paths, plan.preset)
    except InputError:  # a preset from another folder, or one that is gone
        return None
    return preset.activation_tag if preset.sha256 == plan.preset_sha256 else None


def _length(words: Words) -> Iterator[Problem]:
    """What the trainer cuts off."""
    over = words.over
    if not over.count:
        return
    about = "" if words.is_exact else "at least "
    more = min(MOST_TOKENS, -(-words.longest // CHUNK) * CHUNK)
    fix = "shorten them: one caption says what is to be seen, not more"
    if more > words.limit:
        fix = f"let more be read: --set max_token_length={more}"
        fix += "" if words.longest <= more else ", and shorten the longest"
    why = f"the trainer cuts off the rest; the longest has {about}{words.longest}"
    if not words.is_exact:
        why += " (estimated: CLIP's word list is not installed yet)"
    yield Problem(
        severity=Severity.WARNING,
        what=f"{about}{over.count} of {words.files} captions {'is' if over.count == 1 else 'are'} longer than {words.limit} tokens",
        why=why, fix=fix, where=names_of([(path, f"{detail} tokens") for path, detail in over.files], over.count),
    )  # fmt: skip


def _activation(plan: Plan, tags: Tags, *, wants: bool | None) -> Iterator[Problem]:
    """A style should come by itself, a character when it is called."""
    if wants is False and tags.everywhere:
        yield Problem(
            severity=Severity.NOTE, what=f"every caption has {_quoted(tags.everywhere)}",
            why="for a style the guides advise against such an activation tag: the style would come only when it is called",
            fix="take it out of the captions; or leave it, if you want to call the style by it", where=str(plan.data),
        )  # fmt: skip
    if wants and not tags.everywhere and not has_name(tags, tags.captions):
        yield _nameless(plan, tags)


def has_name(tags: Tags, least: int) -> bool:
    """Whether so many captions begin alike: with the same tag, or the same word of a sentence."""
    return max(tags.first_count, tags.first_word_count) >= least


def _nameless(plan: Plan, tags: Tags) -> Problem:
    is_word = tags.first_word_count > tags.first_count
    name, count = (tags.first_word, tags.first_word_count) if is_word else (tags.first, tags.first_count)
    if has_name(tags, int(tags.captions * MOSTLY)):
        return Problem(
            severity=Severity.WARNING,
            what=f"{tags.captions - count} of {tags.captions} captions do not begin with {_quoted((name,))} as the others do",
            why="what is not called by its name is not learned as a part of it", fix="put the name in front of them", where=str(plan.data),
        )  # fmt: skip
    return Problem(
        severity=Severity.WARNING, what="there is no name that all captions have",
        why="the preset trains something that is called by a name, such as a character", where=str(plan.data),
        fix="begin every caption with the same made-up word; or take a style preset, if it is a style",
    )  # fmt: skip


def _spelling(plan: Plan, tags: Tags) -> Iterator[Problem]:
    if not tags.spellings:
        return
    count = len(tags.spellings)
    shown = "; ".join(
        " / ".join(f"{tag} ({times})" for tag, times in group[:3]) for group in tags.spellings[:SHOWN]
    )
    yield Problem(
        severity=Severity.NOTE, what="a tag is spelt in two ways" if count == 1 else f"{count} tags are spelt in more than one way",
        why=f"the trainer takes them for different things: {shown}{' …' if count > SHOWN else ''}",
        fix="if they mean the same, write them alike", where=str(plan.data),
    )  # fmt: skip


def _quoted(tags: Sequence[str]) -> str:
    shown = ", ".join(f'"{tag}"' for tag in tags[:3])
    return f"{shown} and {len(tags) - 3} more tags" if len(tags) > 3 else shown


def names_of(files: Sequence[tuple[Path, str]], count: int) -> str:
    """The first names, each with its detail; a single file with its whole path."""
    if count == 1:
        path, detail = files[0]
        return f"{path} ({detail})" if detail else str(path)
    names = [f"{path.name} ({detail})" if detail else path.name for path, detail in files[:SHOWN]]
    more = f" and {count - SHOWN} more" if count > SHOWN else ""
    return f"{', '.join(names)}{more}, in {files[0][0].parent}"

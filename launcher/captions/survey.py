"""All captions of a dataset: each file read once, only counts and the first names of each trouble kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.captions.reading import LONG, read_caption
from launcher.captions.tags import Tags, Tally
from launcher.captions.tokens import Tokenizer, longest_drawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

MOST_NAMED = 100  # files named of each kind of trouble
TELL_EVERY = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What the trainer makes of the captions of one subset before it counts tokens."""

    separator: str = ","
    prefix: str = ""
    suffix: str = ""
    has_wildcards: bool = False
    is_counted: bool = True  # in the statistics of tags: regularisation images are not

    def worded(self, line: str) -> str:
        """A line as the text encoders get it (of its wildcards the longest choice)."""
        text = longest_drawn(line) if self.has_wildcards else line
        return " ".join(part for part in (self.prefix, text, self.suffix) if part)


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """How many files have one trouble, and the first of them, each with a detail."""

    count: int
    files: tuple[tuple[Path, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What is known of all captions together. Tokens are counted without the marks for beginning and end."""

    files: int = 0
    faults: dict[str, Named] = field(default_factory=dict)
    limit: int = 75
    over: Named = field(default_factory=lambda: Named(count=0, files=()))  # longer than the limit
    longest: int = 0
    median: int = 0
    is_exact: bool = False  # else `longest` and `over` are lower bounds
    tags: Tags = field(default_factory=Tags)


def look_at_captions(
    groups: Iterable[tuple[Usage, Iterable[Path]]], *, tokenizer: Tokenizer, limit: int, tell: Callable[[int], None] | None = None
) -> Words:  # fmt: skip
    """Read every caption file of every group.

    Args:
        groups: the files of each subset and how it uses them; a file that comes again is not read again.
        tokenizer: counts the tokens.
        limit: tokens that the trainer keeps (75, 150 or 225).
        tell: called now and then with how many files are read.
    """
    look = _Look(tokenizer=tokenizer, limit=limit)
    seen: set[Path] = set()
    for usage, files in groups:
        for path in files:
            if path in seen:
                continue
            seen.add(path)
            look.take(path, usage)
            if tell and len(seen) % TELL_EVERY == 0:
                tell(len(seen))
    return look.result(len(seen))


@dataclass(kw_only=True, slots=True)
class _Look:
    tokenizer: Tokenizer
    limit: int
    tally: Tally = field(default_factory=Tally)
    counts: dict[str, int] = field(default_factory=dict)
    named: dict[str, list[tuple[Path, str]]] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)

    def take(self, path: Path, usage: Usage) -> None:
        caption = read_caption(path, has_wildcards=usage.has_wildcards)
        for fault in caption.faults:
            self._note(fault, path, caption.detail)
        if not caption.lines or LONG in caption.faults:  # some other text: it would spoil the statistics
            return
        tokens = max(self.tokenizer.count(usage.worded(line)) for line in caption.lines)
        self.lengths[tokens] = self.lengths.get(tokens, 0) + 1
        if tokens > self.limit:
            self._note("", path, str(tokens))
        if usage.is_counted:
            self.tally.add(caption.text, usage.separator)

    def _note(self, kind: str, path: Path, detail: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        files = self.named.setdefault(kind, [])
        if len(files) < MOST_NAMED:
            files.append((path, detail))

    def result(self, files: int) -> Words:
        found = {
            kind: Named(count=count, files=tuple(self.named[kind])) for kind, count in self.counts.items()
        }
        over = found.pop("", Named(count=0, files=()))
        return Words(
            files=files,
            faults=found,
            limit=self.limit,
            over=over,
            longest=max(self.lengths, default=0),
            median=self._median(),
            is_exact=self.tokenizer.is_exact,
            tags=self.tally.result(),
        )

    def _median(self) -> int:
        half, passed = sum(self.lengths.values()) / 2, 0
        for tokens in sorted(self.lengths):
            passed += self.lengths[tokens]
            if passed >= half:
                return tokens
        return 0

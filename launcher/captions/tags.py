"""Tags of many captions counted, in bounded memory: what is common, what stands once, what is everywhere, what is spelt twice."""

from __future__ import annotations

from dataclasses import dataclass, field

from launcher.captions.spelling import Spellings, find_spellings

MOST_TAGS = 50_000  # different ones; a set of prose captions has as many as sentences
MOST_FIRST = 5_000
LONGEST_TAG = 200  # characters kept of one
SHOWN = 300
ONCE_SHOWN = 100
LIKE_A_SENTENCE = 5.0  # words between two separators, in the mean: tags have one to three


@dataclass(frozen=True, kw_only=True, slots=True)
class Tags:
    """The statistics. Counts are numbers of captions that have the tag."""

    captions: int = 0
    distinct: int = 0
    is_cut: bool = False  # there were more than `MOST_TAGS` different ones: the later ones were not counted
    is_prose: bool = False  # sentences rather than tags: counting them says little
    top: tuple[tuple[str, int], ...] = ()
    once: int = 0
    once_shown: tuple[str, ...] = ()
    everywhere: tuple[str, ...] = ()  # on every caption, in the order of the first one
    spellings: tuple[Spellings, ...] = ()
    doubled: int = 0  # captions that have a tag twice
    first: str = ""  # the most common first tag, and of how many captions
    first_count: int = 0
    first_word: str = ""  # the same of first words, without commas and stops
    first_word_count: int = 0


@dataclass(kw_only=True, slots=True)
class Tally:
    """Takes captions one by one."""

    captions: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    is_cut: bool = False
    doubled: int = 0
    everywhere: dict[str, None] | None = None
    firsts: dict[str, int] = field(default_factory=dict)
    first_words: dict[str, int] = field(default_factory=dict)
    parts: int = 0
    words: int = 0

    def add(self, text: str, separator: str = ",") -> None:
        """One caption; an empty one counts too, since nothing can be on every caption then."""
        self.captions += 1
        found = [tag[:LONGEST_TAG] for tag in map(str.strip, text.split(separator or ",")) if tag]
        tags = dict.fromkeys(found)
        self.doubled += len(tags) < len(found)
        self.parts += len(found)
        self.words += len(text.split())
        for tag in tags:
            self._count(self.counts, tag, MOST_TAGS)
        if self.everywhere is None:
            self.everywhere = tags
        elif self.everywhere:
            self.everywhere = {tag: None for tag in self.everywhere if tag in tags}
        if found:
            self._count(self.firsts, found[0], MOST_FIRST)
            self._count(self.first_words, text.split(maxsplit=1)[0].strip(",.;:")[:LONGEST_TAG], MOST_FIRST)

    def _count(self, counts: dict[str, int], key: str, most: int) -> None:
        known = counts.get(key)
        if known is not None:
            counts[key] = known + 1
        elif len(counts) < most:
            counts[key] = 1
        elif counts is self.counts:
            self.is_cut = True

    def result(self) -> Tags:
        """The statistics of all captions so far."""
        ordered = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        once = [tag for tag, count in ordered if count == 1]
        is_prose = self.parts > 0 and self.words / self.parts > LIKE_A_SENTENCE
        first = max(self.firsts.items(), key=lambda item: item[1], default=("", 0))
        first_word = max(self.first_words.items(), key=lambda item: item[1], default=("", 0))
        return Tags(
            captions=self.captions,
            distinct=len(ordered),
            is_cut=self.is_cut,
            is_prose=is_prose,
            top=tuple(ordered[:SHOWN]),
            once=len(once),
            once_shown=tuple(once[:ONCE_SHOWN]),
            everywhere=tuple(self.everywhere or ()) if self.captions > 1 else (),
            spellings=() if is_prose else find_spellings(ordered),
            doubled=self.doubled,
            first=first[0],
            first_count=first[1],
            first_word=first_word[0],
            first_word_count=first_word[1],
        )

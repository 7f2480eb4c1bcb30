"""A torch set and everything of its family that it requires in turn: one wheel for each name, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.errors import InstallError
from launcher.install.commands import advice
from launcher.install.family import is_family
from launcher.install.metadata import requirements_in
from launcher.install.offers import Offer
from launcher.install.pins import normalize
from launcher.install.places import local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    from launcher.install.offers import Offers, Source

MOST_ROUNDS = 10  # of "who requires what"; two or three are enough


class NotFoundError(InstallError):
    """No source has a wheel of the set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is wanted of one package, and by whom."""

    wanted: frozenset[tuple[str, str]] = frozenset()  # who (empty: the plan), specifier
    extras: frozenset[str] = frozenset()

    def specifier(self) -> SpecifierSet:
        from packaging.specifiers import SpecifierSet

        return SpecifierSet(",".join(sorted(text for _, text in self.wanted if text)))


@dataclass(kw_only=True)
class Closure:
    """One search, from the roots on."""

    offers: Offers
    tell: Callable[[str], None]
    tagged: Sequence[Source]  # in this order for what carries a build tag: `torch==2.5.1+cu121`
    untagged: Sequence[Source]
    download: Callable[[Offer], Path | None]  # for a wheel that alone can tell what it requires
    _found: dict[tuple[str, str], Offer] = field(default_factory=dict)
    _whole: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, roots: Mapping[str, str]) -> list[Offer]:
        """Wheels of the roots (names and exact versions), and of what of the family they require.

        Raises:
            NotFoundError: no source has one of them.
            InstallError: they contradict each other.
        """
        plan = {name: Wish(wanted=frozenset({("", f"=={version}")})) for name, version in roots.items()}
        wishes = plan
        for _ in range(MOST_ROUNDS):
            found = {name: self._find(name, wish) for name, wish in wishes.items()}
            again = self._wishes(plan, found, wishes)
            if again == wishes:
                return list(found.values())
            wishes = again
        raise InstallError("The torch packages require each other in circles.", why=", ".join(sorted(wishes)))

    def _wishes(
        self, plan: Mapping[str, Wish], found: Mapping[str, Offer], before: Mapping[str, Wish]
    ) -> dict[str, Wish]:
        """Who wants what, once these wheels are installed."""
        wishes = dict(plan)
        for offer in found.values():
            for need in self._needs(offer, before[offer.name].extras):
                name = normalize(need.name)
                if name in plan:
                    _check(offer, found[name], need)
                wish = wishes.get(name, Wish())
                reason = (f"{offer.name} {offer.version}", str(need.specifier))
                wishes[name] = Wish(
                    wanted=wish.wanted if name in plan else wish.wanted | {reason},
                    extras=wish.extras | need.extras,
                )
        return wishes

    def _needs(self, offer: Offer, extras: frozenset[str]) -> Iterator[Requirement]:
        """What of the family a wheel requires on the target."""
        from packaging.requirements import InvalidRequirement, Requirement

        markers = self.offers.target.markers
        for line in self._lines(offer):
            try:
                need = Requirement(line)
            except InvalidRequirement:  # such are in the field; they are nobody's pins
                continue
            marker = need.marker
            is_due = marker is None or any(
                marker.evaluate({**markers, "extra": extra}) for extra in {"", *extras}
            )
            if is_due and is_family(need.name):
                yield need

    def _lines(self, offer: Offer) -> tuple[str, ...]:
        lines = self.offers.requirements(offer)
        if lines is not None:
            return lines
        if offer.link.url not in self._whole:
            self.tell(f"{offer.link.file} must be downloaded to see what it requires")
            file = self.download(offer)
            self._whole[offer.link.url] = (requirements_in(file) if file else None) or ()
        return self._whole[offer.link.url]

    def _find(self, name: str, wish: Wish) -> Offer:
        key = (name, str(wish.specifier()))
        if key not in self._found:
            self._found[key] = self._ask(name, wish)
        return self._found[key]

    def _ask(self, name: str, wish: Wish) -> Offer:
        wanted = wish.specifier()
        is_tagged = any("+" in each.version for each in wanted)
        said: list[str] = []
        for source in self.tagged if is_tagged else self.untagged:
            self.tell(f"asking {source.title} for {name}{wanted}")
            answer = self.offers.best(source, name, wanted)
            if isinstance(answer, Offer):
                if local_path(answer.link.url) is None or self.offers.requirements(answer) is not None:
                    return answer
                answer = f"{answer.link.file} is damaged"
            said.append(f"{source.title}: {answer}")
        raise _not_found(name, wish, str(self.offers.target), said)


def _not_found(name: str, wish: Wish, target: str, said: list[str]) -> NotFoundError:
    who = ", ".join(f"{who} requires {name}{text}" for who, text in sorted(wish.wanted) if who)
    why = "\n".join(said) or "There is no package index and no folder of wheels to look in."
    fix = advice(why)
    if "but only for" in why:
        fix = "Choose a Python that the build has wheels for, or another build with --cuda."
    return NotFoundError(
        f"{name}{wish.specifier()} for {target} could not be found" + (f" ({who})." if who else "."),
        why=why,
        fix=fix,
    )


def _check(offer: Offer, planned: Offer, need: Requirement) -> None:
    """The set is fixed: a wheel that wants another torch must not be installed beside it."""
    if not need.specifier.contains(planned.version, prereleases=True):
        raise InstallError(
            f"{offer.name} {offer.version} does not belong to {planned.name} {planned.version}.",
            why=f"It requires {planned.name}{need.specifier} ({offer.source.title}: {offer.link.file}).",
            fix="Nothing was changed. Choose another build with --cuda: this one's packages contradict each other.",
        )

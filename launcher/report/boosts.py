"""What became of the boosts, as rows of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.report.content import Row, said

if TYPE_CHECKING:
    from launcher.report.content import Part


def boost_rows(part: Part) -> tuple[Row, ...]:
    """What became of each boost, the used ones first."""
    found = sorted(part.view.boosts, key=lambda boost: not boost.is_used)
    words_of = {(True, False): "used", (True, True): "used in part"}
    return tuple(
        Row(
            name=boost.name, value=words_of.get((boost.is_used, bool(boost.reason)), "not used"), source=boost.kind,
            why=said(boost.reason),
        )
        for boost in found
    )  # fmt: skip

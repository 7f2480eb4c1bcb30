"""Says in words how a training failed: the first kind in the registry whose signs are there, else that nobody knows it.

The order of the registry decides: the cause stands before what it leads to, the special before the general.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.failures import card, computer, ends, material, settings
from launcher.failures.picture import memory_words
from launcher.failures.rule import SILENT, Evidence, Kind
from launcher.install.explain import LOWER, without_noise
from launcher.install.explain import explain as explain_installation
from launcher.install.secret import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS: tuple[Kind, ...] = (
    *computer.PAGING,
    *card.NUMBERS,
    *computer.FILES,
    *card.MEMORY,
    *computer.WORKERS,
    *material.WHERE,
    *material.MODEL,
    *material.DATA,
    *card.UNSUPPORTED,
    *settings.SETTINGS,
    *card.DRIVER,
    *computer.MEMORY,
    *ends.ENDS,
)
UNKNOWN = "unknown"
LINE_CHARS, MOST_CHARS, SAID_CHARS = 2_000, 60_000, 240
NAMELESS = {
    "file": "a file",
    "package": "a package",
    "option": "see the log",
}  # what a placeholder says when the text names nothing
ANSI = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")
BEFORE_JAPANESE = re.compile(r" / [^\x00-\x7f].*")  # sd-scripts says everything twice


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """A failure in words. `title` fits into a list, `said` is the line that gave it away, `again`: going on can succeed."""

    kind: str
    title: str
    what: str
    why: str
    fix: str
    said: str = ""
    again: bool = True
    going_on: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()


def explain(evidence: Evidence, *, system: str | None = None) -> Explanation:
    """What a failed training means. Always an answer; `kind` is "unknown" when the registry has none.

    `system` is "windows", "linux" or "macos" (default: this one). No part of the answer holds a password of a URL.
    """
    system = system or _here()
    told, log = _prepare(evidence.told), _prepare(evidence.log)
    for is_by_name in (True, False):
        for kind in KINDS:
            found = _match(kind, evidence, told, log, is_by_name=is_by_name)
            if found is not None:
                return _in_words(kind, system, *found, evidence)
    for kind in KINDS:
        if evidence.exit_code is not None and evidence.exit_code in kind.codes:
            return _in_words(kind, system, "", None, evidence)
    return _from_installation(evidence) or _silent(evidence, system) or _unknown(evidence)


def explain_kind(name: str, evidence: Evidence, *, system: str | None = None) -> Explanation:
    """The same for a kind that somebody has found before: the words, filled from what there is."""
    kind = next((kind for kind in KINDS if kind.name == name), None)
    if kind is None:
        return explain(evidence, system=system)
    text = _prepare(f"{evidence.told}\n{evidence.log}")
    return _in_words(kind, system or _here(), text, kind.search(text.translate(LOWER)), evidence)


def title_of(failure: Mapping[str, str] | None) -> str:
    """A failure as `state.json` has it, in two or three words; "" when its kind is not known."""
    name = (failure or {}).get("kind", "")
    return next((kind.title for kind in KINDS if kind.name == name), "")


def _match(
    kind: Kind, evidence: Evidence, told: str, log: str, *, is_by_name: bool
) -> tuple[str, re.Match[str] | None] | None:
    """Where a kind shows itself. Names of exceptions that are nothing else come first; a silent end is looked up in the log."""
    if is_by_name:
        is_named = evidence.error in kind.errors and evidence.error not in SILENT | {"AssertionError", "Interrupted"}  # fmt: skip
        return (told, kind.search(told.translate(LOWER))) if is_named else None
    if evidence.error == "Interrupted" and not kind.name.startswith(("killed", "ended-from", "power")):
        return None  # gone without a word: older lines of its log are not the reason
    match = kind.search(told.translate(LOWER))
    if match:
        return told, match
    if log and (kind.in_log or evidence.is_silent):
        match = kind.search(log.translate(LOWER))
        if match:
            return log, match
    return None


def _silent(evidence: Evidence, system: str) -> Explanation | None:
    """The launcher's own words for an end that nothing explains."""
    kind = next((kind for kind in KINDS if evidence.error in kind.errors), None)
    return None if kind is None else _in_words(kind, system, "", None, evidence)


def _from_installation(evidence: Evidence) -> Explanation | None:
    """What breaks an installation (torch, CUDA libraries, packages) can break a training, too."""
    if evidence.error == "Interrupted":
        return None
    text = f"{evidence.told}\n{evidence.log if evidence.is_silent else ''}"
    found = explain_installation(_prepare(text))
    if found is None:
        return None
    return Explanation(
        kind=found.name, title=found.name.replace("-", " "), what=found.what, why=found.why, fix=found.fix, said=found.said
    )  # fmt: skip


def _unknown(evidence: Evidence) -> Explanation:
    first = next((line.strip() for line in evidence.message.splitlines() if line.strip()), "")
    said = _said(f"{evidence.error}: {first}" if evidence.error else first)
    return Explanation(
        kind=UNKNOWN, title="failed", what="The training ended with an error that the launcher does not know.",
        why=f"It says: {said}" if said.strip(": ") else "It said nothing.", said=said,
        fix="The whole story is at the end of train.log in the run's folder. Go on if it may have been an accident.",
    )  # fmt: skip


def _in_words(
    kind: Kind, system: str, text: str, match: re.Match[str] | None, evidence: Evidence
) -> Explanation:
    values, said = dict(NAMELESS), ""
    if match:
        start = text.rfind("\n", 0, match.start()) + 1
        end = text.find("\n", match.end())
        said = _said(text[start : end if end >= 0 else len(text)])
        for name in match.groupdict():
            low, high = match.span(name)
            if low >= 0 and text[low:high].strip():
                values[name] = _clean(text[low:high])
    why = kind.why
    if kind.name == "gpu-memory":
        why = memory_words(evidence) or why
    return Explanation(
        kind=kind.name, title=kind.title, what=_fill(kind.what, values), why=_fill(why, values),
        fix=_fill(kind.remedy(system), values), said=said, again=kind.again, going_on=kind.going_on,
        anew=kind.anew,
    )  # fmt: skip


def _fill(words: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        words = words.replace(f"{{{name}}}", value)
    return words


def _clean(value: str) -> str:
    """Fit for a sentence: no secrets, one language, no quotes, not long."""
    value = BEFORE_JAPANESE.sub("", redact(value)).replace("\\\\", "\\").strip(" `'\".,;:()\n")
    return " ".join(value.split())[:200]


def _said(line: str) -> str:
    line = " ".join(redact(line).split())
    return line if len(line) <= SAID_CHARS else f"{line[:SAID_CHARS]}…"


def _prepare(text: str) -> str:
    """The end of a text, lines cut, noise and colours taken out: a bound on the work, whatever comes."""
    text = ANSI.sub("", text[-MOST_CHARS:])
    return "\n".join(line[:LINE_CHARS] for line in without_noise(text).splitlines())


def _here() -> str:
    if os.name == "nt":
        return "windows"
    return "macos" if sys.platform == "darwin" else "linux"

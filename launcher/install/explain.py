"""Says in words what the output of pip, uv, git, Python or torch means: what happened, why, what to do.

The entries are in explain_disk, explain_git, explain_network, explain_packages and explain_torch. Their order decides,
not the order in the output: the cause stands before what it leads to, the special before the general.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.install import explain_disk, explain_git, explain_network, explain_packages, explain_torch
from launcher.install.explain_rule import HOST, PACKAGE, compile_sign
from launcher.install.secret import redact

if TYPE_CHECKING:
    from launcher.install.explain_rule import Rule

RULES = (
    *explain_torch.PYTHON,
    *explain_disk.RULES,
    *explain_packages.DECIDED,
    *explain_git.RULES,
    *explain_network.RULES,
    *explain_torch.TORCH,
    *explain_packages.UNDECIDED,
    *explain_torch.LAST,
)

HEAD_CHARS, TAIL_CHARS, LINE_CHARS = 20_000, 100_000, 2_000  # causes stand at the end, sometimes at the start
SAID_CHARS = 240
NEAR_CHARS = 1_500  # how far before a sign the name of a host or package is looked for
NOISE = re.compile(  # lines of tools that ran well: they explain nothing, and must not be taken for a cause
    r"\s{0,20}(?:"
    r"warning: failed to hardlink files; falling back to full copy"
    r"|if the cache and target directories are on different filesystems, hardlinking may not"
    r"|if this is intentional, set `export uv_link_mode=copy`"
    r"|warning: failed to uninstall package at .{1,300} due to missing `record` file"
    r"|a matching triton is not available|error caught was: no module named 'triton'|modulenotfounderror: no module named 'triton'"
    r"|warning: running pip as the 'root' user"
    r"|\[notice\]|warning: you are using pip version"
    r"|warning: keyring is skipped due to an exception"
    r"|warning: .{0,200}(?:crlf|lf) will be replaced by (?:crlf|lf)"
    r"|warning: the scripts? .{1,200} (?:is|are) installed in .{1,300} which is not on path"
    r"|debug |trace )",
    re.IGNORECASE,
)
LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")  # keeps every position
ANSI = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")
IS_HOST = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?")
UNKNOWN = {
    "package": "a package",
    "host": "the server",
    "file": "a file here",
    "version": "that version",
}  # what a placeholder says when the output names nothing
NEARBY = {
    "host": (rf"https?://{HOST}", r"host='(?P<host>[^'\n]{1,200})'"),
    "package": (
        rf"(?:failed to (?:download|fetch|build|install|read|prepare)[^\n`]{{0,20}}|structure of )`{PACKAGE}",
        rf"^(?:collecting|processing) {PACKAGE}",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """A known failure in words. `name` is that of the entry, `said` the line that gave it away (without secrets)."""

    what: str
    why: str
    fix: str
    name: str = ""
    said: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """An entry for the documentation: placeholders are in words, the remedy is the general one."""

    name: str
    what: str
    why: str
    fix: str


def explain(output: str, *, code: int | None = None, windows: bool | None = None) -> Explanation | None:
    """What a failed command's output (or, when that says nothing, its exit code) means; None when it is not known.

    `windows` says where it ran (default: here). No part of the answer holds a name or password of a URL.
    """
    system = _system(windows)
    text = _prepare(output)
    lowered = text.translate(LOWER)
    fitting = [rule for rule in RULES if rule.fits(system)]
    for rule in fitting:
        match = rule.search(lowered)
        if match:
            return _in_words(rule, system, text, match)
    for rule in fitting:
        if code is not None and code in rule.codes:
            return _in_words(rule, system, "", None)
    return None


def known() -> list[Known]:
    """Every entry once, in order."""
    entries: dict[str, Known] = {}
    for rule in RULES:
        words = [_fill(text, UNKNOWN) for text in (rule.what, rule.why, rule.fix)]
        entries.setdefault(rule.name, Known(name=rule.name, what=words[0], why=words[1], fix=words[2]))
    return list(entries.values())


def without_noise(output: str) -> str:
    """The output without the warnings that tools also print when all is well."""
    lines = ANSI.sub("", output).replace("\r", "\n").splitlines()
    return "\n".join(line for line in lines if line and not NOISE.match(line))


def _system(windows: bool | None) -> str:
    if windows or (windows is None and os.name == "nt"):
        return "windows"
    return "macos" if sys.platform == "darwin" else "linux"


def _prepare(output: str) -> str:
    """The two ends of the output, lines cut, colours and noise taken out: a bound on the work, whatever comes.

    Nothing is cut inside a word: half a URL would hide that the other half was a password.
    """
    output = output.replace("\r", "\n")  # of progress lines
    if len(output) > HEAD_CHARS + TAIL_CHARS:
        output = f"{output[:HEAD_CHARS].rpartition(chr(10))[0]}\n{output[-TAIL_CHARS:].partition(chr(10))[2]}"
    lines = without_noise(output).splitlines()
    return "\n".join(
        line if len(line) <= LINE_CHARS else line[:LINE_CHARS].rpartition(" ")[0] for line in lines
    )


def _in_words(rule: Rule, system: str, text: str, match: re.Match[str] | None) -> Explanation:
    values, said = dict(UNKNOWN), ""
    if match:
        values |= _values(text, match)
        start = text.rfind("\n", 0, match.start()) + 1
        end = text.find("\n", match.end())
        line = " ".join(redact(text[start : end if end >= 0 else len(text)]).split())
        said = line if len(line) <= SAID_CHARS else f"{line[:SAID_CHARS]}…"
    what, why, fix = (_fill(words, values) for words in (rule.what, rule.why, rule.remedy(system)))
    return Explanation(name=rule.name, what=what, why=why, fix=fix, said=said)


def _values(text: str, match: re.Match[str]) -> dict[str, str]:
    """What the placeholders stand for: from the sign itself, else from the lines before it."""
    found: dict[str, str] = {}
    start = max(0, match.start() - NEAR_CHARS)
    near = text[start : match.end() + LINE_CHARS]
    for name, signs in NEARBY.items():
        for sign in signs:
            spans = [m.span(name) for m in compile_sign(sign).finditer(near.translate(LOWER))]
            before = [span for span in spans if start + span[0] <= match.end()]
            if spans:
                low, high = before[-1] if before else spans[0]
                found[name] = near[low:high]
                break
    for name in match.groupdict():
        low, high = match.span(name)
        if low >= 0:
            found[name] = text[low:high]
    cleaned = {name: _clean(name, value) for name, value in found.items()}
    return {name: value for name, value in cleaned.items() if value}


def _clean(name: str, value: str) -> str:
    """Fit for a sentence: no secrets, no doubled back strokes, no quotes, no end of a sentence; "" when it is none."""
    value = redact(value).replace("\\\\", "\\").strip(" `'\".,;:()\n")
    if name == "host" and not IS_HOST.fullmatch(value):
        return ""
    return " ".join(value.split())[:200]


def _fill(words: str, values: dict[str, str]) -> str:
    """Put the values in; a sentence begins with a capital when it begins with words of ours."""
    for name, value in values.items():
        words = words.replace(f"{{{name}}}", value)
    return words[:1].upper() + words[1:] if words.startswith(tuple(UNKNOWN.values())) else words

"""Catches warnings (of `warnings` and of `logging`) and reports each kind once, then only its count now and then."""

from __future__ import annotations

import logging
import re
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

    from launcher.shim.reporter import Reporter

MAX_KINDS = 200  # a library that invents a new text each step must not flood the events
MAX_MESSAGE = 500
# Said by developers to developers; the log has them, the person at the dashboard can do nothing about them.
FOR_DEVELOPERS = (
    DeprecationWarning,
    PendingDeprecationWarning,
    FutureWarning,
    ImportWarning,
    ResourceWarning,
    SyntaxWarning,
)
# What sd-scripts says with every ordinary training.
ORDINARY = (
    "no regularization images",
    "min_bucket_reso and max_bucket_reso are ignored if bucket_no_upscale",  # our presets set all three
)

# sd-scripts says many things twice: "English / 日本語", sometimes with the same detail behind the last colon.
JAPANESE = re.compile(r"\s+/\s+(?=[^/\n]*[\u3040-\u30ff\u4e00-\u9fff])(?P<rest>[^\n]*)")


def english(text: str) -> str:
    """The message without its Japanese half; a detail (a path, a number) that only that half has stays."""
    return JAPANESE.sub(_detail, text)


def _detail(match: re.Match[str]) -> str:
    head, colon, detail = match["rest"].partition(": ")
    if not colon or not re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", head):
        return ""
    before = match.string[: match.start()]
    return "" if detail in before else f": {detail}"


class Notices:
    """Counts warnings by where they come from, not by text: numbers in a text change, its line does not."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._counts: dict[Hashable, int] = {}

    def add(self, key: Hashable, message: str) -> None:
        """Report the 1st, 10th, 100th ... of its kind."""
        if key not in self._counts and len(self._counts) >= MAX_KINDS:
            return
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if str(count).strip("0") == "1":
            self._reporter.emit("warning", message=english(message)[:MAX_MESSAGE], count=count)

    def listen(self) -> None:
        """Overhear both channels from now on; what they print stays as it is."""
        self._overhear_warnings()
        self._overhear_logging()

    def _overhear_warnings(self) -> None:
        original = warnings.showwarning

        def showwarning(
            message: Any, category: Any, filename: str, lineno: int, *rest: Any, **more: Any
        ) -> None:
            if not issubclass(category, FOR_DEVELOPERS):
                self.add((filename, lineno), str(message))
            original(message, category, filename, lineno, *rest, **more)

        warnings.showwarning = showwarning

    def _overhear_logging(self) -> None:
        """Wrap the method, add no handler: a root handler would turn the trainer's own logging set-up into nothing."""
        original = logging.Logger.handle

        def handle(logger: logging.Logger, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING and not _text(record).startswith(ORDINARY):
                self.add((record.pathname, record.lineno), _text(record))
            original(logger, record)

        logging.Logger.handle = handle  # type: ignore[method-assign, assignment]  # the point


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  (the caller's format and arguments do not fit; logging itself only prints that)
        return str(record.msg)

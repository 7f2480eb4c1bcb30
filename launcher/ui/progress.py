"""An installation as it goes: ticks and a spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from launcher.ui import console, formats
from launcher.ui.formats import clean, fit
from launcher.ui.palette import is_tty, look_at_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, ConsoleOptions, RenderResult

    from launcher.install.steps import StepEvent

FRAMES = {"full": "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "blocks": "|/-\\", "ascii": "|/-\\"}
FRAMES_PER_S = 8
DETAIL_EVERY_S = 5.0  # of a download's progress, where there is no terminal
WORTH_TELLING_S = 2.0


@contextmanager
def install_progress() -> Iterator[Callable[[StepEvent], None]]:
    """A callback for step events, drawn while the context lasts."""
    if not is_tty(sys.stdout):
        console.make_safe(sys.stdout)
        yield PlainSteps().take
        return
    from rich.live import Live

    steps = LiveSteps(console.get_console())
    with Live(steps, console=steps.console, refresh_per_second=FRAMES_PER_S, transient=True):
        yield steps.take


class PlainSteps:
    """One line for each begin and each end; what is being done not more often than every few seconds."""

    def __init__(self) -> None:
        self._told = -DETAIL_EVERY_S

    def take(self, event: StepEvent) -> None:
        words = {"begin": "...", "done": "done", "skipped": "nothing to do", "failed": "FAILED"}
        state, detail = event.state.value, clean(event.detail)
        if state == "progress":
            if time.monotonic() - self._told >= DETAIL_EVERY_S:
                self._told = time.monotonic()
                self._write(f"      {detail}")
            return
        if state == "note":
            self._write(f"      {detail}")
            return
        tail = f" ({detail})" if detail else ""
        self._write(f"  {_number(event)}{clean(event.title)}: {words.get(state, state)}{tail}")

    @staticmethod
    def _write(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _number(event: StepEvent) -> str:
    return f"{event.number}/{event.total} " if event.total else ""


class LiveSteps:
    """Finished steps go above, for good; the running one turns at the bottom."""

    def __init__(self, rich_console: Console) -> None:
        self.console = rich_console
        self._glyphs = look_at_terminal(sys.stdout).glyphs
        self._title = ""
        self._number = ""
        self._detail = ""
        self._began = time.monotonic()

    def take(self, event: StepEvent) -> None:
        state, detail = event.state.value, clean(event.detail)
        if state == "begin":
            self._began = time.monotonic()
            self._title, self._number, self._detail = clean(event.title), _number(event), detail
        elif state == "progress":
            self._title = self._title or clean(
                event.title
            )  # waiting for another window begins with its progress
            self._detail = detail
        elif state == "note":
            self._keep(detail)
        else:
            self._finish(clean(event.title), state, detail)

    def _keep(self, detail: str) -> None:
        """What should still be seen afterwards goes above, while the step goes on."""
        from rich.text import Text

        self.console.print(Text(f"    {detail}", "muted"))

    def _finish(self, title: str, state: str, detail: str) -> None:
        from rich.text import Text

        sign, role = {
            "done": (self._glyphs.tick, "good"),
            "skipped": (self._glyphs.tick, "muted"),
            "failed": (self._glyphs.cross, "bad"),
        }.get(state, (self._glyphs.dot, "accent"))
        seconds = time.monotonic() - self._began
        took = formats.duration(seconds) if state == "done" and seconds >= WORTH_TELLING_S else ""
        remark = f"  {detail or took}".rstrip()
        self.console.print(
            Text.assemble(
                "  ", (f"{sign} ", role), (title, "muted" if state == "skipped" else ""), (remark, "muted")
            )
        )
        self._title = self._detail = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        if not self._title:
            return
        frames = FRAMES[self._glyphs.level]
        seconds = time.monotonic() - self._began
        turn = frames[int(seconds * FRAMES_PER_S) % len(frames)]
        took = f"  {formats.duration(seconds)}" if seconds >= WORTH_TELLING_S else ""
        begin = f"{self._number}{self._title}"
        room = max(options.max_width - formats.cells(begin) - len(took) - 8, 0)
        yield Text.assemble(
            "  ",
            (f"{turn} ", "accent"),
            begin,
            (f"  {fit(self._detail, room, self._glyphs.ellipsis)}", "muted"),
            (took, "muted"),
            no_wrap=True,
        )

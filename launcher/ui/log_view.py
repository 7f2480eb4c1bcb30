"""The raw log, one key away: a small pager of its end inside the terminal; elsewhere its path."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from launcher.ui import console, formats, prompts
from launcher.ui.palette import columns

if TYPE_CHECKING:
    from pathlib import Path

    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.output import Output

TAIL_BYTES = 256 * 1024
KEYS = "arrow keys, Page Up/Down, Home, End    Q goes back"


def offer_log(log: Path, *, is_named: bool = False) -> None:
    """One key shows the log, any other goes on. Without a terminal its path is said, unless it `is_named` already."""
    if not prompts.can_ask():
        if not is_named:
            sys.stderr.write(f"  The log: {log}\n")
        return
    console.out()
    console.out("  Press L to see the raw log, any other key to go on.", role="muted")
    if ask_key().lower() == "l":
        page(read_tail(log), str(log))


def read_tail(log: Path, most: int = TAIL_BYTES) -> str:
    """The end of a log as harmless text, from the beginning of a line. A log that cannot be read says so."""
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(size - most, 0))
            raw = stream.read()
    except OSError as error:
        return f"The log cannot be read: {error.strerror or error}"
    text = raw.decode("utf-8", "replace")
    if size > most:
        text = f"... {size - most} bytes before this are left out\n{text.partition(chr(10))[2]}"
    return "\n".join(
        formats.clean(line.rpartition("\r")[2]) for line in text.replace("\r\n", "\n").rstrip().split("\n")
    )


def ask_key(source: Input | None = None, screen: Output | None = None) -> str:
    """Wait for one key and return it; empty for Enter, Esc, ^C and all that is no letter."""
    from prompt_toolkit.application import Application
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.keys import Keys
    from prompt_toolkit.layout import FormattedTextControl, Layout, Window

    bindings = KeyBindings()

    @bindings.add(Keys.Any)
    @bindings.add("enter")
    @bindings.add("escape")
    @bindings.add("c-c")
    def _(event: Any) -> None:
        key = event.key_sequence[0].data
        event.app.exit(result=key if len(key) == 1 and key.isalpha() else "")

    window = Window(FormattedTextControl(""), height=1, always_hide_cursor=True)
    app: Application[str] = Application(
        layout=Layout(window), key_bindings=bindings, erase_when_done=True, input=source, output=screen
    )
    app.ttimeoutlen = app.timeoutlen = prompts.ESCAPE_S
    return app.run() or ""


def page(text: str, title: str, source: Input | None = None, screen: Output | None = None) -> None:
    """Show text on the whole screen, from its end; long lines are wrapped. Returns when the person has seen enough."""
    from prompt_toolkit.application import Application
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.document import Document
    from prompt_toolkit.layout import BufferControl, FormattedTextControl, HSplit, Layout, Window
    from prompt_toolkit.layout.margins import ScrollbarMargin

    folded = fold(text, columns() - 1)  # beside the scroll bar
    buffer = Buffer(read_only=True, document=Document(folded, cursor_position=folded.rfind("\n") + 1))
    body = Window(BufferControl(buffer), right_margins=[ScrollbarMargin()], always_hide_cursor=True)
    foot = Window(FormattedTextControl(f" {formats.clean(title)}\n {KEYS}"), height=2, style="reverse")
    app: Application[None] = Application(
        layout=Layout(HSplit([body, foot]), focused_element=body), key_bindings=_paging(buffer), full_screen=True,
        input=source, output=screen,
    )  # fmt: skip
    app.ttimeoutlen = app.timeoutlen = prompts.ESCAPE_S
    app.run()


def fold(text: str, width: int) -> str:
    """Lines of at most `width` columns. The toolkit's own wrapping loses its place when pages of wrapped lines are turned."""
    lines: list[str] = []
    for line in text.split("\n"):
        rest = line
        while formats.cells(rest) > max(width, 2):
            piece = formats.fit(rest, max(width, 2), "")
            lines.append(piece)
            rest = rest[len(piece) :]
        lines.append(rest)
    return "\n".join(lines)


def _paging(buffer: Any) -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.key_binding.bindings import scroll

    bindings = KeyBindings()
    for key, action in (
        ("up", scroll.scroll_one_line_up), ("down", scroll.scroll_one_line_down), ("pageup", scroll.scroll_page_up),
        ("pagedown", scroll.scroll_page_down), (" ", scroll.scroll_page_down), ("b", scroll.scroll_page_up),
    ):  # fmt: skip
        bindings.add(key)(action)

    @bindings.add("home")
    def _top(_: Any) -> None:
        buffer.cursor_position = 0

    @bindings.add("end")
    def _bottom(_: Any) -> None:
        buffer.cursor_position = buffer.text.rfind("\n") + 1

    @bindings.add("q")
    @bindings.add("Q")
    @bindings.add("l")
    @bindings.add("enter")
    @bindings.add("escape")
    @bindings.add("c-c")
    def _leave(event: Any) -> None:
        event.app.exit()

    return bindings

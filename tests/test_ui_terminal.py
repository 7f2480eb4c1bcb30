"""The real screens in a pseudo-terminal: the menu's prompt, the questions, ^C in the dashboard."""

import os
import sys
from pathlib import Path

import pytest

pexpect = pytest.importorskip("pexpect", reason="no pseudo-terminals here")
pyte = pytest.importorskip("pyte")

ROOT = Path(__file__).resolve().parent.parent
UP, DOWN, ENTER, CTRL_C = "\x1b[A", "\x1b[B", "\r", "\x03"
PRELUDE = """
from launcher.events import Status
from launcher.ui import dashboard, menu, prompts
from tests import ui_views as views
runs = views.records()
busy = menu.MenuView(version="0.1.0", machine=views.MACHINE, live=(runs[0],), resumable=tuple(runs[1:3]), recent=tuple(runs))
class Monitor:
    polls = 0
    def poll(self):
        self.polls += 1
        return views.running() if self.polls < LAST else views.ended(Status.SUCCEEDED)
LAST = 10**9
"""


class Session:
    """A program in a terminal of 80 x 24, with the screen that a person would see."""

    def __init__(self, code, columns=80, rows=24):
        environment = {
            **os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1",
        }  # fmt: skip
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            environment.pop(name, None)
        self.child = pexpect.spawn(
            sys.executable, ["-c", PRELUDE + code], cwd=str(ROOT), env=environment, dimensions=(rows, columns),
            encoding="utf-8", timeout=30,
        )  # fmt: skip
        self.display = pyte.Screen(columns, rows)
        self.stream = pyte.Stream(self.display)

    def see(self, text):
        """Wait until `text` stands on the screen."""
        for _ in range(600):
            if text in self.screen:
                return self.screen
            try:
                self.stream.feed(self.child.read_nonblocking(65536, timeout=0.05))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                break
        assert text in self.screen, f"{text!r} never came; the screen:\n{self.screen}"
        return self.screen

    @property
    def screen(self):
        return "\n".join(self.display.display)

    def press(self, *keys):
        for key in keys:
            self.child.send(key)

    def end(self):
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus


@pytest.fixture
def session():
    opened = []

    def start(code, **size):
        opened.append(Session(code, **size))
        return opened[-1]

    yield start
    for one in opened:
        one.child.close(force=True)


def test_menu_arrow_and_enter(session):
    menu = session("print('ANSWER', menu.main_menu(busy).kind)")
    screen = menu.see("Quit")
    assert "Can be resumed" in screen
    assert screen.index("Can be resumed") < screen.index("What would you like to do?")
    menu.press(DOWN, ENTER)
    menu.see("ANSWER resume")
    assert menu.end() == 0


def test_menu_interrupt_is_quit(session):
    menu = session("print('ANSWER', menu.main_menu(busy).kind)")
    menu.see("Quit")
    menu.press(CTRL_C)
    screen = menu.see("ANSWER quit")
    assert "Traceback" not in screen
    assert menu.end() == 0


def test_history_interrupt_goes_one_level_back(session):
    history = session("print('ANSWER', menu.pick_run(runs))")
    history.see("Which run?")
    history.press(DOWN, ENTER)
    history.see("Open its report")
    history.press(CTRL_C)
    history.see("Which run? (arrow keys")
    history.press(CTRL_C)
    history.see("ANSWER None")
    assert history.end() == 0


def test_history_action(session):
    history = session("a = menu.pick_run(runs); print('ANSWER', a.kind, a.run == runs[1].id)")
    history.see("Which run?")
    history.press(DOWN, ENTER)
    history.see("Resume it")
    history.press(DOWN, ENTER)
    history.see("ANSWER report True")


def test_path_prompt_takes_a_dragged_folder(session, tmp_path):
    folder = tmp_path / "訓練 データ's"
    folder.mkdir()
    asked = session(
        "print('ANSWER', prompts.ask_path('Folder with your images', flag='--data', kind='folder').name)"
    )
    asked.see("Folder with your images")
    asked.press("nowhere", ENTER)
    asked.see("There is no such folder")
    asked.press("\x15", f'"{folder}" ', ENTER)
    asked.see("ANSWER 訓練 データ's")


def test_text_prompt_says_why_not(session):
    asked = session(
        "print('ANSWER', prompts.ask_text('Name', flag='--name', default='aki', check=lambda t: None if t == 'akira' else 'too short'))"
    )
    asked.see("Name aki")
    asked.press(ENTER)
    asked.see("too short")
    asked.press("ra", ENTER)
    asked.see("ANSWER akira")


FOLLOW = """
asked = []
outcome = dashboard.follow(Monitor(), on_pause=lambda: asked.append("pause"), on_stop=lambda: asked.append("stop"))
print("ANSWER", outcome, *asked)
"""


def test_dashboard_shows_and_ends(session):
    watch = session("LAST = 3\n" + FOLLOW)
    watch.see("ANSWER ended")
    assert "setup_env.py report cyanotype --open" in watch.screen
    assert watch.end() == 0


def test_dashboard_interrupt_asks_once_and_pauses(session):
    watch = session(FOLLOW)
    watch.see("620 / 1000")
    watch.press(CTRL_C)
    screen = watch.see("Back to the picture")
    assert "Leave it running" in screen
    assert "Stop" in screen
    watch.press(ENTER)
    watch.see("Pausing: the next step is finished and saved first.")
    watch.press(CTRL_C)
    watch.see("Back to the picture")
    watch.press(DOWN, ENTER)
    watch.see("ANSWER detached pause")
    assert watch.end() == 0


def test_dashboard_second_interrupt_leaves(session):
    watch = session(FOLLOW)
    watch.see("620 / 1000")
    watch.press(CTRL_C)
    watch.see("Back to the picture")
    watch.press(CTRL_C)
    screen = watch.see("ANSWER detached")
    assert "pause" not in screen.partition("ANSWER")[2]
    assert "Traceback" not in screen
    assert watch.end() == 0


def test_dashboard_stop_and_back(session):
    watch = session(FOLLOW)
    watch.see("620 / 1000")
    watch.press(CTRL_C)
    watch.see("Back to the picture")
    watch.press(UP, ENTER)
    watch.see("62.0 %")
    watch.press(CTRL_C)
    watch.see("Back to the picture")
    watch.press(DOWN, DOWN, ENTER)
    watch.see("Stopping:")


@pytest.mark.parametrize("size", [(60, 15), (120, 40)], ids=["60x15", "120x40"])
def test_dashboard_fills_a_terminal_without_scrolling(session, size):
    watch = session(FOLLOW, columns=size[0], rows=size[1])
    screen = watch.see("Ctrl-C")
    assert screen.splitlines()[0].startswith(" cyanotype")
    assert screen.splitlines()[-1].strip().startswith("Ctrl-C")

"""Which window stays open, and what a windowless start gets. Windows itself is not here: its answers are given."""

import sys
from pathlib import Path

import pytest

from launcher.install import window

CMD, PY, PYTHON = "C:\\Windows\\System32\\cmd.exe", "C:\\Windows\\py.exe", "C:\\Python312\\python.exe"
MANAGER = "C:\\Users\\u\\AppData\\Local\\Microsoft\\WindowsApps\\pymanager.exe"


@pytest.mark.parametrize(
    ("what", "others", "words", "code", "holds"),
    [
        ("double-click, failed", [], False, 6, True),
        ("double-click by py.exe, failed", [PY], False, 6, True),
        ("double-click by the install manager, failed", [MANAGER], False, 6, True),
        ("double-click, the menu was left", [PY], False, 0, False),
        ("double-click, ^C", [PY], False, 130, False),
        ("typed in cmd as `python setup_env.py`", [CMD], False, 6, False),
        ("typed in cmd as `py setup_env.py install`", [CMD, PY], True, 6, False),
        ("typed as `setup_env.py install`, the manager opens a window", [MANAGER], True, 0, True),
        ("the same, failed", [MANAGER, PYTHON], True, 6, True),
        ("the same, ^C", [MANAGER], True, 130, False),
        ("PowerShell 7", ["C:\\Program Files\\PowerShell\\7\\pwsh.exe"], True, 6, False),
        ("git bash", ["C:\\Program Files\\Git\\usr\\bin\\bash.exe", PY], False, 6, False),
    ],
)
def test_window_is_held_when_it_would_vanish_unread(what, others, words, code, holds):
    decision = window.should_hold(
        is_double_click=not words,
        is_terminal=True,
        console_processes=len(others) + 1,
        names=others,
        code=code,
    )
    assert decision is holds, what


def test_nobody_is_waited_for_without_a_terminal_or_console():
    for terminal, processes in ((False, 1), (True, 0)):
        assert not window.should_hold(
            is_double_click=True, is_terminal=terminal, console_processes=processes, names=[]
        )


def test_programs_that_cannot_be_asked_are_counted():
    def decide(processes):
        return window.should_hold(
            is_double_click=True, is_terminal=True, console_processes=processes, names=None
        )

    assert [decide(1), decide(2), decide(3)] == [True, True, False]


@pytest.mark.parametrize("name", ["python.exe", "Python3.12.exe", "python3.13t.exe", "pythonw.exe", "PY.EXE", "C:\\a b\\python_d.exe".replace("_d", "d"), "pymanager.exe", "python3"])  # fmt: skip
def test_names_of_python(name):
    assert window.is_own_window([name])


@pytest.mark.parametrize("name", ["cmd.exe", "powershell.exe", "pwsh.exe", "bash.exe", "pycharm64.exe", "nu.exe", "fish", "explorer.exe"])  # fmt: skip
def test_names_of_others(name):
    assert not window.is_own_window([PY, name])


def test_holding_returns_at_once_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    window.hold(is_double_click=True)


@pytest.mark.parametrize(
    ("platform", "stdout", "stderr", "lacks"),
    [
        ("win32", None, None, True), ("win32", object(), None, False), ("win32", None, object(), False),
        ("win32", object(), object(), False), ("linux", None, None, False),
    ],
)  # fmt: skip
def test_only_a_windowless_start_gets_a_console(platform, stdout, stderr, lacks):
    assert window.lacks_console(platform, stdout, stderr) is lacks


def test_a_console_that_cannot_be_opened_is_told_in_a_message_box(monkeypatch):
    from launcher.install import console_mode

    told = []
    monkeypatch.setattr(window, "lacks_console", lambda *_: True)
    monkeypatch.setattr(console_mode, "open_console", lambda: False)
    monkeypatch.setattr(console_mode, "message_box", told.append)
    words = window.ensure_console()
    assert told == [words]
    assert "python.exe" in words
    monkeypatch.setattr(console_mode, "open_console", lambda: True)
    assert window.ensure_console() is None


@pytest.mark.parametrize(
    ("name", "beside", "found"),
    [
        ("pythonw.exe", "python.exe", "python.exe"), ("pythonw3.12.exe", "python3.12.exe", "python3.12.exe"),
        ("pythonw.exe", None, "pythonw.exe"), ("python.exe", None, "python.exe"), ("PythonW.exe", "python.exe", "python.exe"),
    ],
)  # fmt: skip
def test_python_with_a_console(tmp_path, name, beside, found):
    if beside:
        (tmp_path / beside).write_text("")
    assert window.console_python(tmp_path / name) == tmp_path / found


def test_escapes_do_not_switch_wrapping_off():
    assert window.escapes_mode(0x3) == 0x7
    assert window.escapes_mode(0x17) == 0x17  # what others have set stays


def test_the_fast_path_pays_nothing_for_it():
    """setup_env.py passes `window` on Windows at every start: the calls into Windows are loaded when they are made."""
    source = Path(window.__file__).read_text(encoding="utf-8")
    head = source.partition("def should_hold")[0]
    assert "ctypes" not in head
    assert "console_mode" not in head

"""Answers as people give them: quoted, dragged, pasted; and what happens where nobody can answer."""

import os
from pathlib import Path

import pytest

from launcher.errors import UsageError
from launcher.ui import prompts


@pytest.fixture(autouse=True)
def nobody_there(monkeypatch):
    monkeypatch.setattr(prompts, "can_ask", lambda: False)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("/a/b", "/a/b"), ("  /a/my folder  ", "/a/my folder"), ('"/a/my folder"', "/a/my folder"), ("'/a/b' ", "/a/b"),
        ('"/a/b', "/a/b"), ('/a/b"', "/a/b"), ("\u201c/a/b\u201d", "/a/b"), ("& '/a/my folder'", "/a/my folder"),
        ("file:///a/my%20folder", "/a/my folder"), ("file://localhost/a", "/a"), ("FILE:///a", "/a"),
        ("/a/my\\ folder", "/a/my folder"), ("/a/訓練 データ", "/a/訓練 データ"), ("/a/it's", "/a/it's"),
    ],
)  # fmt: skip
@pytest.mark.skipif(os.name == "nt", reason="POSIX paths")
def test_read_path(typed, meant):
    assert prompts.read_path(typed) == Path(meant)


def test_home_and_variables(monkeypatch, safe_home):
    monkeypatch.setenv("PICTURES", "/p")
    assert prompts.read_path("~/x") == Path(safe_home) / "x"
    assert prompts.read_path("$PICTURES/x") == Path("/p/x")


def test_windows_urls_keep_their_drive():
    assert prompts._from_url("file:///C:/my%20folder") == "C:/my folder"
    assert prompts._from_url("file://server/share/x") == "//server/share/x"


def test_check_path(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    assert prompts.check_path(f'"{tmp_path}" ', kind="folder") is None
    assert prompts.check_path(str(tmp_path / "a.txt"), kind="file", suffixes=(".txt",)) is None
    assert "drag" in prompts.check_path('""', kind="folder")
    assert prompts.check_path(str(tmp_path / "b"), kind="folder") == "There is no such folder"
    assert "nor the folder" in prompts.check_path(str(tmp_path / "b" / "c"), kind="file")
    assert "a folder is wanted" in prompts.check_path(str(tmp_path / "a.txt"), kind="folder")
    assert "a file is wanted" in prompts.check_path(str(tmp_path), kind="file")
    assert ".safetensors" in prompts.check_path(
        str(tmp_path / "a.txt"), kind="file", suffixes=(".safetensors",)
    )
    assert prompts.check_path("a" * 5000) is not None
    assert prompts.check_path("a\0b") is not None


def test_without_a_terminal_the_default_is_taken(tmp_path):
    choices = [prompts.Choice(value="a", title="A"), prompts.Choice(value="b", title="B")]
    assert prompts.ask_choice("Which?", choices, flag="--which", default="b") == "b"
    assert prompts.ask_text("Name?", flag="--name", default="x") == "x"
    assert prompts.ask_path("Where?", flag="--data", default=tmp_path) == tmp_path
    assert prompts.confirm("Start?", flag="--yes", default=False) is False
    assert prompts.confirm("Start?", flag="--yes", default=False, yes=True) is True
    prompts.pause_for_enter()


def test_without_default_the_error_names_the_flag():
    for ask in (
        lambda: prompts.ask_choice("Which?", [prompts.Choice(value="a", title="A")], flag="--which"),
        lambda: prompts.ask_text("Name?", flag="--which"),
        lambda: prompts.ask_path("Where?", flag="--which", yes=True),
    ):
        with pytest.raises(UsageError) as caught:
            ask()
        assert "--which" in caught.value.fix


def test_back_is_an_interrupt():
    assert issubclass(
        prompts.Back, KeyboardInterrupt
    )  # uncaught it ends in exit code 130, not in a bug report


@pytest.mark.parametrize(
    ("role", "colour"), [("accent", "#87afd7"), ("muted", "#8a8a8a"), ("good", "#87af87")]
)
def test_palette_in_hexadecimal(role, colour):
    assert prompts._hex(role) == colour

"""The screens of an installation as text: machine, plan, proof, endings; and its questions in a real terminal."""

import io
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from launcher.errors import InstallError
from launcher.ui import console, install_ask, install_screens, log_view, menu
from launcher.ui.install_end import Gone, render_changes, render_done, render_gone, render_proof
from launcher.ui.install_machine import machine_lines, render_machine
from launcher.ui.install_menu import Environment, actions, standing
from launcher.ui.install_view import Download, PlannedStep, render_plan, render_summary, wrap_command
from launcher.ui.palette import ASCII, FULL
from tests import install_views as views
from tests.test_ui_terminal import CTRL_C, DOWN, ENTER, UP, Session

ESCAPE = "\x1b"


@pytest.fixture(autouse=True)
def fresh_console():
    console.get_console.cache_clear()
    yield
    console.get_console.cache_clear()


def text_of(parts, width=80):
    """As a terminal of that width gets it; lines that must not be cut may be longer."""
    stream = io.StringIO()
    screen = console.make_console(stream, width=width)
    for part in parts:
        is_uncut = getattr(part, "overflow", "") == "ignore"
        begin = len(stream.getvalue())
        screen.print(part, soft_wrap=is_uncut)
        lines = stream.getvalue()[begin:].splitlines()
        assert is_uncut or max(map(cell_len, lines), default=0) <= width
    assert "\x1b" not in stream.getvalue()
    return stream.getvalue()


def flat(text):
    return " ".join(text.split())


# --- machine


def test_machine_shows_what_decides():
    text = flat(text_of(render_machine(views.machine(), views.around(), 80, FULL)))
    for words in (
        "NVIDIA GeForce RTX 3060 Ti", "8.0 GiB VRAM, 6.9 free", "compute capability 8.6", "566.36 · up to CUDA 12.7",
        "31.9 GiB, 17.9 GiB free, page file 4.8 GiB", "211.8 GB free", "Intel(R) UHD Graphics 770 (not used)",
        "it opens the Microsoft Store", "has no build for Python 3.14", "set by HTTPS_PROXY", "lies in OneDrive", "→ Move the folder",
    ):  # fmt: skip
        assert words in text
    assert text.index("3.11.9") < text.index("3.14.0"), "the usable Python stands first"


def test_machine_without_a_card():
    text = flat(text_of(render_machine(views.no_card(), views.around(()), 80, FULL)))
    assert "no NVIDIA card: no NVIDIA driver answers" in text
    assert "AMD Radeon RX 6700 XT (not used)" in text
    assert "no page file" in text
    assert "driver 5" not in text
    assert machine_lines(views.no_card(), FULL)[0] == "no NVIDIA card"


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_hostile_names_fit_and_stay_harmless(width):
    machine = views.machine(
        os=views.HOSTILE, other_gpus=(views.HOSTILE,), gpu_note=views.HOSTILE, arch_note=views.HOSTILE
    )
    around = replace(views.around(), folder=views.HOSTILE, proxy=views.HOSTILE)
    text = text_of(render_machine(machine, around, width, FULL), width)
    assert "[red]x[/red]" in text
    view = views.view(
        title=views.HOSTILE,
        folder=views.HOSTILE,
        steps=(PlannedStep(title=views.HOSTILE, commands=(views.HOSTILE,)),),
    )
    text_of(render_plan(view, width, FULL), width)
    text_of(
        render_gone(Gone(title=views.HOSTILE, removed=(Path(views.HOSTILE),), kept=(views.HOSTILE,)), FULL),
        width,
    )


def test_ascii_terminals_get_ascii():
    parts = [
        *render_machine(views.machine(), views.around(), 80, ASCII), *render_summary(views.view(folder="/a", machine=machine_lines(views.machine(), ASCII)), ASCII),
        *render_proof(views.report(), ASCII), *render_done(replace(views.done(), folder="/a"), 80, ASCII),
    ]  # fmt: skip
    assert text_of(parts).isascii()


# --- plan


def test_summary_says_what_why_and_how_much():
    text = flat(text_of(render_summary(views.view(), FULL)))
    for words in ("xformers 0.0.29.post1", "The build of the guide.", "3.1 GB and 1 of unknown size, of which 2.5 GB for torch", "12.0 GB needed, 211.8 GB free"):  # fmt: skip
        assert words in text
    short = flat(text_of(render_summary(views.view(), FULL, reasons=1)))
    assert "The build of the guide." in short
    assert "Saves the most memory" not in short


def test_a_disk_that_is_too_small_is_marked():
    assert "5.2 GB free ✗" in text_of(render_summary(views.view(disk_free_mib=5000.0), FULL))
    assert "✗" not in text_of(render_summary(views.view(problems=()), FULL))


@pytest.mark.parametrize(
    ("downloads", "words"),
    [
        ((), "Download nothing"), ((Download(what="a.whl", source="x", mib=10, is_here=True),), "Download nothing: all of it is on this computer"),
        ((Download(what="a", source="x"),), "Download of unknown size"), ((Download(what="a", source="x", mib=100),), "Download 105 MB"),
        ((Download(what="a", source="x", mib=100), Download(what="b", source="x", mib=10, is_here=True)), "Download 105 MB"),
    ],
)  # fmt: skip
def test_sizes_are_told_before(downloads, words):
    text = flat(text_of(render_summary(views.view(downloads=downloads), FULL)))
    assert f"{words} Disk" in text


def test_dry_run_shows_every_download_command_and_question():
    view = views.view()
    text = text_of(render_plan(view, None, FULL), 300)
    for step in view.steps:
        for command in step.commands:
            assert f"      {command}\n" in text
    for one in view.downloads:
        assert one.what in text
        assert one.source in text
    for number, question in enumerate(view.questions, start=1):
        assert f"{number} {question.text}" in flat(text)
        assert f"→ {question.answer}" in text
    assert len(view.questions) == 7


@pytest.mark.parametrize("width", [30, 60, 80, 120])
@pytest.mark.skipif(os.name == "nt", reason="needs sh")
def test_wrapped_commands_can_be_copied_into_a_shell(width, tmp_path):
    """The very lines of the screen, given to a real shell, start the program with the very arguments."""
    echo = [sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))"]
    for arguments in (shlex.split(views.commands()[0]), ["a b", "", "it's", 'say "x"', "back\\slash", "$HOME", "`id`", "訓練 " * 30, "--x=" + "y" * 200, "two\\\\"]):  # fmt: skip
        command = shlex.join([*echo, *arguments])
        view = views.view(steps=(PlannedStep(title="x", commands=(command,)),), questions=())
        screen = text_of(render_plan(view, width, FULL), width)
        script = screen[screen.index("   1  x\n") + len("   1  x\n") :]
        assert script.count("\n") > 1, "it was wrapped"
        assert all(line.startswith("      ") for line in script.splitlines())
        done = subprocess.run(
            ["/bin/sh", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        assert done.stdout.strip() == ascii(arguments)


def test_windows_commands_go_on_with_a_caret():
    command = '"C:\\my loras\\uv.exe" pip install --python "C:\\a \\"b\\"\\\\" ' + "x" * 50
    lines = wrap_command(command, 40, is_windows=True)
    assert lines == [
        '"C:\\my loras\\uv.exe" pip install ^', '  --python "C:\\a \\"b\\"\\\\" ^', "  " + "x" * 50,
    ]  # fmt: skip
    assert " ".join(line.removesuffix(" ^").strip() for line in lines) == command


def test_a_pipe_gets_whole_commands_and_no_blanks_at_ends(capsys):
    install_screens.show_plan(views.view())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == ""
    assert lines[1].strip() == "Training environment: sd-scripts v0.10.1"
    assert all(line == line.rstrip() for line in lines)
    for command in views.commands():
        assert f"      {command}" in lines


# --- endings


def test_proof_table():
    text = text_of(render_proof(views.report(), FULL))
    signs = {line.split()[1]: line.split()[0] for line in text.splitlines() if line.startswith("  ") and len(line.split()) > 1}  # fmt: skip
    assert signs["Python"] == "✓"
    assert signs["trainer"] == "○"
    assert "▲  attention: xformers" in text
    assert "SDPA is used instead." in flat(text)
    assert "✓ Proved on NVIDIA GeForce RTX 3060 Ti, 1 skipped" in text
    assert "attention: SDPA xformers has no operator" in flat(text)


def test_failed_proof():
    text = text_of(render_proof(views.report(is_failed=True), FULL))
    assert "✗  8-bit optimizer" in text
    assert "1 check failed: this environment is not used." in text
    assert "Proved" not in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_done_names_folder_and_commands_each_on_one_line(width):
    lines = [line.rstrip() for line in text_of(render_done(views.done(), width, FULL), width).splitlines()]
    assert lines[0] == "  ✓ sd-scripts v0.10.1 is ready"
    assert f"    in {views.ROOT}/vendor/sd-scripts/2" in lines
    assert sum(line.endswith("setup_env.py train style-8gb --data FOLDER") for line in lines) == 1
    assert "3.1 GB in 7 min 11 s" in flat("\n".join(lines))


def test_gone_says_what_stays():
    text = text_of(render_gone(views.gone(), FULL), 200)
    assert "11.8 GB freed" in text
    assert f"    {views.ROOT}/vendor/sd-scripts/1\n" in text
    assert "● your runs, presets and logs: they are yours" in text
    assert "nothing to remove" in text_of(render_gone(Gone(title="x"), FULL))


def test_changes():
    assert "● numpy" in text_of(render_changes("What differs", ["numpy"], FULL))
    assert "Everything is as it should be." in text_of(render_changes("What differs", [], FULL))


# --- failure and log


def test_failure_without_a_terminal_names_the_log_once(capsys, tmp_path):
    log = tmp_path / "install.log"
    log.write_text("x")
    install_screens.show_failure(InstallError("It failed.", why="because", fix="do this"), log=log)
    err = capsys.readouterr().err
    assert all(words in err for words in ("It failed.", "because", "do this"))
    assert f"The log: {log}" in err
    install_screens.show_failure(InstallError("It failed.", where=str(log)))
    assert "The log:" not in capsys.readouterr().err


def test_tail_of_a_log(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"first\r\nsecond\x1b[2J\nprogress 1\rprogress 2\n\xff\xfe\n")
    assert log_view.read_tail(log) == "first\nsecond?[2J\nprogress 2\n\ufffd\ufffd"
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    tail = log_view.read_tail(log, 100).splitlines()
    assert tail[0].startswith("... ")
    assert tail[1].startswith("line 98")
    assert tail[-1] == "line 999"
    assert "cannot be read" in log_view.read_tail(tmp_path / "none.log")


def test_long_log_lines_are_folded_whole():
    text = "a" * 25 + "\n\n" + "訓" * 7
    assert log_view.fold(text, 10).split("\n") == ["a" * 10, "a" * 10, "a" * 5, "", "訓" * 5, "訓訓"]


# --- questions


def test_without_a_terminal_nothing_waits(capsys):
    given = install_ask.InstallAnswers(torch_set="cu124")
    assert install_ask.ask_install(views.view(), views.options(), answers=given) == given
    assert install_ask.ask_install(views.view(), views.options()) == install_ask.InstallAnswers()
    assert install_ask.ask_changed_source(["a.py"]) == "stop"
    assert install_screens.offer_shortcut() == (False, False)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("text", ["https://a.example/x.zip", "http://localhost:8000/repo.git"])
def test_addresses(text):
    assert install_ask.check_address(text) is None


@pytest.mark.parametrize(
    "text", ["", "github.com/x", "ftp://a/b", "https://", "https://a b/c", "file:///x", "https://[x"]
)
def test_no_addresses(text):
    assert "https://" in install_ask.check_address(text)


def test_option_table_shows_why_and_why_not():
    text = flat(text_of([install_ask.option_table(views.options().torch_sets, FULL)]))
    assert "● cu121: torch 2.5.1, xformers 0.0.29.post1 recommended The build of the guide" in text
    assert "✗ cu128: torch 2.8.0, SDPA Its lowest driver is 570.65; this computer has 566.36." in text


def test_environment_actions():
    def kinds(**facts):
        return [
            entry.value.kind for entry in actions(Environment(trainer="t", title="T", **facts)) if entry.value
        ]

    assert kinds() == ["install"]
    assert kinds(is_made=True) == ["repair", "uninstall"]
    assert kinds(is_made=True, not_ready="torch is missing", has_previous=True) == [
        "repair",
        "rollback",
        "uninstall",
    ]
    assert kinds(is_made=True, update="v0.11") == ["update", "repair", "uninstall"]
    assert standing(Environment(trainer="t", title="T", is_made=True, not_ready="x")) == "not ready: x"


@pytest.fixture
def session():
    opened = []

    def start(code, **size):
        opened.append(Session(f"from launcher.ui import install_ask, install_menu, install_screens, log_view\nfrom tests import install_views\n{code}", **size))  # fmt: skip
        return opened[-1]

    yield start
    for one in opened:
        one.child.close(force=True)


ASK = "print('ANSWER', install_ask.ask_install(install_views.view(), install_views.options(){more}))"


def test_as_planned_is_one_key(session):
    ask = session(ASK.format(more=""))
    screen = ask.see("Not now")
    assert "xformers 0.0.29.post1" in screen
    ask.press(ENTER)
    ask.see("ANSWER InstallAnswers(trainer=None, torch_set=None")
    assert ask.end() == 0


@pytest.mark.parametrize("keys", [(UP, ENTER), (ESCAPE,), (CTRL_C,)], ids=["not now", "Esc", "^C"])
def test_not_now(session, keys):
    ask = session(ASK.format(more=""))
    ask.see("Not now")
    ask.press(*keys)
    ask.see("ANSWER None")
    assert ask.end() == 0


def test_escape_goes_back_level_by_level(session):
    ask = session(ASK.format(more=""), rows=50)
    ask.see("Not now")
    ask.press(DOWN, ENTER)
    ask.see("What should be different?")
    ask.press(ENTER)
    screen = ask.see("Which PyTorch build?")
    assert "this computer has 566.36" in screen
    ask.press(ESCAPE)
    ask.see("Nothing: back to the plan")
    ask.press(ESCAPE)
    ask.see("Not now")
    ask.press(ENTER)
    ask.see("ANSWER InstallAnswers(trainer=None, torch_set=None")


REPLAN = """
def replan(answers):
    if answers.torch_set == "cu124":
        return install_views.view(title="PLAN FOR " + str(answers.torch_set)), install_views.options()
    from launcher.errors import InstallError
    raise InstallError("That does not work.", fix="Take another.")
"""


def test_a_change_makes_a_new_plan(session):
    ask = session(REPLAN + ASK.format(more=", replan=replan"), rows=60)
    ask.see("Not now")
    ask.press(DOWN, ENTER)
    ask.see("What should be different?")
    ask.press(ENTER)
    ask.see("not here")
    ask.press(DOWN, DOWN, UP, ENTER)  # the last one cannot be chosen: the pointer goes round it
    ask.see("PLAN FOR cu124")
    ask.press(ENTER)
    ask.see("torch_set='cu124'")


def test_a_change_that_cannot_be_planned_is_said_and_forgotten(session):
    ask = session(REPLAN + ASK.format(more=", replan=replan"), rows=60)
    ask.see("Not now")
    ask.press(DOWN, ENTER)
    ask.see("What should be different?")
    ask.press(DOWN, ENTER)
    ask.see("Which attention?")
    ask.press(DOWN, ENTER)
    ask.see("That does not work.")
    ask.see("Not now")
    ask.press(ENTER)
    ask.see("ANSWER InstallAnswers(trainer=None, torch_set=None, attention=None")


def test_source_may_be_a_folder_of_the_users(session, tmp_path):
    folder = tmp_path / "sd scripts 訓練"
    folder.mkdir()
    ask = session("print('ANSWER', install_ask.ask_change(install_views.options(), install_ask.InstallAnswers()).source == FOLDER)".replace("FOLDER", repr(str(folder))))  # fmt: skip
    ask.see("What should be different?")
    ask.press(DOWN, DOWN, DOWN, ENTER)
    ask.see("A folder or zip that I have")
    ask.press(DOWN, ENTER)
    ask.see("Folder or zip file")
    ask.press(f'"{folder}"', ENTER)
    ask.see("ANSWER True")


def test_changed_files_are_kept_by_default(session):
    ask = session("print('ANSWER', install_ask.ask_changed_source([f'f{n}.py' for n in range(11)]))")
    screen = ask.see("Stop here")
    assert "changed in 11 files" in screen
    assert "and 3 more" in screen
    ask.press(ENTER)
    ask.see("ANSWER keep")


def test_log_is_one_key_away_and_one_key_back(session, tmp_path):
    log = tmp_path / "install.log"
    log.write_text("".join(f"line {number}\n" for number in range(500)))
    view = session(f"from pathlib import Path\ninstall_screens.show_failure(install_views.failure(), log=Path({str(log)!r}))\nprint('AFTERWARDS')")  # fmt: skip
    view.see("Press L to see the raw log")
    view.press("l")
    screen = view.see("Q goes back")
    assert "line 499" in screen
    assert "line 400" not in screen
    view.press("\x1b[H")
    view.see("line 0 ")
    view.press("q")
    view.see("AFTERWARDS")
    assert view.end() == 0


def test_any_other_key_goes_on_without_the_log(session, tmp_path):
    log = tmp_path / "install.log"
    log.write_text("secret line\n")
    view = session(f"from pathlib import Path\nlog_view.offer_log(Path({str(log)!r}))\nprint('AFTERWARDS')")
    view.see("Press L to see the raw log")
    view.press(ENTER)
    assert "secret line" not in view.see("AFTERWARDS")


def test_environments_in_the_menu(session):
    rows = "[install_menu.Environment(trainer='a', title='sd-scripts'), install_menu.Environment(trainer='b', title='rehearsal', is_made=True)]"
    menu = session(f"print('ANSWER', install_menu.pick_environment({rows}))")
    screen = menu.see("Which environment?")
    assert "not set up" in screen
    menu.press(DOWN, ENTER)
    menu.see("Remove it")
    menu.press(ESCAPE)
    menu.see("Which environment? (")
    menu.press(DOWN, ENTER)
    menu.see("Remove it")
    menu.press(ENTER)
    menu.see("ANSWER MenuAction(kind='repair', run=None, trainer='b')")


def test_progress_of_a_whole_installation_in_a_terminal(session):
    watch = session("install_views._progress(0.3)")
    screen = watch.see("MB/s")
    assert "of 2.5 GB" in screen
    assert "✓ The trainer's code" in screen
    watch.see("✓ Proof")
    assert "✓ Fetching PyTorch  " in watch.screen


def test_environments_are_offered_when_there_are_some():
    for has_environments in (True, False):
        view = menu.MenuView(version="1", has_environments=has_environments)
        kinds = [entry.value.kind for entry in menu.entries(view)]
        assert ("environments" in kinds) is has_environments
        assert kinds[-1] == "quit"

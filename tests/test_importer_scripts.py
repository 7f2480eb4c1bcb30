"""Batch and shell scripts: what their languages mean where that is in doubt, hostile input, and that nothing is ever run."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.errors import InputError
from launcher.importer.batch import read_batch
from launcher.importer.formats import READERS, read
from launcher.importer.importing import understand
from launcher.importer.shell import read_shell
from launcher.importer.source import MAX_BYTES, Source, read_source
from launcher.paths import find_paths
from launcher.trainers import load_options

CORPUS = Path(__file__).resolve().parent / "import"
RUN = "accelerate launch sdxl_train_network.py --network_module=networks.lora"
SHELLS = sorted(CORPUS.glob("sh/*.sh"))
BATCHES = sorted([*CORPUS.glob("bat/*.bat"), *CORPUS.glob("bat/*.cmd")])


def source_of(text, name):
    return Source(path=Path("/nowhere") / name, text=text, encoding="UTF-8", sha256="")


def batch(text):
    return read_batch(source_of(text, "train.bat"))


def shell(text):
    return read_shell(source_of(text, "train.sh"))


def words_of(reading):
    (launch,) = reading.launches
    return [word.text for word in launch.words]


# ---------------------------------------------------------------------- batch, where it is in doubt

BATCH = [
    # help set; the sign in front of each names what it shows
    ("--x=%V%", ["--x=5"]),
    ("%L%", ["p", "q"]),
    ('"%L%"', ["p q"]),
    ("a%NONE%b %NONE%", ["ab"]),
    ("100%% %", ["100%"]),
    ("%S:~1% %S:~-3% %S:~0,-2% %S:~1,2%", ["bcdef", "def", "abcd", "bc"]),
    ("%S:CD=x% %S:*c=y%", ["abxef", "ydef"]),
    ('a^&b a^^b ^"a', ["a&b", "a^b", "a"]),
    ('"a^&b"', ["a^&b"]),
    ("a>nul b 2>&1 c>>log.txt 3", ["a", "b", "c", "3"]),
    ("a 2>nul", ["a"]),
    ("--x=1^\n--y=2", ["--x=1--y=2"]),
    ("--x=1 ^\n--y=2", ["--x=1", "--y=2"]),
    ("--x=1^\n  --y=2", ["--x=1", "--y=2"]),
    ('--x="a \\"b\\" c"', ['--x=a "b" c']),
    ("C:\\a\\ b", ["C:\\a\\", "b"]),
    ("!V!", ["!V!"]),
]  # fmt: skip


@pytest.mark.parametrize(("written", "means"), BATCH, ids=[written for written, _ in BATCH])
def test_words_are_what_cmd_hands_on(written, means):
    head = "@echo off\nset V=5\nset L=p q\nset S=abcdef\n"
    assert words_of(batch(f"{head}python sdxl_train_network.py {written}\n")) == means


BATCH_VALUES = [
    ("set X=a b ", "[a b ]"),
    ('set "X=a b" ignored', "[a b]"),
    ("set X = a", "[]"),  # the name has the blank in it
    ("set X=1\nset X=", "[]"),
    ("set /a X=7/2", "[3]"),
    ("set /a X=-7/2, X+=10", "[7]"),
    ('set /a "X=1+2*3-(4<<1)"', "[-1]"),
    ("set /a X=7%%4", "[3]"),
    ("set /a X=0x10+010", "[24]"),
    ("set /a X=NOTHING+1", "[1]"),
    ("set /a X=2147483647+1", "[-2147483648]"),
    ("if a==A (set X=1) else set X=2", "[2]"),
    ("if /i a==A (set X=1) else set X=2", "[1]"),
    ("if not a==b set X=1", "[1]"),
    ("if 10 GTR 9 set X=1", "[1]"),
    ("if abc LSS abd set X=1", "[1]"),
    ("if defined PATHX (set X=1) else (set X=2)", "[2]"),
    ("for %%i in (a b,c) do set X=%%i", "[c]"),
    ("for /l %%i in (5,-2,1) do set X=%%i", "[1]"),
    ('for %%i in ("C:\\a b\\c.txt") do set X=%%~ni%%~xi', "[c.txt]"),
    ("goto b\n:a\nset X=1\ngoto :eof\n:b\nset X=2", "[2]"),
    ("call :f one two\ngoto g\n:f\nset X=%2\nexit /b\n:g", "[two]"),
    ("set Y=X\ncall set X=%%%Y%%%1", "[1]"),
    ("setlocal\nset X=1\nendlocal", "[]"),
    ("set X=1& set X=2", "[2]"),
    ("set X=1&&set Y=2||set X=3", "[1]"),
    ("set X=a\n(set X=b\nset Y=%X%)\nset X=%Y%", "[a]"),
    ("setlocal enabledelayedexpansion\nset Y=1\nset X=!Y!2", "[12]"),
    ("set N=0\n:l\nset /a N+=1\nif %N% LSS 5 goto l\nset X=%N%", "[5]"),
    ('cmd /c "echo x"\nset X=1 & rem & set X=2', "[1 ]"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "value"), BATCH_VALUES, ids=[script for script, _ in BATCH_VALUES])
def test_variables_are_what_cmd_makes_of_them(script, value):
    assert words_of(batch(f'{script}\npython sdxl_train_network.py "[%X%]"')) == [value]


BATCH_UNKNOWN = [
    ("set /p X=Name: ", "keyboard"),
    ("set X=%~1", "started with"),
    ("set X=%RANDOM%", "lot"),
    ("set X=%USERPROFILE%\\a", "Windows"),
    ("call settings.bat", "line 1 calls"),
    ("if exist a.txt set X=1", "not looked up"),
    ("for /f %%i in ('dir') do set X=%%i", "what a program puts out"),
    ("for %%i in (*.png) do set X=%%i", "lists files"),
    ("set /p N=n\nset /a X=N+1", "keyboard"),
    ("set X=%TIME:~0,2%", "moment"),
    ("set /a X=1/0", "divides by zero"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "why"), BATCH_UNKNOWN, ids=[script for script, _ in BATCH_UNKNOWN])
def test_batch_says_why_a_value_is_not_known(script, why):
    (launch,) = batch(f"{script}\npython sdxl_train_network.py --output_name=%X%").launches
    assert why in launch.words[0].unknown
    assert "line " in launch.words[0].unknown


def test_ways_that_agree_leave_a_value_known():
    text = "if exist a (set X=1) else (set X=1)\nif not exist b goto end\npython sdxl_train_network.py --seed=%X%\n:end"
    (launch,) = batch(text).launches
    assert [(word.text, word.unknown) for word in launch.words] == [("--seed=1", "")]


# ---------------------------------------------------------------------- the shell, compared with bash itself

BASH = shutil.which("bash") if sys.platform == "linux" else None
STUB = '#!/bin/sh\nfor word in "$@"; do printf \'%s\\0\' "$word"; done >> "$ARGV_LOG"; printf \'\\001\\0\' >> "$ARGV_LOG"\n'


def as_bash_has_it(script, folder):
    """The words behind the script's name of each launch when real bash runs a script; programs are stubs that only tell."""
    stubs = folder / "stubs"
    stubs.mkdir()
    for name in ("accelerate", "python", "nvidia-smi"):
        (stubs / name).write_text(STUB)
        (stubs / name).chmod(0o755)
    (folder / "venv" / "bin").mkdir(parents=True)
    (folder / "venv" / "bin" / "activate").write_text("")
    (folder / "sd-scripts").mkdir()
    log = folder / "argv"
    log.write_text("")
    path = folder / "train.sh"
    path.write_text(f"{script}\nwait\n", encoding="utf-8")  # for what runs in the background
    env = {"PATH": f"{stubs}{os.pathsep}/usr/bin:/bin", "ARGV_LOG": str(log), "LC_ALL": "C.UTF-8"}
    subprocess.run([BASH, str(path)], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)  # fmt: skip
    launches = log.read_text(encoding="utf-8").split("\1\0")
    found = []
    for launch in launches[:-1]:
        words = launch.split("\0")[:-1]
        at = next(number for number, word in enumerate(words) if word.endswith(".py"))
        found.append(words[at + 1 :])
    return path, found


WITHOUT_RUN = {
    "05-heredoc",
    "08-unknown",
    "09-mistakes",
}  # ours follows the file, has unknown words, reads on


@pytest.mark.skipif(BASH is None, reason="no bash here")
@pytest.mark.parametrize("path", [p for p in SHELLS if p.stem not in WITHOUT_RUN and p.stem != "51-installer"], ids=lambda path: path.stem)  # fmt: skip
def test_a_script_passes_what_bash_passes(path, tmp_path):
    copy, wanted = as_bash_has_it(path.read_text(encoding="utf-8"), tmp_path)
    found = [[word.text for word in launch.words] for launch in read_shell(read_source(copy)).launches]
    assert found == wanted
    assert wanted


LINES = [
    'a=1 b="x y"; p $a "$b" $b \'$b\' "${b}z" $a$b',
    'a=(1 "2 3" 4); p ${a[@]} "${a[@]}" "${a[*]}" ${#a[@]} ${a[1]} "${a[-1]}" $a',
    'a=(); p "${a[@]}" x${a[@]}y "p${a[@]}q" "$a"',
    'a=(1 2); a+=(3); a[1]=9; p "x${a[@]}y" "${a[@]:1}"',
    'a=; p $a "$a" x$a ${a:-d} ${a-d} ${a:+e} ${b:-"f g"} ${b:-f g} ${b:+h}',
    "a=archive.tar.gz; p ${a%.*} ${a%%.*} ${a#*.} ${a##*.} ${a/a/x} ${a//a/x} ${a:2:3} ${a: -2} ${#a} ${a^} ${a^^}",
    "p $((7/2)) $((-7/2)) $((7%3)) $((2**10)) $((1<2 ? 5 : 6)) $(( (1+2)*3 )) $((0x10)) $((010)) $((!0)) $((5>3&&2>1))",
    "i=3; p $((i++)) $i $((++i)) $((i+=2)) $((j=4)) $j; let k=i*2; p $k",
    "p a\\ b \"a\\\"b\" 'a\"b' a\"b\"'c' $'d\\te\\x41' \\$a \"\\$a\" \"a\\b\" a\\b",
    'p "  a  " "$(echo x y)" $(echo x y) `echo z`',
    'f() { local x=$1; y=$x$2; p $# "$@" $x; }; x=0; f a "b c"; p $x $y',
    'for x in a "b c" {1..3}; do p $x; done; for ((i=0;i<2;i++)); do p $i; done',
    "x=5; while [ $x -gt 3 ]; do x=$((x-1)); [ $x = 4 ] && continue; p $x; done; p end",
    "case abc in a?c|x) p 1;; *) p 2;; esac; case x in [yz]) p 3;; *) p 4;; esac",
    'if [[ abc == a* && ! x == y ]]; then p 1; elif true; then p 2; else p 3; fi; [[ abc == "a*" ]] || p 4',
    '[ "" ] && p 1; [ 0 ] && p 2; [ -z "" -a 1 -lt 2 ] && p 3; test 1 -eq 2 || p 4; ! false && p 5',
    "x=1; (x=2; p $x); p $x; { x=3; }; p $x; true && x=4 || x=5; p $x; false && x=6; p $x",
    'set -- a; x=${y:=7}; p $x $y; unset y; p "[$y]"; export z=1; z+=2; p $z',
    "p --a=1 \\\n  --b=2\\\n  --c\\\n--d # no\np --e#f",
    "eval 'x=8; p $x'; bash -c 'p 9'; (( 1 > 2 )) || p 10; [[ 3 -lt 20 ]] && p 11; [[ a < b ]] && p 12",
    'x="a  b"; y=$x; p "$y" $y; z="$x"\'$x\'; p "$z"; w=~; p "${x/ /-}"',
    "until false; do p 1; break; done; for x in 1 2 3; do if [ $x = 2 ]; then break; fi; p $x; done",
]  # fmt: skip


@pytest.mark.skipif(BASH is None, reason="no bash here")
@pytest.mark.parametrize("line", LINES)
def test_the_shells_rules_are_bashs_own(line, tmp_path):
    head = 'p() { python s.py "$@"; }\nexport -f p\n'
    copy, wanted = as_bash_has_it(head + line + "\n", tmp_path)
    found = [[word.text for word in launch.words] for launch in read_shell(read_source(copy)).launches]
    assert found == wanted
    assert wanted


SHELL_UNKNOWN = [
    ("X=$(date)", "what a program puts out"),
    ("X=$HOME/a", "this computer"),
    ("X=$1", "started with"),
    ("read X", "keyboard"),
    (". ./settings.sh", "line 1 reads"),
    ("[ -d a ] && X=1", "not looked up"),
    ("X=$((RANDOM % 3))", "lot"),
    ("for X in *.png; do :; done", "lists files"),
    ("if grep -q x y; then X=1; fi", "outcome of a program"),
    ("X=$((1/0))", "divides by zero"),
    ("declare -A t=([a]=1); X=${t[a]}", "table"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "why"), SHELL_UNKNOWN, ids=[script for script, _ in SHELL_UNKNOWN])
def test_the_shell_says_why_a_value_is_not_known(script, why):
    (launch,) = shell(f'{script}\npython sdxl_train_network.py "--output_name=$X"').launches
    assert why in launch.words[0].unknown
    assert "line " in launch.words[0].unknown


def test_a_broken_place_is_told_of_and_the_rest_is_read():
    reading = shell(f"x=)1\n{RUN} --seed=3\n")
    assert words_of(reading)[-1] == "--seed=3"
    assert reading.unreadable


# ---------------------------------------------------------------------- hostile scripts

DEEP = [
    ("sh", "( " * 10_000 + "a" + " )" * 10_000), ("sh", "if true; then " * 10_000 + "a" + "; fi" * 10_000),
    ("sh", "a=" + "$(" * 10_000 + "x" + ")" * 10_000), ("sh", "x=$((" + "(" * 9_000 + "1" + ")" * 9_000 + "))"),
    ("sh", "x && " * 10_000 + "x"), ("sh", "a|" * 10_000), ("sh", "a=(" * 10_000), ("sh", "while true; do i=$((i+1)); done"),
    ("sh", "f() { f; f; }; f"), ("sh", "x='eval \"$x\"'; eval \"$x\""), ("sh", 'a=(1 2); for i in {1..40}; do a+=("${a[@]}"); done'),
    ("bat", "(" * 8_000), ("bat", "(\n" * 10_000), ("bat", "if 1==1 (\n" * 10_000), ("bat", "for %%i in (1) do (\n" * 10_000),
    ("bat", ":a\nset /a i+=1\ngoto a"), ("bat", ":a\ncall :a\ncall :a"), ("bat", "for /l %%i in (1,1,999999) do set x=%%i"),
    ("bat", "^\n" * 100_000), ("bat", "a" * 9_000),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), DEEP, ids=[f"{kind} {text[:16]!r}" for kind, text in DEEP])
def test_deep_and_endless_scripts_are_refused(kind, text):
    with pytest.raises(
        InputError, match=r"nested too deeply|far more than a training script does|longer than the"
    ):
        READERS[f".{kind}"](source_of(text, f"a.{kind}"))


@pytest.mark.parametrize("text", ["$(" * 10_000, '"$(' * 10_000, "{ " * 10_000, "`" * 10_000, "<(" * 10_000])
def test_what_is_never_closed_starts_nothing(text):
    try:
        assert not shell(text).launches
    except InputError as error:
        assert "far more" in error.what  # noqa: PT017  (where the grammar gives up in time, nothing is raised)


def test_growing_values_stay_small():
    grown = shell(f'x=ab; for i in {{1..30}}; do x="$x$x"; done\n{RUN} --training_comment="$x" --seed=1')
    assert "too long" in grown.launches[0].words[-2].unknown
    doubled = "set x=ab\n" + "set x=%x%%x%\n" * 30
    assert (
        "too long" in batch(f"{doubled}{RUN} --training_comment=%x% --seed=1").launches[0].words[-2].unknown
    )


def test_signs_that_stand_for_unknown_values_are_nothing_in_a_script():
    for text in ("\U000f0000", "\U00100005", "\U0010fffd"):
        assert (
            words_of(shell(f'{RUN} --training_comment="{text}"'))[-1]
            == "--training_comment=\N{REPLACEMENT CHARACTER}"
        )
        assert not batch(f"{RUN} --training_comment={text}").launches[0].words[-1].unknown


@pytest.mark.parametrize("name", ["large.sh", "large.bat"])
def test_a_script_of_5_mb_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"# x\n" * (5 * 1024 * 1024 // 4))
    with pytest.raises(InputError, match=f"is larger than {MAX_BYTES // 1024} KiB"):
        understand(find_paths(), path)


def test_unknown_endings_are_refused_with_those_that_are_known(tmp_path):
    (tmp_path / "train.fish").write_text("python sdxl_train_network.py\n")
    with pytest.raises(InputError) as caught:
        read(read_source(tmp_path / "train.fish"), load_options(find_paths()))
    assert ".bat" in caught.value.why
    assert ".sh" in caught.value.why


# ---------------------------------------------------------------------- nothing is run, opened or written

HARMFUL = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "os.remove", "os.rename", "os.mkdir", "shutil.rmtree")  # fmt: skip
watched = []
is_watching = False


def watch(event, args):
    if is_watching and (event in HARMFUL or event == "open"):
        watched.append((event, args[0] if args else None))


sys.addaudithook(watch)
PIECES = ["(", ")", "{", "}", "$", "\\", "\n", '"', "'", "`", "$((", "${", "[[", "]]", "|", ";", "&", "&&", "%", "%%", "!", "^", "<<EOF\n", "EOF\n", "\u201c",
          "\x00", "rm -rf / ", "del /q C:\\ ", "eval ", "goto :eof\n", "if ", "fi\n", "for ", "done\n", " do ", "set /a ", "call ", ":a\n", "=", "@", "#", "*"]  # fmt: skip
TEXTS = [(path.suffix, read_source(path).text) for path in (*SHELLS, *BATCHES)]


@given(st.integers(0, 2**32))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_edits_never_crash_run_open_or_write(seed):
    global is_watching  # noqa: PLW0603  (an audit hook cannot be taken away again)
    chance = random.Random(seed)
    kind, text = chance.choice(TEXTS)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(text) + 1)
        end = at + chance.choice([0, 0, 1, 5, 60])
        text = text[:at] + chance.choice([*PIECES, ""]) + text[end:]
    for ready in (shell, batch):  # everything is imported before the watch begins
        ready(RUN)
    shell(f"cat > a.toml <<EOF\nseed = 1\nEOF\n{RUN} --config_file a.toml")
    watched.clear()
    is_watching = True
    try:
        reading = READERS[kind](source_of(text, f"a{kind}"))
        assert all(isinstance(word.text, str) for launch in reading.launches for word in launch.words)
    except InputError:
        pass
    finally:
        is_watching = False
    assert not watched

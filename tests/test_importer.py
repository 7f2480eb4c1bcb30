"""Reading scripts: encodings, hostile input, words as argparse reads them, and nothing ever run, opened or written."""

import argparse
import json
import random
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.cli import execute
from launcher.errors import InputError, LauncherError
from launcher.importer.config_file import words_of
from launcher.importer.importing import make, understand
from launcher.importer.launch import Word, split_command
from launcher.importer.powershell import read_powershell
from launcher.importer.secrets import HIDDEN, hide, is_secret_name
from launcher.importer.source import MAX_BYTES, Source, decode, read_source
from launcher.importer.words import parse_words
from launcher.importer.write import train_words, typed
from launcher.paths import find_paths
from launcher.preset import load_preset
from launcher.trainers import load_options
from launcher.ui import console

CORPUS = Path(__file__).resolve().parent / "import" / "ps1"
TABLE = load_options(find_paths())
RUN = "accelerate launch sdxl_train_network.py --network_module=networks.lora --caption_extension=.txt"


def source_of(text, name="train.ps1"):
    return Source(path=Path("/nowhere") / name, text=text, encoding="UTF-8", sha256="")


def words_in(text):
    """The words behind the script's name of the only launch."""
    (launch,) = read_powershell(source_of(text)).launches
    return [word.text for word in launch.words]


# ---------------------------------------------------------------------- encodings

JAPANESE, CHINESE, WESTERN = (
    "# 学習率を変えるとよい、テスト",
    "# 学习率，训练轮数，底模路径",
    "# Größe für später, café à côté",
)


@pytest.mark.parametrize(
    ("raw", "says", "has"),
    [
        (CHINESE.encode(), "UTF-8", CHINESE),
        (CHINESE.encode("utf-8-sig"), "UTF-8 with a mark", CHINESE),
        (JAPANESE.encode("utf-16"), "UTF-16", JAPANESE),
        (b"\xfe\xff" + JAPANESE.encode("utf-16-be"), "UTF-16 (big-endian)", JAPANESE),
        ("$a = 1 # plain".encode("utf-16-le"), "UTF-16 without a mark", "$a = 1 # plain"),
        ("$a = 1 # plain".encode("utf-16-be"), "UTF-16 (big-endian) without a mark", "$a = 1 # plain"),
        (JAPANESE.encode("cp932"), "Shift-JIS (code page 932)", JAPANESE),
        (CHINESE.encode("cp936"), "GBK (code page 936)", CHINESE),
        (WESTERN.encode("cp1252"), "Windows Western (code page 1252)", WESTERN),
    ],
)
def test_every_encoding_is_known(raw, says, has):
    text, name = decode(raw)
    assert name == says
    assert text == has


def test_settings_survive_any_encoding_and_line_end(tmp_path, paths):
    for codec in ("utf-8-sig", "utf-16", "cp932", "cp936"):
        path = tmp_path / f"{codec}.ps1"
        path.write_bytes(f"$n = '訓練' # 学習\r\n{RUN} --output_name=$n `\r\n  --seed=3\r\n".encode(codec))
        (outcome,) = understand(paths, path).outcomes
        assert (outcome.name.value, outcome.options["seed"].value) == ("訓練", 3), codec


def test_what_is_no_text_or_too_large_is_refused(tmp_path):
    large, binary = tmp_path / "large.ps1", tmp_path / "binary.ps1"
    large.write_bytes(b"# x\n" * (5 * 1024 * 1024 // 4))
    binary.write_bytes(b"MZ\x00\x01\x02\x00\x00\x80")
    with pytest.raises(InputError, match="is larger than"):
        read_source(large)
    with pytest.raises(InputError, match="is no text file"):
        read_source(binary)
    with pytest.raises(InputError, match="there is no file"):
        read_source(tmp_path / "none.ps1")
    assert MAX_BYTES < 1024 * 1024


# ---------------------------------------------------------------------- hostile scripts

NESTED = [
    "(" * 10_000, "$x = " + "$(" * 10_000, '"$(' * 10_000, "if (1) {" * 10_000, "@(" * 10_000 + ")" * 10_000,
    "!" * 10_000, "@{a=" * 10_000, "$a = " * 10_000, "[int]" * 10_000 + "1", "$x[" * 10_000, "a (" * 10_000,
    "foreach ($i in " * 10_000, "function f {" * 10_000, "switch (1) { 1 {" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("text", NESTED, ids=lambda text: text[:12])
def test_deep_nesting_is_refused(text):
    with pytest.raises(InputError, match="nested too deeply"):
        read_powershell(source_of(text))


ENDLESS = [
    "while ($true) { $i++ }", "for (;;) { }", "$x = 'iex $x'; iex $x", "do { } while (1)",
    "$a = 1..9999; foreach ($i in $a) { foreach ($j in $a) { $k = $i } }",
]  # fmt: skip


@pytest.mark.parametrize("text", ENDLESS)
def test_endless_scripts_end(text):
    with pytest.raises(InputError, match=r"far more than a training script does|nested too deeply"):
        read_powershell(source_of(text))


def test_functions_that_call_each_other_end():
    assert words_in(f"function f {{ f; f }}\nf\n{RUN}") == RUN.split()[3:]


def test_doubling_lists_take_no_time():
    """Each round doubles what a walk over all of it would see."""
    doubled = "$x = 'a', 'b'; $y = 'a', 'b'; foreach ($i in 1..60) { $x = $x, $x; $y = $y, $y }\n$l = New-Object System.Collections.ArrayList; [void]$l.Add($x)"
    uses = (
        '"$x"',
        "$x",
        "@x",
        "($x -join ',')",
        "$x.Foo",
        "($x -replace 'a', 'b')",
        "$l.Contains($y)",
        "($x -eq $y)",
        "($x -split ',')",
    )
    for use in uses:
        assert words_in(f"{doubled}\n{RUN} {use} --seed=1")[-1] == "--seed=1", use


def test_growing_values_stay_small():
    growing = ["$x = 'a' * 999999999", "$x = 'ab'; 1..60 | % { $x += $x }", "$x = ,1 * 1e9", "$x = 1..1e12",
               "$x = '{0,999}' -f 1", "$x = 2; 1..200 | % { $x = $x * $x }", "$x = 'a'.PadLeft(2000000000)",
               "$x = [Math]::Pow(10, 400)", "$x = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!' -match '(a+)+$'", "$x = 1 / 0"]  # fmt: skip
    for line in growing:
        words = words_in(f'{line}\n{RUN} --training_comment="$x" --seed=1')
        assert words[-1] == "--seed=1"
        assert sum(len(word) for word in words) < 200_000


# ---------------------------------------------------------------------- the language, where it is in doubt

MEANS = [
    # an argument that begins with a quote ends at the closing one (about_Parsing)
    ('--a "x"y', ["--a", "x", "y"]),
    ('--a x"y"z', ["--a", "xyz"]),
    # a single dash and letters is a parameter: nothing expands in what is glued to it
    ("-x=$v", ["-x=$v"]),
    ("--x=$v", ["--x=5"]),
    ("--x=$v.y", ["--x=5.y"]),
    ("--x=$($v+1)", ["--x=6"]),
    ("--x='$v'", ["--x=$v"]),
    ("--x=`$v", ["--x=$v"]),
    ("--x=${v}y", ["--x=5y"]),
    ("$v $l $n $e", ["5", "p", "q"]),
    ("@l", ["p", "q"]),
    ('"$l"', ["p q"]),
    ("$l[1] $h.k $h['k']", ["q", "7", "7"]),
    ("$l.Count", ["2"]),
    ("a,b c, d", ["a,b", "c,", "d"]),
    ("(1+2) ($v * 2)", ["3", "10"]),
    ("$true $null 0.00001 1e-5", ["True", "0.00001", "1e-5"]),
    ("(0.00001) (1e15) (2.50) (3.0)", ["1E-05", "1E+15", "2.5", "3"]),
    ("x#y #z", ["x#y"]),
    ("a 2>&1 b > log.txt c", ["a", "b", "c"]),
    ('--% $v "q"', ["$v", '"q"']),
    ("$(if ($v -gt 3) { 'big' } else { 'small' })", ["big"]),
    ("(\"{0}-{1}\" -f $v, 'b')", ["5-b"]),
    ("('a', 'b' -join '+')", ["a+b"]),
    ("C:\\$v\\x $v\\x", ["C:\\5\\x", "5\\x"]),
    ("(10 / 4) (10 / 5) (7 % 3) (-7 % 3)", ["2.5", "2", "1", "-1"]),
    ("(1 + '2') ('1' + 2) ('a' * 3)", ["3", "12", "aaa"]),
    ("([int]2.5) ([int]3.5) ([int]'7') ([string]1e-4)", ["2", "4", "7", "0.0001"]),
    ("(-not 0) (!'0') ('' -eq $null)", ["True", "False", "False"]),
    ("(1,2,3 -contains 2) ('B' -in 'a','b') ('abc' -like 'A*')", ["True", "True", "True"]),
    ("('a.b.c'.Split('.')[-1]) ('a b' -split ' ')", ["c", "a", "b"]),
    ("\"a`tb\" 'it''s' \"say \"\"hi\"\"\"", ["a\tb", "it's", 'say "hi"']),
]  # fmt: skip


@pytest.mark.parametrize(("written", "means"), MEANS, ids=[written for written, _ in MEANS])
def test_words_are_what_powershell_hands_on(written, means):
    head = "$v = 5; $l = @('p', 'q'); $n = $null; $e = @(); $h = @{ k = 7 }\n"
    assert words_in(f"{head}python sdxl_train_network.py {written}\n") == means


def test_an_unknown_value_stays_unknown_and_says_why():
    text = f"$d = Get-Date -Format x\n$n = \"a-$d\"\n$m = $n.ToUpper() + '!'\n{RUN} --output_name=$m --seed=$(Get-Random)"
    (launch,) = read_powershell(source_of(text)).launches
    name, seed = launch.words[-2:]
    assert "moment" in name.unknown
    assert "(line 1)" in name.unknown
    assert "lot" in seed.unknown


def test_an_unread_script_makes_unset_variables_unknown():
    (launch,) = read_powershell(source_of(f". .\\settings.ps1\n{RUN} --network_dim=$dim")).launches
    assert "line 1" in launch.words[-1].unknown


# ---------------------------------------------------------------------- words, compared with argparse itself


@cache
def real_parser():
    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False)
    kinds = {"int": int, "float": float}
    for option in TABLE.values():
        if option.type == "flag":
            parser.add_argument(f"--{option.name}", action="store_true")
        else:
            many = {"nargs": "*"} if option.many else {}
            choices = (
                None
                if option.choices is None
                else [kinds.get(option.type, str)(item) for item in option.choices]
            )
            parser.add_argument(
                f"--{option.name}", type=kinds.get(option.type, str), choices=choices, default=None, **many
            )
    return parser


NAMES = ["seed", "network_dim", "learning_rate", "network_args", "cache_latents", "resolution", "text_encoder_lr", "save_precision",
         "max_train_epochs", "fp8_base", "network_train_unet_only", "lr_scheduler", "xformers"]  # fmt: skip
VALUES = ["1", "8", "-1", "-0.5", "1e-4", "fp16", "a=b", "x y", "1024,1024", ""]


@st.composite
def command_lines(draw):
    words = []
    for _ in range(draw(st.integers(0, 6))):
        name = draw(st.sampled_from(NAMES))
        name = name[: draw(st.integers(min_value=max(2, len(name) - 4), max_value=len(name)))]
        values = draw(st.lists(st.sampled_from(VALUES), max_size=2))
        dashes = draw(st.sampled_from(["--", "--", "--", "--", "-", "---"]))
        if draw(st.booleans()) and values:
            words.append(f"{dashes}{name}={values[0]}")
        else:
            words += [f"{dashes}{name}", *values]
    return words


@given(command_lines())
@settings(max_examples=100, deadline=None)
def test_words_are_read_as_argparse_reads_them(words):
    parsed = parse_words([Word(text=word, line=1) for word in words], TABLE, "x.ps1", {})
    try:
        wanted, left = real_parser().parse_known_args(words)
    except (argparse.ArgumentError, SystemExit):
        assert parsed.unread  # what sd-scripts refuses is listed
        return
    if left:
        assert parsed.unread
    found = {name: item.value for name, item in parsed.options.items()}
    for name, value in vars(wanted).items():
        if value is not None and value is not False:
            assert found.pop(name) == value, name
    assert not found


def test_settings_as_words_come_back_the_same():
    values = {
        "seed": 3,
        "cache_latents": True,
        "xformers": False,
        "network_args": ["a=1", "b=2"],
        "learning_rate": 1e-5,
        "vae": None,
    }
    parsed = parse_words(words_of(values, line=4, file="x.toml"), TABLE, "x.ps1", {})
    assert {name: item.value for name, item in parsed.options.items()} == {
        "seed": 3, "cache_latents": True, "network_args": ["a=1", "b=2"], "learning_rate": 1e-5,
    }  # fmt: skip
    assert parsed.options["seed"].where == "x.toml:4"


@pytest.mark.parametrize(
    ("line", "script"),
    [
        ("accelerate launch --num_processes 1 a/sdxl_train_network.py --x", "a/sdxl_train_network.py"),
        ("C:\\v\\Scripts\\accelerate.exe launch s.py", "s.py"),
        ("python.exe -u -X utf8 s.py", "s.py"),
        ("/opt/py/bin/python3.10 -m accelerate.commands.launch --mixed_precision=bf16 s.py", "s.py"),
        ("uv run accelerate launch s.py", "s.py"),
        ("conda run -n sd python s.py", "s.py"),
        ("torchrun --nproc_per_node 1 s.py", "s.py"),
        ("python -m pip install s.py", None),
        ("notepad s.py", None),
        ("python -c s.py", None),
    ],
)
def test_a_launch_is_found_behind_whatever_starts_it(line, script):
    found = split_command([Word(text=text, line=1) for text in line.split()])
    assert (found.script.text if found else None) == script


# ---------------------------------------------------------------------- secrets


def test_secrets_are_known_by_name_and_shape():
    assert is_secret_name("wandb_api_key")
    assert is_secret_name("HF_TOKEN")
    assert not is_secret_name("max_token_length")
    assert not is_secret_name("keep_tokens")
    shown = hide("--x=hf_abcdefghijklmnop1234 --api_key 'qqq' token=abc --max_token_length=225")
    assert "abcdefgh" not in shown
    assert "token=abc" not in shown
    assert HIDDEN in shown
    assert "225" in shown


# ---------------------------------------------------------------------- nothing is run, opened or written

HARMFUL = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "os.remove", "os.rename", "os.mkdir", "shutil.rmtree")  # fmt: skip
watched = []
is_watching = False


def watch(event, args):
    if is_watching and (event in HARMFUL or event == "open"):
        watched.append((event, args[0] if args else None))


sys.addaudithook(watch)
PIECES = ["(", ")", "{", "}", "$", "`", "\n", '"', "'", "@(", "@{", "|", ";", "--%", "[int]", "$env:X", "..", "-f", ",", "<#", "#", "&", "iex ",
          "$(", "@'\n", "\u201c", "\x00", "\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace"), "Remove-Item -Recurse C:\\ ", "= "]  # fmt: skip
TEXTS = [decode(path.read_bytes())[0] for path in sorted(CORPUS.glob("*.ps1"))]


@given(st.integers(0, 2**32))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_edits_never_crash_run_open_or_write(seed):
    global is_watching  # noqa: PLW0603  (an audit hook cannot be taken away again)
    chance = random.Random(seed)
    text = chance.choice(TEXTS)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(text) + 1)
        end = at + chance.choice([0, 0, 1, 5, 60])
        text = text[:at] + chance.choice([*PIECES, ""]) + text[end:]
    read_powershell(source_of(RUN))  # everything is imported before the watch begins
    watched.clear()
    is_watching = True
    try:
        reading = read_powershell(source_of(text))
        assert all(isinstance(word.text, str) for launch in reading.launches for word in launch.words)
    except InputError:
        pass
    finally:
        is_watching = False
    assert not watched


# ---------------------------------------------------------------------- the command


@pytest.fixture(autouse=True)
def fresh_console():
    """The console keeps the output of the test before."""
    console.get_console.cache_clear()
    yield
    console.get_console.cache_clear()


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "my train.ps1"
    path.write_text(
        f"$dim = 12 # rank\n{RUN} --network_dim=$dim --output_name=kit --seed=4 --mixed_precision=bf16\n"
    )
    return path


def test_import_writes_a_preset_that_can_be_read(paths, script, capsys):
    assert execute(["import", str(script), "--yes"], paths) == 0
    out = capsys.readouterr().out
    preset = load_preset(paths, "my-train")
    assert preset.options["network_dim"].value == 12
    assert preset.options["network_dim"].why == "my train.ps1:1"
    assert "train my-train --name kit" in out


def test_nothing_is_overwritten(paths, script):
    execute(["import", str(script), "--yes"], paths)
    first = (paths.user_presets / "my-train.toml").read_bytes()
    execute(["import", str(script), "--yes"], paths)
    assert (paths.user_presets / "my-train.toml").read_bytes() == first
    assert (paths.user_presets / "my-train-2.toml").is_file()
    with pytest.raises(LauncherError, match="is there already"):
        execute(["import", str(script), "--yes", "-o", str(paths.user_presets / "my-train.toml")], paths)


def test_dry_run_writes_nothing_and_json_says_all(paths, script, capsys):
    assert execute(["import", str(script), "--dry-run", "--json"], paths) == 0
    (found,) = json.loads(capsys.readouterr().out)
    (training,) = found["trainings"]
    assert training["options"]["network_dim"] == 12
    assert training["train"] == ["train", "my-train", "--name", "kit"]
    assert not training["written"]
    assert not paths.user_presets.exists()


def test_a_folder_gives_a_table_and_goes_on_after_a_refusal(paths, script, capsys):
    (script.parent / "a.ps1").write_text("python kohya_gui.py\n")
    assert execute(["import", str(script.parent), "--yes"], paths) == 0
    out = capsys.readouterr().out
    assert "1 of 2 files imported" in out
    assert "kohya_ss" in out
    assert (paths.user_presets / "my-train.toml").is_file()


def test_several_trainings_come_with_their_order(paths, capsys):
    assert execute(["import", str(CORPUS / "07-phases.ps1"), "--yes"], paths) == 0
    queue = (paths.user_presets / "07-phases-1.queue.txt").read_text(encoding="utf-8")
    assert [line.split()[-1] for line in queue.splitlines()[1:]] == ["mila-p1", "mila-p2", "mila-p3"]
    assert not [entry for entry in paths.user_presets.iterdir() if entry.suffix not in {".toml", ".txt"}]


def test_the_trainers_own_config_file_is_read_only_when_asked_for(paths, tmp_path):
    (tmp_path / "conf.toml").write_text(
        "[a]\nseed = 9\nnetwork_dim = 4\n[b]\ncache_latents = true\nxformers = false\n"
    )
    path = tmp_path / "t.ps1"
    path.write_text(f"{RUN} --config_file conf --network_dim=8\n")
    asked = []
    (plain,) = understand(paths, path).outcomes
    (full,) = understand(paths, path, follow=lambda name: asked.append(name) or True).outcomes
    assert "seed" not in plain.options
    assert asked == [str(tmp_path / "conf.toml")]
    assert {name: full.options[name].value for name in ("seed", "network_dim", "cache_latents")} == {
        "seed": 9, "network_dim": 8, "cache_latents": True,
    }  # fmt: skip
    assert full.options["seed"].where == "conf.toml:2"


def test_network_paths_are_neither_read_nor_looked_for(paths, tmp_path):
    path = tmp_path / "t.ps1"
    path.write_text(
        f"{RUN} --config_file \\\\server\\share\\c.toml --pretrained_model_name_or_path=//server/m.safetensors\n"
    )
    found = understand(paths, path, follow=lambda _: True)
    assert any("on the network" in note.text for note in found.notes)
    assert [item.note for item in found.outcomes[0].missing] == ["a network path: it was not looked for"]


def test_the_printed_command_cannot_run_anything_else(paths, tmp_path):
    path = tmp_path / "t.ps1"
    path.write_text(
        f"{RUN} --output_name 'a; calc & b|c' --train_data_dir 'D:\\x (1); del y\\' --pretrained_model_name_or_path='D:\\$(calc).safetensors'\n"
    )
    (outcome,) = understand(paths, path).outcomes
    words = train_words(outcome, "t")
    assert words[-1] == "a; calc & b c"  # what no file may be called is changed, and said
    assert typed(words).endswith(
        '--model "(write it yourself)" --data "D:\\x (1); del y" --name "a; calc & b c"'
    )


def test_a_script_cannot_write_into_the_preset_what_it_likes(paths, tmp_path):
    """Names and values with quotes, line ends and brackets stay values."""
    path = tmp_path / "t.ps1"
    evil = 'x`"`n[launcher]`noffload_mib = 9`n#'
    path.write_text(f'{RUN} --training_comment "{evil}" --output_name "{evil}" --seed 1\n')
    found = understand(paths, path)
    (made,) = make(paths, found)
    made.path.parent.mkdir(parents=True)
    made.path.write_text(made.text, encoding="utf-8")
    preset = load_preset(paths, made.path)
    assert not preset.switches
    assert preset.options["training_comment"].value == found.outcomes[0].options["training_comment"].value

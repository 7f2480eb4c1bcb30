"""The command line: every command of the menu as words, and the reverse.

argparse comes with the first word that needs it, a command's module is imported when the command is carried out.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from launcher import __version__
from launcher.errors import EXIT_CODES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from launcher.paths import Paths

    Command = Callable[[Paths, argparse.Namespace], int]
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  (argparse gives it no public name)

SUPERVISE = (
    "_supervise"  # no command for people: `run.start_run` starts this, detached, with the run's folder
)
RUN_HELP = "run id, its beginning, or its name (default: the newest that fits)"


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    import argparse

    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())
    parser = argparse.ArgumentParser(
        prog="launcher",
        description="Train SDXL LoRAs on 8 GB cards. Without words: the menu.",
        epilog=f"exit codes:\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"launcher {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_training(commands)
    _add_control(commands)
    _add_presets(commands)
    _add_environments(commands)
    _add_tagger(commands)
    return parser


def execute(argv: Sequence[str], paths: Paths) -> int:
    """Carry out one command line and return its exit code."""
    if not argv:  # the menu's first paint does not wait for a parser that has nothing to parse
        from launcher.commands.menu import menu

        return menu(paths)
    if argv[0] == SUPERVISE:
        from launcher.commands.control import supervise

        return supervise(paths, argv[1])
    options = make_parser().parse_args(argv)
    module, _, function = options.command.partition(":")
    command: Command = getattr(import_module(f"launcher.commands.{module}"), function)
    return command(paths, options)


def _add(commands: Subparsers, name: str, target: str, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(command=target)
    return parser


def _add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-y", "--yes", action="store_true", help="ask nothing: take the defaults")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def _add_heat(parser: argparse.ArgumentParser) -> None:
    """Short for two switches: who fears for the card looks for a flag, not for a setting."""
    for flag, switch, text in (
        ("--hold-above", "hold_above_c", "wait between steps while the card is hotter than this, such as 83 (default: never)"),
        ("--continue-below", "continue_below_c", "and go on below this, such as 70 (default: ten degrees less)"),
    ):  # fmt: skip
        parser.add_argument(flag, metavar="CELSIUS", dest="settings", action="append", type=f"launcher.{switch}={{}}".format, help=text)  # fmt: skip


def _add_launch(parser: argparse.ArgumentParser) -> None:
    """Short for a switch too."""
    text = "how one process is started: directly (default), or the long way through `accelerate launch`"
    parser.add_argument("--launch", metavar="WAY", dest="settings", action="append", type="launcher.launch={}".format, help=text)  # fmt: skip


def _add_training(commands: Subparsers) -> None:
    train = _add(commands, "train", "train:train", "train a LoRA from a preset: resolve, check, run, watch")
    preflight = _add(commands, "preflight", "preflight:preflight", "everything that speaks against a training, without starting it")  # fmt: skip
    for parser in (train, preflight):
        _add_plan_words(parser)
    _add_heat(train)
    _add_launch(train)
    train.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    train.add_argument("--background", action="store_true", help="start and return at once; `watch` shows it")
    train.add_argument("--force", action="store_true", help="start in spite of warnings (never of errors)")
    preflight.add_argument("--force", action="store_true", help="exit code 0 in spite of warnings (never of errors)")  # fmt: skip
    for parser in (train, preflight):
        _add_yes(parser)
        _add_json(parser)
    _add_check(commands)
    _add_bench(commands)
    demo = _add(commands, "demo", "demo:demo", "everything once, unattended: a small LoRA from sample images in about a minute")  # fmt: skip
    demo.add_argument("--steps", type=int, help="train this many steps instead of the preset's")


def _add_bench(commands: Subparsers) -> None:
    bench = _add(commands, "bench", "bench:bench", "measure on this computer how much faster the boosts train: a few steps with and without, in turn")  # fmt: skip
    bench.add_argument("preset", metavar="PRESET", nargs="?", help="name of a preset, or a TOML file (default: as the last run was trained)")  # fmt: skip
    _add_data_words(bench)
    bench.add_argument("--model", metavar="FILE", help="base model (.safetensors) (default: the last run's)")
    bench.add_argument("--steps", type=int, default=12, metavar="N", help="counted steps of each run, behind a warm-up (default: 12)")  # fmt: skip
    bench.add_argument("--rounds", type=int, default=2, metavar="R", help="how often each way is run (default: 2)")  # fmt: skip
    bench.add_argument("--each", action="store_true", help="also every boost alone: takes long")
    bench.add_argument("--force", action="store_true", help="start in spite of warnings (never of errors)")
    _add_yes(bench)
    _add_json(bench)


def _add_check(commands: Subparsers) -> None:
    check = _add(commands, "check", "check:check", "look at a dataset from all sides: images, captions, copies, buckets, steps")  # fmt: skip
    check.add_argument("folder", metavar="DIR[=REPEATS]", nargs="*", help="folder with images and captions, a dataset.toml, or one model file (default: the data of your settings)")  # fmt: skip
    check.add_argument("--preset", metavar="PRESET", help="how it would be trained (default: the preset that fits this card)")  # fmt: skip
    _add_data_words(check)
    check.add_argument("--html", metavar="FILE", help="write a contact sheet: the pictures with what is wrong with each")  # fmt: skip
    check.add_argument("--open", action="store_true", help="show the contact sheet in the browser")
    check.add_argument("--hash", action="store_true", help="of a model file also the SHA-256 that model pages show: reads all of it, once")  # fmt: skip
    check.add_argument("--force", action="store_true", help="exit code 0 in spite of warnings (never of errors)")  # fmt: skip
    _add_yes(check)
    _add_json(check)


def _add_plan_words(parser: argparse.ArgumentParser) -> None:
    """What makes a plan: the same words for all that resolve one."""
    parser.add_argument("preset", metavar="PRESET", help="name of a preset, or a TOML file")
    _add_data_words(parser)
    parser.add_argument("--model", metavar="FILE", help="base model (.safetensors); the rehearsal needs none")
    parser.add_argument("--name", help="name of the run and of its LoRA")
    parser.add_argument("--gpus", metavar="N,N", help="graphics cards to train on, such as 0,1 (default: the first)")  # fmt: skip


def _add_data_words(parser: argparse.ArgumentParser) -> None:
    """What a dataset is made of, and how it is trained on."""
    parser.add_argument("--data", metavar="DIR[=REPEATS]", action="append", help="folder with the images and their captions; may be repeated; or a dataset.toml")  # fmt: skip
    parser.add_argument("--reg", metavar="DIR[=REPEATS]", action="append", default=[], help="folder with regularisation images; may be repeated")  # fmt: skip
    parser.add_argument("--trainer", help="training script (default: the preset's, else what is installed)")
    parser.add_argument("--set", metavar="KEY=VALUE", dest="settings", action="append", default=[], help="change one option of the preset; may be repeated")  # fmt: skip


def _add_control(commands: Subparsers) -> None:
    resume = _add(commands, "resume", "control:resume", "go on with a run from its newest good state")
    resume.add_argument("--set", metavar="KEY=VALUE", dest="settings", action="append", default=[], help="change what does not change the training, such as launcher.offload_mib; KEY=none takes one out")  # fmt: skip
    _add_heat(resume)
    _add_launch(resume)
    resume.add_argument("--background", action="store_true", help="start and return at once")
    resume.add_argument("--force", action="store_true", help="go on in spite of warnings (never of errors)")
    _add_yes(resume)
    _add_json(resume)
    pause = _add(commands, "pause", "control:pause", "save a state at the next step and exit")
    stop = _add(commands, "stop", "control:stop", "end a run for good (a state is kept)")
    watch = _add(
        commands, "watch", "control:watch", "show a run live; closing it does not touch the training"
    )
    report = _add(commands, "report", "history:report", "write the report of a run as one HTML page")
    report.add_argument("--open", action="store_true", help="show it in the browser")
    for parser in (resume, pause, stop, watch, report):
        parser.add_argument("run", metavar="RUN", nargs="?", help=RUN_HELP)
    runs = _add(commands, "runs", "history:runs", "list the runs, newest first")
    runs.add_argument("--all", action="store_true", help="all of them, not only the newest")
    _add_json(runs)


def _add_presets(commands: Subparsers) -> None:
    presets = _add(commands, "presets", "presets:presets", "list the presets")
    show = _add(commands, "show", "presets:show", "explain a preset: every value, where it comes from")
    show.add_argument("preset", metavar="NAME")
    validate = _add(commands, "validate", "presets:validate", "check a preset file")
    validate.add_argument("file", metavar="FILE")
    read = _add(
        commands,
        "import",
        "importing:import_files",
        "turn training scripts (.ps1, .bat, .sh), settings of other tools and trained LoRAs into presets; nothing is run",
    )
    read.add_argument("files", metavar="FILE", nargs="*", help="a script (.ps1, .bat, .cmd, .sh), a tool's .json or .toml, a LoRA's .safetensors, or a folder with some (default: asks)")  # fmt: skip
    read.add_argument("-o", "--output", metavar="FILE", help="where the preset goes: a file, or a folder (default: your presets)")  # fmt: skip
    read.add_argument(
        "--follow", action="store_true", help="also read the TOML file of settings that a script names"
    )
    read.add_argument("--dry-run", action="store_true", help="show what was understood, write nothing")
    _add_yes(read)
    for parser in (presets, show, validate, read):
        _add_json(parser)
    _add_export(commands)


def _add_export(commands: Subparsers) -> None:
    parser = _add(commands, "export", "exporting:export", "write a run or a preset as a plain script that trains the same without the launcher")  # fmt: skip
    parser.add_argument("what", metavar="RUN|PRESET", nargs="?", help="a run, a preset, or a TOML file (default: asks)")  # fmt: skip
    parser.add_argument("--to", choices=("ps1", "bat", "sh", "accelerate"), help="PowerShell, batch file, bash, or one line for any of them (default: ps1 on Windows, else sh)")  # fmt: skip
    parser.add_argument("-o", "--output", metavar="FILE", help="where the script goes: a file, or a folder (default: the current folder)")  # fmt: skip
    _add_data_words(parser)
    parser.add_argument("--model", metavar="FILE", help="base model of a preset; without one the script has a line to fill in")  # fmt: skip
    parser.add_argument("--name", help="name of the LoRA")
    parser.add_argument("--gpus", metavar="N,N", help="graphics cards to train on, such as 0,1")
    _add_yes(parser)
    _add_json(parser)


def _add_environments(commands: Subparsers) -> None:
    install = _add(commands, "install", "environments:install", "make or complete the training environments")
    install.add_argument("trainer", nargs="?", help="which one (default: what this computer can use)")
    install.add_argument(
        "--cuda", metavar="SET", help="torch build: cu121, cu124, cu128, cu118 or cpu (default: chosen with its reason)"
    )  # fmt: skip
    install.add_argument("--attention", choices=("xformers", "sdpa"), help="default: xformers where it works")
    install.add_argument("--engine", choices=("uv", "pip"), help="who installs (default: uv where it works)")
    install.add_argument("--source", metavar="PLACE", help="sd-scripts from a folder, a zip or a mirror instead of GitHub")  # fmt: skip
    install.add_argument("--tokenizers", metavar="DIR", help="a folder that has the tokenizers of SDXL")
    install.add_argument("--dry-run", action="store_true", help="show every command and download, and stop")
    repair = _add(
        commands, "repair", "environments:repair", "find and mend what differs from what was proved"
    )
    update = _add(commands, "update", "environments:update", "move the environments to newer pins; the old one is kept")  # fmt: skip
    rollback = _add(commands, "rollback", "environments:rollback", "use the environment before the current one again")  # fmt: skip
    uninstall = _add(commands, "uninstall", "environments:uninstall", "remove what was installed, and nothing of yours")  # fmt: skip
    for parser, word in (
        (repair, "repair"),
        (update, "update"),
        (rollback, "go back with"),
        (uninstall, "remove"),
    ):
        parser.add_argument("trainer", nargs="?", help=f"which one to {word} (default: all that are there)")
    uninstall.add_argument(
        "--all", action="store_true", help="also Pythons, tokenizers, downloads and shortcuts"
    )
    shortcut = _add(commands, "shortcut", "environments:shortcut", "put the launcher on the desktop and into the start menu")  # fmt: skip
    shortcut.add_argument("--remove", action="store_true", help="take it away again")
    for parser in (install, repair, update, uninstall):
        _add_yes(parser)
    doctor = _add(commands, "doctor", "environments:doctor", "what this computer has and what is missing")
    _add_json(doctor)
    test = commands.add_parser("test", help="set up development and run the test suite", add_help=False, prefix_chars="\0")  # fmt: skip
    test.add_argument("pytest", nargs="*")  # with no prefix characters, pytest's own flags pass through
    test.set_defaults(command="environments:test")


def _add_tagger(commands: Subparsers) -> None:
    tag = _add(commands, "tag", "tag:tag", "write captions with a WD14 tagger, or take a tagging back")
    tag.add_argument("folder", metavar="DIR", nargs="?", help="folder with images")
    tag.add_argument("--undo", action="store_true", help="put the captions back as they were before the last tagging (of DIR)")  # fmt: skip
    tag.add_argument("--model", metavar="NAME|DIR", help="tagger: a name (see --models), OWNER/NAME of the hub, or a folder")  # fmt: skip
    tag.add_argument("--models", action="store_true", help="list the taggers that are known by name")
    tag.add_argument("--mirror", metavar="URL", help="a mirror of the hub (default: HF_ENDPOINT, else the hub)")  # fmt: skip
    tag.add_argument("--threshold", type=float, default=0.35, metavar="P", help="how sure the tagger must be of a tag (default: 0.35)")  # fmt: skip
    tag.add_argument("--general-threshold", type=float, metavar="P", help="the same for general tags alone")
    tag.add_argument("--character-threshold", type=float, metavar="P", help="the same for characters alone")
    tag.add_argument("--rating", choices=("off", "first", "last"), default="off", help="the rating as a tag (default: off)")  # fmt: skip
    tag.add_argument("--underscores", choices=("keep", "replace"), default="keep", help="`replace` writes blanks; faces such as ^_^ stay (default: keep)")  # fmt: skip
    tag.add_argument("--undesired", metavar="A,B", default="", help="tags that are never written")
    tag.add_argument("--prefix", metavar="WORDS", default="", help="written before all tags (default: none)")
    tag.add_argument("--existing", choices=("keep", "append", "replace"), default="keep", help="captions that are there (default: keep)")  # fmt: skip
    tag.add_argument("--extension", metavar=".EXT", default=".txt", help="of the caption files (default: .txt)")  # fmt: skip
    tag.add_argument("--recursive", action="store_true", help="also folders inside of DIR")
    tag.add_argument("--batch", type=int, default=4, metavar="N", help="images at a time (default: 4)")
    tag.add_argument("--device", choices=("auto", "cpu"), default="auto", help="`cpu` leaves the graphics card alone")  # fmt: skip
    tag.add_argument("--dry-run", action="store_true", help="show what would be done and stop")
    _add_yes(tag)
    _add_json(tag)

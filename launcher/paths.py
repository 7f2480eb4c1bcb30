"""Where everything lies. No other module joins these names."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
HOME_VARIABLE = "LAUNCHER_HOME"
# How the user starts us, for every "type this" in a message: a checkout has no `launcher` on the PATH.
COMMAND = "python setup_env.py" if (PACKAGE.parent / "setup_env.py").is_file() else "launcher"


def command(*words: str) -> str:
    """The line to type for a command of ours; words with blanks (runs are named after folders) stand in quotes.

    Double quotes are understood by cmd, PowerShell and sh alike.
    """
    return " ".join([COMMAND, *(f'"{word}"' if " " in word or not word else word for word in words)])


@dataclass(frozen=True, kw_only=True, slots=True)
class Paths:
    """Every path of the product, from two roots.

    `root` holds the code and the environments (the folder with `setup_env.py`); `home` holds what belongs
    to the user (runs, own presets, settings, logs). They are the same folder unless LAUNCHER_HOME says otherwise.
    """

    root: Path
    home: Path
    shipped: Path  # folder that holds the shipped `presets/` and the pins of `vendor/`

    @property
    def presets(self) -> Path:
        return self.shipped / "presets"

    @property
    def pins(self) -> Path:
        return self.shipped / "vendor"

    @property
    def user_presets(self) -> Path:
        return self.home / "user" / "presets"

    @property
    def user_settings(self) -> Path:
        return self.home / "user" / "settings.toml"

    @property
    def machine_note(self) -> Path:
        """The card as it was last seen, for the menu's title: asking the driver would delay it."""
        return self.home / "user" / "machine.txt"

    @property
    def picture_store(self) -> Path:
        """What is known of images that were decoded: a second look is instant. Anybody may delete it."""
        return self.home / "user" / "cache" / "pictures.sqlite"

    @property
    def caption_store(self) -> Path:
        """What was found in the captions of each dataset. Anybody may delete it."""
        return self.home / "user" / "cache" / "captions"

    @property
    def dataset_store(self) -> Path:
        """The last check of each dataset as a whole. Anybody may delete it."""
        return self.home / "user" / "cache" / "datasets"

    @property
    def bench_results(self) -> Path:
        """What `bench` measured on this computer."""
        return self.home / "user" / "bench.json"

    @property
    def contact_sheets(self) -> Path:
        """Pages that `check` writes where no other place is named."""
        return self.home / "user" / "checks"

    @property
    def runs(self) -> Path:
        return self.home / "runs"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def cache(self) -> Path:
        """Downloads and uv's cache: beside the environments, so that hard links work and nothing global grows."""
        return self.root / ".cache"

    @property
    def model_notes(self) -> Path:
        """Hashes of model files that were computed once (`launcher.checkpoint.identity`)."""
        return self.cache / "models.json"

    @property
    def launcher_venv(self) -> Path:
        return self.root / ".venv"

    @property
    def wheels(self) -> Path:
        """Big wheels, fetched by ourselves and checked; `*.part` is a download that goes on."""
        return self.cache / "wheels"

    @property
    def sources(self) -> Path:
        """Trainer code as it was fetched and verified, a folder for each git tree."""
        return self.cache / "sources"

    @property
    def tokenizers(self) -> Path:
        """What `--tokenizer_cache_dir` reads: the tokenizers of SDXL, shared by all trainers."""
        return self.root / "vendor" / "tokenizers"

    @property
    def tagger(self) -> Path:
        """Tagger models and the packages that run them: downloads, shared by all trainers."""
        return self.root / "vendor" / "tagger"

    @property
    def tagger_notes(self) -> Path:
        """What belongs to the user: journals of taggings, checksums of models that the launcher does not know."""
        return self.home / "user" / "tagger"

    @property
    def tagger_journal(self) -> Path:
        return self.tagger_notes / "journal"

    @property
    def pythons(self) -> Path:
        """Pythons that uv brought. Not in the cache, which anybody may empty: environments stand on them."""
        return self.root / "vendor" / "python"

    def trainer(self, name: str) -> Path:
        """Folder of a trainer: its generations, the note which one is current, the install journal."""
        return self.root / "vendor" / name

    def current_note(self, name: str) -> Path:
        """Which generation is used and which one was before: two lines, each the name of a folder."""
        return self.trainer(name) / "current"

    def generation(self, name: str, number: str | None = None) -> Path:
        """Folder of one finished or growing environment: `venv/`, `code/`, `accelerate.yaml`, `ready.json`.

        Without a number the current one. Where no generation was ever made current, it is the trainer's own folder.
        """
        folder = self.trainer(name)
        return folder / number if number else folder / next(iter(self.generations(name)), "")

    def generations(self, name: str) -> tuple[str, ...]:
        """Numbers of the current generation and the one before it; empty where none was made current."""
        try:
            lines = self.current_note(name).read_text(encoding="utf-8").split()
        except (OSError, ValueError):
            return ()
        return tuple(line for line in lines[:2] if line.isdecimal())

    def trainer_venv(self, name: str) -> Path:
        return self.generation(name) / "venv"

    def trainer_python(self, name: str) -> Path:
        return venv_python(self.trainer_venv(name))

    def trainer_code(self, name: str) -> Path:
        """The trainer's own code (for those that are fetched)."""
        return self.generation(name) / "code"

    def accelerate_config(self, name: str) -> Path:
        return self.generation(name) / "accelerate.yaml"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPaths:
    """The files of one run folder: the contract between launcher, shim, dashboard and report."""

    folder: Path

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def train_toml(self) -> Path:
        return self.folder / "train.toml"

    @property
    def dataset_toml(self) -> Path:
        return self.folder / "dataset.toml"

    @property
    def state_json(self) -> Path:
        return self.folder / "state.json"

    @property
    def events(self) -> Path:
        return self.folder / "events.jsonl"

    @property
    def gpu(self) -> Path:
        return self.folder / "gpu.jsonl"

    @property
    def log(self) -> Path:
        return self.folder / "train.log"

    @property
    def pause(self) -> Path:
        """Request file; its text is `pause` or `stop`. The shim looks for it between steps."""
        return self.folder / "pause"

    @property
    def hold(self) -> Path:
        """While the supervisor keeps touching it, the shim waits between steps: a card that has to cool down."""
        return self.folder / "hold"

    @property
    def warnings(self) -> Path:
        """What the supervisor's guard saw begin and end: events like those of `events`, in a file with one writer."""
        return self.folder / "warnings.jsonl"

    @property
    def inventory(self) -> Path:
        """Size and time of each image and caption when the run began: a resume tells what has changed since."""
        return self.folder / "inventory.json"

    @property
    def states(self) -> Path:
        return self.folder / "states"

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def report(self) -> Path:
        return self.output / "report.html"

    @property
    def cache(self) -> Path:
        """Latents and text conditioning of this run, where nothing better is known."""
        return self.folder / "cache"


def venv_python(venv: Path) -> Path:
    """The interpreter of a virtual environment, on any system."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def find_paths() -> Paths:
    """Paths of this installation: a checkout (folder with setup_env.py), else an installed wheel's own data folder."""
    root = PACKAGE.parent
    if (root / "setup_env.py").is_file():
        shipped = root
    else:
        root = _wheel_home()
        shipped = PACKAGE / "_shipped"
    home = os.environ.get(HOME_VARIABLE)
    return Paths(root=root, home=Path(home).expanduser().resolve() if home else root, shipped=shipped)


def _wheel_home() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "sdxl-lora-launcher"
    return Path(os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share"))) / "sdxl-lora-launcher"

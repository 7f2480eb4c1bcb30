"""What an installation will do, decided before anything is touched: the same record is shown and carried out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, InstallError
from launcher.files import read_json
from launcher.install.choice import choose_set, host_of
from launcher.install.engine import choose_engine
from launcher.install.index import base_python
from launcher.install.interpreter import choose_python
from launcher.install.pins import exact, load_pins
from launcher.machine import look_at_machine

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.install.choice import Choice
    from launcher.install.commands import Commands
    from launcher.install.engine import Engine
    from launcher.install.interpreter import Interpreter
    from launcher.install.pins import Pins, TorchSet
    from launcher.machine import Machine
    from launcher.paths import Paths


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What the user asked for; None leaves it to us."""

    cuda: str | None = None  # name of a torch set
    attention: str | None = None  # xformers or sdpa
    engine: str | None = None  # uv or pip
    source: str | None = None  # folder, zip or mirror with the trainer's code
    tokenizers: str | None = None  # folder with the tokenizers


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """One installation, decided."""

    paths: Paths
    pins: Pins
    choice: Choice
    interpreter: Interpreter
    engine: Engine
    machine: Machine
    wish: Wish

    @property
    def key(self) -> dict[str, Any]:
        """What a half-made environment must have been begun from for its building to go on."""
        return {
            "pins": self.pins.text,
            "torch_set": self.choice.torch_set.name,
            "packages": list(self.choice.torch_set.packages),
            "python": str(self.interpreter.path or ".".join(map(str, self.interpreter.version))),
            "source": self.wish.source,
        }


def decide(paths: Paths, name: str, wish: Wish, commands: Commands) -> Intent:
    """Look at this computer and decide. Changes nothing.

    Raises:
        InstallError: what is wished, or anything at all, cannot work here; says what to do.
        UsageError: a word of the wish is not known.
    """
    pins = load_pins(paths, name)
    machine = look_at_machine()
    choice = _choice(paths, pins, wish, machine)
    return Intent(
        paths=paths, pins=pins, choice=choice, engine=choose_engine(commands, wish.engine), machine=machine,
        interpreter=_interpreter(choice.torch_set), wish=wish,
    )  # fmt: skip


def _interpreter(torch_set: TorchSet) -> Interpreter:
    """The launcher's own Python if it fits (asking all others costs a second), else the best of all that are here."""
    from launcher.machine.pythons import ask_python, find_pythons

    own = ask_python(base_python(), "the launcher")
    first = choose_python([replace(own, is_own=True)] if own else [], torch_set.pythons)
    return first if first.path else choose_python(find_pythons(), torch_set.pythons)


def _choice(paths: Paths, pins: Pins, wish: Wish, machine: Machine) -> Choice:
    """The wish, else what was chosen last time (`repair` must not turn a GPU environment into a CPU one), else ours."""
    host = host_of(machine)
    if wish.cuda is not None:
        pins.torch_set(wish.cuda)  # a name that nobody knows is refused as such
    remembered = remembered_set(paths, pins)
    if wish.cuda is None and remembered is not None:
        try:
            return _fitted(choose_set(pins, host, wish=remembered, attention=wish.attention))
        except InstallError:  # another card since then
            pass
    return _fitted(choose_set(pins, host, wish=wish.cuda, attention=wish.attention))


def _fitted(choice: Choice) -> Choice:
    """Where training will use SDPA, xformers is not installed at all: it could only get in the way."""
    if choice.attention != "sdpa":
        return choice
    packages = tuple(it for it in choice.torch_set.packages if exact(it)[0] != "xformers")
    return replace(choice, torch_set=replace(choice.torch_set, packages=packages))


def remembered_set(paths: Paths, pins: Pins) -> str | None:
    """The torch build that was asked for last time, if there still is such a one."""
    try:
        chosen = read_json(choice_note(paths, pins.name))
    except InputError:
        return None
    name = chosen.get("torch_set") if isinstance(chosen, dict) else None
    return name if isinstance(name, str) and name in pins.sets else None


def choice_note(paths: Paths, name: str) -> Path:
    return paths.trainer(name) / "choice.json"

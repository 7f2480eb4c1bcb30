"""After the installation: what differs from what was proved, back to the environment before, and away with it all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError, InstallError
from launcher.files import read_json, write_atomic
from launcher.install import generations, packages, proof, removal
from launcher.install.pins import load_pins
from launcher.install.removal import Removal
from launcher.install.turn import take_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from launcher.paths import Paths

TABLES = frozenset({"torch-sets", "taggers"})  # beside the trainers' pins lie tables that are none
WAIT_S = 10.0
MOST_NAMED = 6  # files of the trainer that somebody changed


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One thing that is not as it was proved."""

    what: str
    needs_new: bool = True  # False: put right in place, the environment itself is whole


def known(paths: Paths) -> tuple[str, ...]:
    """Names of the trainers that can be installed: those with pins."""
    return tuple(sorted(path.stem for path in paths.pins.glob("*.toml") if path.stem not in TABLES))


def standing(paths: Paths) -> tuple[str, ...]:
    """Names of the trainers of which anything was made."""
    return tuple(name for name in known(paths) if removal.made_for(paths, name))


def differences(paths: Paths, name: str) -> list[Difference]:
    """What is not as it was proved. Reads every file's size (0.1 s for 18,000 of them), starts nothing."""
    folder = paths.generation(name)
    config = folder / "accelerate.yaml"
    ready = _record(folder)
    if not ready:
        return [Difference(what="there is no proved environment")]
    found = list(_in_place(paths, name, ready, config))
    if not found and (reason := proof.not_proved(folder)) is not None:
        found.append(Difference(what=reason))
    venv = folder / "venv"
    found += [Difference(what=words) for words in packages.differences(venv, ready.get("versions") or {})]
    return [*found, *_code(paths, name)]


def _in_place(paths: Paths, name: str, ready: dict[str, Any], config: Path) -> Iterator[Difference]:
    """Small files beside the environment."""
    wanted = ready.get("accelerate_config")
    try:
        is_same = wanted is None or config.read_bytes() == str(wanted).encode()
    except OSError:
        is_same = False
    if not is_same:
        yield Difference(what="accelerate.yaml is missing or was changed", needs_new=False)
    if load_pins(paths, name).source:
        from launcher.install.tokenizers import missing_tokenizers

        if reason := missing_tokenizers(paths.tokenizers):
            yield Difference(what=f"tokenizers: {reason}", needs_new=False)


def _code(paths: Paths, name: str) -> Iterator[Difference]:
    reason = changed_code(paths, name, paths.generation(name))
    if reason:
        yield Difference(what=reason)


def mend_in_place(paths: Paths, name: str) -> None:
    """Write accelerate's configuration again as it was proved. (Tokenizers: `trainer.fetch_tokenizers`.)"""
    wanted = read_json(paths.generation(name) / "ready.json").get("accelerate_config")
    if wanted:
        write_atomic(paths.accelerate_config(name), str(wanted))


def changed_code(paths: Paths, name: str, folder: Path) -> str | None:
    """Why the code in a generation is not the pinned one, or None."""
    pin = load_pins(paths, name).source
    if pin is None or not (folder / "code").is_dir():
        return None
    from launcher.install.source import state_of

    pin = replace(pin, tree=str(_record(folder).get("tree") or pin.tree))
    state = state_of(folder / "code", pin, reference=paths.sources / pin.tree)
    return None if state.reason is None else f"{state.reason}: {_listed(state.changes)}".removesuffix(": ")


def _listed(changes: Sequence[str]) -> str:
    more = [f"{len(changes) - MOST_NAMED} more"] if len(changes) > MOST_NAMED else []
    return ", ".join([*changes[:MOST_NAMED], *more])


def _record(folder: Path) -> dict[str, Any]:
    try:
        ready = read_json(folder / "ready.json")
    except InputError:
        return {}
    return ready if isinstance(ready, dict) else {}


def has_earlier(paths: Paths, name: str) -> bool:
    """Whether `rollback` has somewhere to go."""
    return generations.before(paths, name) is not None


def roll_back(paths: Paths, name: str) -> tuple[str, str]:
    """Use the environment before the current one again, if it is still whole.

    Returns:
        The numbers of the one used from now on and of the one used until now.

    Raises:
        InstallError: there is none, or it would not work.
    """
    with turn(paths, name):
        earlier = generations.before(paths, name)
        if earlier is not None:
            folder = paths.generation(name, earlier)
            reason = proof.not_proved(folder) or next(
                (damage.reason for damage in packages.broken(folder / "venv")), None
            )
            if reason:
                raise InstallError(
                    "The environment before this one cannot be used any more.", why=reason, where=str(folder)
                )
        return generations.roll_back(paths, name)


def uninstall(paths: Paths, names: Sequence[str], *, with_shared: bool) -> Removal:
    """Remove the environments of some trainers; runs, presets, images and logs stay.

    Raises:
        LauncherError: an installation is going on.
    """
    done = []
    for name in names:
        with turn(paths, name):
            done.append(
                removal.uninstall(
                    paths, [name], with_shared=False, why_keep=partial(precious, paths, name)
                )
            )  # fmt: skip
        rest = removal.close(paths.trainer(name))
        if rest:
            done.append(Removal(removed=(), freed_bytes=0, kept=(rest,)))
    if with_shared:
        done.append(removal.uninstall(paths, [], with_shared=True, why_keep=lambda _: None))
    return Removal(
        removed=tuple(path for part in done for path in part.removed),
        freed_bytes=sum(part.freed_bytes for part in done),
        kept=tuple(words for part in done for words in part.kept),
    )


def precious(paths: Paths, name: str, folder: Path) -> str | None:
    """Why a generation must not be removed: somebody worked on the trainer's code in it."""
    return changed_code(paths, name, folder) if folder.is_dir() and not folder.is_symlink() else None


def turn(paths: Paths, name: str) -> AbstractContextManager[int]:
    """Hold the trainer's lock: nothing is removed or exchanged under a running installation."""
    return take_turn(
        paths.trainer(name) / removal.LOCK,
        on_wait=lambda: None,
        timeout_s=WAIT_S,
        busy=f"An installation of `{name}` is going on in another window; wait for its end, then start this again.",
    )

"""A trainer's own code: exactly the pinned tree, however it came, and never over somebody's changes.

What was fetched and verified stays in the cache, a folder for each tree: the next environment is made without network.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import Enum
from secrets import token_hex
from typing import TYPE_CHECKING

from launcher.errors import InstallError
from launcher.files import lock, replace, sync_tree
from launcher.install import git_tree, origins
from launcher.install.archive import unpack
from launcher.install.git import FETCH_TIMEOUT_S, STALL_S, find_git
from launcher.install.git_tree import tree_of
from launcher.install.origins import ChangedSourceError, Errand, in_words, remove_tree
from launcher.install.part import disk_error
from launcher.install.places import local_path
from launcher.install.secret import redact

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.install.commands import Commands
    from launcher.install.fetch import Patience
    from launcher.install.index import PipSettings
    from launcher.install.pins import SourcePin
    from launcher.install.steps import Tell

__all__ = ["ChangedSourceError", "SourceState", "State", "changes_in", "ensure_source", "state_of", "tree_of"]

TURN_S = 3600.0  # another trainer's install may be fetching the same tree


class SourceState(str, Enum):
    """What lies where the code should be."""

    MISSING = "missing"
    OK = "ok"
    CHANGED = "changed"


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """A look at the code: `reason` is why it is not the pinned one, or None."""

    state: SourceState
    reason: str | None = None
    changes: tuple[str, ...] = ()


def state_of(folder: Path, pin: SourcePin, reference: Path | None = None) -> State:
    """Is the pinned code there? `reference` is an untouched copy (`cache/<tree>`) that can name what differs."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return State(state=SourceState.MISSING, reason="the trainer's code is not there yet")
    try:
        if tree_of(folder, pin) == pin.tree:
            return State(state=SourceState.OK)
    except InstallError:  # a link in it
        pass
    except OSError as error:
        return State(state=SourceState.CHANGED, reason=f"the trainer's code cannot be read: {error.strerror}")
    changes = changes_in(folder, pin, reference)
    reason = f"the trainer's code is not the pinned one: {in_words(changes)}"
    return State(state=SourceState.CHANGED, reason=reason, changes=tuple(changes))


def changes_in(folder: Path, pin: SourcePin, reference: Path | None) -> list[str]:
    """What differs from the pinned tree: `changed a.py`, `added b.py`, `missing c.py`; else the best words there are."""
    wanted = git_tree.blobs_in(reference) if reference is not None and reference.is_dir() else None
    if wanted is None or git_tree.tree_id({**pin.omitted, **wanted}, pin.executables) != pin.tree:
        wanted = git_tree.listing_of(folder, pin)
    if wanted is None:
        is_there = (folder / pin.script).is_file()
        return ["some files differ" if is_there else f"missing {pin.script}"]
    changes = git_tree.compare(git_tree.blobs_in(folder), wanted, pin)
    if git_tree.only_line_ends(folder, wanted, changes):
        return [f"line ends of {len(changes)} files were changed by git's autocrlf"]
    return changes


def ensure_source(
    commands: Commands,
    pin: SourcePin,
    target: Path,
    *,
    given: str | None,
    cache: Path,
    settings: PipSettings,
    tell: Tell,
    patience: Patience | None = None,
    git_timeout_s: float = FETCH_TIMEOUT_S,
) -> None:
    """Make `target` the pinned tree. Does nothing when it is.

    Args:
        commands: runs git.
        pin: what the code must be.
        target: folder for the code.
        given: a folder, a zip file, or the address of a mirror (git or zip); None: the pin's own places, git first.
        cache: verified trees are kept there.
        settings: the user's proxy and certificates.
        tell: progress.
        patience: with servers; None for the usual.
        git_timeout_s: of one git command.

    Raises:
        ChangedSourceError: what lies in `target` or in the given folder was changed by somebody; it is left as it is.
        InstallError: the code cannot be had from anywhere, with every reason.
    """
    pristine = cache / pin.tree
    try:
        with lock(
            cache / f".{pin.tree}.lock",
            timeout_s=TURN_S,
            busy="Another window is fetching the trainer's code.",
        ):
            for left in cache.glob(f".{pin.tree}.work-*"):  # of runs that were killed
                remove_tree(left)
            state = state_of(target, pin, pristine)
            if state.state is SourceState.OK:
                return
            if state.state is SourceState.CHANGED:
                raise _changed(target, state)
            if not _is_whole(pristine, pin):
                if pristine.exists():
                    tell("The kept copy of the trainer's code is damaged: fetching it anew", keep=True)
                    remove_tree(pristine)
                stall_s = (patience and patience.stall_s) or STALL_S
                errand = Errand(
                    pin=pin, commands=commands, settings=settings, tell=tell, patience=patience,
                    git=find_git(commands, stall_s=stall_s, timeout_s=git_timeout_s),
                    work=cache / f".{pin.tree}.work-{token_hex(4)}",  # a git that outlived us may still write elsewhere
                )  # fmt: skip
                _fetch(errand, pristine, given)
            elif given:
                tell("The pinned code is here already, verified: the given source is not needed", keep=True)
            _copy(pristine, target, pin)
    except OSError as error:
        raise disk_error(error, "the trainer's code", target.parent) from error


def _changed(target: Path, state: State) -> ChangedSourceError:
    return ChangedSourceError(
        "The trainer's code was changed; it is not overwritten.", list(state.changes),
        fix="Move your changed files elsewhere and delete the folder, then start this again.", where=str(target),
        why=state.reason or "",
    )  # fmt: skip


def _is_whole(folder: Path, pin: SourcePin) -> bool:
    return state_of(folder, pin).state is SourceState.OK


def _fetch(errand: Errand, pristine: Path, given: str | None) -> None:
    """The pinned tree into the cache: aside, verified, then renamed."""
    errand.work.mkdir(parents=True)
    try:
        if given:
            _from_given(errand, given)
            _verify(errand.code, errand.pin)
        else:
            _from_pin(errand)
        sync_tree(errand.code)
        replace(errand.code, pristine)
    finally:
        remove_tree(errand.work)


def _from_pin(errand: Errand) -> None:
    """From the trainer's own places: git where there is one, and the zip file when that fails."""
    pin = errand.pin

    def git() -> None:
        origins.by_git(errand, pin.git)
        _verify(errand.code, pin)

    def packed() -> None:
        origins.by_zip(errand, pin.zip)
        _verify(errand.code, pin)

    ways = {"by git": git, "as a zip file": packed}
    if isinstance(errand.git, str):
        errand.commands.log.write(f"{errand.git}: the zip file is fetched instead")
        del ways["by git"]
    fix = (
        f"Check the network connection, or download {pin.zip} in a browser and give that file: --source FILE"
    )
    origins.one_after_another(errand, ways, fix=fix)


def _from_given(errand: Errand, given: str) -> None:
    """What the user named: a folder, a file, or an address."""
    path = local_path(given)
    place = path.expanduser() if path is not None else None
    if place is not None and place.is_dir():
        origins.from_folder(errand, place)
    elif place is not None and place.is_file():
        errand.tell(f"Unpacking {place.name}")
        unpack(place, errand.code, without=errand.pin.omitted)
    elif place is None or origins.SCP.match(given):
        origins.by_address(errand, given)
    else:
        raise InstallError(
            "The given source of the trainer's code does not exist.",
            fix="Give a folder, a zip file, or the address of a mirror.", where=redact(given),
        )  # fmt: skip


def _verify(code: Path, pin: SourcePin) -> None:
    found = tree_of(code, pin) if code.is_dir() else "nothing"
    if found == pin.tree:
        return
    raise InstallError(
        "This is not the pinned version of the trainer.",
        why=f"Its files have the git tree {found} instead of {pin.tree}: another version, or changed files.",
        fix=f"Get the files of commit {pin.commit} ({pin.ref}): {pin.zip}",
    )


def _copy(pristine: Path, target: Path, pin: SourcePin) -> None:
    """A copy under its final name only when it is whole."""
    aside = target.with_name(f".{target.name}.copying")
    remove_tree(aside)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(pristine, aside, ignore=shutil.ignore_patterns(*git_tree.IGNORED))
        _verify(aside, pin)
        sync_tree(aside)
        if target.is_dir():
            target.rmdir()  # empty: looked at above
        replace(aside, target)
    finally:
        remove_tree(aside)

"""Downloads that outlive everything: they go on after a drop, a stall, a kill, and count only when verified.

uv and pip begin a broken download of 2.5 GB anew (install facts, section 3.3); this is for the big files.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from launcher.errors import InstallError, LauncherError
from launcher.files import lock
from launcher.install.download import Download, Patience, Remote, problem_of
from launcher.install.part import Part, disk_error
from launcher.install.secret import redact
from launcher.install.trouble import WebError
from launcher.install.web import Page, on_this_computer, read_page, size_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.install.commands import Log
    from launcher.install.index import PipSettings
    from launcher.install.steps import Tell

__all__ = ["Page", "Patience", "Remote", "WebError", "fetch", "read_page", "size_of"]


def fetch(
    remote: Remote,
    folder: Path,
    *,
    settings: PipSettings,
    tell: Tell,
    log: Log | None = None,
    headers: Mapping[str, str] | None = None,
    before: int = 0,
    whole: int | None = None,
    patience: Patience | None = None,
) -> Path:
    """Bring a file into `folder`, verified; what lies there already (whole or in part) is not asked for again.

    A file of this computer is verified and used where it is.

    Args:
        remote: what to bring.
        folder: where to; `NAME.part` there goes on in the next call, whoever makes it.
        settings: proxy, certificates, patience as pip is told.
        tell: progress, at most ten times a second.
        log: what was asked and answered.
        headers: sent along; `Authorization` to the first host only.
        before: bytes of a larger progress that came before this file.
        whole: bytes of that progress.
        patience: see there.

    Raises:
        WebError: no connection, or the server refuses (what has come stays).
        InstallError: the file is not the right one (nothing of it stays), or the drive is full.
    """
    place = on_this_computer(remote.url, f"{remote.name} could not be downloaded.")
    if place is not None:
        return _in_place(place, remote)
    if not remote.name or set(remote.name) & set('/\\:\0"*?<>|') or remote.name.startswith("."):
        raise InstallError(f"`{redact(remote.name)}` is not a name for a file.", where=redact(remote.url))
    target = folder / remote.name
    part = Part(target, url=redact(remote.url), sha256=remote.sha256 and remote.sha256.lower())
    download = Download(
        remote, part, settings=settings, tell=tell, log=log, headers=headers or {}, before=before, whole=whole,
        patience=patience or Patience(),
    )  # fmt: skip
    try:
        with ExitStack() as stack:
            _take_turn(stack, folder / ".locks" / remote.name, download)
            if target.is_file():
                if problem_of(target, remote) is None:
                    part.discard()
                    return target
                target.unlink()
            download.run()
    except OSError as error:  # of the drive: those of the network are words already
        raise disk_error(error, remote.name, folder) from error
    return target


def _in_place(place: Path, remote: Remote) -> Path:
    try:
        problem = problem_of(place, remote)
    except OSError as error:
        raise InstallError(
            f"{remote.name} cannot be read.", why=error.strerror or str(error), where=str(place)
        ) from error
    if problem:
        raise InstallError(
            f"{remote.name} is not the file that it should be.", why=problem,
            fix="Replace it by a fresh copy, or remove it so that it is downloaded.", where=str(place),
        )  # fmt: skip
    return place


def _take_turn(stack: ExitStack, path: Path, download: Download) -> None:
    """Wait while another window downloads the same file; its progress is shown meanwhile."""
    while True:
        try:
            stack.enter_context(lock(path, timeout_s=0.5, busy=""))
        except LauncherError:
            download.watch()
        else:
            return

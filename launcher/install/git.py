"""The real git, used for one thing: the files of one commit, exactly as they are stored.

Nothing of a repository may act on this computer: no hook, no filter, no submodule, no question on the terminal. The
user's own configuration counts where it is about the way to the server (proxy, certificates, passwords).
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from launcher.errors import InstallError, LauncherError
from launcher.install.secret import redact
from launcher.install.trouble import NETWORK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.install.commands import Commands
    from launcher.install.pins import SourcePin
    from launcher.install.steps import Tell
    from launcher.process import Finished

OLDEST = (2, 20)
KNOWS_VARIABLES = (2, 31)  # GIT_CONFIG_COUNT: the only way to hand over a password that no other user can see
ASK_TIMEOUT_S = 30.0
STALL_S = 30.0
SLOW_BYTES_S = 1000  # less than this for STALL_S is a dead connection
FETCH_TIMEOUT_S = 1800.0  # for protocols that know no stall
REFUSED_ID = ("unadvertised object", "not our ref", "couldn't find remote ref", "no such remote ref")
# Wins over the .gitattributes of the tree: the files come out as they are stored. `!` is "as if nobody had said a
# word": git takes a plain `-working-tree-encoding` for a mistake.
ATTRIBUTES = "* -text -ident -export-subst -export-ignore !eol !filter !working-tree-encoding\n"
CONFIGURATION = (
    "core.autocrlf=false",
    "core.eol=lf",
    "core.longpaths=true",
    "core.symlinks=false",
    f"core.hooksPath={os.devnull}",
    f"core.attributesFile={os.devnull}",
    "core.fsmonitor=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "protocol.ext.allow=never",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
)
FOREIGN = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE", "GIT_COMMON_DIR", "GIT_CEILING_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_TEMPLATE_DIR", "GIT_EXTERNAL_DIFF",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Git:
    """A git that was found, and how patient it shall be."""

    program: Path
    version: tuple[int, int]
    commands: Commands
    stall_s: float = STALL_S
    timeout_s: float = FETCH_TIMEOUT_S

    def fetch(self, url: str, pin: SourcePin, work: Path, tell: Tell) -> Path:
        """The pinned tree as a zip file in `work`, from a repository.

        Raises:
            InstallError: it cannot be reached, or does not have the commit.
        """
        repository = self._make(work)
        changes, flags = self._remote(url)
        fetch = [*flags, "fetch", "--no-tags", "--no-recurse-submodules", "--progress"]
        finished = self._call(repository, [*fetch, "--depth=1", "source", pin.commit], tell, changes)
        if finished.code and any(sign in finished.output.lower() for sign in REFUSED_ID):
            # Old servers give what a name points to and nothing else; a branch may have moved on.
            for depth in ("--depth=1", "--unshallow"):
                finished = self._call(repository, [*fetch, depth, "source", pin.ref], tell, changes)
                if finished.code or self._has(repository, pin):
                    break
        if finished.code:
            raise InstallError(
                "git could not fetch the trainer's code.", why=_last_words(finished.output), fix=NETWORK,
                where=redact(url),
            )  # fmt: skip
        return self.pack(repository, pin, url)

    def take(self, objects: Path, pin: SourcePin, work: Path) -> Path | None:
        """The same from the objects of a repository on this computer, which is only read; None: it lacks the commit."""
        repository = self._make(work)
        (repository / "objects" / "info" / "alternates").write_text(
            f"{objects.as_posix()}\n", encoding="utf-8"
        )
        try:
            return self.pack(repository, pin, str(objects)) if self._has(repository, pin) else None
        except InstallError:  # a partial clone, which lacks some files
            return None

    def pack(self, repository: Path, pin: SourcePin, place: str) -> Path:
        """The pinned tree of a repository as a zip file beside it."""
        tree = self._call(repository, ["rev-parse", "--verify", "--quiet", f"{pin.commit}^{{tree}}"])
        if tree.output.strip() != pin.tree:
            raise InstallError(
                "The repository does not have the pinned version of the trainer.",
                why=f"Commit {pin.commit} is not in it (looked for by its id, then in `{pin.ref}`).",
                fix="Name the original repository, or a mirror that is up to date.",
                where=redact(place),
            )
        packed = repository.parent / "code.zip"
        words = ["archive", "--format=zip", "-1", "--prefix=code/", f"--output={packed}", pin.tree]
        finished = self._call(repository, words)
        if finished.code:
            raise InstallError(
                "git could not write out the trainer's code.", why=_last_words(finished.output)
            )
        return packed

    def _make(self, work: Path) -> Path:
        """An empty repository of our own: no template, so no hooks."""
        repository = work / "repository"
        words = [str(self.program), "init", "--quiet", "--bare", "--template=", str(repository)]
        self.commands.need(
            self.commands.call(words, self._environment(), timeout_s=ASK_TIMEOUT_S), "git does not work."
        )
        info = repository / "info"
        info.mkdir(exist_ok=True)
        (info / "attributes").write_text(ATTRIBUTES, encoding="utf-8")
        (repository / "objects" / "info").mkdir(parents=True, exist_ok=True)
        return repository

    def _has(self, repository: Path, pin: SourcePin) -> bool:
        return self._call(repository, ["cat-file", "-e", f"{pin.commit}^{{tree}}"]).code == 0

    def _remote(self, url: str) -> tuple[dict[str, str | None], list[str]]:
        """Environment changes and flags that name the remote: with a password never on the command line."""
        if url.startswith("-"):
            raise InstallError(f"`{url}` is not an address.")
        if "@" not in urlsplit(url).netloc:
            return {}, ["-c", f"remote.source.url={url}"]
        if self.version < KNOWS_VARIABLES:
            raise InstallError(
                "This git is too old for an address with a password.",
                why=f"Every user of this computer could read the password (git {self.version[0]}.{self.version[1]}).",
                fix="Install git 2.31 or newer, or leave the password away and let git's credential helper give it.",
            )
        count = os.environ.get("GIT_CONFIG_COUNT", "")
        number = int(count) if count.isdecimal() else 0
        return {
            "GIT_CONFIG_COUNT": str(number + 1),
            f"GIT_CONFIG_KEY_{number}": "remote.source.url",
            f"GIT_CONFIG_VALUE_{number}": url,
        }, []

    def _call(
        self,
        repository: Path,
        words: Sequence[str],
        tell: Tell | None = None,
        changes: dict[str, str | None] | None = None,
    ) -> Finished:
        settings = [f"http.lowSpeedLimit={SLOW_BYTES_S}", f"http.lowSpeedTime={max(1, round(self.stall_s))}"]
        flags = [word for setting in (*CONFIGURATION, *settings) for word in ("-c", setting)]
        argv = [str(self.program), *flags, f"--git-dir={repository}", *words]

        def show(line: str) -> None:
            if tell and "%" in line:
                tell(f"git: {line.strip()}")

        try:
            return self.commands.call(
                argv, {**self._environment(), **(changes or {})}, show, timeout_s=self.timeout_s
            )
        except LauncherError as error:
            raise InstallError(
                "git could not fetch the trainer's code.",
                why=f"It was not done after {self.timeout_s:.0f} s: the server has stopped sending.", fix=NETWORK,
            ) from error  # fmt: skip

    def _environment(self) -> dict[str, str | None]:
        changes: dict[str, str | None] = {
            **dict.fromkeys(FOREIGN),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",  # and so neither core.askPass nor SSH_ASKPASS
            "GCM_INTERACTIVE": "never",  # git for Windows would open a window
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
            "GIT_DEFAULT_HASH": "sha1",
            "LC_ALL": "C",  # its words are read
        }
        if not {"GIT_SSH_COMMAND", "GIT_SSH"} & os.environ.keys():
            changes["GIT_SSH_COMMAND"] = "ssh -oBatchMode=yes -oConnectTimeout=30"
        settings, present = self.commands.settings, {name.lower() for name in os.environ}
        if settings.proxy and not {"http_proxy", "https_proxy", "all_proxy"} & present:
            changes |= dict.fromkeys(("http_proxy", "https_proxy"), settings.proxy)
        if settings.cert and "git_ssl_cainfo" not in present and Path(settings.cert).is_file():
            changes["GIT_SSL_CAINFO"] = settings.cert
        return changes


def find_git(
    commands: Commands, *, stall_s: float = STALL_S, timeout_s: float = FETCH_TIMEOUT_S
) -> Git | str:
    """A git that works and is new enough, or why there is none."""
    program = _on_path("git.exe" if os.name == "nt" else "git")
    if program is None:
        return "git is not installed"
    try:
        if sys.platform == "darwin" and program == Path("/usr/bin/git"):
            # Without Apple's tools this is a stub that opens a window.
            if commands.call(["/usr/bin/xcode-select", "-p"], timeout_s=ASK_TIMEOUT_S).code:
                return "git is not installed"
        said = commands.call([str(program), "--version"], timeout_s=ASK_TIMEOUT_S).output
    except LauncherError as error:
        return f"git does not work: {error.what}"
    found = re.search(r"git version (\d+)\.(\d+)", said)
    if not found:
        return f"git does not work: {said.strip()[:200]}"
    version = (int(found[1]), int(found[2]))
    if version < OLDEST:
        return f"git {version[0]}.{version[1]} is too old (2.20 is needed)"
    return Git(program=program, version=version, commands=commands, stall_s=stall_s, timeout_s=timeout_s)


def _on_path(name: str) -> Path | None:
    """A program of the PATH, never of the current folder: `shutil.which` would look there first on Windows."""
    for place in os.get_exec_path():
        folder = Path(place)
        if folder.is_absolute() and folder != Path.cwd():
            program = folder / name
            if program.is_file() and os.access(program, os.X_OK):
                return program
    return None


def _last_words(output: str) -> str:
    """What git says about a failure, without its progress."""
    lines = [line for line in output.splitlines() if line.startswith(("fatal:", "error:", "remote:", "ssh:"))]
    return "\n".join((lines or output.strip().splitlines() or ["git said nothing"])[-6:])

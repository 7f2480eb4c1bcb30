"""One file on its way from a server: connections in turn until it is whole and verified."""

from __future__ import annotations

import http.client
import re
import time
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import InstallError
from launcher.files import sha256_of
from launcher.install.secret import redact
from launcher.install.trouble import NETWORK, WebError, from_exception, from_status
from launcher.install.web import Answer, open_url

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from launcher.install.commands import Log
    from launcher.install.index import PipSettings
    from launcher.install.part import Part
    from launcher.install.steps import Tell

TELL_S = 0.1
ZIPS = (".whl", ".zip")
CONTENT_RANGE = re.compile(r"bytes (?:(?P<start>\d+)-\d+|\*)/(?P<total>\d+|\*)")
MANGLED = (
    "Something between the server and here changes files (a company filter, a login page of the network, a virus "
    "scanner), or the server's copy is damaged: try another network, or name another server. Nothing of it was kept."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """A file on a server, or at a path of this computer."""

    url: str
    name: str  # what it is called here
    sha256: str | None = None
    size: int | None = None  # bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long a download is kept alive."""

    stall_s: float | None = None  # without a byte: connect again; None: pip's time-out, else 30 s
    tries: int | None = None  # in a row without progress; None: pip's retries, else 5
    first_wait_s: float = 1.0  # doubles with each try
    longest_wait_s: float = 30.0


class WrongFileError(Exception):
    """The server has another file than the one wanted: known before all of it came."""


class Download:
    """One file on its way: connections in turn until it is whole."""

    def __init__(
        self, remote: Remote, part: Part, *, settings: PipSettings, tell: Tell, log: Log | None,
        headers: Mapping[str, str], before: int, whole: int | None, patience: Patience,
    ) -> None:  # fmt: skip
        self.remote = remote
        self.part = part
        self.settings = settings
        self.headers = dict(headers)
        self.patience = patience
        self.what = f"{remote.name} could not be downloaded."
        self.total = remote.size  # bytes of the file, as soon as anybody tells
        self._say, self._log, self._before, self._whole = tell, log, before, whole
        self._told = 0.0

    def run(self) -> None:
        """Until the file has its name.

        Raises:
            InstallError: it cannot be had, or is wrong twice.
        """
        self._tell(f"Looking at what has come of {self.remote.name}")
        self.part.load()
        for is_last in (False, True):
            try:
                self._bring()
                problem = problem_of(self.part.path, self.remote, sha256=self.part.digest)
            except WrongFileError as error:
                problem = str(error)
            if problem is None:
                self.part.finish()
                return
            self.part.discard()
            self.total = self.remote.size
            self._note(f"wrong: {problem}")
            if is_last:
                raise InstallError(
                    f"{self.remote.name} is not the file that it should be.",
                    why=f"{problem} A second download was wrong too.", fix=MANGLED, where=redact(self.remote.url),
                )  # fmt: skip
            self.headers.setdefault("Cache-Control", "no-cache")  # a proxy's copy may be the damaged one

    def _bring(self) -> None:
        """Connect until all has come. Tries without progress are counted, others are free."""
        tries = self.patience.tries or (5 if self.settings.retries is None else self.settings.retries + 1)
        most, failures = self.part.size, 0
        while True:
            try:
                self._connect()
            except WebError as error:
                failures = 1 if self.part.size > most else failures + 1
                most = max(most, self.part.size)
                self._note(error.why)
                if not error.passes or failures >= tries:
                    raise
                wait_s = min(self.patience.first_wait_s * 2 ** (failures - 1), self.patience.longest_wait_s)
                self._tell(f"{error.why} Trying again", always=True)
                time.sleep(max(wait_s, error.wait_s))
            else:
                return

    def _connect(self) -> None:
        """One connection: ask for what is missing, and take it."""
        part, headers = self.part, dict(self.headers)
        if part.size and (
            not part.can_go_on or (self.remote.size is not None and part.size > self.remote.size)
        ):
            part.discard()
        if self.remote.size is not None:
            if part.size and part.size == self.remote.size:
                return
            part.need_space(self.remote.size)
        if part.size:
            headers["Range"] = f"bytes={part.size}-"
            if part.validator:
                headers["If-Range"] = part.validator
        self._note(f"GET {self.remote.url} from byte {part.size}")
        with open_url(
            self.remote.url, what=self.what, settings=self.settings, headers=headers, stall_s=self.patience.stall_s
        ) as answer:  # fmt: skip
            self._note(f"{answer.code} {redact(answer.url)}, {answer.length} bytes")
            if answer.code == 416 and part.size:
                self._past_the_end(answer)
            elif answer.code in {200, 206}:
                self._agree(answer)
                self._take(answer)
            else:
                raise from_status(self.what, answer.code, answer.headers, answer.url)

    def _past_the_end(self, answer: Answer) -> None:
        """The server has nothing behind what we have: either that is all, or its file is another one now."""
        found = CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
        total = found["total"] if found else "*"
        if total == str(self.part.size) or (total == "*" and self.remote.sha256):
            return
        self.part.discard()
        raise self._changed(answer)

    def _agree(self, answer: Answer) -> None:
        """Does the answer continue what we have? If not, all begins anew."""
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise WebError(self.what, why="The server compresses the file on its way: it could not be verified.", fix="Name another server (a mirror).", where=redact(answer.url))  # fmt: skip
        validator = _validator(answer)
        if answer.code == 200:
            self.total = answer.length if answer.length is not None else self.remote.size
            self.part.begin(validator)
        else:
            found = CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
            is_next = found is not None and found["start"] == str(self.part.size)
            if not is_next or (self.part.validator and validator and validator != self.part.validator):
                self.part.discard()
                raise self._changed(answer)
            if found is not None and found["total"] != "*":
                self.total = int(found["total"])
        if self.remote.size is not None and self.total != self.remote.size:
            raise WrongFileError(f"The server's file has {self.total} bytes instead of {self.remote.size}.")
        if self.total is not None:
            self.part.need_space(self.total)

    def _changed(self, answer: Answer) -> WebError:
        return WebError(
            self.what, why="The file on the server changed in the meantime.", fix=NETWORK,
            where=redact(answer.url), passes=True,
        )  # fmt: skip

    def _take(self, answer: Answer) -> None:
        part = self.part
        with part.open() as stream:
            while self.total is None or part.size < self.total:
                try:
                    block = answer.read()
                except (OSError, http.client.HTTPException) as error:
                    raise from_exception(self.what, error, answer.url) from error
                if not block:
                    break
                part.append(stream, block)
                self._tell(f"Downloading {self.remote.name}")
        if self.total is not None and part.size < self.total:
            cut = ConnectionError(f"it was cut after {part.size} of {self.total} bytes")
            raise from_exception(self.what, cut, answer.url)
        if self.total is None and part.size == 0:  # also what a cut within the headers looks like
            raise from_exception(self.what, ConnectionError("it was cut before the first byte"), answer.url)
        self._tell(f"Downloading {self.remote.name}", always=True)

    def watch(self) -> None:
        """Show how far another window is."""
        here = self.part.path.stat().st_size if self.part.path.exists() else 0
        self._tell(f"Another window is downloading {self.remote.name}", here=here)

    def _tell(self, words: str, *, here: int | None = None, always: bool = False) -> None:
        now = time.monotonic()
        if not always and now - self._told < TELL_S:
            return
        self._told = now
        whole = self._whole or (None if self.total is None else self._before + self.total)
        self._say(words, done=self._before + (self.part.size if here is None else here), total=whole)

    def _note(self, text: str) -> None:
        if self._log:
            self._log.write(redact(text))


def _validator(answer: Answer) -> str | None:
    """What tells two versions of a file apart: a weak ETag does not."""
    etag = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified")


def problem_of(path: Path, remote: Remote, *, sha256: str | None = None) -> str | None:
    """Why a whole file is not the one wanted, or None; `sha256` where it is known already."""
    size = path.stat().st_size
    if remote.size is not None and size != remote.size:
        return f"It has {size} bytes instead of {remote.size}.{_looks_like(path)}"
    if remote.sha256:
        found = sha256 or sha256_of(path)
        if found != remote.sha256.lower():
            return f"Its SHA-256 is {found} instead of {remote.sha256.lower()}.{_looks_like(path)}"
    elif path.name.removesuffix(".part").endswith(ZIPS):  # the checksums inside are better than nothing
        try:
            with zipfile.ZipFile(path) as archive:
                broken = archive.testzip()
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            return f"It is not a whole zip file ({error}).{_looks_like(path)}"
        return f"{broken} inside it is damaged." if broken else None
    return None


def _looks_like(path: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(256).lstrip().lower()
    is_page = start.startswith((b"<!doctype html", b"<html"))
    return " It is a web page: the network or the server sent that instead of the file." if is_page else ""

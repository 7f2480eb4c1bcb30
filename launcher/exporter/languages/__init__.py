"""The languages of a script: modules with the same few names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from launcher.exporter.languages import bash, batch, line, powershell

if TYPE_CHECKING:
    from launcher.exporter.script import Script


class Language(Protocol):
    """What each module has."""

    SUFFIX: str  # of the file
    CODEC: str  # how it is saved
    NEWLINE: str
    IS_WINDOWS: bool

    def why_not(self, text: str) -> str:
        """Why a text cannot be written in this language so that it arrives as it is; empty: it can."""

    def render(self, script: Script) -> str:
        """The whole file, with plain line ends."""


LANGUAGES: dict[str, Language] = {"ps1": powershell, "bat": batch, "sh": bash, "accelerate": line}

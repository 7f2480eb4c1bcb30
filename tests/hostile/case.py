"""One hostile input."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """`build` makes it in an empty folder and returns the path that a user would name; `says`: words of the verdict."""

    name: str
    build: Callable[[Path], Path]
    says: str = ""  # "": it is fine, nothing is said
    severity: str = "error"

    def __str__(self):
        return self.name


def file_of(name, raw):
    """A builder of one file."""

    def build(folder):
        path = folder / name
        path.write_bytes(raw() if callable(raw) else raw)
        return path

    return build


def pipe_of(name):
    """A named pipe that nobody writes to: who opens it waits for ever."""

    def build(folder):
        if not hasattr(os, "mkfifo"):
            pytest.skip("no pipes in folders here")
        os.mkfifo(folder / name)
        return folder / name

    return build


def socket_of(name):
    """A socket's file; the socket itself is closed again."""

    def build(folder):
        if not hasattr(socket, "AF_UNIX"):
            pytest.skip("no sockets in folders here")
        here = Path.cwd()
        os.chdir(folder)  # a socket's path may have 100 characters
        try:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(name)
        finally:
            os.chdir(here)
        return folder / name

    return build


def link_to(name, target):
    """A symbolic link, of a file that never ends or of itself."""

    def build(folder):
        try:
            (folder / name).symlink_to(target)
        except OSError:
            pytest.skip("no links here")
        return folder / name

    return build


def folder_of(name):
    """A folder with the name of a file."""

    def build(folder):
        (folder / name).mkdir()
        return folder / name

    return build

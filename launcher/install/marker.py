# ruff: noqa: PTH110, PTH112, PTH118, PTH123  (pathlib would cost the fast path more than all the rest of it)
"""How setup_env.py knows that `.venv` is ready: a text that must be equal to what it would be now.

Only `os` is imported: this runs at every start.
"""

import os

VERSION = b"launcher environment 1"
REQUIREMENTS = b"\n-- requirements\n"
MARKER = "launcher-ready"  # written last: without it the environment is half made
OURS = "launcher-made"  # written first: what we made we may remove; a `.venv` of others we only add to


def venv_of(root: str) -> str:
    return os.path.join(root, ".venv")


def python_of(venv: str) -> str:
    """The environment's interpreter (as paths.venv_python, without pathlib)."""
    return (
        os.path.join(venv, "Scripts", "python.exe")
        if os.name == "nt"
        else os.path.join(venv, "bin", "python")
    )


def expected(root: str) -> "bytes | None":
    """What the marker must say: place, interpreter and requirements. None when the environment cannot work.

    The interpreter counts with its real path: after an upgrade of the system's Python the same link leads to
    another version, whose packages are not ours. Of pyproject.toml only what stands before the tool settings
    counts: changed lint rules need no new environment.
    """
    venv = venv_of(root)
    python = python_of(venv)
    try:
        config = _read(os.path.join(venv, "pyvenv.cfg"))
        project = _read(os.path.join(root, "pyproject.toml"))
    except OSError:
        return None
    if not os.path.exists(python) or not _has_base(config):
        return None
    head = project.replace(b"\r\n", b"\n").split(b"\n[tool.", 1)[0]
    place = b"\n".join([VERSION, os.fsencode(root), os.fsencode(os.path.realpath(python)), config])
    return place + REQUIREMENTS + head


def without_requirements(text: bytes) -> bytes:
    """The part of a marker that cannot change without making the environment anew: its place and its Python."""
    return text.split(REQUIREMENTS, 1)[0]


def is_ready(root: str) -> bool:
    """Whether `.venv` is complete and made for this place, this Python and these requirements."""
    try:
        return _read(os.path.join(venv_of(root), MARKER)) == expected(root)
    except OSError:
        return False


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _has_base(config: bytes) -> bool:
    """Whether the Python that the environment was made from is still there (its folder is `home`)."""
    for line in config.splitlines():
        key, _, value = line.partition(b"=")
        if key.strip() == b"home":
            return os.path.isdir(os.fsdecode(value.strip()))
    return False

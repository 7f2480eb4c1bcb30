"""Provokes real failures of uv, pip, git and Python and writes what they say into this folder.

    .venv/bin/python tests/sayings/record.py [part of a name ...]

Linux, as root (it mounts tmpfs of 1 MB and read-only folders under /tmp), with openssl, strace, gcc and unshare. The
only network is loopback. The variable EXTRAS names a folder with what must be fetched before: `pip/` (`pip download
--no-deps pip setuptools wheel packaging`), `cv/` and `bnb/` (opencv-python-headless 4.7.0.68 and bitsandbytes 0.44.0, with
setuptools, as `pip install --no-deps --target` puts them), `accelerate/0.25.0`, `0.30.0` and `1.6.0` (likewise); REAL an
environment with torch 2.5.1 for CUDA, torchvision 0.20.1 and xformers 0.0.29.post1.

The files it writes are the fixtures of tests/test_explain.py; refresh them when the tools change. Those in `quoted/` cannot
be provoked on Linux without a card: their heads name the thread that they are from.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(ROOT)]

from servers import serve  # noqa: E402

from launcher.process import show  # noqa: E402
from tests.tiny_wheels import make_wheel  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

UV = ROOT / ".venv" / "bin" / "uv"
EXTRAS = Path(os.environ.get("EXTRAS", "/tmp/extras"))
PYTHONS = Path(os.environ.get("PYTHONS", Path.home() / ".pyenv" / "versions"))
SAYINGS: dict[str, tuple[str, Callable[[Bench], object]]] = {}
PYTHON = PYTHONS / "3.12.1" / "bin" / "python"


def saying(expect: str) -> Callable[[Callable[[Bench], object]], Callable[[Bench], object]]:
    """Register a recording by its function's name: `uv_dns` becomes uv-dns.txt."""

    def register(record: Callable[[Bench], object]) -> Callable[[Bench], object]:
        SAYINGS[record.__name__.replace("_", "-")] = (expect, record)
        return record

    return register


class Bench:
    """A scratch folder with what most recordings need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venv = folder / "venv"
        self.host = ""
        self.output = ""
        self.how = ""
        self.code = 0

    def env(self, changes: dict[str, str] | None = None) -> dict[str, str]:
        keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        ours = {
            "HOME": str(self.folder / "home"),
            "UV_CACHE_DIR": str(self.folder / "cache"),
            "UV_NO_CONFIG": "1",
            "UV_HTTP_RETRIES": "0",
            "UV_PYTHON_DOWNLOADS": "never",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_CACHE_DIR": str(self.folder / "pipcache"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "NO_PROXY": "",
        }
        return {**keep, **ours, **(changes or {})}

    def run(self, argv: Sequence[object], *, how: str = "", cwd: Path | None = None, **env: str) -> str:
        """The command whose words are recorded."""
        words = [str(word) for word in argv]
        done = subprocess.run(
            words, cwd=cwd or self.folder, env=self.env(env), stdin=subprocess.DEVNULL, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=300,
        )  # fmt: skip
        self.output, self.code = done.stdout, done.returncode
        extra = " ".join(f"{name}={value}" for name, value in env.items())
        self.how = f"{extra} {show(words)}".strip() + (f"; {how}" if how else "")
        return self.output

    def quietly(self, argv: Sequence[object], *, cwd: Path | None = None, **env: str) -> None:
        """A command that prepares something and has to succeed."""
        subprocess.run(
            [str(word) for word in argv], cwd=cwd or self.folder, env=self.env(env), check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def uv(self, *words: object, index: str = "", how: str = "", **env: str) -> None:
        """`uv pip install`."""
        if not self.venv.exists():
            self.quietly([UV, "venv", "-p", PYTHON, self.venv])
        index = index or f"http://{self.host}/simple/"
        command = [UV, "pip", "install", "-p", self.venv, "--index-url", index]
        self.run([*command, *words], how=how, **env)

    def pip(self, *words: object, index: str = "", how: str = "", **env: str) -> None:
        if not self.venv.exists():
            self.quietly([PYTHON, "-m", "venv", self.venv])
        index = index or f"http://{self.host}/simple/"
        command = [
            self.venv / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--no-input",
            "--retries",
            "1",
            "--index-url",
            index,
        ]
        self.run([*command, *words], how=how, **env)

    @contextmanager
    def small_disk(self, name: str, options: str = "size=1m") -> Iterator[Path]:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)

    def wheel(self, name: str = "six", version: str = "1.0", **more: object) -> Path:
        return make_wheel(self.folder / "wheels", name, version, **more)  # type: ignore[arg-type]

    @contextmanager
    def index(self, *wheels: Path, names: dict[str, str] | None = None, cert: Path | None = None, fragment: str = "", change: Callable[[bytes], bytes] | None = None) -> Iterator[None]:  # fmt: skip
        """An index with these wheels; `names` gives some another file name, `change` damages them on the way."""
        files: dict[str, bytes] = {}
        for wheel in wheels:
            name = (names or {}).get(wheel.name, wheel.name)
            project = f"/simple/{name.split('-')[0].replace('_', '-')}/"
            told = 'data-dist-info-metadata="true"' if change and b"CUT-HERE" in change(b"..") else ""
            link = f'<a {told} href="/files/{name}{fragment}">{name}</a><br>'.encode()
            files[project] = files.get(project, b"<!DOCTYPE html><html><body>") + link
            body = wheel.read_bytes()
            files[f"/files/{name}"] = change(body) if change else body
            version = name.split("-")[1]
            files[f"/files/{name}.metadata"] = (
                f"Metadata-Version: 2.1\nName: {name.split('-')[0]}\nVersion: {version}\n".encode()
            )
        with serve(files, cert) as self.host:
            yield

    def sdist(
        self, name: str, setup: str, *, requires: str = "", backend: str = "setuptools.build_meta"
    ) -> Path:
        import io
        import tarfile

        path = self.folder / "wheels" / f"{name}-1.0.tar.gz"
        path.parent.mkdir(exist_ok=True)
        contents = {
            "setup.py": setup,
            "pyproject.toml": f'[build-system]\nrequires = [{requires}]\nbuild-backend = "{backend}"\n',
            "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            "spam.c": "#include <Python.h>\nint broken = ;\n",
        }
        with tarfile.open(path, "w:gz") as archive:
            for file, text in contents.items():
                entry = tarfile.TarInfo(f"{name}-1.0/{file}")
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        return path

    def neutral(self, text: str) -> str:
        """Without this machine in it."""
        import re

        text = text.replace(str(self.folder), "/home/user/launcher").replace(
            str(ROOT / ".venv" / "bin"), "/home/user/bin"
        )
        text = text.replace("/tmp/real/", "/home/user/launcher/vendor/real/venv/").replace(
            str(EXTRAS), "/home/user"
        )
        text = text.replace(str(PYTHONS), "/opt").replace(str(ROOT), "/home/user/launcher")
        if self.host:
            text = text.replace(self.host, "index.test").replace(
                f"host='127.0.0.1', port={self.host.split(':')[1]}", "host='index.test', port=443"
            )
        text = re.sub(r"/tmp/pip-[\w-]+", "/tmp/pip-scratch", text)
        return re.sub(r"0x[0-9a-f]{9,16}", "0x7f0000000000", text)


# --- recordings are in the modules record_*.py beside this one


def main() -> None:
    for module in sorted(HERE.glob("record_*.py")):  # they register themselves
        importlib.import_module(module.stem)

    parts = sys.argv[1:]
    for name, (expect, record) in SAYINGS.items():
        if parts and not any(part in name for part in parts):
            continue
        folder = Path(tempfile.mkdtemp(prefix="say-", dir="/tmp"))
        bench = Bench(folder)
        (folder / "home").mkdir()
        try:
            record(bench)
            header = f"expect: {expect}\nhow: {bench.neutral(bench.how)}\ncode: {bench.code}\n----\n"
            lines = bench.neutral(bench.output).splitlines()
            body = "\n".join(line.rstrip() for line in lines)
            (HERE / f"{name}.txt").write_text(f"{header}{body.rstrip()}\n", encoding="utf-8")
            sys.stdout.write(f"{name}: code {bench.code}, {len(lines)} lines\n")
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stdout", b"") or b""
            sys.stdout.write(f"{name}: NOT RECORDED: {error} {said[-500:]!r}\n")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.modules["record"] = sys.modules["__main__"]
    main()

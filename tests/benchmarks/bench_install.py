"""A whole CPU install, ours (wheels fetched by ourselves, uv) against the guide's sequence of pip commands.

    python tests/benchmarks/bench_install.py [--small] [--requirements FILE] [--folder FOLDER] [--xformers] [--first-start]

Full: torch 2.5.1 and torchvision 0.20.1 as the configured index has them (on Linux the CUDA build, 2.9 GB; it runs on a
CPU too) with sd-scripts' requirements; `--requirements` names the file of a checkout. `--small`: the rehearsal's torch
(CPU) and packages, about 0.3 GB. Both ways use the Python that runs this, the same machine and the same index: the one
that pip is configured for. Cold: empty caches. Warm: a second environment, with the caches of the first.

The guide's sequence is `python -m venv`, `pip install torch torchvision` in the right versions, `pip install --upgrade
-r requirements.txt` (its `-e .` left out, as by us), and with `--xformers` the one that fits. Literally followed it
would fetch another torch of 2.8 GB (tests/test_right_set.py), which would not be a fair race. `--first-start` adds how
long the first import of the heavy packages takes: pip compiles all files while it installs, we compile four packages.

Not part of the suite: it needs a network and, in full, 25 GB of room.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from launcher.install.commands import Commands, Log  # noqa: E402  (the path comes first)
from launcher.install.default_index import with_index  # noqa: E402
from launcher.install.engine import choose_engine, compile_bytecode  # noqa: E402
from launcher.install.index import base_python, read_pip_settings  # noqa: E402
from launcher.install.lock import HASH, lines  # noqa: E402
from launcher.install.pins import TorchSet  # noqa: E402
from launcher.install.wheels import download_of, fetch_wheels, find_wheels  # noqa: E402
from launcher.paths import venv_python  # noqa: E402
from launcher.process import environment, run  # noqa: E402

LOCKS = ROOT / "vendor" / "locks"
HEAVY = ("torch", "transformers", "diffusers", "accelerate")
FULL = ("torch==2.5.1", "torchvision==0.20.1")
SMALL = ("torch==2.13.0+cpu",)
XFORMERS = "xformers==0.0.29.post1"
VERSION = sys.version_info[:2]


class Race:
    """One folder with the caches of both ways and an environment of each."""

    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.packages = SMALL if options.small else (*FULL, *([XFORMERS] if options.xformers else []))
        self.lock = LOCKS / ("rehearsal-cpu.txt" if options.small else "sd-scripts-cpu.txt")
        cache = folder / "cache"
        cache.mkdir(parents=True)
        python = Path(sys.executable)
        settings = read_pip_settings((python, base_python()), cwd=cache)
        self.commands = Commands(settings=settings, cache=cache, log=Log(folder / "log.txt"))
        self.settings = with_index(settings, self.commands, python=python, uv=None)
        self.wishes = folder / "requirements.txt"
        self.wishes.write_text(self._wishes(), encoding="utf-8")

    def _wishes(self):
        """The trainer's requirements: its own file, or (small) the names of the lock."""
        if self.options.requirements:
            text = Path(self.options.requirements).read_text(encoding="utf-8")
            return "".join(f"{line}\n" for line in text.splitlines() if not line.startswith("-e"))
        listed = (HASH.sub("", line).strip() for line in lines(self.lock.read_text(encoding="utf-8")))
        return "".join(f"{line}\n" for line in listed)

    def ours(self, venv):
        """Seconds of each part."""
        engine = choose_engine(self.commands, "uv")
        torch_set = TorchSet(name="bench", title="bench", packages=self.packages, index=None, fallback=(), pythons=(VERSION, VERSION), disk_mib=1)  # fmt: skip
        kept, clock = self.folder / "wheels", Clock()
        engine.make(venv, base_python(), quiet)
        clock("environment")
        wheels = find_wheels(torch_set, VERSION, self.settings, folder=kept, tell=quiet)
        clock("find")
        print(f"    {download_of(wheels).in_words()}", flush=True)
        files = fetch_wheels(wheels, kept, settings=self.settings, tell=quiet)
        clock("fetch")
        engine.install_files(venv, files, quiet)
        clock("torch")
        engine.install_lock(venv, self.lock, quiet)
        clock("packages")
        compile_bytecode(self.commands, venv, HEAVY, quiet)
        clock("bytecode")
        return clock.parts

    def guide(self, venv):
        clock = Clock()
        self._must([str(base_python()), "-m", "venv", str(venv)])
        clock("environment")
        pip = [str(venv_python(venv)), "-m", "pip", "install"]
        self._must([*pip, *(package for package in self.packages if package != XFORMERS)])
        clock("torch")
        self._must([*pip, "--upgrade", "-r", str(self.wishes)])
        clock("packages")
        if XFORMERS in self.packages:
            self._must([*pip, XFORMERS])
            clock("xformers")
        return clock.parts

    def first_start(self, venv):
        code = f"import importlib.util as u\nfor name in {HEAVY}:\n    u.find_spec(name) and __import__(name)"
        changes = environment({"PYTHONDONTWRITEBYTECODE": None})
        return [timed(lambda: run([str(venv_python(venv)), "-c", code], env=changes)) for _ in range(2)]

    def _must(self, argv):
        finished = self.commands.call(
            argv, {"PIP_CACHE_DIR": str(self.folder / "pip"), "PIP_NO_CACHE_DIR": None}
        )
        self.commands.need(finished, "The guide's way failed.")


class Clock:
    def __init__(self):
        self.last, self.parts = time.perf_counter(), {}

    def __call__(self, name):
        now = time.perf_counter()
        self.parts[name], self.last = now - self.last, now


def quiet(*_, **__):
    pass


def timed(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def size_gb(folder):
    total = sum(
        path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
    )
    return total / 1e9


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--requirements")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where there is room")
    parser.add_argument("--xformers", action="store_true")
    parser.add_argument("--first-start", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-install-", dir=options.folder))
    try:
        race(Race(folder / "race", options), options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def race(race_, options):
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{', '.join(race_.packages)}, Python {sys.version.split()[0]}, {os.cpu_count()} cores{load}")
    for state in ("cold", "warm"):
        sums, bytecode = {}, 0.0
        for name, way in (("ours", race_.ours), ("guide", race_.guide)):
            venv = race_.folder / f"venv {name}"
            print(f"{state}, {name}:", flush=True)
            parts = way(venv)
            sums[name] = sum(parts.values())
            bytecode = parts.get("bytecode", 0.0) if name == "ours" else bytecode
            print(
                f"    {sums[name]:.1f} s: "
                + ", ".join(f"{part} {value:.1f}" for part, value in parts.items())
            )
            if options.first_start:
                first, second = race_.first_start(venv)
                print(f"    first import of the heavy packages {first:.1f} s, second {second:.1f} s")
            if state == "cold":
                print(f"    {size_gb(venv):.2f} GB in the environment")
            shutil.rmtree(venv)
        ratios = [sums["guide"] / seconds for seconds in (sums["ours"] - bytecode, sums["ours"])]
        print(
            f"{state}: guide / ours = {ratios[0]:.1f} until it is ready, {ratios[1]:.1f} with bytecode",
            flush=True,
        )


if __name__ == "__main__":
    main()

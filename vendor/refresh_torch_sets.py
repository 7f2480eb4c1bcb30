"""Compare `vendor/torch-sets.toml` with package indexes: .venv/bin/python vendor/refresh_torch_sets.py

Asks uv, for every build, system and Python of the table, whether the releases have wheels and whether what torchvision
and xformers demand of torch is the torch beside them. The index of the user's pip configuration knows the releases
without build tags; the builds themselves are looked for on PyTorch's own index if that can be reached. The table is
written by hand: this says what is wrong with it. Ends with code 1 where an index contradicts it.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from refresh_locks import ROOT, compile_with_uv, reaches

from launcher.errors import LauncherError
from launcher.install.pins import loads

SYSTEMS = {  # as uv names them; the oldest Linux that torch 2.6 and later take
    "linux-x86_64": "x86_64-manylinux_2_28",
    "linux-arm64": "aarch64-manylinux_2_28",
    "windows-x86_64": "x86_64-pc-windows-msvc",
    "macos-arm64": "aarch64-apple-darwin",
}
NO_SOLUTION = "No solution found"


@dataclass
class Findings:
    """What was seen, by kind."""

    agreed: int = 0
    wrong: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def main() -> int:
    table = loads((ROOT / "vendor" / "torch-sets.toml").read_text(encoding="utf-8"))["sets"]
    found = Findings()
    for name, words in table.items():
        for system, own in words["builds"].items():
            build = {**words, **own}
            check_releases(found, f"{name} on {system}", system, build)
            check_builds(found, f"{name} on {system}", system, build)
    for title, lines in (("CONTRADICTED", found.wrong), ("not read", found.unread), ("note", found.notes)):
        for line in lines:
            print(f"{title}: {line}")
    print(
        f"{found.agreed} answers agree, {len(found.wrong)} contradict, {len(found.unread)} could not be had"
    )
    return 1 if found.wrong else 0


def check_releases(found: Findings, what: str, system: str, build: dict) -> None:
    """Wheels and demands of the releases, without tags, on the index of the pip configuration."""
    releases = [package.partition("+")[0] for package in build["packages"]]
    first, last = (int(python.split(".")[1]) for python in build["python"])
    for minor in range(first, last + 1):
        answer = ask(releases, system, f"3.{minor}")
        _note(found, f"{what}, Python 3.{minor}, {' '.join(releases)}", answer)
    if ask(releases, system, f"3.{last + 1}") is None:
        found.notes.append(f"{what}: the releases have wheels for Python 3.{last + 1} too")
    print(f"{what}: {' '.join(releases)}", flush=True)


def check_builds(found: Findings, what: str, system: str, build: dict) -> None:
    """The very builds, on PyTorch's own index."""
    index = build.get("index")
    if not index:
        return
    if not reaches(index):
        found.unread.append(
            f"{what}: {index} cannot be reached, {' '.join(build['packages'])} not looked for"
        )
        return
    for python in build["python"]:
        answer = ask(build["packages"], system, python, index=index)
        _note(found, f"{what}, Python {python}, {' '.join(build['packages'])} from {index}", answer)


def ask(packages: list[str], system: str, python: str, *, index: str | None = None) -> str | None:
    """Why these packages cannot be had together as wheels, or None."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "wanted.in").write_text("\n".join(packages) + "\n", encoding="utf-8")
        words = ["wanted.in", "--quiet", "--only-binary", ":all:", "--python-version", python]
        words += ["--python-platform", SYSTEMS[system]]
        try:
            finished = compile_with_uv(words, Path(folder), only=index)
        except LauncherError as error:
            return error.what
    return None if finished.code == 0 else finished.output.strip()


def _note(found: Findings, what: str, problem: str | None) -> None:
    if problem is None:
        found.agreed += 1
    elif NO_SOLUTION in problem:
        found.wrong.append(f"{what}: {_first_cause(problem)}")
    else:
        found.unread.append(f"{what}: {_first_cause(problem)}")


def _first_cause(problem: str) -> str:
    lines = [line.strip() for line in problem.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("cause: ")), lines[-1] if lines else "no answer")


if __name__ == "__main__":
    sys.exit(main())

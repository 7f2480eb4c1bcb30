"""Notices new sample images and says what they were made from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launcher.paths import RunPaths
    from launcher.shim.reporter import Reporter

# sd-scripts: {output_name_}{step:06d|e000001}_{prompt index:02d}_{rest}.png (facts/sd-scripts.md 4.1)
PROMPT_INDEX = re.compile(r"_(?:e?\d{6})_(\d{2})_[^_]*(?:_[^_]*)?$")


class Samples:
    """Looks into `output/sample` when that folder has changed: one `stat` a step otherwise."""

    def __init__(self, run: RunPaths, reporter: Reporter) -> None:
        self._folder = run.output / "sample"
        self._reporter = reporter
        self._stamp = 0
        self._known: set[str] = set()

    def tell(self, args: Any, step: int) -> None:
        """Report what is new."""
        try:
            stamp = self._folder.stat().st_mtime_ns
        except OSError:
            return
        if stamp == self._stamp:
            return
        self._stamp = stamp
        names = sorted(path.name for path in self._folder.glob("*.png") if not path.name.startswith("."))
        prompts = read_prompts(getattr(args, "sample_prompts", None))
        for name in names:
            self.tell_one(self._folder / name, prompt_of(name, prompts), step)

    def tell_one(self, path: Path, prompt: str, step: int) -> None:
        """Report one image, once."""
        if path.name not in self._known:
            self._known.add(path.name)
            self._reporter.emit("sample", step=step, path=self._reporter.relative(path), prompt=prompt)


def prompt_of(name: str, prompts: list[str]) -> str:
    """The prompt that a sample's file name points at; empty when it does not."""
    match = PROMPT_INDEX.search(Path(name).stem)
    index = int(match[1]) if match else len(prompts)
    return prompts[index] if index < len(prompts) else ""


def read_prompts(file: str | None) -> list[str]:
    """Prompts of a text file, one a line, without the options that follow ` --` (sd-scripts' format)."""
    if not file:
        return []
    try:
        lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    texts = [line.strip() for line in lines]
    return [text.split(" --")[0].strip() for text in texts if text and not text.startswith("#")]

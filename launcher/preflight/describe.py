"""What a model file is, for a person who asks about it: kind, precision, prediction, and what speaks against training on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.checkpoint import (
    has_zero_snr,
    known_hash,
    lora_base,
    precisions,
    predicts_noise,
    predicts_v,
    quick_print,
    recognise,
)
from launcher.preflight.model import check_name, check_nature, open_header

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.checkpoint import Header
    from launcher.errors import Problem
    from launcher.paths import Paths

LEAST_SHARE = 0.005
TITLES = ("modelspec.title", "ss_output_name")
LONGEST_TITLE = 120
TYPES = {"F16": "fp16", "BF16": "bf16", "F32": "fp32", "F64": "fp64", "F8_E4M3": "fp8 (e4m3)", "F8_E5M2": "fp8 (e5m2)"}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """One file as it was found. Texts are "" where the file does not say; `problems` is about using it as a base model."""

    path: Path
    kind: str  # "sdxl", "lora", "vae", ... ; "" when it could not be read
    what: str
    is_base: bool
    size: int = 0  # bytes
    precision: str = ""
    prediction: str = ""
    base: str = ""  # of a LoRA: what it was trained on
    title: str = ""
    tensors: int = 0
    print: str = ""  # `quick_print`
    sha256: str = ""  # only when it was computed before
    problems: tuple[Problem, ...] = ()

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What is known of it, as lines of a screen."""
        lines = (
            ("kind", self.what), ("size", f"{self.size / 2**20:,.0f} MiB, {self.tensors} tensors" if self.tensors else ""),
            ("precision", self.precision), ("predicts", self.prediction), ("made for", self.base), ("title", self.title),
            ("fingerprint", self.print), ("sha256", self.sha256),
        )  # fmt: skip
        return tuple((name, text) for name, text in lines if text)

    @property
    def as_json(self) -> dict[str, object]:
        """For programs."""
        values = {name: getattr(self, name) for name in ("kind", "what", "is_base", "size", "precision", "prediction", "base", "title", "tensors", "print", "sha256")}  # fmt: skip
        return {
            "path": str(self.path),
            **values,
            "problems": [{**problem.as_json, "check": "model"} for problem in self.problems],
        }


def describe_model(paths: Paths, path: Path) -> ModelFile:
    """Look at one file: its header and some places in it, never all of it. Whatever the file is, an answer comes back."""
    header, problem = open_header(path)
    if header is None:
        problems = (problem,) if problem else ()
        return ModelFile(
            path=path, kind="", what=problem.what if problem else "", is_base=False, problems=problems
        )
    nature = recognise(header)
    return ModelFile(
        path=path, kind=nature.name, what=nature.what, is_base=nature.is_base, size=path.stat().st_size, precision=_precision(header),
        prediction=_prediction(header) if nature.is_base else "", base=lora_base(header) if nature.name == "lora" else "",
        title=_title(header), tensors=len(header.shapes), print=quick_print(path), sha256=known_hash(paths, path) or "",
        problems=(*check_name(path), *check_nature(path, header)),
    )  # fmt: skip


def _precision(header: Header) -> str:
    shares = precisions(header)
    return ", ".join(
        TYPES.get(kind, kind) if share > 1 - LEAST_SHARE else f"{TYPES.get(kind, kind)} {share:.0%}"
        for kind, share in shares.items()
        if share >= LEAST_SHARE
    )


def _prediction(header: Header) -> str:
    reason = predicts_v(header)
    if reason:
        return f"v ({reason}{'; its noise ends at zero signal' if has_zero_snr(header) else ''})"
    return "noise (its metadata says so)" if predicts_noise(header) else "noise (nothing says otherwise)"


def _title(header: Header) -> str:
    said = next((header.metadata[name] for name in TITLES if header.metadata.get(name)), "")
    return "".join(char for char in said if char.isprintable())[:LONGEST_TITLE]

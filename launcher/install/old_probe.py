"""Runs inside a training environment: does everything import, and do the operations that training needs work?

Started by its path with one word of JSON; prints one line of JSON. Imports nothing of the launcher.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import platform
import sys
from typing import Any

RESULT = "probe-result "


def main(question: dict[str, Any]) -> dict[str, Any]:
    problems: list[str] = []
    for name in question["imports"]:
        attempt(problems, f"import {name}", lambda name=name: importlib.import_module(name))
    facts: dict[str, Any] = {}
    for name in question["operations"]:
        attempt(problems, f"operation {name}", lambda name=name: facts.update(OPERATIONS[name]()))
    versions: dict[str, str | None] = {}
    for name in question["versions"]:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {"python": platform.python_version(), "versions": versions, "problems": problems, **facts}


def attempt(problems: list[str], what: str, action: Any) -> None:
    """Anything may go wrong in foreign code, and every failure is a finding."""
    try:
        action()
    except Exception as error:  # noqa: BLE001  (a broken package may raise anything; all findings are wanted at once)
        problems.append(f"{what}: {type(error).__name__}: {error}")


def fp8() -> dict[str, Any]:
    """Storing weights in fp8 and reading them back for work: what `fp8_base` does."""
    torch = importlib.import_module("torch")
    values = torch.tensor([0.5, -1.5, 448.0])  # exactly representable; 448 is the largest of float8_e4m3fn
    back = values.to(torch.float8_e4m3fn).to(torch.float32)
    if not torch.equal(values, back):
        raise ArithmeticError(f"fp8 storage gave {back.tolist()}")
    return facts(torch)


def bf16() -> dict[str, Any]:
    """A product in bf16 with its gradient."""
    torch = importlib.import_module("torch")
    weight = torch.ones(8, 8, dtype=torch.bfloat16, requires_grad=True)
    (torch.ones(8, 8, dtype=torch.bfloat16) @ weight).sum().backward()
    if weight.grad is None or float(weight.grad[0, 0]) != 8.0:
        raise ArithmeticError("the bf16 gradient is wrong")
    return facts(torch)


def facts(torch: Any) -> dict[str, Any]:
    has_cuda = bool(torch.cuda.is_available())
    return {"cuda": torch.version.cuda, "device": torch.cuda.get_device_name(0) if has_cuda else "cpu"}


OPERATIONS = {"fp8": fp8, "bf16": bf16}

if __name__ == "__main__":
    sys.stdout.write("\n" + RESULT + json.dumps(main(json.loads(sys.argv[1]))) + "\n")

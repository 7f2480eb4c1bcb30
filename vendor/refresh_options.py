"""Refresh `vendor/options/TRAINER.json`: python vendor/refresh_options.py TRAINER CHECKOUT [COMMIT]

TRAINER is sd-scripts or sd-scripts-fp8. Reads the option definitions out of the checkout's source text (AST), so
neither torch nor the checkout itself is ever imported. Only names, types, defaults, choices and nargs are kept; help
texts are not ours. Without COMMIT it is the one that `vendor/TRAINER.toml` pins.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import warnings
from pathlib import Path
from typing import Any

ENTRY = ("sdxl_train_network.py", "setup_parser")
HERE = Path(__file__).resolve().parent
TARGETS = HERE / "options"
TITLES = {
    "sd-scripts": "kohya-ss/sd-scripts v0.10.1",
    "sd-scripts-fp8": "KohakuBlueleaf/sd-scripts, branch fp8-experiments",
}
PINNED = re.compile(r'^commit = "([0-9a-f]{40})"', re.MULTILINE)  # tomllib came with Python 3.11


class Checkout:
    """The modules of a checkout, parsed once, and the functions that add options."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._modules: dict[Path, ast.Module] = {}

    def module(self, path: Path) -> ast.Module:
        if path not in self._modules:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about somebody else's docstrings
                self._modules[path] = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        return self._modules[path]

    def function(self, path: Path, name: str) -> ast.FunctionDef | None:
        for node in self.module(path).body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return node
        return None

    def find(self, path: Path, call: ast.Call) -> tuple[Path, ast.FunctionDef] | None:
        """The definition behind `name(parser)` or `module.name(parser)`, looked up through the imports of `path`."""
        if isinstance(call.func, ast.Name):
            here = self.function(path, call.func.id)
            if here:
                return path, here
            return self._in_module(self._imported_from(path, call.func.id), call.func.id)
        if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
            module = call.func.value.id
            return self._in_module(self._imported_from(path, module) or [module], call.func.attr)
        return None

    def _imported_from(self, path: Path, name: str) -> list[str]:
        found = []
        for node in self.module(path).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                real = [alias.name for alias in node.names if (alias.asname or alias.name) == name]
                found += [word for inner in real for word in (f"{node.module}.{inner}", node.module)]
            elif isinstance(node, ast.Import):
                found += [alias.name for alias in node.names if name in (alias.asname, alias.name)]
        return found

    def _in_module(self, candidates: list[str], function: str) -> tuple[Path, ast.FunctionDef] | None:
        for candidate in candidates:
            path = self.root / Path(*candidate.split(".")).with_suffix(".py")
            definition = self.function(path, function) if path.is_file() else None
            if definition:
                return path, definition
        return None


def extract(
    checkout: Checkout, path: Path, definition: ast.FunctionDef, gates: dict[str, Any]
) -> list[dict[str, Any]]:
    """Options in the order in which the parser gets them; `gates` are the literal parameters of this call."""
    options: list[dict[str, Any]] = []
    for statement in definition.body:
        options += _from_statement(checkout, path, statement, gates)
    return options


def _from_statement(
    checkout: Checkout, path: Path, node: ast.stmt, gates: dict[str, Any]
) -> list[dict[str, Any]]:
    if isinstance(node, ast.If):
        taken = node.body if _is_open(node.test, gates) else node.orelse
        return [option for inner in taken for option in _from_statement(checkout, path, inner, gates)]
    call = getattr(node, "value", None)
    if not isinstance(node, (ast.Expr, ast.Assign)) or not isinstance(call, ast.Call):
        return []
    if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument":
        return [read_option(call)]
    found = checkout.find(path, call)
    if not found:
        if any(isinstance(argument, ast.Name) and argument.id == "parser" for argument in call.args):
            raise SystemExit(f"{path.name}:{call.lineno}: cannot find what `{ast.unparse(call)}` adds")
        return []
    return extract(checkout, *found, _arguments(found[1], call))


def _is_open(test: ast.expr, gates: dict[str, Any]) -> bool:
    if isinstance(test, ast.Name) and test.id in gates:
        return bool(gates[test.id])
    raise SystemExit(
        f"line {test.lineno}: a condition that this script does not understand: {ast.unparse(test)}"
    )


def _arguments(definition: ast.FunctionDef, call: ast.Call) -> dict[str, Any]:
    names = [argument.arg for argument in definition.args.args]
    defaults = definition.args.defaults
    values = {
        name: _literal(value)
        for name, value in zip(names[len(names) - len(defaults) :], defaults, strict=True)
    }
    values.update({name: _literal(value) for name, value in zip(names, call.args, strict=False)})
    values.update({keyword.arg: _literal(keyword.value) for keyword in call.keywords if keyword.arg})
    return values


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None  # `parser` itself


def read_option(call: ast.Call) -> dict[str, Any]:
    """One `add_argument` call as plain data."""
    name = ast.literal_eval(call.args[0]).removeprefix("--")
    words = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg not in {None, "help"}}
    if "action" in words:
        action = ast.literal_eval(words["action"])
        if action != "store_true":
            raise SystemExit(f"--{name}: action {action} is new; teach this script about it")
        return {"name": name, "type": "flag", "default": False}
    kind = ast.unparse(words["type"]).rpartition(".")[2] if "type" in words else "str"
    option: dict[str, Any] = {"name": name, "type": {"Path": "path"}.get(kind, kind)}
    option["default"] = ast.literal_eval(words["default"]) if "default" in words else None
    if "choices" in words:
        option["choices"] = ast.literal_eval(words["choices"])
    if "nargs" in words:
        option["nargs"] = ast.literal_eval(words["nargs"])
    return option


def options_of(root: Path) -> list[dict[str, Any]]:
    """All options of a checkout's `sdxl_train_network.py`, in the order of its parser."""
    checkout = Checkout(root)
    definition = checkout.function(root / ENTRY[0], ENTRY[1])
    if definition is None:
        raise SystemExit(f"{root / ENTRY[0]} has no function {ENTRY[1]}")
    return extract(checkout, root / ENTRY[0], definition, {})


def text_of(options: list[dict[str, Any]], trainer: str, commit: str) -> str:
    """The table as JSON, an option on each line."""
    lines = ",\n    ".join(json.dumps(option, ensure_ascii=False) for option in options)
    head = {
        "about": f"options of sdxl_train_network.py, {TITLES[trainer]}; "
        f"made by: python vendor/refresh_options.py {trainer} CHECKOUT",
        "commit": commit,
    }
    text = json.dumps(head, indent=2)[:-2] + f',\n  "options": [\n    {lines}\n  ]\n}}\n'
    json.loads(text)
    return text


def main(argv: list[str]) -> int:
    if len(argv) not in {2, 3} or argv[0] not in TITLES:
        print(__doc__, file=sys.stderr)
        return 2
    trainer = argv[0]
    commit = argv[2] if len(argv) == 3 else PINNED.findall((HERE / f"{trainer}.toml").read_text("utf-8"))[0]
    options = options_of(Path(argv[1]).resolve())
    target = TARGETS / f"{trainer}.json"
    target.write_text(text_of(options, trainer, commit), encoding="utf-8")
    print(f"{len(options)} options written to {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""The shape of the code is held by a test: imports go down only, heavy things stay where they belong."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "launcher"

LAYERS = [
    {"errors", "paths"},
    {"files"},
    {"process", "events", "hashes"},
    {"states", "trainers", "machine"},
    {"preset", "monitor", "shim", "install", "crash", "demo", "pictures", "captions", "checkpoint"},
    {"plan", "failures"},
    {"forecast"},
    {"preflight", "history", "tagger", "guard", "importer"},
    {"run", "report", "exporter"},
    {"resume", "bench"},
    {"ending"},
    {"ui"},
    {"commands", "cli"},
    {"__main__"},
]
# Modules that split a layer's noun over two files keep that noun's layer.
LAYER_OF = {name: level for level, names in enumerate(LAYERS) for name in names}

ONLY_IN = {
    "subprocess": {"process.py"},
    "rich": {"ui/"},
    "questionary": {"ui/"},
    "prompt_toolkit": {"ui/"},
    "torch": {"trainers/rehearsal/", "shim/", "tagger/worker/"},
    "accelerate": {"trainers/rehearsal/", "shim/"},
    "diffusers": {"trainers/rehearsal/"},
    "numpy": {"trainers/rehearsal/", "shim/", "tagger/worker/"},
    "onnxruntime": {"tagger/worker/"},
    "cv2": {"tagger/worker/"},
    "tree_sitter": {"importer/shell/"},
    "tree_sitter_bash": {"importer/shell/"},
}


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if "_shipped" not in path.parts)


def noun(path):
    """First part below the package: `ui/menu.py` and `ui/__init__.py` are both `ui`."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path):
    """Absolute names of all modules that a file imports, at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            if node.module == "launcher":
                yield from (f"launcher.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_go_down_only(path):
    if path == PACKAGE / "__init__.py":
        assert not list(imports(path))
        return
    own = noun(path)
    assert own in LAYER_OF, f"{own} has no layer: add it to the map in launcher/__init__.py and here"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "launcher" or len(parts) == 1 or parts[1] not in LAYER_OF:
            continue
        other = parts[1]
        is_own_or_lower = other == own or LAYER_OF[other] < LAYER_OF[own] or {own, other} <= SAME_LAYER_PAIRS
        assert is_own_or_lower, (
            f"{path}: `{own}` (layer {LAYER_OF[own]}) imports `{other}` (layer {LAYER_OF[other]})"
        )


SAME_LAYER_PAIRS = {"cli", "commands"}


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_heavy_imports_stay_home(path):
    where = path.relative_to(PACKAGE).as_posix()
    for name in imports(path):
        homes = ONLY_IN.get(name.split(".")[0])
        assert homes is None or any(where.startswith(home) for home in homes), f"{where} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_only_ui_and_bootstrap_print(path):
    where = path.relative_to(PACKAGE).as_posix()
    if where.startswith("ui/") or where == "install/bootstrap.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        is_print = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        assert not is_print, f"{where}:{node.lineno} prints"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_modules_stay_small(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 300, f"{path} has grown past 300 lines"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < 60, f"{path}:{node.lineno} {node.name} is too long"


def loaded_after(code):
    command = [sys.executable, "-c", f"{code}\nimport sys\nsys.stderr.write('\\n'.join(sys.modules))"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True)
    return {name.split(".")[0] for name in done.stderr.splitlines()}


def test_help_loads_no_heavy_module():
    loaded = loaded_after("from launcher.cli import make_parser\nmake_parser().format_help()")
    heavy = {
        "torch",
        "questionary",
        "prompt_toolkit",
        "pynvml",
        "psutil",
        "rich",
        "jinja2",
        "PIL",
        "subprocess",
        "tree_sitter",
    }
    assert not loaded & heavy

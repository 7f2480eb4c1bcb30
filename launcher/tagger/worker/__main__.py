"""`<training environment's python> <this file> JOB.json`: see `session.main`."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

WORKER = Path(__file__).resolve().parent


def make_launcher_importable() -> None:
    """Make `launcher`, and nothing else of ours, importable (as `launcher/shim/__main__.py`, for the same reasons)."""
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != WORKER]
    package = WORKER.parent.parent
    spec = spec_from_file_location(
        "launcher", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {package}")
    module = module_from_spec(spec)
    sys.modules["launcher"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    make_launcher_importable()

    from launcher.tagger.worker.session import main

    sys.exit(main(sys.argv[1]))

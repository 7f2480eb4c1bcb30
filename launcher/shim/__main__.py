"""`PYTHON <this file> --run DIR --script FILE --trainer-class NAME -- <the trainer's own arguments>`, or so behind accelerate.

DataLoader workers on Windows import this file again as `__mp_main__`: only what they need too stands outside the guard.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

SHIM = Path(__file__).resolve().parent


def make_launcher_importable() -> None:
    """Make `launcher`, and nothing else of ours, importable.

    Python has put this folder first on sys.path, where our module names would shadow others; and the folder
    above the package may be the launcher's own site-packages, with packages built for another Python.
    """
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != SHIM]
    if "launcher" in sys.modules:
        return
    package = SHIM.parent
    spec = spec_from_file_location(
        "launcher", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {package}")
    module = module_from_spec(spec)
    sys.modules["launcher"] = module
    spec.loader.exec_module(module)


make_launcher_importable()

if __name__ == "__main__":
    from launcher.shim.session import main

    sys.exit(main(sys.argv[1:]))

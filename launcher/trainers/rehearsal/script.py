"""Entry of the rehearsal trainer, with the interface of sd-scripts' `sdxl_train_network.py`.

python launcher/trainers/rehearsal/script.py --config_file train.toml --dataset_config dataset.toml

It runs in the training environment, where the launcher is not installed. The package is loaded from its folder by
name alone: putting the folder around it on the module path would offer the launcher's own libraries too, made for
another Python perhaps. This file's own folder is taken off that path, because its plain names (`text`, `model`, ...)
would hide modules of the same name.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1]


def _leave_own_folder() -> None:
    sys.path[:] = [entry for entry in sys.path if not _is_here(entry)]


def _is_here(entry: str) -> bool:
    try:
        return Path(entry or ".").resolve() == HERE
    except OSError:
        return False


def _load_launcher() -> None:
    if "launcher" in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        "launcher", PACKAGE / "__init__.py", submodule_search_locations=[str(PACKAGE)]
    )
    assert spec is not None  # noqa: S101  (a .py file always has a loader)
    assert spec.loader is not None  # noqa: S101  (as above)
    module = importlib.util.module_from_spec(spec)
    sys.modules["launcher"] = module
    spec.loader.exec_module(module)


_leave_own_folder()
_load_launcher()

from launcher.trainers.rehearsal.config import read_config_from_file, setup_parser  # noqa: E402  (needs the above)
from launcher.trainers.rehearsal.trainer import RehearsalTrainer  # noqa: E402  (needs the above)

__all__ = ["RehearsalTrainer", "main", "read_config_from_file", "setup_parser"]


def main() -> int:
    """Train as the command line says; an expected failure is one sentence on stderr and exit code 1."""
    import logging

    from launcher.errors import LauncherError

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parser = setup_parser()
    args = parser.parse_args()
    try:
        args = read_config_from_file(args, parser)
        RehearsalTrainer().train(args)
    except LauncherError as error:
        logging.getLogger(__name__).error("%s", error)  # noqa: TRY400  (expected: no traceback)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

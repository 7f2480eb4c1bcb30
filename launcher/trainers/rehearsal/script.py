"""Entry of the rehearsal trainer, with the interface of sd-scripts' `sdxl_train_network.py`.

python launcher/trainers/rehearsal/script.py --config_file train.toml --dataset_config dataset.toml

It runs in the training environment, where the launcher is not installed: the folder that holds the `launcher`
package is put on the module path here, and this file's own folder is taken off it, because its `data`, `model`
and other plain names would hide modules of the same name.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def _mend_module_path() -> None:
    sys.path[:] = [entry for entry in sys.path if not _is_here(entry)]
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))


def _is_here(entry: str) -> bool:
    try:
        return Path(entry or ".").resolve() == HERE
    except OSError:
        return False


_mend_module_path()

from launcher.trainers.rehearsal.config import read_config_from_file, setup_parser  # noqa: E402  (needs the path)
from launcher.trainers.rehearsal.trainer import RehearsalTrainer  # noqa: E402  (needs the path)

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

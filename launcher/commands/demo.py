"""`demo`: the whole way once, unattended, on shipped sample images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.commands import common

if TYPE_CHECKING:
    import argparse

    from launcher.paths import Paths

PRESET = "demo"
TRAINER = "rehearsal"


def demo(paths: Paths, options: argparse.Namespace) -> int:
    """Environment, plan, checks, training, report."""
    ensure_trainer(paths, TRAINER)
    from launcher.demo import IMAGES
    from launcher.plan import Request, resolve

    settings = (f"max_train_steps={options.steps}",) if options.steps else ()
    request = Request(preset=PRESET, trainer=TRAINER, data=IMAGES, name="demo", settings=settings)
    plan = resolve(paths, request, common.machine_of(paths))
    common.check(paths, plan, force=False, yes=True)
    return common.follow(paths, common.launch(paths, plan))


def ensure_trainer(paths: Paths, name: str) -> None:
    """Install the training environment unless its marker says that it is proved."""
    from launcher.install import install_trainer, trainer_ready

    if trainer_ready(paths, name) is None:
        return
    from launcher.ui.progress import install_progress

    with install_progress() as report:
        install_trainer(paths, name, report=report)

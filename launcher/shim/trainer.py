"""Opens the trainer's script: a known one wrapped from inside, any other plainly, with the methods that it has."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.shim.context import Context
from launcher.shim.upstream.resumed import refuse_pickles
from launcher.shim.upstream.saving import name_step

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from launcher.paths import RunPaths
    from launcher.shim.crew import Crew
    from launcher.shim.hooks import Hooks
    from launcher.shim.reporter import Reporter

UPSTREAM = "sdxl_train_network"
# Each has install(context); one that is not there, or fails, is done without.
FEATURES = (
    "launcher.shim.upstream.caches", "launcher.shim.memory", "launcher.shim.boosts", "launcher.shim.trouble",
    "launcher.shim.startup",
)  # fmt: skip
UNKNOWN = "this trainer's code is not the one that we know ({}), so it runs as it is: a resume may not be exact, progress and memory savings are limited, and caches stay in memory"


def open_trainer(
    script: Path, class_name: str, argv: Sequence[str], switches: Mapping[str, Any], *,
    run: RunPaths, reporter: Reporter, hooks: Hooks, crew: Crew,
) -> tuple[type, argparse.Namespace]:  # fmt: skip
    """Import the script, parse its arguments, and wrap it as far as it is known.

    Raises:
        InputError: the script is none, or the state to resume from cannot be trusted.
    """
    sys.path.insert(0, str(script.parent))
    version = _version(script, reporter)
    if version is None:
        module = _import(script)
        args = _arguments(module, argv)
        if script.stem == UPSTREAM:  # its states must say their step, or no run could go on from them
            hooks.saver.complete = lambda folder, _: name_step(folder, hooks.saver.step)
            keep_caches_in_memory(args, switches)
            refuse_pickles()
        return getattr(module, class_name), args
    from launcher.shim.upstream import edits, wraps
    from launcher.shim.upstream.training import Training

    refuse_pickles()
    training = Training(version, hooks, crew, is_exact=switches["exact_resume"])
    if training.is_exact:
        edits.load(script.parent, version, training)
    module = _import(script)
    context = Context(
        version=version, code=script.parent, modules=_modules(script.parent), trainer_class=getattr(module, class_name),
        args=_arguments(module, argv), switches=switches, run=run, reporter=reporter,
    )  # fmt: skip
    wraps.install(context, training, hooks)
    for name in FEATURES:
        if not _install(name, context) and name == FEATURES[0]:
            keep_caches_in_memory(context.args, switches)
    return context.trainer_class, context.args


def _version(script: Path, reporter: Reporter) -> str | None:
    if script.stem != UPSTREAM:
        return None
    from launcher.shim.upstream.known import recognise

    found = recognise(script.parent)
    if found.version is None:
        reporter.emit("warning", message=UNKNOWN.format(", ".join(found.differing[:3])), count=1)
    return found.version


def keep_caches_in_memory(args: argparse.Namespace, switches: Mapping[str, Any]) -> None:
    """Where we do not redirect them: stock writes beside the user's images, and believes whatever lies there."""
    if switches["cache_images"] == "beside":
        return
    for name in ("cache_latents", "cache_text_encoder_outputs"):
        if getattr(args, f"{name}_to_disk", False):
            setattr(args, name, True)
            setattr(args, f"{name}_to_disk", False)


def _install(name: str, context: Context) -> bool:
    try:
        if find_spec(name) is None:
            return False
        import_module(name).install(context)
    except Exception as error:  # noqa: BLE001  (fails open: training goes on without this part)
        context.warn(f"{name.rpartition('.')[2]}: could not be set up, training goes on without it: {error}")
        return False
    return True


def _arguments(module: ModuleType, argv: Sequence[str]) -> argparse.Namespace:
    """As the script's own last lines do it; the rehearsal has there what sd-scripts has in its library."""
    parser = module.setup_parser()
    args = parser.parse_args(list(argv))
    library = module if hasattr(module, "read_config_from_file") else module.train_util
    if hasattr(library, "verify_command_line_training_args"):
        library.verify_command_line_training_args(args)
    read: argparse.Namespace = library.read_config_from_file(args, parser)
    return read


def _modules(code: Path) -> dict[str, ModuleType]:
    """What was imported from the trainer's folder, by import name."""
    return {
        name: module
        for name, module in sys.modules.copy().items()
        if str(getattr(module, "__file__", None) or "").startswith(str(code))
    }


def _import(script: Path) -> ModuleType:
    """Import the trainer's script under its own name, its folder first on the path, as if it had been started."""
    spec = spec_from_file_location(script.stem, script)
    if spec is None or spec.loader is None:
        raise InputError(f"{script} is no Python script")
    module = module_from_spec(spec)
    sys.modules[script.stem] = module
    spec.loader.exec_module(module)
    return module

"""Puts the shim's eyes and hands around upstream's functions; every wrapper calls the original."""

from __future__ import annotations

import functools
import random
from typing import TYPE_CHECKING, Any

from launcher.shim.upstream.known import COMMITS
from launcher.shim.upstream.resumed import open_state
from launcher.shim.upstream.saving import complete_state, keep_network_only, name_step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from launcher.shim.context import Context
    from launcher.shim.hooks import Hooks
    from launcher.shim.reporter import Reporter
    from launcher.shim.upstream.training import Training


def install(context: Context, training: Training, hooks: Hooks) -> None:
    """Wrap everything; upstream's `train()` comes next. Without the edits (`exact_resume` off) it is watched only."""
    train_util, trainer_class = context.modules["library.train_util"], context.trainer_class
    training.args = context.args
    training.recorder_base = train_util.LossRecorder
    if training.is_exact:
        _settle_state_and_seed(context, training)
    _around(
        train_util,
        "prepare_accelerator",
        lambda make, *a, **k: _wrap_accelerator(make(*a, **k), training, hooks, context.reporter),
    )
    _tell_commit(context.modules, COMMITS[context.version])
    _wrap_phases(context, trainer_class, train_util, hooks)
    hooks.collect_losses = training.take_losses
    hooks.rates = lambda _trainer: training.learning_rates()
    hooks.is_sampling_due = is_sampling_due
    hooks.resumed_step = training.resumed.step if training.resumed else 0
    if not training.is_exact:
        hooks.step_of = training.step_of

    def complete(folder: Path, _accelerator: Any) -> Mapping[str, object]:
        if not training.is_exact:
            return name_step(folder, hooks.saver.step, is_sure=True)
        return complete_state(training, hooks.pace, folder, hooks.saver.step)

    hooks.saver.complete = complete
    if training.resumed:
        hooks.saver.step = training.resumed.step
        hooks.saver.has_state_of(training.resumed.step)


def _tell_commit(modules: Mapping[str, Any], commit: str) -> None:
    """Upstream asks git about its own folder for the LoRA's metadata, and gets the commit of whatever repository is around it."""
    modules["library.train_util"].get_git_revision_hash = lambda: commit
    spec = modules.get("library.sai_model_spec")
    if spec is not None and hasattr(spec, "get_implementation_version"):  # since v0.10
        spec.get_implementation_version = lambda: f"sd-scripts/{commit}"


def _settle_state_and_seed(context: Context, training: Training) -> None:
    """Without a seed upstream draws one at each start, and a resumed training would be another one.

    The run's folder is named after its second: a seed that is new for each run, and the same in all its processes.
    """
    args = context.args
    if args.resume:
        training.resumed = open_state(args.resume, processes=training.crew.size)
    if args.seed is None:
        saved = training.resumed.seed if training.resumed else None
        own = random.Random(str(context.run.folder)).randrange(2**31)  # noqa: S311  (not cryptography)
        args.seed = own if saved is None else saved


def _wrap_accelerator(accelerator: Any, training: Training, hooks: Hooks, reporter: Reporter) -> Any:
    training.accelerator = accelerator
    if training.version == "fp8-fork":
        keep_network_only(accelerator)
    accumulate, backward = accelerator.accumulate, accelerator.backward
    load_state, end_training = accelerator.load_state, accelerator.end_training

    def watched_accumulate(*models: Any) -> Any:
        if training.is_exact:
            training.begin_micro_batch()
        else:
            reporter.attempt(training.note_start)
        return accumulate(*models)

    def watched_backward(loss: Any, **more: Any) -> Any:
        training.add_loss(loss)
        return backward(loss, **more)

    def watched_load(*args: Any, **more: Any) -> Any:
        result = load_state(*args, **more)
        if training.resumed:
            training.resumed.compare_scheduler(accelerator._schedulers)  # noqa: SLF001  (accelerate has no public name)
        return result

    def watched_end() -> Any:
        hooks.phases.leave("train_loop")
        return end_training()

    accelerator.accumulate, accelerator.backward = watched_accumulate, watched_backward
    accelerator.load_state, accelerator.end_training = watched_load, watched_end
    return accelerator


def _wrap_phases(context: Context, trainer_class: type, train_util: Any, hooks: Hooks) -> None:
    def within(name: str) -> Callable[..., Any]:
        def around(original: Callable[..., Any], *args: Any, **more: Any) -> Any:
            with hooks.phase(name):
                return original(*args, **more)

        return around

    _around(trainer_class, "load_target_model", within("load_models"))
    for name in ("new_cache_latents", "cache_latents"):  # the fork has the second only
        _around(train_util.DatasetGroup, name, within("cache_latents"))
    if context.args.cache_text_encoder_outputs:
        _around(trainer_class, "cache_text_encoder_outputs_if_needed", within("cache_text_encoder_outputs"))
    _around(train_util, "calculate_sha256", within("hash_model"))


def _around(owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    original = getattr(owner, name, None)
    if original is None:
        return

    @functools.wraps(original)
    def method(*args: Any, **more: Any) -> Any:
        return wrapper(original, *args, **more)

    setattr(owner, name, method)


def is_sampling_due(args: Any, epoch: int | None, step: int) -> bool:
    """Whether upstream draws sample images now (train_util.sample_images_common, the same in all versions)."""
    every_steps, every_epochs = args.sample_every_n_steps, args.sample_every_n_epochs
    if step == 0:
        return bool(getattr(args, "sample_at_first", False))
    if every_epochs is not None:
        return epoch is not None and epoch % every_epochs == 0
    return every_steps is not None and epoch is None and step % every_steps == 0

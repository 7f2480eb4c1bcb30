"""Caching in sd-scripts 0.9 and later: strategy objects know paths, files and batches."""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from launcher.shim import startup
from launcher.shim.upstream import loading
from launcher.shim.upstream.caching import TEXT_KEYS, Kind, Share, make_ready, refuse_nan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.shim.context import Context
    from launcher.shim.upstream.caching import Batches, Caching

    Run = Callable[[Any, Callable[[], Any]], None]  # (records of a batch, what encodes them)
# Upstream takes image sizes from the names of old cache files; under this suffix it finds none.
NO_SUCH_SUFFIX = ".npz-of-nobody"


def install(context: Context, caching: Caching) -> None:
    """Wrap the two caching methods of every dataset; no old file beside an image is believed any more."""
    modules = context.modules
    base = modules["library.strategy_base"]
    dataset = modules["library.train_util"].BaseDataset
    for strategy in (base.LatentsCachingStrategy, *base.LatentsCachingStrategy.__subclasses__()):
        strategy.cache_suffix = property(lambda _self: NO_SUCH_SUFFIX)
    is_ahead = context.version in loading.VERSIONS and startup.is_on("images")
    load = modules["library.train_util"].load_image if is_ahead else None
    dataset.new_cache_latents = _wrap_latents(dataset.new_cache_latents, caching, base, load)
    dataset.new_cache_text_encoder_outputs = _wrap_texts(
        dataset.new_cache_text_encoder_outputs, caching, base
    )


def _wrap_latents(
    original: Callable[..., Any], caching: Caching, base: Any, load: Callable[..., Any] | None
) -> Callable[..., Any]:
    """`load`: upstream's `load_image`, where it may be asked ahead; else None."""

    def save(path: str, info: Any) -> None:
        base.LatentsCachingStrategy.get_strategy().save_latents_to_disk(
            path, info.latents, info.latents_original_size, info.latents_crop_ltrb,
            getattr(info, "latents_flipped", None), getattr(info, "alpha_mask", None),
        )  # fmt: skip

    kind = Kind.of_latents(save, "alpha_mask")

    @functools.wraps(original)
    def new_cache_latents(dataset: Any, model: Any, accelerator: Any, *rest: Any, **more: Any) -> None:
        strategy = base.LatentsCachingStrategy.get_strategy()

        def run(batches: Batches) -> None:
            make_ready(model)
            with (
                _loading_ahead(dataset, load, batches.run) as batch,
                _in_memory(strategy, "cache_batch_latents", lambda args: args[1], batch),
            ):
                original(dataset, model, accelerator, *rest, **more)

        if strategy.cache_to_disk:
            wanted = caching.want_latents(dataset, model, _stock_latents(strategy))
            caching.fill(kind, dataset, wanted, _share(accelerator), run)
            return
        watch = _Watch(caching, kind.phase, len(dataset.image_data))
        with _in_memory(strategy, "cache_batch_latents", lambda args: args[1], watch.run):
            original(dataset, model, accelerator, *rest, **more)
        refuse_nan(list(dataset.image_data.values()))

    return new_cache_latents


def _wrap_texts(original: Callable[..., Any], caching: Caching, base: Any) -> Callable[..., Any]:
    def save(path: str, info: Any) -> None:
        import numpy as np

        np.savez(path, **dict(zip(TEXT_KEYS, info.text_encoder_outputs, strict=True)))

    kind = Kind.of_texts(save, "text_encoder_outputs")

    @functools.wraps(original)
    def new_cache_texts(dataset: Any, models: Any, accelerator: Any, *rest: Any, **more: Any) -> None:
        strategy = base.TextEncoderOutputsCachingStrategy.get_strategy()

        def run(batches: Batches) -> None:
            make_ready(*models)
            with _in_memory(strategy, "cache_batch_outputs", lambda args: args[3], batches.run):
                original(dataset, models, accelerator, *rest, **more)

        if strategy.cache_to_disk:
            wanted = caching.want_texts(
                dataset,
                models[:2],
                lambda info: strategy.get_outputs_npz_path(info.absolute_path),
                is_weighted=bool(strategy.is_weighted),
            )
            caching.fill(kind, dataset, wanted, _share(accelerator), run)
            return
        watch = _Watch(caching, kind.phase, len(dataset.image_data))
        with _in_memory(strategy, "cache_batch_outputs", lambda args: args[3], watch.run):
            original(dataset, models, accelerator, *rest, **more)

    return new_cache_texts


class _Watch:
    """Counts batches that upstream keeps in memory."""

    def __init__(self, caching: Caching, phase: str, total: int) -> None:
        self._caching, self._phase, self._total, self._done = caching, phase, total, 0

    def run(self, infos: Any, encode: Callable[[], Any]) -> None:
        encode()
        self._done += len(infos)
        self._caching.tell(self._phase, self._done, self._total)


@contextmanager
def _loading_ahead(dataset: Any, load: Callable[..., Any] | None, run: Run) -> Iterator[Run]:
    """`run` for a batch of images, behind which the next ones are already being decoded."""
    if load is None:
        yield run
        return
    ahead = loading.Ahead(dataset, load)

    def batch(infos: Any, encode: Callable[[], Any]) -> None:
        ahead.advance(infos)
        run(infos, encode)

    try:
        yield batch
    finally:
        ahead.close()


@contextmanager
def _in_memory(strategy: Any, name: str, infos_of: Callable[[Any], Any], run: Run) -> Iterator[None]:
    """The strategy writes nothing, and each of its batches goes through `run`."""
    original = getattr(strategy, name)  # with whatever others have wrapped around it
    was = strategy._cache_to_disk  # noqa: SLF001  (upstream gives no other way to switch it off)

    def batch(*args: Any, **more: Any) -> None:
        run(infos_of(args), lambda: original(*args, **more))

    setattr(strategy, name, batch)
    strategy._cache_to_disk = False  # noqa: SLF001
    try:
        yield
    finally:
        strategy._cache_to_disk = was  # noqa: SLF001
        delattr(strategy, name)


def _stock_latents(strategy: Any) -> Callable[[Any], str]:
    """Upstream's name, without its preference for an old `photo.npz` that may lie there."""

    def path(info: Any) -> str:
        width, height = info.image_size
        return f"{os.path.splitext(info.absolute_path)[0]}_{width:04d}x{height:04d}{strategy.suffix}"  # noqa: PTH122

    return path


def _share(accelerator: Any) -> Share:
    return Share(rank=accelerator.process_index, ranks=accelerator.num_processes)

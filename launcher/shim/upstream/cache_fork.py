"""Caching in the fp8 fork (and sd-scripts 0.8): paths stand inside the methods, batches are module functions."""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from launcher.shim.upstream.caching import Kind, Share, make_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.shim.context import Context
    from launcher.shim.upstream.caching import Batches, Caching


def install(context: Context, caching: Caching) -> None:
    """Wrap the two caching methods; latents that a metadata file's folder may hold are not believed."""
    train_util = context.modules["library.train_util"]
    dataset = train_util.BaseDataset
    dataset.cache_latents = _wrap_latents(dataset.cache_latents, caching, train_util)
    dataset.cache_text_encoder_outputs = _wrap_texts(dataset.cache_text_encoder_outputs, caching, train_util)
    train_util.FineTuningDataset.image_key_to_npz_file = lambda _self, _subset, _key: (None, None)


def _wrap_latents(original: Callable[..., Any], caching: Caching, train_util: Any) -> Callable[..., Any]:
    def save(path: str, info: Any) -> None:
        train_util.save_latents_to_disk(
            path, info.latents, info.latents_original_size, info.latents_crop_ltrb, info.latents_flipped
        )

    kind = Kind.of_latents(save)

    @functools.wraps(original)
    def cache_latents(
        dataset: Any, vae: Any, vae_batch_size: int = 1, cache_to_disk: Any = False, is_main_process: Any = True
    ) -> None:  # fmt: skip
        if not cache_to_disk:
            original(dataset, vae, vae_batch_size, cache_to_disk, is_main_process)
            return
        subsets = dataset.image_to_subset

        def run(batches: Batches) -> None:
            make_ready(vae)

            def batch(upstream: Any, vae: Any, _to_disk: Any, infos: Any, _flip: Any, *rest: Any) -> None:
                # upstream hands over the flag of whichever subset came last
                flips = [bool(subsets[info.image_key].flip_aug) for info in infos]
                batches.run(infos, lambda: upstream(vae, False, infos, any(flips), *rest))

            with _swapped(train_util, "cache_batch_latents", batch):
                original(dataset, vae, vae_batch_size, False, True)

        wanted = caching.want_latents(dataset, vae, lambda info: _stem(info) + ".npz")
        caching.fill(kind, dataset, wanted, Share(rank=0 if is_main_process else 1, ranks=1), run)

    return cache_latents


def _wrap_texts(original: Callable[..., Any], caching: Caching, train_util: Any) -> Callable[..., Any]:
    def save(path: str, info: Any) -> None:
        train_util.save_text_encoder_outputs_to_disk(
            path, info.text_encoder_outputs1, info.text_encoder_outputs2, info.text_encoder_pool2
        )

    kind = Kind.of_texts(save, "text_encoder_outputs1", "text_encoder_outputs2", "text_encoder_pool2")

    @functools.wraps(original)
    def cache_texts(  # noqa: PLR0917  (upstream's own order of arguments)
        dataset: Any, tokenizers: Any, text_encoders: Any, device: Any, weight_dtype: Any,
        cache_to_disk: Any = False, is_main_process: Any = True,
    ) -> None:  # fmt: skip
        if not cache_to_disk:
            original(dataset, tokenizers, text_encoders, device, weight_dtype, cache_to_disk, is_main_process)
            return

        def run(batches: Batches) -> None:
            make_ready(*text_encoders)

            def batch(upstream: Any, infos: Any, *rest: Any) -> None:
                head, (_to_disk, *tail) = rest[:3], rest[3:]
                batches.run(infos, lambda: upstream(infos, *head, False, *tail))

            with _swapped(train_util, "cache_batch_text_encoder_outputs", batch):
                original(dataset, tokenizers, text_encoders, device, weight_dtype, False, True)

        suffix = train_util.TEXT_ENCODER_OUTPUTS_CACHE_SUFFIX
        wanted = caching.want_texts(
            dataset, text_encoders, lambda info: _stem(info) + suffix, weight_dtype=str(weight_dtype)
        )
        caching.fill(kind, dataset, wanted, Share(rank=0 if is_main_process else 1, ranks=1), run)

    return cache_texts


@contextmanager
def _swapped(module: Any, name: str, wrapper: Callable[..., Any]) -> Iterator[None]:
    """A function of a module goes through `wrapper(original, *args)`."""
    original = getattr(module, name)
    setattr(module, name, functools.partial(wrapper, original))
    try:
        yield
    finally:
        setattr(module, name, original)


def _stem(info: Any) -> str:
    path: str = info.absolute_path
    return os.path.splitext(path)[0]  # noqa: PTH122  (as upstream makes its names)

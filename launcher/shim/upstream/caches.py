"""Latents and text encoder outputs of sd-scripts, cached under names that say what they were made from.

Upstream's caching methods are called as they are, but only for the images whose cache is missing, and with writing to
disk switched off: they leave tensors in memory, which are stored here, aside and renamed, after every batch. So no
path of upstream's is ever used, at any of its versions, and nothing is written beside the user's images unless the
switch `cache_images = "beside"` says so.

The VAE's output is drawn at random. Each batch gets a seed of its own (from its fingerprint) and the generators are
put back afterwards: latents do not depend on the order of caching, and training does not depend on whether a cache
was there. (Stock: a run that caches and one that finds the cache train with different noise at the same seed.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.shim.upstream import cache_fork, cache_strategies
from launcher.shim.upstream.caching import Caching

if TYPE_CHECKING:
    from launcher.shim.context import Context


def install(context: Context) -> None:
    """Redirect the caches of a recognised trainer."""
    caching = Caching(context)
    if hasattr(context.modules["library.train_util"].BaseDataset, "new_cache_latents"):
        cache_strategies.install(context, caching)
    else:
        cache_fork.install(context, caching)

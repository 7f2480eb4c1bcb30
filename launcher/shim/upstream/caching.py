"""The work that both families of trainers share: what is wanted, what is missing, storing it batch by batch."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from launcher.shim.upstream.cache_files import CacheFiles, Wanted
from launcher.shim.upstream.fingerprints import (
    ImageHashes,
    latents_fingerprint,
    model_identity,
    name_of,
    text_fingerprint,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from launcher.shim.context import Context

CACHE_VARIABLE = "LAUNCHER_CACHE_DIR"
PROGRESS_INTERVAL_S = 0.25
TEXT_KEYS: dict[str, tuple[int, ...] | None] = {"hidden_state1": None, "hidden_state2": None, "pool2": None}
LATENTS_STRIDE = 8


Save: TypeAlias = (
    "Callable[[str, Any], None]"  # (path that ends in .npz, record): write what the record holds
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """How one kind of tensors lies in upstream's records of images."""

    phase: str  # as the hooks call it
    npz: str  # attribute with the path of the file
    held: tuple[str, ...]  # attributes that hold the tensors while they are in memory
    save: Save

    @classmethod
    def of_latents(cls, save: Save, *more: str) -> Kind:
        """`more`: what a version holds besides latents, and those of the mirrored image."""
        return cls(
            phase="cache_latents", npz="latents_npz", held=("latents", "latents_flipped", *more), save=save
        )

    @classmethod
    def of_texts(cls, save: Save, *held: str) -> Kind:
        return cls(phase="cache_text_encoder_outputs", npz="text_encoder_outputs_npz", held=held, save=save)


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """Which images this process looks after."""

    rank: int = 0
    ranks: int = 1


class Caching:
    """The caches of one training."""

    def __init__(self, context: Context) -> None:
        self._context = context
        folder = os.environ.get(CACHE_VARIABLE)
        self._folder = Path(folder) if folder else context.run.folder / "cache"
        is_trusting = bool(getattr(context.args, "skip_cache_check", False))
        is_beside = context.switches["cache_images"] == "beside"
        self._files = CacheFiles(self._folder, beside=is_beside, trusts_files=is_trusting)
        self._hashes = ImageHashes()
        self._identities: dict[str, str] = {}
        self._told = 0.0
        self._foreign_told = False

    # What is wanted

    def want_latents(self, dataset: Any, vae: Any, stock: Callable[[Any], str]) -> dict[str, Wanted]:
        """For every image of a dataset the file that its latents lie in. `stock`: upstream's path of a record."""
        infos = dataset.image_data
        self._hashes.look(info.absolute_path for info in infos.values())
        common = self._vae_part(vae)
        wanted = {}
        for key, info in infos.items():
            subset = dataset.image_to_subset[key]
            flip, alpha = bool(subset.flip_aug), bool(getattr(subset, "alpha_mask", False))
            content = self._hashes.of(info.absolute_path)
            name = name_of("latents", latents_fingerprint(common, info, content, flip=flip, alpha=alpha))
            wanted[key] = self._files.want(name, Path(stock(info)), _shapes(info, flip=flip, alpha=alpha))
        return wanted

    def want_texts(
        self, dataset: Any, encoders: Sequence[Any], stock: Callable[[Any], str], **more: Any
    ) -> dict[str, Wanted]:
        """The same for text encoder outputs: one file for each different caption."""
        common = self._text_part(encoders, more)
        return {
            key: self._files.want(
                name_of("text", text_fingerprint(common, info.caption)), Path(stock(info)), TEXT_KEYS
            )
            for key, info in dataset.image_data.items()
        }

    def _vae_part(self, vae: Any) -> dict[str, Any]:
        args = self._context.args
        path = getattr(args, "vae", None) or args.pretrained_model_name_or_path
        return {
            "v": 1, "version": self._context.version, "vae": self._identity(path), "dtype": str(vae.dtype),
            "encode": self._context.switches["vae_encode"],
        }  # fmt: skip

    def _text_part(self, encoders: Sequence[Any], more: Mapping[str, Any]) -> dict[str, Any]:
        args = self._context.args
        names = (
            "max_token_length", "clip_skip", "weighted_captions", "mixed_precision", "full_fp16", "full_bf16",
            "base_weights_multiplier",
        )  # fmt: skip
        return {
            "v": 1,
            "version": self._context.version,
            "model": self._identity(args.pretrained_model_name_or_path),
            "dtypes": [str(encoder.dtype) for encoder in encoders],
            "merged": [self._identity(path) for path in getattr(args, "base_weights", None) or ()],
            **{name: getattr(args, name, None) for name in names},
            **more,
        }

    def _identity(self, path: str) -> str:
        if path not in self._identities:
            self._identities[path] = model_identity(path)
        return self._identities[path]

    # Making what is missing

    def fill(
        self,
        kind: Kind,
        dataset: Any,
        wanted: Mapping[str, Wanted],
        share: Share,
        run: Callable[[Batches], None],
    ) -> None:
        """Let `run` compute what is missing, store it, and tell the records where it lies."""
        whole = dataset.image_data
        missing = self._missing(whole, wanted, share)
        batches = Batches(self, kind, {key: wanted[key] for key in missing}, share)
        self.tell(kind.phase, 0, len(missing))
        if missing:
            dataset.image_data = {key: whole[key] for key in missing}
            try:
                run(batches)
            finally:
                dataset.image_data = whole
        for key, info in whole.items():
            held = batches.held.get(wanted[key].name)
            if held is None:
                setattr(info, kind.npz, str(wanted[key].path))
            else:  # the disk was full: these live in memory
                for attribute in kind.held:
                    setattr(info, attribute, getattr(held, attribute))
        self.tell(kind.phase, len(missing), len(missing))
        self._tell_foreign()

    def _missing(self, infos: Mapping[str, Any], wanted: Mapping[str, Wanted], share: Share) -> list[str]:
        """Keys of this process's images without a file; one for each file where several share it."""
        mine = [key for number, key in enumerate(infos) if number % share.ranks == share.rank]
        paths: dict[Path, str] = {}
        for key in mine:
            paths.setdefault(wanted[key].path, key)
        return [key for path, key in paths.items() if not self._files.has(wanted[key])]

    def store(self, kind: Kind, info: Any, wanted: Wanted, share: Share) -> bool:
        """Write the tensors that a record holds and let go of them; False when they must stay in memory."""
        try:
            self._files.write(wanted, lambda path: kind.save(path, info))
        except OSError as error:
            if share.ranks > 1:  # the other processes will look for the file
                raise
            reason = error.strerror or str(error)
            self._context.warn(
                f"a cache file could not be written ({reason}): it is kept in memory and made anew in every run"
            )
            return False
        for attribute in kind.held:
            setattr(info, attribute, None)
        return True

    def tell(self, phase: str, done: int, total: int) -> None:
        """Progress, some times a second."""
        now = time.monotonic()
        if done in {0, total} or now - self._told >= PROGRESS_INTERVAL_S:
            self._told = now
            self._context.reporter.emit("progress", phase=phase, done=done, total=total)

    def _tell_foreign(self) -> None:
        if self._files.foreign and not self._foreign_told:
            self._foreign_told = True
            self._context.warn(
                f"{len(self._files.foreign)} cache files beside the images were made by another program"
                f" ({self._files.foreign[0].name}): they are left alone; ours lie in {self._folder}"
            )


class Batches:
    """Wraps upstream's function for one batch: own random numbers, stored at once, counted."""

    def __init__(self, caching: Caching, kind: Kind, wanted: Mapping[str, Wanted], share: Share) -> None:
        self.held: dict[str, Any] = {}  # records whose tensors stay in memory, by fingerprint
        self._caching = caching
        self._kind = kind
        self._wanted = wanted
        self._share = share
        self._done = 0

    def run(self, infos: Sequence[Any], encode: Callable[[], Any]) -> None:
        """`encode` makes upstream put the tensors into the records."""
        with own_random(self._wanted[infos[0].image_key].name):
            encode()
        refuse_nan(infos)
        for info in infos:
            wanted = self._wanted[info.image_key]
            if not self._caching.store(self._kind, info, wanted, self._share):
                self.held[wanted.name] = info
        self._done += len(infos)
        self._caching.tell(self._kind.phase, self._done, len(self._wanted))


def make_ready(*models: Any) -> None:
    """Upstream is about to encode with them: moves that were put off (`memory.late`) are made now."""
    for model in models:
        carry_out = getattr(model, "carry_out_moves", None)
        if carry_out is not None:
            carry_out()


def refuse_nan(infos: Sequence[Any]) -> None:
    """v0.10.1 would train on zeros in their place, without a word.

    Raises:
        RuntimeError: as older versions do.
    """
    for info in infos:
        for name in ("latents", "latents_flipped"):
            tensor = getattr(info, name, None)
            if tensor is not None and bool(tensor.isnan().any()):
                raise RuntimeError(f"NaN detected in latents: {info.absolute_path}")


@contextmanager
def own_random(name: str) -> Iterator[None]:
    """Seed torch's generators by a text, and put them back afterwards."""
    import torch

    has_gpu = torch.cuda.is_available()
    seed = int.from_bytes(name.encode()[-12:], "little") % (1 << 63)
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if has_gpu else []):
        torch.default_generator.manual_seed(seed)
        if has_gpu:
            torch.cuda.manual_seed(seed)
        yield


def _shapes(info: Any, *, flip: bool, alpha: bool) -> dict[str, tuple[int, ...] | None]:
    width, height = (int(side) // LATENTS_STRIDE for side in info.bucket_reso)
    latents = (4, height, width)
    shapes: dict[str, tuple[int, ...] | None] = {"latents": latents, "original_size": None, "crop_ltrb": None}
    if flip:
        shapes["latents_flipped"] = latents
    if alpha:
        shapes["alpha_mask"] = None
    return shapes

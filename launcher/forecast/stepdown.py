"""Smaller settings for a card that is too full, before a run or after one: a ladder, each rung with what it saves.

Rungs that keep the state come first: they change where things lie, not what is learned, so a run goes on with them. The
others begin a new run. As many rungs are taken as make up for what is missing, and some to spare. What a rung saves
is the forecast before it less the forecast after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.forecast.architecture import numbers, unet
from launcher.forecast.constants import load_constants
from launcher.forecast.setup import setup_of
from launcher.forecast.vram import LATENTS, SAMPLING, TEXT, TRAINING, estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Values = Mapping[str, object]

SPARE_MIB = 300  # a browser tab, and the allocator's gaps
UNKNOWN_MIB = 600  # missing, when the message does not say
KEPT_UNET_MIB = 500  # of the U-Net: what is used at the time and what is fetched next
OFFLOAD_ROUND = 100
LEAST_DIM = 4
MIB = 1 << 20
PHASES = {  # of events (sd-scripts through the shim, the rehearsal) and of the forecast
    "sampling": SAMPLING, "sample_images": SAMPLING, "cache_latents": LATENTS, "cache_text": TEXT, "train_loop": TRAINING,
    LATENTS: LATENTS, TEXT: TEXT, TRAINING: TRAINING,
}  # fmt: skip
LOWRAM_MIB = 8_800  # what it adds while loading (facts/gpu.md, section 2)
TEXT_AUGMENTATIONS = {
    "shuffle_caption": "false", "caption_dropout_rate": "0", "caption_tag_dropout_rate": "0", "token_warmup_step": "0",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One rung: words for `--set`, about how much it saves (MiB), and what it costs."""

    words: tuple[str, ...]
    saves_mib: int
    about: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDown:
    """What to go on with. `keeps_state`: the run continues; else a new run is needed."""

    changes: tuple[Change, ...]
    keeps_state: bool
    need_mib: float = 0.0

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(word for change in self.changes for word in change.words)

    @property
    def saves_mib(self) -> int:
        return sum(change.saves_mib for change in self.changes)

    @property
    def is_enough(self) -> bool:
        return self.saves_mib >= self.need_mib


# The words of a rung and what they cost; None: there is nothing to change there.
Rung = tuple[tuple[str, ...], str]


def step_down(values: Values, *, phase: str = "", missing_mib: float | None = None, system: str = "linux", is_running: bool = True) -> tuple[StepDown, ...]:  # fmt: skip
    """Up to two offers: one that keeps the state (if there is any such rung left), and one for a new run.

    `is_running`: there is a run to go on with, which can be told to leave an option out (`=none`).
    """
    need = (UNKNOWN_MIB if missing_mib is None else missing_mib) + SPARE_MIB
    kind = PHASES.get(phase, TRAINING)
    kept = _enough(_keeping(phase, need, system, is_running=is_running), values, kind, need, system)
    fresh = _enough(_fresh(phase), values, kind, need, system)
    return tuple(
        offer
        for offer in (
            StepDown(changes=kept, keeps_state=True, need_mib=need),
            StepDown(changes=fresh, keeps_state=False, need_mib=need),
        )
        if offer.changes
    )


def _enough(rungs: tuple[Callable[[Values], Iterator[Rung]], ...], values: Values, kind: str, need: float, system: str) -> tuple[Change, ...]:  # fmt: skip
    """Rungs one after the other, each on top of those before, until they save enough."""
    taken: list[Change] = []
    now = values
    for make in rungs:
        for words, about in make(now):
            if sum(change.saves_mib for change in taken) >= need:
                return tuple(taken)
            after = {**now, **dict(map(_read, words))}
            saves = _need(now, kind, system) - _need(after, kind, system)
            taken.append(Change(words=words, saves_mib=max(0, round(saves)), about=about))
            now = after
    return tuple(taken)


def _need(values: Values, kind: str, system: str) -> float:
    setup = setup_of(values, system=system)
    phases = estimate(setup, load_constants(), samples=kind == SAMPLING and _has_samples(values))
    lowram = LOWRAM_MIB if values.get("lowram") else 0
    return (phases[kind] if kind in phases else phases[TRAINING]).reserved + lowram


def _read(word: str) -> tuple[str, object]:
    name, _, text = word.partition("=")
    known = {"true": True, "false": False, "none": None}
    if text in known:
        return name, known[text]
    try:
        return name, int(text)
    except ValueError:
        return name, text


def _has_samples(values: Values) -> bool:
    return any(
        values.get(name) for name in ("sample_every_n_steps", "sample_every_n_epochs", "sample_at_first")
    )


def _keeping(
    phase: str, need: float, system: str, *, is_running: bool
) -> tuple[Callable[[Values], Iterator[Rung]], ...]:
    """Rungs that change nothing that is learned."""

    def plain(values: Values) -> Iterator[Rung]:
        yield from _plain(values, system)

    def offload(values: Values) -> Iterator[Rung]:
        yield from _offload(values, need)

    kind = PHASES.get(phase, "")
    encoding = (_encoding,) if kind == LATENTS else ()
    drawing = (_sampling, *((_no_samples,) if is_running else ())) if kind == SAMPLING else ()
    waiting = (offload,) if kind in {TRAINING, SAMPLING, ""} else ()
    return (plain, *encoding, *drawing, *waiting)


def _plain(values: Values, system: str) -> Iterator[Rung]:
    if values.get("lowram"):
        yield ("lowram=false",), "lowram loads the whole model in fp32 onto the card"
    if not values.get("gradient_checkpointing"):
        yield ("gradient_checkpointing=true",), "a third slower"
    if not any(values.get(name) for name in ("sdpa", "xformers", "mem_eff_attn")):
        yield ("sdpa=true",), "faster, too"
    if values.get("launcher.allocator") == "stock" and system == "linux":
        yield ("launcher.allocator=expandable",), "less memory lost in gaps"


def _encoding(values: Values) -> Iterator[Rung]:
    batch = values.get("vae_batch_size")
    if isinstance(batch, int) and batch > 1:
        yield ("vae_batch_size=1",), "images are encoded one by one"
    if values.get("launcher.vae_encode") == "stock":
        yield ("launcher.vae_encode=rows",), "images are encoded strip by strip, to the same numbers"


def _sampling(values: Values) -> Iterator[Rung]:
    if values.get("launcher.vae_decode") == "stock":
        yield ("launcher.vae_decode=rows",), "samples are decoded strip by strip"
    if values.get("launcher.sample_unet") == "stock":
        yield ("launcher.sample_unet=autocast",), "no copy of the U-Net in fp16 for samples"


def _no_samples(values: Values) -> Iterator[Rung]:
    names = [name for name in ("sample_every_n_steps", "sample_every_n_epochs", "sample_at_first") if values.get(name)]  # fmt: skip
    if names:
        yield tuple(f"{name}=none" for name in names), "no more sample images"


def _offload(values: Values, need: float) -> Iterator[Rung]:
    now = values.get("launcher.offload_mib")
    if not isinstance(now, int) or isinstance(now, bool):
        return  # a trainer without it
    width = 1 if setup_of(values).is_unet_fp8 else 2
    most = numbers(unet()) * width // MIB - KEPT_UNET_MIB
    wanted = min(most, now + need)
    rounded = min(-(-int(wanted) // OFFLOAD_ROUND) * OFFLOAD_ROUND, most // OFFLOAD_ROUND * OFFLOAD_ROUND)
    if rounded > now:
        yield (f"launcher.offload_mib={rounded}",), "slower: a part of the base weights waits in RAM"


def _fresh(phase: str) -> tuple[Callable[[Values], Iterator[Rung]], ...]:
    """Rungs that train something else: a new run."""
    vae = (_vae,) if PHASES.get(phase) == LATENTS else ()
    return (_fp8, *vae, _text, _optimizer, _batch, _dim, _resolution)


def _fp8(values: Values) -> Iterator[Rung]:
    if not values.get("fp8_base") and not values.get("fp8_base_unet"):
        yield ("fp8_base=true",), "base weights in 8 bit"


def _vae(values: Values) -> Iterator[Rung]:
    if str(values.get("mixed_precision")) == "bf16" and values.get("no_half_vae"):
        yield ("no_half_vae=false",), "images are encoded in bf16"


def _text(values: Values) -> Iterator[Rung]:
    if values.get("cache_text_encoder_outputs"):
        return
    off = tuple(f"{name}={value}" for name, value in TEXT_AUGMENTATIONS.items() if values.get(name))
    words = ("network_train_unet_only=true", "cache_text_encoder_outputs=true", "cache_text_encoder_outputs_to_disk=true", *off)  # fmt: skip
    yield words, "the text encoders are not trained and not kept on the card"


def _optimizer(values: Values) -> Iterator[Rung]:
    if str(values.get("optimizer_type", "")).lower() == "adamw":
        yield ("optimizer_type=AdamW8bit",), "the optimizer's memory in 8 bit"


def _batch(values: Values) -> Iterator[Rung]:
    batch = values.get("train_batch_size")
    if isinstance(batch, int) and batch > 1:
        already = values.get("gradient_accumulation_steps")
        steps = batch * (already if isinstance(already, int) and already > 0 else 1)
        yield ("train_batch_size=1", f"gradient_accumulation_steps={steps}"), "the same sum over single images; slower"  # fmt: skip


def _dim(values: Values) -> Iterator[Rung]:
    dim, alpha = values.get("network_dim"), values.get("network_alpha")
    if isinstance(dim, int) and not isinstance(dim, bool) and dim // 2 >= LEAST_DIM:
        halves = [f"network_dim={dim // 2}"]
        if isinstance(alpha, (int, float)) and not isinstance(alpha, bool):
            halves.append(f"network_alpha={alpha / 2:g}")
        yield tuple(halves), "a smaller LoRA"


def _resolution(values: Values) -> Iterator[Rung]:
    said = str(values.get("resolution", ""))
    sides = [int(side) for side in said.split(",") if side.strip().isdigit()]
    if sides and min(sides) >= 1024:
        yield ("resolution=768,768",), "smaller images: less detail"

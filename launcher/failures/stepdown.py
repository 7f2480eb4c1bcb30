"""Smaller settings after a full card: a ladder, each rung with what it saves, measured with SDXL at v0.10.1 (facts/gpu.md).

Rungs that keep the state come first: they change where things lie, not what is learned, so a run goes on with them. The
others begin a new run. As many rungs are taken as make up for what was missing, and some to spare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Values = Mapping[str, object]

SPARE_MIB = 300  # a browser tab, and the allocator's gaps
UNKNOWN_MIB = 600  # missing, when the message does not say
FP8_UNET_MIB, BF16_UNET_MIB = 2448, 4897
KEPT_UNET_MIB = 500  # of the U-Net: what is used at the time and what is fetched next
OFFLOAD_ROUND = 100
PER_IMAGE_MIB = 820  # peak for each image of a batch at 1024
PER_DIM_MIB = 21  # reserved, between dim 8 and 128
LEAST_DIM = 4
SAMPLING = {"sampling", "sample_images"}  # sd-scripts through the shim, and the rehearsal
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


def step_down(values: Values, *, phase: str = "", missing_mib: float | None = None, system: str = "linux") -> tuple[StepDown, ...]:  # fmt: skip
    """Up to two offers: one that keeps the state (if there is any such rung left), and one for a new run."""
    need = (UNKNOWN_MIB if missing_mib is None else missing_mib) + SPARE_MIB
    kept = _enough(_keeping(values, phase, need, system), need)
    fresh = _enough(_fresh(values, phase), need)
    return tuple(
        offer
        for offer in (
            StepDown(changes=kept, keeps_state=True, need_mib=need),
            StepDown(changes=fresh, keeps_state=False, need_mib=need),
        )
        if offer.changes
    )


def _enough(rungs: Iterator[Change], need: float) -> tuple[Change, ...]:
    taken: list[Change] = []
    for rung in rungs:
        if sum(change.saves_mib for change in taken) >= need:
            break
        taken.append(rung)
    return tuple(taken)


def _keeping(values: Values, phase: str, need: float, system: str) -> Iterator[Change]:
    """Rungs that change nothing that is learned."""
    if values.get("lowram"):
        yield Change(words=("lowram=false",), saves_mib=8_800, about="lowram loads the whole model in fp32 onto the card")  # fmt: skip
    if not values.get("gradient_checkpointing"):
        yield Change(words=("gradient_checkpointing=true",), saves_mib=11_900, about="a third slower")
    if not any(values.get(name) for name in ("sdpa", "xformers", "mem_eff_attn")):
        yield Change(words=("sdpa=true",), saves_mib=2_300, about="faster, too")
    if values.get("launcher.allocator") == "stock" and system == "linux":
        yield Change(words=("launcher.allocator=expandable",), saves_mib=200, about="less memory lost in gaps")  # fmt: skip
    if phase == "cache_latents":
        yield from _encoding(values)
    if phase in {*SAMPLING, ""}:
        yield from _sampling(values, is_certain=phase in SAMPLING)
    if phase in {"train_loop", *SAMPLING, ""}:
        yield from _offload(values, need)


def _encoding(values: Values) -> Iterator[Change]:
    batch = values.get("vae_batch_size")
    if isinstance(batch, int) and batch > 1:
        yield Change(words=("vae_batch_size=1",), saves_mib=2_500 * (batch - 1), about="images are encoded one by one")  # fmt: skip
    if values.get("launcher.vae_encode") == "stock":
        yield Change(words=("launcher.vae_encode=rows",), saves_mib=2_600, about="images are encoded strip by strip, to the same numbers")  # fmt: skip


def _sampling(values: Values, *, is_certain: bool) -> Iterator[Change]:
    if values.get("launcher.vae_decode") == "stock":
        yield Change(words=("launcher.vae_decode=rows",), saves_mib=5_000 if is_certain else 0, about="samples are decoded strip by strip")  # fmt: skip
    if values.get("launcher.sample_unet") == "stock":
        yield Change(words=("launcher.sample_unet=autocast",), saves_mib=2_448 if is_certain else 0, about="no copy of the U-Net in fp16 for samples")  # fmt: skip
    names = [name for name in ("sample_every_n_steps", "sample_every_n_epochs", "sample_at_first") if values.get(name)]  # fmt: skip
    if is_certain and names:
        yield Change(words=tuple(f"{name}=none" for name in names), saves_mib=3_800, about="no more sample images")  # fmt: skip


def _offload(values: Values, need: float) -> Iterator[Change]:
    now = values.get("launcher.offload_mib")
    if not isinstance(now, int) or isinstance(now, bool):
        return  # a trainer without it
    is_fp8 = bool(values.get("fp8_base") or values.get("fp8_base_unet"))
    most = (FP8_UNET_MIB if is_fp8 else BF16_UNET_MIB) - KEPT_UNET_MIB
    wanted = min(most, now + need)
    rounded = min(-(-int(wanted) // OFFLOAD_ROUND) * OFFLOAD_ROUND, most // OFFLOAD_ROUND * OFFLOAD_ROUND)
    if rounded > now:
        yield Change(words=(f"launcher.offload_mib={rounded}",), saves_mib=rounded - now, about="slower: a part of the base weights waits in RAM")  # fmt: skip


def _fresh(values: Values, phase: str) -> Iterator[Change]:
    """Rungs that train something else: a new run."""
    if not values.get("fp8_base") and not values.get("fp8_base_unet"):
        yield Change(words=("fp8_base=true",), saves_mib=2_408, about="base weights in 8 bit")
    if phase == "cache_latents" and str(values.get("mixed_precision")) == "bf16" and values.get("no_half_vae"):  # fmt: skip
        yield Change(words=("no_half_vae=false",), saves_mib=2_570, about="images are encoded in bf16")
    for rung in (_text, _optimizer, _batch, _dim, _resolution):
        yield from rung(values)


def _text(values: Values) -> Iterator[Change]:
    if values.get("cache_text_encoder_outputs"):
        return
    off = tuple(f"{name}={value}" for name, value in TEXT_AUGMENTATIONS.items() if values.get(name))
    words = ("network_train_unet_only=true", "cache_text_encoder_outputs=true", "cache_text_encoder_outputs_to_disk=true", *off)  # fmt: skip
    saves = 960 if values.get("network_train_unet_only") else 1_490
    yield Change(words=words, saves_mib=saves, about="the text encoders are not trained and not kept on the card")  # fmt: skip


def _optimizer(values: Values) -> Iterator[Change]:
    if str(values.get("optimizer_type", "")).lower() == "adamw":
        yield Change(words=("optimizer_type=AdamW8bit",), saves_mib=580, about="the optimizer's memory in 8 bit")  # fmt: skip


def _batch(values: Values) -> Iterator[Change]:
    batch = values.get("train_batch_size")
    if isinstance(batch, int) and batch > 1:
        already = values.get("gradient_accumulation_steps")
        steps = batch * (already if isinstance(already, int) and already > 0 else 1)
        yield Change(words=("train_batch_size=1", f"gradient_accumulation_steps={steps}"), saves_mib=PER_IMAGE_MIB * (batch - 1), about="the same sum over single images; slower")  # fmt: skip


def _dim(values: Values) -> Iterator[Change]:
    dim, alpha = values.get("network_dim"), values.get("network_alpha")
    if isinstance(dim, int) and not isinstance(dim, bool) and dim // 2 >= LEAST_DIM:
        halves = [f"network_dim={dim // 2}"]
        if isinstance(alpha, (int, float)) and not isinstance(alpha, bool):
            halves.append(f"network_alpha={alpha / 2:g}")
        yield Change(words=tuple(halves), saves_mib=PER_DIM_MIB * (dim - dim // 2), about="a smaller LoRA")


def _resolution(values: Values) -> Iterator[Change]:
    said = str(values.get("resolution", ""))
    sides = [int(side) for side in said.split(",") if side.strip().isdigit()]
    if sides and min(sides) >= 1024:
        yield Change(words=("resolution=768,768",), saves_mib=450, about="smaller images: less detail")

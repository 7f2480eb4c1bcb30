"""One training step on paper: the recorded order of tensors through torch's allocator, two times over.

Before it lie the frozen weights and the LoRA, after the first step the optimizer's averages; gradients stay from
where the step makes them until it has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.forecast.allocator import MIB, Allocator
from launcher.forecast.architecture import embedding_numbers, lora_matrices, text_encoders, unet
from launcher.forecast.recording import Kind, load_recording

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.forecast.allocator import Block
    from launcher.forecast.constants import Constants
    from launcher.forecast.setup import Setup

HALF, FULL = 2, 4
ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Peak:
    """MiB: what torch was asked for, what it took from the card for it, and what rests between the steps."""

    allocated: float
    reserved: float
    resting: float = 0.0

    @property
    def gaps(self) -> float:
        """Lost between the tensors."""
        return self.reserved - self.allocated


def kind_of(setup: Setup) -> Kind:
    """The recording for these settings."""
    return Kind(
        is_fp8=setup.is_unet_fp8 or setup.offload_mib > 0, is_checkpointed=setup.is_checkpointed, has_attention=setup.has_attention,
        is_half=setup.is_half, has_conv=setup.conv_dim > 0,
    )  # fmt: skip


def replay(setup: Setup, constants: Constants) -> Peak:
    """Peaks of the training loop."""
    allocator = Allocator(is_expandable=setup.is_expandable)
    for size in (*frozen(setup), *_lora(setup), *constants.residents()):
        allocator.take(size)
    recording = load_recording(kind_of(setup))
    sizes = recording.bytes_of(batch=setup.batch, pixels=setup.pixels, dim=setup.dim, conv_dim=setup.conv_dim)
    if not setup.is_mixed:
        sizes = [2 * size for size in sizes]
    grads: list[Block] = []
    resting = 0
    for number in range(ROUNDS):
        batch = [allocator.take(MIB) for _ in range(constants["training"]["while_stepping"])]
        live = _run(allocator, sizes, recording.events, is_gathering=setup.is_gathering and number > 0)
        if setup.trains_text and number == 0:
            _text_gradients(allocator, setup)
        grads += live
        grads += [allocator.take(size) for size in _text_lora(setup)]
        if number == 0:
            _optimizer_state(allocator, setup)
        _optimizer_step(allocator, setup)
        if not setup.is_gathering or number == ROUNDS - 1:
            resting = allocator.allocated - sum(block.size for block in grads)
            for block in grads:
                allocator.give(block)
            grads = []
        for block in batch:
            allocator.give(block)
    reserved = allocator.reserved / MIB + constants.gaps(setup)
    resting -= constants["training"]["while_stepping"] * MIB
    return Peak(allocator.peak_allocated / MIB, reserved, resting / MIB)


def allocated(setup: Setup, constants: Constants) -> tuple[float, float]:
    """What torch is asked for at the peak, and what rests between the steps (MiB): without the allocator, much quicker."""
    matrices = list(_matrices(setup))
    state = sum(size for count, columns in matrices for size in setup.optimizer.states(count, columns))
    base = sum((*frozen(setup), *_lora(setup), *constants.residents())) + state
    if setup.trains_text and setup.is_checkpointed:
        base += embedding_numbers() * HALF
    peak, rest = _ask(setup)
    grads = rest + sum(_text_lora(setup))
    copy = sum(_lora(setup)) if setup.optimizer.needs_copy else 0
    peak += constants["training"]["while_stepping"] * MIB + (grads if setup.is_gathering else 0)
    return (base + max(peak, grads + copy)) / MIB, base / MIB


def _ask(setup: Setup) -> tuple[int, int]:
    """Bytes of the recorded step at its peak, and of what it leaves: the gradients."""
    recording = load_recording(kind_of(setup))
    sizes = recording.bytes_of(batch=setup.batch, pixels=setup.pixels, dim=setup.dim, conv_dim=setup.conv_dim)
    now = peak = 0
    live: list[int] = []
    for event in recording.events:
        if event & 1:
            now -= live.pop(-1 - (event >> 1))
        else:
            live.append(sizes[event >> 1])
            now += live[-1]
            peak = max(peak, now)
    width = 1 if setup.is_mixed else 2
    return peak * width, now * width


def frozen(setup: Setup) -> Iterator[int]:
    """Bytes of the base model's tensors on the card."""
    kept = _offloaded(setup)
    width = 1 if setup.is_unet_fp8 else HALF if setup.is_mixed else FULL
    for number, layer in enumerate(unet()):
        if number not in kept:
            yield layer.weight * width
        if layer.has_bias:
            yield layer.outs * width
    if setup.has_text:
        width = 1 if setup.is_text_fp8 else HALF if setup.is_mixed else FULL
        yield from (
            layer.numbers * (max(width, HALF) if layer.ins == 1 else width) for layer in text_encoders()
        )


def _offloaded(setup: Setup) -> frozenset[int]:
    """As `shim.memory.offload` chooses them: the largest first, the first of equals first."""
    left = setup.offload_mib * MIB
    width = 1 if setup.is_unet_fp8 else HALF
    chosen = set()
    layers = [(number, layer) for number, layer in enumerate(unet()) if layer.ins]
    for number, layer in sorted(layers, key=lambda pair: -pair[1].weight):
        if layer.weight * width <= left:
            left -= layer.weight * width
            chosen.add(number)
    return frozenset(chosen)


def _matrices(setup: Setup) -> Iterator[tuple[int, int]]:
    """Numbers and columns of each trained matrix."""
    layers = (*(unet() if setup.trains_unet else ()), *(text_encoders() if setup.trains_text else ()))
    for layer in layers:
        pair = layer.lora(setup.dim, setup.conv_dim)
        if pair:
            yield from ((pair[0], 3 if layer.kernel == 3 else layer.ins), (pair[1], pair[1] // layer.outs))


def _lora(setup: Setup) -> list[int]:
    width = HALF if setup.is_half else FULL
    return [numbers * width for numbers, _ in _matrices(setup)]


def _text_lora(setup: Setup) -> list[int]:
    width = HALF if setup.is_half else FULL
    matrices = lora_matrices(text_encoders(), setup.dim, setup.conv_dim) if setup.trains_text else []
    return [numbers * width for numbers in matrices]


def _run(
    allocator: Allocator, sizes: list[int], events: tuple[int, ...], *, is_gathering: bool
) -> list[Block]:
    """Forward and backward; what is left are the gradients of the U-Net's part."""
    live: list[Block] = []
    take, give = allocator.take, allocator.give
    for event in events:
        if event & 1:
            give(live.pop(-1 - (event >> 1)))
        else:
            live.append(take(sizes[event >> 1]))
    if is_gathering:  # they were added to those that are there
        for block in live:
            give(block)
        return []
    return live


def _text_gradients(allocator: Allocator, setup: Setup) -> None:
    """Checkpointing makes the trainer ask for gradients of the embeddings, which nothing ever clears."""
    if setup.is_checkpointed:
        allocator.take(embedding_numbers() * HALF)


def _optimizer_state(allocator: Allocator, setup: Setup) -> None:
    for numbers, columns in _matrices(setup):
        for size in setup.optimizer.states(numbers, columns):
            allocator.take(size)


def _optimizer_step(allocator: Allocator, setup: Setup) -> None:
    if setup.optimizer.needs_copy:
        for block in [allocator.take(size) for size in _lora(setup)]:
            allocator.give(block)

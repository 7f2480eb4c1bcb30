"""What an optimizer keeps of each LoRA matrix, in bytes.

Sources: bitsandbytes 0.50.2 `optim/optimizer.py` (tensors below 4096 numbers stay in fp32, blocks of 256 with an fp32
maximum each, paged from 100,000 numbers on), torch's AdamW (`foreach`: a copy of all while it steps), transformers' Adafactor
(sums of rows and columns), and the classes that `library/train_util.py` of v0.10.1 names.
"""

from __future__ import annotations

from dataclasses import dataclass

SMALLEST_8BIT = 4096
BLOCK = 256
SMALLEST_PAGED = 100_000
FP32 = 4
# How many averages of the matrix's own size are kept.
STATES = {
    "adamw": 2, "adamw8bit": 2, "pagedadamw": 2, "pagedadamw8bit": 2, "pagedadamw32bit": 2, "ademamix8bit": 3, "pagedademamix8bit": 3,
    "lion": 1, "lion8bit": 1, "pagedlion8bit": 1, "sgdnesterov": 1, "sgdnesterov8bit": 1, "prodigy": 4,
    "dadaptation": 3, "dadaptadampreprint": 3, "dadaptadagrad": 3, "dadaptadam": 3, "dadaptadan": 5, "dadaptadanip": 5,
    "dadaptlion": 2, "dadaptsgd": 3, "radamschedulefree": 2, "adamwschedulefree": 2, "sgdschedulefree": 1,
}  # fmt: skip
FOREACH = frozenset({"adamw"})  # torch's own, which work on all matrices at once


@dataclass(frozen=True, slots=True)
class Optimizer:
    """An optimizer by the name that sd-scripts takes."""

    name: str

    @property
    def is_known(self) -> bool:
        """False: counted as AdamW."""
        return self.name in STATES or self.name == "adafactor"

    @property
    def needs_copy(self) -> bool:
        """Whether it makes a copy of all weights while it steps."""
        return self.name in FOREACH

    def states(self, numbers: int, columns: int) -> list[int]:
        """Bytes of each tensor that it keeps on the card for a matrix with so many numbers and columns."""
        if self.name == "adafactor":
            rows = numbers // max(columns, 1)
            return [FP32 * rows, FP32 * max(columns, 1)]
        count = STATES.get(self.name, 2)
        is_8bit = self.name.endswith("8bit") and numbers >= SMALLEST_8BIT
        if self.name.startswith("paged") and numbers >= SMALLEST_PAGED:
            return []
        if not is_8bit:
            return [FP32 * numbers] * count
        return [numbers, FP32 * -(-numbers // BLOCK)] * count

    def stored(self, numbers: int) -> int:
        """Bytes of it in a state on disk, paged or not."""
        plain = Optimizer(self.name.removeprefix("paged"))
        return sum(plain.states(numbers, 1)) if self.name != "adafactor" else numbers // 8


def optimizer_of(said: object) -> Optimizer:
    """From `optimizer_type`; the part behind the last dot of a class with its module."""
    return Optimizer(str(said or "adamw").rpartition(".")[2].lower())

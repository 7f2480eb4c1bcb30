"""What is known of a computer."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A detected value and why it is so."""

    value: object
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """An NVIDIA card as its driver describes it. Memory in MiB."""

    name: str
    capability: tuple[int, int]
    total_mib: int
    free_mib: int
    driver: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """This computer. Memory in MiB; 0 where it cannot be found out."""

    os: str
    cores: int
    ram_mib: int
    free_ram_mib: int
    gpus: tuple[Gpu, ...]
    has_bf16: Fact
    gpu_note: str = ""  # why there is no card, in words
    gpu_source: str = ""  # who told about the cards, and who was asked before in vain
    os_name: str = ""  # linux, windows, macos, or what Python calls it
    arch: str = ""  # of the processor, not of this Python: x86_64, arm64, x86, or what the system calls it
    arch_note: str = ""  # what is unusual about it
    driver: str | None = None  # NVIDIA's, `551.23`
    cuda_driver: str | None = None  # newest CUDA that the driver serves, `12.4`
    swap_mib: int = 0  # swap or page file
    other_gpus: tuple[str, ...] = ()  # names of cards that are not NVIDIA's
    visible_devices: str | None = None  # CUDA_VISIBLE_DEVICES, if set: hides cards from programs, not from us

    @property
    def gpu(self) -> Gpu | None:
        """The card that training uses: the first, as `CUDA_DEVICE_ORDER=PCI_BUS_ID` numbers them."""
        return self.gpus[0] if self.gpus else None

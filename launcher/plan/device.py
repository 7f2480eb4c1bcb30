"""What the training will compute on: a card, if there is one and the training environment's torch can use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.errors import InputError
from launcher.files import read_json
from launcher.install.proof import marker
from launcher.machine import Fact

if TYPE_CHECKING:
    from launcher.machine import Machine
    from launcher.paths import Paths

CARD = "cuda"
CPU = "cpu"
MOST_THREADS_BESIDE_A_CARD = 8  # more only compete with the thread that feeds the card


def choose_device(paths: Paths, trainer: str, machine: Machine) -> Fact:
    """`cuda` or `cpu`, with the reason.

    A card alone is not enough: the rehearsal's environment has a CPU build of torch unless another was asked for.
    """
    if machine.gpu is None:
        return Fact(value=CPU, reason=machine.gpu_note or "no NVIDIA card")
    if not has_cuda(paths, trainer):
        return Fact(
            value=CPU,
            reason=f"the training environment has a CPU build of torch, so {machine.gpu.name} is not used",
        )
    return Fact(value=CARD, reason=f"{machine.gpu.name}, driver {machine.gpu.driver}")


def has_cuda(paths: Paths, trainer: str) -> bool:
    """Whether the environment was proved with a torch for cards; unknown counts as yes, preflight asks for the proof."""
    ready = _proof(paths, trainer)
    if "torch_set" not in ready:
        return True
    return ready["torch_set"] != "cpu" or bool(ready.get("cuda"))


def attention_of(paths: Paths, trainer: str) -> str | None:
    """`xformers` or `sdpa`, whichever the environment was proved with; None: nobody knows."""
    attention = _proof(paths, trainer).get("attention")
    return attention if isinstance(attention, str) else None


def accelerate_of(paths: Paths, trainer: str) -> str:
    """The version of accelerate that the environment was proved with; empty: nobody knows."""
    versions = _proof(paths, trainer).get("versions")
    version = versions.get("accelerate") if isinstance(versions, dict) else None
    return version if isinstance(version, str) else ""


def _proof(paths: Paths, trainer: str) -> dict[str, Any]:
    try:
        ready = read_json(marker(paths, trainer))
    except InputError:
        return {}
    return ready if isinstance(ready, dict) else {}


def choose_threads(machine: Machine, device: Fact) -> Fact:
    """How many CPU threads each training process should use; fixed for a run, because CPU results depend on it."""
    if device.value == CARD:
        return Fact(
            value=max(1, min(machine.cores, MOST_THREADS_BESIDE_A_CARD)), reason="the card does the work"
        )
    # Two cores, one other program busy on them: 30 s a step with two threads (each waits, spinning, for the other at
    # the end of every small operation), 0.5 s without it. One thread gains nothing from luck and loses nothing to a
    # browser, and its sums come out the same on every computer.
    return Fact(value=1, reason="on a processor more threads wait for each other")

"""Asks about the NVIDIA cards, one source after the other, until one answers.

`CUDA_VISIBLE_DEVICES` hides cards from programs that compute. None of these sources heeds it: all cards are listed.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.machine.records import MIB, Gpu

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PYNVML = "NVIDIA's management library (pynvml)"
WSL = "/usr/lib/wsl/lib"  # Windows lends its driver to Linux there, outside the loader's path
POSIX_SMI = ("/usr/bin", "/usr/local/bin", "/usr/local/nvidia/bin", "/opt/nvidia/bin", "/run/current-system/sw/bin", WSL)  # fmt: skip


class NoAnswerError(Exception):
    """A source cannot tell; its words say why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cards:
    """What one source said."""

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda: str | None = None
    source: str = ""
    note: str = ""  # why there is no card, or which one is missing from the list


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Who is asked. Programs and Windows libraries by absolute path only: what lies in the current folder must not run."""

    has_pynvml: bool = True
    nvml: tuple[str, ...] = ()  # NVIDIA's management library
    smi: tuple[str, ...] = ()  # nvidia-smi
    cuda: tuple[str, ...] = ()  # the driver's own library


def trusted_sources(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Sources:
    """The places that only an administrator can write (install facts, section 4)."""
    if platform == "darwin":  # no driver has existed since 2019
        return Sources(has_pynvml=False)
    if platform != "win32":
        return Sources(
            nvml=("libnvidia-ml.so.1", f"{WSL}/libnvidia-ml.so.1"),
            smi=tuple(f"{folder}/nvidia-smi" for folder in POSIX_SMI),
            cuda=("libcuda.so.1", f"{WSL}/libcuda.so.1"),
        )
    system = f"{_absolute(environ.get('SYSTEMROOT'), 'C:/Windows')}\\System32"
    folders = (
        system,
        f"{_absolute(environ.get('PROGRAMFILES'), 'C:/Program Files')}\\NVIDIA Corporation\\NVSMI",
    )
    return Sources(
        nvml=tuple(f"{folder}\\nvml.dll" for folder in folders),
        smi=tuple(f"{folder}\\nvidia-smi.exe" for folder in folders),
        cuda=(f"{system}\\nvcuda.dll",),
    )


def _absolute(folder: str | None, default: str) -> str:
    """A variable that somebody has set to a relative folder would bring the current one back in."""
    is_absolute = bool(folder) and str(folder)[1:3] in {":\\", ":/"}
    return (str(folder) if is_absolute else default).replace("/", "\\")


def look_at_cards(sources: Sources | None = None) -> Cards:
    """All NVIDIA cards with the name of the source that told. Never raises."""
    from launcher.machine.library import ask_library
    from launcher.machine.smi import ask_smi

    sources = trusted_sources() if sources is None else sources
    asked: list[tuple[str, Callable[[], Cards]]] = []
    if sources.has_pynvml:
        asked.append((PYNVML, _ask_pynvml))
    asked += [("NVIDIA's management library", lambda: ask_library(sources.nvml))] if sources.nvml else []
    asked += [("nvidia-smi", lambda: ask_smi(sources.smi))] if sources.smi else []
    silent: list[str] = []
    for title, ask in asked:
        try:
            found = ask()
        except NoAnswerError as error:
            silent.append(f"{title}: {error}")
            continue
        source = found.source or title
        told = f"{source} ({'; '.join(silent)})" if silent else source
        return _with_cuda(replace(found, source=told), sources)
    return _with_cuda(_nobody(silent), sources)


def _nobody(silent: list[str]) -> Cards:
    """No source answered: the first one that could be asked at all names the cause."""
    telling = [words for words in silent if "not installed" not in words] or silent
    cause = telling[0].partition(": ")[2] if telling else "there is none for this system"
    return Cards(note=f"no NVIDIA driver answers ({cause})", source=f"nobody ({'; '.join(silent)})")


def _with_cuda(cards: Cards, sources: Sources) -> Cards:
    from launcher.machine.library import cuda_version

    return cards if cards.cuda or not sources.cuda else replace(cards, cuda=cuda_version(sources.cuda))


def _ask_pynvml() -> Cards:
    try:
        import pynvml
    except ImportError as error:
        raise NoAnswerError("the package nvidia-ml-py is not installed") from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NoAnswerError(_words(error)) from error
    try:
        driver = text(pynvml.nvmlSystemGetDriverVersion())
        found = [_card(index, driver) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError as error:
        raise NoAnswerError(_words(error)) from error
    else:
        return cards_of(found, driver=driver, cuda=_cuda_of_pynvml())
    finally:
        with suppress(pynvml.NVMLError):  # the answers are already here
            pynvml.nvmlShutdown()


def _card(index: int, driver: str) -> Gpu | str:
    """One card; or why it cannot be asked (fallen off the bus, no permission)."""
    import pynvml

    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
        name = text(pynvml.nvmlDeviceGetName(handle))
    except pynvml.NVMLError as error:
        return f"card {index}: {_words(error)}"
    return Gpu(
        name=name,
        capability=(int(major), int(minor)),
        total_mib=int(memory.total) // MIB,
        free_mib=int(memory.free) // MIB,
        driver=driver,
    )


def _cuda_of_pynvml() -> str | None:
    import pynvml

    try:
        return cuda_words(int(pynvml.nvmlSystemGetCudaDriverVersion_v2()))
    except (pynvml.NVMLError, AttributeError):  # a driver or a binding from before CUDA 10
        return None


def cards_of(
    found: list[Gpu | str], *, driver: str | None, cuda: str | None = None, source: str = ""
) -> Cards:
    """An answer of these cards; what stands in place of a card is why it cannot be asked."""
    gpus = tuple(card for card in found if isinstance(card, Gpu))
    lost = "; ".join(card for card in found if isinstance(card, str))
    note = f"not every card answers ({lost})" if lost else ""
    if not gpus:
        note = "the NVIDIA driver knows no card" + (f" that answers ({lost})" if lost else "")
    return Cards(gpus=gpus, driver=driver, cuda=cuda, source=source, note=note)


def cuda_words(number: int) -> str | None:
    """`12.4` for NVIDIA's 12040; None for 0, which a driver without CUDA says."""
    return f"{number // 1000}.{number % 1000 // 10}" if number > 0 else None


def text(value: object) -> str:
    """Names and versions: bytes before version 11.5 of NVIDIA's binding."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _words(error: object) -> str:
    return str(error).strip() or type(error).__name__


def first_file(places: tuple[str, ...]) -> Path | None:
    """The first of these that is there, absolute paths only."""
    for place in map(Path, places):
        with suppress(OSError):
            if place.is_absolute() and place.is_file():
                return place
    return None

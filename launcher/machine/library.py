"""NVIDIA's libraries by ctypes: for a Python that has no binding, and where the binding fails."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from launcher.machine.cards import Cards, NoAnswerError, cards_of, cuda_words
from launcher.machine.records import MIB, Gpu

NAME_BYTES = 96  # NVML_DEVICE_NAME_V2_BUFFER_SIZE
VERSION_BYTES = 80  # NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE


class _Memory(ctypes.Structure):
    """nvmlMemory_t, version 1, in bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def ask_library(places: tuple[str, ...]) -> Cards:
    """The cards as NVML describes them.

    Raises:
        NoAnswerError: no such library, no driver behind it, or it does not know these functions.
    """
    library, place = _load(places)
    try:
        _call(library, "nvmlInit_v2")
        try:
            return _read(library, place)
        finally:
            with suppress(NoAnswerError):  # the answers are already here
                _call(library, "nvmlShutdown")
    except AttributeError as error:
        raise NoAnswerError(f"{place} is too old: {error}") from error


def cuda_version(places: tuple[str, ...]) -> str | None:
    """The newest CUDA that the driver serves, from its own library; None where there is none."""
    try:
        library, _ = _load(places)
        number = ctypes.c_int()
        if library.cuDriverGetVersion(ctypes.byref(number)):
            return None
    except (NoAnswerError, AttributeError):
        return None
    return cuda_words(number.value)


def _load(places: tuple[str, ...]) -> tuple[Any, str]:
    """The first library that loads. On Windows a missing path is not even tried: the loader would look elsewhere."""
    words = f"there is no {Path(places[0]).name}" if places else "there is none"
    for place in places:
        if os.name == "nt" and not os.path.isfile(place):  # noqa: PTH113  (Path.is_file raises on a drive that is gone)
            continue
        try:
            return ctypes.CDLL(place), place
        except OSError as error:
            if os.path.exists(place):  # noqa: PTH110  (as above; and a bare name is not a path)
                words = str(error)
    raise NoAnswerError(words)


def _call(library: Any, name: str, *arguments: object) -> None:
    code = getattr(library, name)(*arguments)
    if code:
        raise NoAnswerError(_error_words(library, name, code))


def _error_words(library: Any, name: str, code: int) -> str:
    try:
        to_words = library.nvmlErrorString
        to_words.restype = ctypes.c_char_p
        words = to_words(code)
    except AttributeError:
        words = None
    return words.decode("utf-8", "replace") if words else f"{name} says {code}"


def _read(library: Any, place: str) -> Cards:
    version = ctypes.create_string_buffer(VERSION_BYTES)
    _call(library, "nvmlSystemGetDriverVersion", version, ctypes.c_uint(VERSION_BYTES))
    driver = version.value.decode("utf-8", "replace")
    count = ctypes.c_uint()
    _call(library, "nvmlDeviceGetCount_v2", ctypes.byref(count))
    found = [_card(library, index, driver) for index in range(count.value)]
    return cards_of(found, driver=driver, cuda=_cuda(library), source=place)


def _cuda(library: Any) -> str | None:
    number = ctypes.c_int()
    try:
        _call(library, "nvmlSystemGetCudaDriverVersion_v2", ctypes.byref(number))
    except (NoAnswerError, AttributeError):  # a driver from before CUDA 10
        return None
    return cuda_words(number.value)


def _card(library: Any, index: int, driver: str) -> Gpu | str:
    handle = ctypes.c_void_p()
    name = ctypes.create_string_buffer(NAME_BYTES)
    memory = _Memory()
    major, minor = ctypes.c_int(), ctypes.c_int()
    try:
        _call(library, "nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle))
        _call(library, "nvmlDeviceGetName", handle, name, ctypes.c_uint(NAME_BYTES))
        _call(library, "nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory))
        _call(library, "nvmlDeviceGetCudaComputeCapability", handle, ctypes.byref(major), ctypes.byref(minor))
    except NoAnswerError as error:
        return f"card {index}: {error}"
    return Gpu(
        name=name.value.decode("utf-8", "replace"),
        capability=(major.value, minor.value),
        total_mib=memory.total // MIB,
        free_mib=memory.free // MIB,
        driver=driver,
    )

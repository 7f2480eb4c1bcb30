"""What the launcher believes of the computer; the only thing faked is NVIDIA's library."""

import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

from launcher.machine import MIB, free_disk_mib, look_at_machine


class NVMLError(Exception):
    pass


def fake_nvml(monkeypatch, *, cards=(), broken=(), init_error=None, count_error=None):
    """A pynvml with these cards: (name, capability, total MiB, free MiB); `broken` numbers cannot be asked."""
    module = ModuleType("pynvml")
    module.NVMLError = NVMLError
    module.is_open = False

    def init():
        if init_error:
            raise NVMLError(init_error)
        module.is_open = True

    def count():
        if count_error:
            raise NVMLError(count_error)
        return len(cards)

    def handle_of(index):
        if index in broken:
            raise NVMLError("GPU is lost")
        return cards[index]

    module.nvmlInit = init
    module.nvmlShutdown = lambda: setattr(module, "is_open", False)
    module.nvmlSystemGetDriverVersion = lambda: b"551.23"
    module.nvmlDeviceGetCount = count
    module.nvmlDeviceGetHandleByIndex = handle_of
    module.nvmlDeviceGetName = lambda card: card[0].encode()
    module.nvmlDeviceGetCudaComputeCapability = lambda card: card[1]
    module.nvmlDeviceGetMemoryInfo = lambda card: SimpleNamespace(total=card[2] * MIB, free=card[3] * MIB)
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


@pytest.mark.parametrize(
    ("name", "capability", "has_bf16"),
    [
        ("NVIDIA GeForce GTX 1070", (6, 1), False),
        ("NVIDIA GeForce RTX 2070", (7, 5), False),
        ("NVIDIA A100", (8, 0), True),
        ("NVIDIA GeForce RTX 3060 Ti", (8, 6), True),
        ("NVIDIA GeForce RTX 5060", (12, 0), True),
    ],
)
def test_bf16_by_compute_capability(monkeypatch, name, capability, has_bf16):
    module = fake_nvml(monkeypatch, cards=[(name, capability, 8192, 7000)])
    machine = look_at_machine()
    assert machine.has_bf16.value is has_bf16
    assert f"{capability[0]}.{capability[1]}" in machine.has_bf16.reason
    assert name in machine.has_bf16.reason
    assert machine.gpu.total_mib == 8192
    assert machine.gpu.free_mib == 7000
    assert machine.gpu.driver == "551.23"
    assert not module.is_open


@pytest.mark.parametrize(
    ("fake", "note"),
    [
        ({"init_error": "Driver Not Loaded"}, "Driver Not Loaded"),
        ({"count_error": "Unknown Error"}, "Unknown Error"),
        ({}, "knows no card"),
        ({"cards": [("A", (8, 6), 8192, 1)], "broken": [0]}, "knows no card"),
    ],
)
def test_no_card_comes_with_its_reason(monkeypatch, fake, note):
    fake_nvml(monkeypatch, **fake)
    machine = look_at_machine()
    assert machine.gpu is None
    assert note in machine.gpu_note
    assert machine.has_bf16.value is True
    assert "CPU" in machine.has_bf16.reason


def test_a_card_that_cannot_be_asked_hides_no_other(monkeypatch):
    fake_nvml(monkeypatch, cards=[("lost", (8, 6), 8192, 1), ("good", (8, 9), 8188, 8000)], broken=[0])
    assert [card.name for card in look_at_machine().gpus] == ["good"]


def test_without_nvidias_library_or_psutil_it_still_answers(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setitem(sys.modules, "psutil", None)
    machine = look_at_machine()
    assert machine.gpus == ()
    assert "not installed" in machine.gpu_note
    assert machine.ram_mib == 0
    assert machine.cores >= 1


def test_this_computer(monkeypatch):
    fake_nvml(monkeypatch)
    machine = look_at_machine()
    assert 1 <= machine.cores <= os.cpu_count()
    assert 0 < machine.free_ram_mib <= machine.ram_mib


def test_free_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    assert free_disk_mib(tmp_path / "not" / "yet") > 0

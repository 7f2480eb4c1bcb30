"""What the launcher believes of the computer; the only things faked are NVIDIA's library and program."""

import ctypes.util
import os
import shutil
import subprocess
import sys
import time
from types import ModuleType, SimpleNamespace

import pytest

from launcher.machine import MIB, free_disk_mib, look_at_machine
from launcher.machine.cards import NoAnswerError, Sources, look_at_cards, trusted_sources
from launcher.machine.library import ask_library, cuda_version
from launcher.machine.look import architecture
from launcher.machine.others import Adapters, adapters_of, pci_adapters
from launcher.machine.smi import ask_smi, capability_by_name, parse_line

ONLY_PYNVML = Sources()  # a developer's own card must not answer in place of the fake one


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
    module.nvmlSystemGetCudaDriverVersion_v2 = lambda: 12040
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
    machine = look_at_machine(ONLY_PYNVML)
    assert machine.has_bf16.value is has_bf16
    assert f"{capability[0]}.{capability[1]}" in machine.has_bf16.reason
    assert name in machine.has_bf16.reason
    assert machine.gpu.total_mib == 8192
    assert machine.gpu.free_mib == 7000
    assert machine.gpu.driver == machine.driver == "551.23"
    assert machine.cuda_driver == "12.4"
    assert "pynvml" in machine.gpu_source
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
    machine = look_at_machine(ONLY_PYNVML)
    assert machine.gpu is None
    assert note in machine.gpu_note
    assert machine.has_bf16.value is True
    assert "CPU" in machine.has_bf16.reason


def test_a_card_that_cannot_be_asked_hides_no_other(monkeypatch):
    fake_nvml(monkeypatch, cards=[("lost", (8, 6), 8192, 1), ("good", (8, 9), 8188, 8000)], broken=[0])
    machine = look_at_machine(ONLY_PYNVML)
    assert [card.name for card in machine.gpus] == ["good"]
    assert "card 0: GPU is lost" in machine.gpu_note


def test_hidden_cards_are_seen_and_the_hiding_is_told(monkeypatch):
    fake_nvml(monkeypatch, cards=[("one", (8, 6), 8192, 1), ("two", (8, 9), 8188, 8000)])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    machine = look_at_machine(ONLY_PYNVML)
    assert [card.name for card in machine.gpus] == ["one", "two"]
    assert machine.visible_devices == "-1"


def test_without_nvidias_library_or_psutil_it_still_answers(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setitem(sys.modules, "psutil", None)
    machine = look_at_machine(ONLY_PYNVML)
    assert machine.gpus == ()
    assert "not installed" in machine.gpu_note
    assert machine.swap_mib == 0
    assert machine.ram_mib == 0
    assert machine.cores >= 1


def test_this_computer(monkeypatch):
    fake_nvml(monkeypatch)
    machine = look_at_machine(ONLY_PYNVML)
    assert 1 <= machine.cores <= os.cpu_count()
    assert 0 < machine.free_ram_mib <= machine.ram_mib


def test_free_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    assert free_disk_mib(tmp_path / "not" / "yet") > 0


# NVIDIA's library by ctypes: a real shared library, compiled here.

FAKE_NVML = r"""
#include <string.h>
typedef struct { unsigned long long total, free, used; } memory_t;
static int cards[2] = {0, 1};
int nvmlInit_v2(void) { return INIT; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 15 ? "GPU is lost" : "Driver/library version mismatch"; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strncpy(text, "535.54.03", size); return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *number) { *number = 12020; return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { *handle = &cards[index]; return 0; }
int nvmlDeviceGetName(void *card, char *text, unsigned size) {
  strncpy(text, *(int *)card ? "NVIDIA GeForce RTX 4060" : "NVIDIA GeForce GTX 1060 6GB", size); return 0; }
int nvmlDeviceGetMemoryInfo(void *card, memory_t *memory) {
  if (*(int *)card == LOST) return 15;
  memory->total = (8188ULL << 20) + 17; memory->free = 7000ULL << 20; memory->used = 0; return 0; }
#ifndef OLD
int nvmlDeviceGetCudaComputeCapability(void *card, int *major, int *minor) {
  *major = *(int *)card ? 8 : 6; *minor = *(int *)card ? 9 : 1; return 0; }
#endif
int cuDriverGetVersion(int *number) { *number = 11080; return CUDA; }
"""


@pytest.fixture(scope="session")
def compile_nvml(tmp_path_factory):
    """Compiles a libnvidia-ml.so.1; `INIT` is what its beginning answers, `LOST` a card that does not."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform == "win32":
        pytest.skip("no C compiler `cc` here: NVIDIA's library cannot be imitated")

    def make(**flags):
        folder = tmp_path_factory.mktemp("driver")
        (folder / "nvml.c").write_text(FAKE_NVML)
        words = [f"-D{name}={value}" for name, value in {"INIT": 0, "LOST": -1, "CUDA": 0, **flags}.items()]
        library = folder / "libnvidia-ml.so.1"
        subprocess.run(
            [compiler, "-shared", "-fPIC", *words, "nvml.c", "-o", library], cwd=folder, check=True
        )
        return str(library)

    return make


def test_the_drivers_library_is_asked_where_the_binding_is_missing(monkeypatch, compile_nvml):
    library = compile_nvml()
    monkeypatch.setitem(sys.modules, "pynvml", None)
    machine = look_at_machine(Sources(nvml=("libnot-there.so.1", library)))
    assert [(card.name, card.capability, card.total_mib, card.free_mib) for card in machine.gpus] == [
        ("NVIDIA GeForce GTX 1060 6GB", (6, 1), 8188, 7000),
        ("NVIDIA GeForce RTX 4060", (8, 9), 8188, 7000),
    ]
    assert (machine.driver, machine.cuda_driver) == ("535.54.03", "12.2")
    assert machine.gpu_source.startswith(library)
    assert "nvidia-ml-py is not installed" in machine.gpu_source
    assert machine.has_bf16.value is False


def test_the_drivers_library_says_why_it_does_not_answer(compile_nvml):
    with pytest.raises(NoAnswerError, match="version mismatch"):
        ask_library((compile_nvml(INIT=18),))
    with pytest.raises(NoAnswerError, match="too old"):
        ask_library((compile_nvml(OLD=1),))
    with pytest.raises(NoAnswerError, match=r"there is no libnot-there\.so\.1"):
        ask_library(("libnot-there.so.1",))


def test_a_damaged_library_is_named(tmp_path):
    damaged = tmp_path / "libnvidia-ml.so.1"
    damaged.write_bytes(b"not a library")
    with pytest.raises(NoAnswerError, match=r"libnvidia-ml\.so\.1"):
        ask_library((str(damaged),))


def test_a_lost_card_hides_no_other_in_the_library(compile_nvml):
    cards = look_at_cards(Sources(has_pynvml=False, nvml=(compile_nvml(LOST=0),)))
    assert [card.name for card in cards.gpus] == ["NVIDIA GeForce RTX 4060"]
    assert "card 0: GPU is lost" in cards.note


def test_cuda_version_from_the_drivers_own_library(compile_nvml):
    assert cuda_version((compile_nvml(),)) == "11.8"
    assert cuda_version((compile_nvml(CUDA=3),)) is None
    assert cuda_version((ctypes.util.find_library("c") or "libc.so.6",)) is None
    assert cuda_version(()) is None


# nvidia-smi.


def write_smi(folder, body):
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return str(program)


needs_sh = pytest.mark.skipif(os.name == "nt", reason="the stand-in for nvidia-smi is a shell script")
LINE = "NVIDIA GeForce RTX 3060 Ti, 551.23, 8192, 7000"


@needs_sh
def test_nvidia_smi_is_the_last_to_be_asked(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    program = write_smi(tmp_path, f'echo "{LINE}, 8.6"')
    machine = look_at_machine(Sources(nvml=("libnot-there.so.1",), smi=("/not/there/nvidia-smi", program)))
    card = machine.gpu
    assert (card.name, card.capability, card.total_mib, card.free_mib, card.driver) == (
        "NVIDIA GeForce RTX 3060 Ti", (8, 6), 8192, 7000, "551.23",
    )  # fmt: skip
    assert machine.gpu_source.startswith(program)
    assert machine.driver == "551.23"
    assert machine.cuda_driver is None


@needs_sh
def test_an_old_nvidia_smi_is_asked_without_the_capability(tmp_path):
    body = f"""case "$1" in *compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2;; esac
echo "{LINE}"; echo "Unknown Card 9000, 470.1, 8192, 7000"; echo "[Insufficient Permissions]" """
    cards = ask_smi((write_smi(tmp_path, body),))
    assert [card.capability for card in cards.gpus] == [(8, 6)]
    assert "Unknown Card 9000" in cards.note
    assert "Insufficient Permissions" in cards.note


@needs_sh
def test_an_nvidia_smi_that_fails_or_hangs_is_given_up(tmp_path):
    program = write_smi(tmp_path, "echo 'Failed to initialize NVML: Unknown Error'; exit 255")
    with pytest.raises(NoAnswerError, match="Unknown Error"):
        ask_smi((program,))
    began = time.monotonic()
    with pytest.raises(NoAnswerError, match="did not end"):
        ask_smi((write_smi(tmp_path, "exec sleep 60"),), timeout_s=0.3)
    assert time.monotonic() - began < 10


@needs_sh
def test_a_planted_nvidia_smi_never_runs(tmp_path, monkeypatch):
    witness = tmp_path / "it ran"
    write_smi(tmp_path, f"touch '{witness}'; echo '{LINE}, 8.6'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}.{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    look_at_cards()
    with pytest.raises(NoAnswerError):
        ask_smi(("nvidia-smi", "./nvidia-smi"))
    assert not witness.exists()
    subprocess.run([shutil.which("nvidia-smi")], check=True, capture_output=True)  # planted well enough
    assert witness.exists()


@pytest.mark.parametrize(
    ("environ", "system"),
    [
        ({}, "C:\\Windows"),
        ({"SYSTEMROOT": "D:\\WINNT", "PROGRAMFILES": "D:\\Programs"}, "D:\\WINNT"),
        ({"SYSTEMROOT": ".", "PROGRAMFILES": ""}, "C:\\Windows"),
        ({"SYSTEMROOT": "\\\\server\\share"}, "C:\\Windows"),
    ],
)
def test_windows_sources_are_absolute_whatever_the_environment_says(environ, system):
    sources = trusted_sources("win32", environ)
    assert sources.nvml[0] == f"{system}\\System32\\nvml.dll"
    assert sources.smi[0] == f"{system}\\System32\\nvidia-smi.exe"
    for place in (*sources.nvml, *sources.smi, *sources.cuda):
        assert place[1:3] == ":\\", place


def test_no_system_asks_by_path_or_by_bare_program_name():
    assert all(place.startswith("/") for place in trusted_sources("linux", {}).smi)
    assert trusted_sources("darwin", {}) == Sources(has_pynvml=False)
    assert "no NVIDIA driver" in look_at_cards(trusted_sources("darwin", {})).note


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        ("NVIDIA GeForce GTX 980 Ti", (5, 2)), ("NVIDIA GeForce GTX 1060 6GB", (6, 1)), ("Tesla P100-PCIE-16GB", (6, 0)),
        ("Tesla V100-SXM2-16GB", (7, 0)), ("NVIDIA GeForce GTX 1660 SUPER", (7, 5)), ("Tesla T4", (7, 5)),
        ("NVIDIA GeForce RTX 2060", (7, 5)), ("NVIDIA A100-SXM4-80GB", (8, 0)), ("NVIDIA RTX A4000", (8, 6)),
        ("NVIDIA GeForce RTX 3060 Ti", (8, 6)), ("NVIDIA GeForce RTX 4060 Laptop GPU", (8, 9)), ("NVIDIA L4", (8, 9)),
        ("NVIDIA RTX 6000 Ada Generation", (8, 9)), ("NVIDIA H100 PCIe", (9, 0)), ("NVIDIA GeForce RTX 5090", (12, 0)),
    ],
)  # fmt: skip
def test_capability_by_name(name, capability):
    assert capability_by_name(name) == capability


def test_a_line_of_nvidia_smi_may_say_too_little():
    assert parse_line(
        "A, strange, name GTX 1080, 470.1, 8192, 100, [N/A]", has_capability=True
    ).capability == (6, 1)
    assert "too little" in parse_line("GTX 1080, 470.1, [N/A], [N/A], 6.1", has_capability=True)


# What else is in the computer.


@pytest.mark.parametrize(
    ("told", "is_64_bit", "environ", "arch", "note"),
    [
        (("windows", "AMD64", "10.0"), True, {"PROCESSOR_IDENTIFIER": "Intel64 Family 6"}, "x86_64", ""),
        (("windows", "x86", "10.0"), False, {"PROCESSOR_ARCHITEW6432": "AMD64"}, "x86_64", "32-bit"),
        (("windows", "AMD64", "10.0"), True, {"PROCESSOR_IDENTIFIER": "ARMv8 (64-bit) Family 8"}, "arm64", "emulation"),
        (("windows", "ARM64", "10.0"), True, {"PROCESSOR_IDENTIFIER": "ARMv8 (64-bit) Family 8"}, "arm64", ""),
        (("macos", "x86_64", "xnu-8792/RELEASE_ARM64_T6000"), True, {}, "arm64", "emulation"),
        (("macos", "arm64", "xnu-8792/RELEASE_ARM64_T6000"), True, {}, "arm64", ""),
        (("macos", "x86_64", "xnu-8792/RELEASE_X86_64"), True, {}, "x86_64", ""),
        (("linux", "aarch64", "#1 SMP"), True, {}, "arm64", ""),
        (("linux", "x86_64", "#1 SMP"), False, {}, "x86_64", "32-bit"),
    ],
)  # fmt: skip
def test_architecture(told, is_64_bit, environ, arch, note):
    os_name, machine, kernel = told
    found, words = architecture(os_name, machine, is_64_bit=is_64_bit, kernel=kernel, environ=environ)
    assert found == arch
    assert note in words
    assert bool(note) is bool(words)


def make_pci(folder, **devices):
    for name, (kind, vendor, model) in devices.items():
        (folder / name).mkdir(parents=True)
        for file, value in (("class", kind), ("vendor", vendor), ("device", model)):
            (folder / name / file).write_text(f"{value}\n")
    return folder


def test_linux_names_the_cards_of_others(tmp_path):
    pci = make_pci(
        tmp_path / "pci", a=("0x030000", "0x1002", "0xfff0"), b=("0x010601", "0x8086", "0x0001"),
        c=("0x038000", "0xabcd", "0x0001"),
    )  # fmt: skip
    found = pci_adapters(pci)
    assert len(found.others) == 2
    assert found.others[0].startswith("AMD")
    assert "abcd" in found.others[1]
    assert not found.has_nvidia
    assert pci_adapters(make_pci(tmp_path / "n", d=("0x030200", "0x10de", "0x2489"))) == Adapters(
        has_nvidia=True
    )
    assert pci_adapters(tmp_path / "not there") == Adapters()


def test_windows_names_the_cards_of_others():
    entries = [
        ("AMD Radeon RX 7600", "PCI\\VEN_1002&DEV_7480"), ("Microsoft Basic Display Adapter", "PCI\\CC_0300"),
        ("AMD Radeon RX 7600", "PCI\\VEN_1002&DEV_7480"), ("NVIDIA GeForce RTX 4060", "pci\\ven_10de&dev_2882"),
        ("Microsoft Remote Display Adapter", "RdpIdd_IndirectDisplay"),
    ]  # fmt: skip
    assert adapters_of(entries) == Adapters(others=("AMD Radeon RX 7600",), has_nvidia=True)


def test_a_card_without_a_driver_is_not_called_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr("launcher.machine.others.look_at_adapters", lambda: Adapters(has_nvidia=True))
    assert "an NVIDIA card is in this computer, but no NVIDIA driver" in look_at_machine(ONLY_PYNVML).gpu_note


def test_the_real_sources_never_raise_and_say_who_was_asked():
    machine = look_at_machine()
    assert machine.gpu_source
    assert machine.gpus or machine.gpu_note

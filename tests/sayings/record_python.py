"""What Python, torch and what is built on it say.

Run through record.py; one function per file, named after it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from record import EXTRAS, PYTHON, PYTHONS, UV, Bench, saying

# --- Python itself


def _without(b: Bench, module: str, python: object, library: str) -> None:
    """`python -m venv x` where a module of the standard library is hidden, for this process only."""
    (b.folder / "empty").mkdir()
    words = f"mount --bind {b.folder}/empty {library}/{module} && exec {python} -m venv x"
    b.run(["unshare", "-m", "bash", "-c", words], how=f"an empty folder lies over {module}")


@saying("venv-parts")
def python_no_ensurepip_debian(b: Bench) -> None:
    _without(b, "ensurepip", "/usr/bin/python3", "/usr/lib/python3.11")


@saying("venv-parts")
def python_no_ensurepip(b: Bench) -> None:
    _without(b, "ensurepip", PYTHON, str(PYTHONS / "3.12.1" / "lib" / "python3.12"))


@saying("venv-parts")
def python_no_venv(b: Bench) -> None:
    _without(b, "venv", PYTHON, str(PYTHONS / "3.12.1" / "lib" / "python3.12"))


@saying("python-file-missing")
def python_no_file(b: Bench) -> None:
    b.run([PYTHON, "setup_env.py"])


@saying("encoding")
def python_charmap(b: Bench) -> None:
    b.run([PYTHON, "-c", "print('訓練')"], PYTHONIOENCODING="cp1252", PYTHONUTF8="0")


@saying("no-pkg-resources")
def python_no_pkg_resources(b: Bench) -> None:
    b.quietly([UV, "venv", "-p", PYTHON, b.venv])
    b.run([b.venv / "bin" / "python", "-c", "import pkg_resources"])


@saying("no-library")
def python_no_library(b: Bench) -> None:
    b.run([PYTHON, "-c", "from library import train_util"])


@saying("module-missing")
def python_no_module(b: Bench) -> None:
    b.run([PYTHON, "-c", "import einops"])


@saying("out-of-memory")
def python_memory(b: Bench) -> None:
    b.run(["bash", "-c", f"ulimit -v 100000; exec {PYTHON} -c 'bytearray(10**9)'"])


@saying("shared-library")
def python_no_shared_library(b: Bench) -> None:
    b.run([PYTHON, "-c", "import ctypes; ctypes.CDLL('libcudart.so.12')"])


@saying("too-many-files")
def python_too_many_files(b: Bench) -> None:
    b.run(["bash", "-c", f"ulimit -n 20; exec {PYTHON} -c 'x = [open(\"/dev/null\") for _ in range(99)]'"])


@saying("broken-environment")
def python_no_encodings(b: Bench) -> None:
    b.run([PYTHON, "-c", "pass"], PYTHONHOME="/gone")


@saying("not-executable")
def python_noexec(b: Bench) -> None:
    with b.small_disk("noexec", "size=9m,noexec") as folder:
        (folder / "uv").write_bytes(Path(sys.executable).resolve().read_bytes()[:100_000])
        (folder / "uv").chmod(0o755)
        b.run(["bash", "-c", f"{folder}/uv --version"])


@saying("wrong-architecture")
def python_wrong_elf(b: Bench) -> None:
    path = b.folder / "tool"
    data = bytearray(Path("/bin/true").read_bytes())
    data[18] = 0xB7  # EM_AARCH64
    path.write_bytes(data)
    path.chmod(0o755)
    b.run(["bash", "-c", str(path)])


# --- the training environment: a real torch without a card


REAL = Path(
    os.environ.get("REAL", "/tmp/real")
)  # torch 2.5.1 (CUDA 12.4), torchvision, xformers 0.0.29.post1, no card
REHEARSAL = Path(__file__).resolve().parents[2] / "vendor" / "rehearsal" / "venv"  # torch for the processor


def _torch(b: Bench, words: str, *, venv: Path = REAL, how: str = "", **env: str) -> None:
    b.run([venv / "bin" / "python", "-c", words], how=how, **env)


def _overlay(b: Bench, *packages: str) -> dict[str, str]:
    """PYTHONPATH with packages of another environment: builds that do not fit."""
    folder = b.folder / "overlay"
    folder.mkdir()
    for package in packages:
        for path in REAL.glob(f"lib/python3.11/site-packages/{package}*"):
            (folder / path.name).symlink_to(path)
    return {"PYTHONPATH": str(folder)}


@saying("torch-cpu")
def torch_cpu_build(b: Bench) -> None:
    _torch(b, "import torch; torch.zeros(1).cuda()", venv=REHEARSAL)


@saying("no-driver")
def torch_no_driver(b: Bench) -> None:
    _torch(b, "import torch; torch.zeros(1).cuda()")


@saying("xformers-operator")
def torch_xformers_cpu(b: Bench) -> None:
    words = "import torch, xformers.ops as x; q = torch.zeros(1, 8, 2, 64, dtype=torch.bfloat16); x.memory_efficient_attention(q, q, q)"
    _torch(b, words)


@saying("xformers-build")
def torch_xformers_other_torch(b: Bench) -> None:
    words = (
        "import torch, xformers.ops as x; q = torch.zeros(1, 8, 2, 64); x.memory_efficient_attention(q, q, q)"
    )
    _torch(
        b,
        words,
        venv=REHEARSAL,
        how="xformers for torch 2.5.1 beside another torch",
        **_overlay(b, "xformers"),
    )


@saying("torchvision-build")
def torch_vision_other_torch(b: Bench) -> None:
    _torch(
        b,
        "import torchvision",
        venv=REHEARSAL,
        how="torchvision 0.20.1 beside another torch",
        **_overlay(b, "torchvision"),
    )


@saying("out-of-memory")
def torch_memory(b: Bench) -> None:
    _torch(b, "import torch; torch.empty(10**15)")


@saying("file-damaged")
def torch_safetensors(b: Bench) -> None:
    (b.folder / "x.safetensors").write_bytes(b"<html>" * 99)
    _torch(b, "from safetensors.torch import load_file; load_file('x.safetensors')", venv=REHEARSAL)


@saying("shared-library")
def torch_library_missing(b: Bench) -> None:
    """The cuBLAS of the environment is hidden, in this process only."""
    library = next(REAL.glob("lib/python3.11/site-packages/nvidia/cublas/lib/libcublas.so.12"))
    (b.folder / "empty").mkdir()
    words = f"mount --bind {b.folder}/empty {library.parents[1]} && exec {REAL}/bin/python -c 'import torch'"
    b.run(["unshare", "-m", "bash", "-c", words], how="an empty folder lies over nvidia/cublas")


@saying("numpy-two")
def torch_numpy_two(b: Bench) -> None:
    """An OpenCV that was built for numpy 1 beside numpy 2."""
    fork = EXTRAS / "cv"
    _torch(b, "import cv2", how="opencv-python-headless 4.7.0.68 beside numpy 2", PYTHONPATH=str(fork))


@saying("no-driver")
def torch_bitsandbytes(b: Bench) -> None:
    fork = EXTRAS / "bnb"
    words = "import torch, bitsandbytes as bnb; p = torch.nn.Parameter(torch.ones(8192)); p.grad = torch.ones(8192); bnb.optim.AdamW8bit([p]).step()"
    _torch(b, words, how="bitsandbytes 0.44.0 without a card", PYTHONPATH=str(fork))


def _accelerate(b: Bench, version: str, *words: str) -> None:
    site = EXTRAS / "accelerate" / version
    (b.folder / "fp8.yaml").write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: 'NO'\nmixed_precision: fp8\nnum_processes: 1\nuse_cpu: false\n"
    )
    (b.folder / "script.py").write_text("from accelerate import Accelerator\nAccelerator()\n")
    b.run(
        [
            REHEARSAL / "bin" / "python",
            "-m",
            "accelerate.commands.launch",
            "--config_file",
            "fp8.yaml",
            *words,
            "script.py",
        ],
        how=f"accelerate {version}",
        PYTHONPATH=str(site),
    )


@saying("accelerate-fp8")
def accelerate_0_25_fp8(b: Bench) -> None:
    _accelerate(b, "0.25.0")


@saying("accelerate-fp8")
def accelerate_0_30_fp8(b: Bench) -> None:
    _accelerate(b, "0.30.0")


@saying("accelerate-fp8")
def accelerate_1_6_fp8(b: Bench) -> None:
    _accelerate(b, "1.6.0")


@saying("accelerate-keys")
def accelerate_unknown_key(b: Bench) -> None:
    site = EXTRAS / "accelerate" / "0.25.0"
    (b.folder / "x.yaml").write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: 'NO'\nmixed_precision: bf16\nnum_processes: 1\nuse_cpu: false\nfp8_config: {}\n"
    )
    python = REHEARSAL / "bin" / "python"
    b.run(
        [python, "-m", "accelerate.commands.launch", "--config_file", "x.yaml", "x.py"],
        how="accelerate 0.25.0",
        PYTHONPATH=str(site),
    )


@saying("none")
def fine_torch_probe(b: Bench) -> None:
    """What a healthy probe prints beside its answer."""
    words = "import torch, torchvision, xformers.ops; print(torch.__version__, torch.cuda.is_available())"
    _torch(b, words)

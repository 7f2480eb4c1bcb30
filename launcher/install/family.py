"""Which packages belong to a torch build: chosen with it, never replaced alone, and not part of a lock."""

from __future__ import annotations

from launcher.install.pins import normalize

FAMILY = frozenset(
    {
        "torch",
        "torchvision",
        "torchaudio",
        "torchao",
        "xformers",
        "triton",
        "triton-windows",
        "pytorch-triton",
    }
)
CUDA = ("nvidia-", "cuda-")  # what NVIDIA publishes for Linux builds: nvidia-cublas-cu12, cuda-toolkit, ...
OTHERS = frozenset({"nvidia-ml-py"})  # wears the name, is no part of CUDA


def is_family(name: str) -> bool:
    name = normalize(name)
    return name in FAMILY or (name.startswith(CUDA) and name not in OTHERS)

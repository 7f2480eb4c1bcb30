"""A loopback index with the real names, versions, tags and requirements of 2026: wheels of a few bytes.

Read from the metadata of the real wheels on 2026-11-23 (install facts, section 1). What could not be read is the PyTorch
index itself: torch 2.5.1+cu121 has here the CUDA 12.1 pins of torch 2.4.1 (which is CUDA 12.1 on the default index) with
the nccl, triton and sympy of torch 2.5.1. Markers of other systems and extras that nobody asks for are left out.
"""

import sys

from tests.tiny_wheels import lock_line, make_index, make_wheel

THIS = f"cp{sys.version_info[0]}{sys.version_info[1]}"
OTHER = "cp39"  # a Python that never runs these tests
LINUX = "manylinux_2_17_x86_64.manylinux2014_x86_64"
ON_LINUX = 'platform_system == "Linux" and platform_machine == "x86_64"'
SMALL = ["filelock", "typing-extensions>=4.8.0", "networkx", "jinja2", "fsspec", "sympy==1.13.1"]
NEWER = [
    "filelock",
    "typing-extensions>=4.10.0",
    "sympy>=1.13.3",
    "networkx>=2.5.1",
    "jinja2",
    "fsspec>=0.8.5",
]

CUDA_12_1 = {
    "nvidia-cuda-nvrtc-cu12": "12.1.105",
    "nvidia-cuda-runtime-cu12": "12.1.105",
    "nvidia-cuda-cupti-cu12": "12.1.105",
    "nvidia-cudnn-cu12": "9.1.0.70",
    "nvidia-cublas-cu12": "12.1.3.1",
    "nvidia-cufft-cu12": "11.0.2.54",
    "nvidia-curand-cu12": "10.3.2.106",
    "nvidia-cusolver-cu12": "11.4.5.107",
    "nvidia-cusparse-cu12": "12.1.0.106",
    "nvidia-nccl-cu12": "2.21.5",
    "nvidia-nvtx-cu12": "12.1.105",
}
CUDA_12_4 = {
    "nvidia-cuda-nvrtc-cu12": "12.4.127",
    "nvidia-cuda-runtime-cu12": "12.4.127",
    "nvidia-cuda-cupti-cu12": "12.4.127",
    "nvidia-cudnn-cu12": "9.1.0.70",
    "nvidia-cublas-cu12": "12.4.5.8",
    "nvidia-cufft-cu12": "11.2.1.3",
    "nvidia-curand-cu12": "10.3.5.147",
    "nvidia-cusolver-cu12": "11.6.1.9",
    "nvidia-cusparse-cu12": "12.3.1.170",
    "nvidia-nccl-cu12": "2.21.5",
    "nvidia-nvtx-cu12": "12.4.127",
    "nvidia-nvjitlink-cu12": "12.4.127",
}
CUDA_REQUIRES = {  # what these wheels require of each other; none of it is pinned
    "nvidia-cudnn-cu12": ["nvidia-cublas-cu12"],
    "nvidia-cusolver-cu12": ["nvidia-cublas-cu12", "nvidia-nvjitlink-cu12", "nvidia-cusparse-cu12"],
    "nvidia-cusparse-cu12": ["nvidia-nvjitlink-cu12"],
}
TOOLKIT_13_2 = {  # extra of cuda-toolkit 13.2.2 -> what it brings; all carry the same marker
    "cublas": ["nvidia-cublas==13.4.1.3.*", "nvidia-cuda-nvrtc==13.2.86.*"],
    "cudart": ["nvidia-cuda-runtime==13.2.86.*"],
    "cufft": ["nvidia-cufft==12.2.0.57.*", "nvidia-nvjitlink<14,>=13.2.86"],
    "cufile": ["nvidia-cufile==1.17.1.22.*"],
    "cupti": ["nvidia-cuda-cupti==13.2.86.*"],
    "cusolver": [
        "nvidia-cublas==13.4.1.3.*",
        "nvidia-cusolver==12.2.0.11.*",
        "nvidia-cusparse==12.7.10.12.*",
    ],
    "cusparse": ["nvidia-cusparse==12.7.10.12.*", "nvidia-nvjitlink<14,>=13.2.86"],
    "nvjitlink": ["nvidia-nvjitlink<14,>=13.2.86"],
    "nvrtc": ["nvidia-cuda-nvrtc==13.2.86.*"],
    "nvtx": ["nvidia-nvtx==13.2.86.*"],
}
CUDA_13_2 = {
    "nvidia-cublas": "13.4.1.3",
    "nvidia-cuda-nvrtc": "13.2.86",
    "nvidia-cuda-runtime": "13.2.86",
    "nvidia-cufft": "12.2.0.57",
    "nvidia-nvjitlink": "13.2.86",
    "nvidia-cufile": "1.17.1.22",
    "nvidia-cuda-cupti": "13.2.86",
    "nvidia-cusolver": "12.2.0.11",
    "nvidia-cusparse": "12.7.10.12",
    "nvidia-nvtx": "13.2.86",
    "nvidia-cudnn-cu13": "9.26.0.51",
    "nvidia-cusparselt-cu13": "0.8.1",
    "nvidia-nccl-cu13": "2.30.7",
    "nvidia-nvshmem-cu13": "3.7.2",
}
TORCH_2_15 = [
    f'cuda-toolkit[{",".join(TOOLKIT_13_2)}]==13.2.2; platform_system == "Linux"',
    'cuda-bindings<14,>=13.0.3; platform_system == "Linux" and python_version < "3.15"',
    *(
        f'{name}=={CUDA_13_2[name]}; platform_system == "Linux"'
        for name in CUDA_13_2
        if name.endswith("cu13")
    ),
    'triton~=3.9.0; platform_system == "Linux" and python_version < "3.16"',
]
XFORMERS = {  # version -> what it requires of torch, is it there for Windows (on the default index), tag
    "0.0.27.post2": ("torch ==2.4.0", True, None),
    "0.0.28.post3": ("torch==2.5.1", False, None),
    "0.0.29.post1": ("torch==2.5.1", False, None),
    "0.0.29.post3": ("torch==2.6.0", True, None),
    "0.0.34": ("torch==2.10.0", True, "cp39-abi3"),
    "0.0.35": ("torch>=2.10", True, "py39-none"),
}
SMALL_WHEELS = {  # name -> versions with their requirements, the same on both indexes unless said below
    "filelock": {"3.13.1": [], "3.20.0": []},
    "typing-extensions": {"4.9.0": [], "4.15.0": []},
    "networkx": {"3.2.1": []},
    "markupsafe": {"2.1.5": []},
    "jinja2": {"3.1.4": ["MarkupSafe>=2.0"]},
    "fsspec": {"2024.6.1": []},
    "mpmath": {"1.3.0": []},
    "sympy": {"1.13.1": ["mpmath<1.4,>=1.1.0"]},
    "pillow": {"10.2.0": []},
}
TRAINER = {  # of sd-scripts v0.10.1's requirements.txt, and what these require
    "accelerate": {
        "1.6.0": ["numpy<3.0.0,>=1.17", "packaging>=20.0", "psutil", "pyyaml", "torch>=2.0.0", "huggingface-hub>=0.21.0", "safetensors>=0.4.3"],
        "1.15.0": ["numpy<3.0.0,>=1.17", "packaging>=20.0", "psutil", "pyyaml", "torch>=2.0.0", "huggingface-hub>=0.21.0", "safetensors>=0.4.3"],
    },
    "transformers": {"4.54.1": ["filelock", "huggingface-hub<1.0,>=0.34.0", "numpy>=1.17", "packaging>=20.0", "pyyaml>=5.1", "regex!=2019.12.17", "requests", "tokenizers<0.22,>=0.21", "safetensors>=0.4.3", "tqdm>=4.27"]},
    "diffusers": {"0.32.1": ["importlib-metadata", "filelock", "huggingface-hub>=0.23.2", "numpy", "regex!=2019.12.17", "requests", "safetensors>=0.3.1", "Pillow", "torch>=1.4; extra == 'torch'", "accelerate>=0.31.0; extra == 'torch'"]},
    "bitsandbytes": {"0.44.0": ["torch", "numpy"], "0.50.2": ["torch<3,>=2.4", "numpy>=1.17", "packaging>=20.9"]},
    "lion-pytorch": {"0.2.3": ["torch>=1.6"]},
    "pytorch-optimizer": {"3.9.0": ["numpy>1.24.4; python_version >= '3.9'", "torch>=1.10; python_version >= '3.10'"]},
    "prodigyopt": {"1.1.2": []},
    "einops": {"0.7.0": []},
    "ftfy": {"6.3.1": ["wcwidth"]},
    "safetensors": {"0.4.5": []},
    "huggingface-hub": {"0.34.3": ["filelock", "fsspec>=2023.5.0", "packaging>=20.9", "pyyaml>=5.1", "requests", "tqdm>=4.42.1", "typing-extensions>=3.7.4.3"]},
    "tokenizers": {"0.21.4": ["huggingface-hub<1.0,>=0.16.4"]},
    "toml": {"0.10.2": []},
    "rich": {"14.1.0": []},
    **{name: {version: []} for name, version in {
        "packaging": "25.0", "psutil": "7.0.0", "pyyaml": "6.0.2", "regex": "2025.7.34", "requests": "2.32.5",
        "tqdm": "4.67.1", "importlib-metadata": "8.7.0", "wcwidth": "0.2.13",
    }.items()},
}  # fmt: skip
REQUIREMENTS = """\
accelerate==1.6.0
transformers==4.54.1
diffusers[torch]==0.32.1
ftfy==6.3.1
einops==0.7.0
bitsandbytes
lion-pytorch==0.2.3
pytorch-optimizer==3.9.0
prodigyopt==1.1.2
safetensors==0.4.5
toml==0.10.2
huggingface-hub==0.34.3
numpy
rich==14.1.0
"""
LOCKED = {  # what a lock made for the set holds: everything but the torch family
    "numpy": "1.26.4", "pillow": "10.2.0", "bitsandbytes": "0.50.2", "accelerate": "1.6.0",
    **{name: next(iter(versions)) for name, versions in TRAINER.items() if len(versions) == 1},
    **{name: list(versions)[-1] for name, versions in SMALL_WHEELS.items()},
}  # fmt: skip
SET = ("torch==2.5.1+cu121", "torchvision==0.20.1+cu121", "xformers==0.0.29.post1")
FAMILY = {  # the set closed: nvjitlink is pinned by nobody, so the newest of the PyTorch index is taken
    "torch": "2.5.1+cu121",
    "torchvision": "0.20.1+cu121",
    "xformers": "0.0.29.post1",
    "triton": "3.1.0",
    "nvidia-nvjitlink-cu12": "12.4.127",
    **CUDA_12_1,
}
PLANNED = {**FAMILY, **LOCKED}


class RealIndex:
    """The wheels of both indexes below one folder: `cu121/` and `default/`."""

    def __init__(self, folder):
        self.folder = folder
        self._wheels = {"cu121": [], "default": []}
        self._torch("cu121", "2.4.0+cu121", [*SMALL[:-1], "sympy"], CUDA_12_1, "3.0.0")
        self._torch("cu121", "2.5.1+cu121", SMALL, CUDA_12_1, "3.1.0")
        self._torch("default", "2.5.1", SMALL, CUDA_12_4, "3.1.0")
        self._torch("default", "2.6.0", SMALL, CUDA_12_4, "3.2.0")
        self._both(
            "default", "torch", "2.10.0", NEWER
        )  # its CUDA libraries are left out: nobody gets that far
        self._both("default", "torch", "2.15.0", [*NEWER, *TORCH_2_15])
        for version, torch in {"0.19.0": "2.4.0", "0.20.1": "2.5.1"}.items():
            self._both("cu121", "torchvision", f"{version}+cu121", _vision(f"torch=={torch}"))
        for version, torch in {"0.20.1": "==2.5.1", "0.21.0": "==2.6.0", "0.29.2": ">=2.14.0"}.items():
            self._both("default", "torchvision", version, _vision(f"torch{torch}"))
        self._xformers()
        self._cuda()
        for name, versions in SMALL_WHEELS.items():
            for index in ("cu121", "default"):
                self._pure(index, name, versions)
        for name, versions in TRAINER.items():
            self._pure("default", name, versions)
        self._pure("default", "sympy", {"1.14.0": ["mpmath<1.4,>=1.1.0"]})
        self._numpy("cu121", "1.26.3")
        self._numpy("default", "1.26.4", "2.2.6", "2.4.6")
        for index, wheels in self._wheels.items():
            make_index(folder / index, *wheels, hashes=True, metadata=True)

    def _add(self, index, name, version, requires, tag):
        self._wheels[index].append(
            make_wheel(self.folder / "wheels" / index, name, version, requires=requires, tag=tag)
        )

    def _both(self, index, name, version, requires):
        """For this Python on Linux and Windows, and for another Python."""
        for python in (THIS, OTHER):
            for platform in (LINUX, "win_amd64"):
                self._add(index, name, version, requires, f"{python}-{python}-{platform}")

    def _torch(self, index, version, requires, cuda, triton):
        pins = [f"{name}=={pin}; {ON_LINUX}" for name, pin in cuda.items()]
        self._both(index, "torch", version, [*requires, *pins, f"triton=={triton}; {ON_LINUX}"])

    def _xformers(self):
        for version, (torch, is_on_windows, tag) in XFORMERS.items():
            for python in (THIS, OTHER) if tag is None else (None,):
                start = tag or f"{python}-{python}"
                self._add("default", "xformers", version, ["numpy", torch], f"{start}-manylinux_2_28_x86_64")
                if is_on_windows:
                    self._add("default", "xformers", version, ["numpy", torch], f"{start}-win_amd64")
        for version in ("0.0.27.post2", "0.0.28.post3", "0.0.29.post1"):  # all that the cu121 index has
            self._add("cu121", "xformers", version, ["numpy", XFORMERS[version][0]], f"{THIS}-{THIS}-manylinux_2_28_x86_64")  # fmt: skip
        self._add("cu121", "xformers", "0.0.27.post2", ["numpy", "torch ==2.4.0"], f"{THIS}-{THIS}-win_amd64")

    def _cuda(self):
        channels = {"cu121": [{**CUDA_12_1, "nvidia-nvjitlink-cu12": "12.4.127"}], "default": [CUDA_12_1, CUDA_12_4, CUDA_13_2]}  # fmt: skip
        for index, tables in channels.items():
            for name, version in sorted({item for table in tables for item in table.items()}):
                self._add(index, name, version, CUDA_REQUIRES.get(name, []), "py3-none-manylinux2014_x86_64")
        self._add("cu121", "nvidia-nvjitlink-cu12", "12.1.105", [], "py3-none-manylinux2014_x86_64")
        extras = [f"{need}; extra == '{extra}'" for extra, needs in TOOLKIT_13_2.items() for need in needs]
        self._add("default", "cuda-toolkit", "13.2.2", extras, "py2.py3-none-any")
        self._both("default", "cuda-bindings", "13.5.0", ["cuda-pathfinder>=1.4.2"])
        self._add("default", "cuda-pathfinder", "1.9.0", [], "py3-none-any")
        for index, versions in {"cu121": ["3.0.0", "3.1.0"], "default": ["3.1.0", "3.2.0", "3.9.0"]}.items():
            for version in versions:
                self._add(
                    index,
                    "triton",
                    version,
                    ["filelock"] if version < "3.2" else [],
                    f"{THIS}-{THIS}-{LINUX}",
                )

    def _pure(self, index, name, versions):
        for version, requires in versions.items():
            self._add(index, name, version, requires, "py3-none-any")

    def _numpy(self, index, *versions):
        for version in versions:
            self._both(index, "numpy", version, [])

    def lock(self, versions):
        """A lock with the hash of every wheel of these versions on the default index."""
        lines = []
        for name, version in sorted(versions.items()):
            stem = f"{name.replace('-', '_')}-{version}-"
            wheels = [wheel for wheel in self._wheels["default"] if wheel.name.startswith(stem)]
            hashes = [lock_line(wheel, name, version).partition("--hash=")[2].strip() for wheel in wheels]
            lines.append(f"{name}=={version} " + " ".join(f"--hash={digest}" for digest in hashes))
        return "\n".join(lines) + "\n"


def _vision(torch):
    return ["numpy", torch, "pillow!=8.3.*,>=5.3.0"]

"""The generators that noise and timesteps come from, in a file of plain numbers: nothing to unpickle.

accelerate keeps them in a pickle, which its 0.25 silently fails to read with newer torch (facts/sd-scripts.md 2.3).
"""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

FILE = "rng.safetensors"


def save(path: Path) -> None:
    """Write the state of python's, numpy's and torch's generators, of every card too."""
    from safetensors.torch import save_file

    save_file(capture(), str(path))


def restore(path: Path) -> None:
    """Set the generators as `save` found them; a card that was not there then keeps its own state."""
    from safetensors.torch import load_file

    apply(load_file(str(path)))


def capture() -> dict[str, Any]:
    """The states as tensors."""
    import numpy as np
    import torch

    version, internal, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002  (upstream uses the global one)
    tensors = {
        "python": torch.tensor([version, *internal], dtype=torch.int64),
        "python_gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
        "numpy": torch.tensor([*map(int, keys), int(position), int(has_gauss)], dtype=torch.int64),
        "numpy_gauss": torch.tensor([float(cached)], dtype=torch.float64),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        tensors |= {f"cuda_{card}": state for card, state in enumerate(torch.cuda.get_rng_state_all())}
    return tensors


def apply(tensors: dict[str, Any]) -> None:
    """Set what `capture` gave."""
    import numpy as np
    import torch

    version, *internal = tensors["python"].tolist()
    gauss = tensors["python_gauss"].tolist()
    random.setstate((version, tuple(internal), gauss[0] if gauss else None))
    *keys, position, has_gauss = tensors["numpy"].tolist()
    cached = tensors["numpy_gauss"].item()
    state = ("MT19937", np.array(keys, dtype=np.uint32), position, has_gauss, cached)
    np.random.set_state(state)  # noqa: NPY002
    torch.set_rng_state(tensors["torch"])
    for card in range(torch.cuda.device_count()):
        if f"cuda_{card}" in tensors:
            torch.cuda.set_rng_state(tensors[f"cuda_{card}"], card)


def reseed(seed: int, rank: int, micro_step: int) -> None:
    """Chance of one micro-batch of one of several processes: other noise on every card, and the same after a resume."""
    import numpy as np
    import torch

    digest = hashlib.sha256(f"{seed}/{rank}/{micro_step}".encode()).digest()
    number = int.from_bytes(digest[:8], "big") >> 1
    random.seed(number)
    np.random.seed(number & 0xFFFFFFFF)  # noqa: NPY002
    torch.manual_seed(number)

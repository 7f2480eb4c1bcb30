"""What boosts need of Triton, done beside the reading of the model: its import, and the self-checks of the kernels.

Triton alone takes a second or two to import, as long again for a hash of its own files, and then loads each kernel.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from launcher.shim import beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from launcher.shim.boosts.ops import Ops
    from launcher.shim.boosts.scene import Scene

PATIENCE_S = 120.0  # a first start compiles
PRECISIONS = {"bf16": "bfloat16", "fp16": "float16"}


class Ahead:
    """Works in a thread of its own; what fails here is done again, and told, where it is needed.

    Args:
        modules: to be imported.
        precision: `mixed_precision` of the training; with another the kernels are not tried.
    """

    def __init__(self, modules: Iterable[str], precision: str) -> None:
        self._modules = tuple(modules)
        self._dtype = PRECISIONS.get(precision, "")
        self._ops: Ops | None = None
        self._device: Any = None
        self._told: list[tuple[str, str]] = []
        self._tell: Callable[[str, str], None] = lambda *words: self._told.append(words)
        self._is_over = False
        self._thread = beside.begin("boosts", self._work, self.stop)

    def stop(self) -> None:
        """Begin nothing further."""
        self._is_over = True

    def ops_for(self, scene: Scene) -> Ops | None:
        """The kernels' operations, if they were tried for this very device and type.

        Where they still are being tried, torch's own: whatever holds the thread up would hold up a second try as well.
        """
        import torch

        self._thread.join(PATIENCE_S)
        if self._thread.is_alive():
            scene.tell("kernels", f"not ready after {PATIENCE_S:.0f} s, torch's own operations are used")
            return scene.ops
        ops = self._ops
        if ops is None or self._device != scene.machine.device or getattr(torch, self._dtype) != scene.dtype:
            return None
        self._tell = scene.tell
        for words in self._told:
            scene.tell(*words)
        return ops

    def _work(self) -> None:
        for name in self._modules:
            if self._is_over:
                return
            with suppress(Exception):
                import_module(name)
        with suppress(Exception):
            has_triton = find_spec("triton") is not None and import_module("torch").cuda.is_available()
            if has_triton and not self._is_over:
                self._choose()

    def _choose(self) -> None:
        import torch

        from launcher.shim.boosts.ops import Ops
        from launcher.shim.boosts.scene import Machine, Scene

        if not self._dtype or int(os.environ.get("WORLD_SIZE") or 1) > 1:
            return
        device = torch.device("cuda", 0)
        trial: Any = SimpleNamespace(switches={})
        scene = Scene(
            context=trial, machine=Machine.of(device), accelerator=None, unet=None, network=None, optimizer=None,
            dtype=getattr(torch, self._dtype), processes=1, ops=Ops(),
        )  # fmt: skip
        scene.tell = lambda *words: self._tell(*words)  # noqa: PLW0108  (asked anew at each call: it changes)
        ops = import_module("launcher.shim.boosts.kernels").choose(scene)
        self._ops, self._device = ops, device

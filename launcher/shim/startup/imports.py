"""What known packages do in vain while they are imported, and Python with them.

Measured with the pins of sd-scripts on two cores, warm (`python -X importtime`, 5.0 s in all): looking for garbage where
none is yet, 0.3 s; transformers reading its 2,600 model files twice for their names, 0.7 s; bitsandbytes asking `pip list`
for Intel's Gaudi, 0.6 s; torch opening its own sources to write down where an operator was defined, 0.2 s.
"""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any

from launcher.shim.startup.after import Reach
from launcher.shim.startup.structure import Structures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GAUDI = "habana-torch-plugin"
GAUDI_QUESTION = f"pip list | grep {GAUDI}"
_REACHES: list[Reach] = []


def begin(notes: Path | None) -> None:
    """Before the first import of torch."""
    gc.disable()
    reach = Reach(
        {"bitsandbytes.backends.utils": without_gaudi},
        {"transformers.utils.import_utils": Structures(notes).install, "torch._library.utils": quick_sources},
    )
    reach.install()
    _REACHES.append(reach)


def end() -> None:
    """Everything is imported. What lives now lives to the end: no later search for garbage needs to look at it."""
    while _REACHES:
        _REACHES.pop().remove()
        gc.freeze()
        gc.enable()


@contextmanager
def without_gaudi() -> Iterator[None]:
    """Answer bitsandbytes' question whether Intel's Gaudi is installed; it asks pip in a shell, for half a second and more."""
    shell: Any = sys.modules.get("subprocess")  # no program is started here: one is spared
    if shell is None:
        yield
        return
    original = shell.run

    def run(words: Any, *rest: Any, **more: Any) -> Any:
        if words == GAUDI_QUESTION and not _is_installed(GAUDI):
            return shell.CompletedProcess(words, 1, "", "")
        return original(words, *rest, **more)

    shell.run = run
    try:
        yield
    finally:
        shell.run = original


def quick_sources(module: Any) -> None:
    """Operators' definitions are noted by torch as "FILE:LINE", for which it reads the file. The frame knows both."""

    def get_source(stacklevel: int) -> str:
        frame = sys._getframe(stacklevel)  # noqa: SLF001  (as torch does)
        return f"{frame.f_code.co_filename}:{frame.f_lineno}"

    if len({ask(1) for ask in (module.get_source, get_source)}) == 1:
        module.get_source = get_source


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True

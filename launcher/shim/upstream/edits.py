"""The few lines of upstream's train_network.py that are changed in memory before it is imported (facts/sd-scripts.md, Appendix B).

Each edit hands over to `launcher_shim` (the `Bridge`): there is the logic. A target must occur exactly once, and what
replaces it has as many lines, so that tracebacks point at upstream's own lines. No file is changed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING

from launcher.errors import LauncherError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

NAME = "launcher_shim"  # what upstream's code finds our functions under
MODULE = "train_network"


@dataclass(frozen=True, slots=True)
class Edit:
    """What stands there, and what shall."""

    target: str
    replacement: str


# The training images get an order that depends on seed and epoch alone.
LOADER = Edit("train_dataloader = torch.utils.data.DataLoader(", f"train_dataloader = {NAME}.dataloader(")
# Where a resumed training starts; upstream's own arithmetic behind it is left without work (facts 2.2: it is wrong).
POSITION = Edit(
    "        epoch_to_start = 0\n",
    f"        epoch_to_start, resumed_step = {NAME}.position(num_train_epochs, len(train_dataloader)); initial_step = 0\n",
)
# Steps are counted through all resumes: names, ss_steps, train_state.json and the end of the training follow.
STEP = Edit("        global_step = 0\n", "        global_step = resumed_step\n")
# A state of the last step is not refused: it still lacks its LoRA file.
FINISHED = Edit("args.max_train_steps > initial_step\n", "args.max_train_steps >= initial_step\n")
# The average goes on where it was.
RECORDER = Edit(
    "        loss_recorder = train_util.LossRecorder()\n", f"        loss_recorder = {NAME}.loss_recorder()\n"
)
BAR = Edit("range(args.max_train_steps - initial_step)", "range(args.max_train_steps - global_step)")
# The fork counts nothing and starts at the first epoch always.
FORK_POSITION = Edit(
    "        progress_bar = tqdm(range(args.max_train_steps), smoothing=0",
    f"        epoch_to_start, resumed_step = {NAME}.position(num_train_epochs, len(train_dataloader));"
    " progress_bar = tqdm(range(args.max_train_steps - resumed_step), smoothing=0",
)
FORK_EPOCHS = Edit(
    "        for epoch in range(num_train_epochs):\n",
    "        for epoch in range(epoch_to_start, num_train_epochs):\n",
)

EDITS: dict[str, tuple[Edit, ...]] = {
    "v0.10.1": (LOADER, FINISHED, POSITION, STEP, RECORDER, BAR),
    "v0.9.1": (LOADER, FINISHED, POSITION, STEP, RECORDER),  # its bar is made before `initial_step` is
    "fp8-fork": (LOADER, FORK_POSITION, STEP, RECORDER, FORK_EPOCHS),
}


def apply(text: str, edits: tuple[Edit, ...]) -> str:
    """The edited source.

    Raises:
        LauncherError: a target does not occur exactly once; then this is not the code that the edits are for.
    """
    for edit in edits:
        found = text.count(edit.target)
        if found != 1:
            raise LauncherError(
                f"{MODULE}.py is not as expected: {edit.target.strip()!r} occurs {found} times"
            )
        text = text.replace(edit.target, edit.replacement)
    return text


def load(code: Path, version: str, bridge: object) -> ModuleType:
    """Import the edited train_network, so that sdxl_train_network finds it. `code` must be on sys.path already."""
    path = code / f"{MODULE}.py"
    text = apply(path.read_text(encoding="utf-8"), EDITS[version])
    spec = spec_from_file_location(MODULE, path)
    if spec is None:
        raise LauncherError(f"{path} is no Python file")
    module = module_from_spec(spec)
    setattr(module, NAME, bridge)
    sys.modules[MODULE] = module
    compiled = compile(
        text, str(path), "exec", dont_inherit=True
    )  # else this file's __future__ would hold there too
    exec(compiled, module.__dict__)  # noqa: S102  (known by its hash; the point of this module)
    return module

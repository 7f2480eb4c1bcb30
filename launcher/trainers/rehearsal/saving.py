"""Files that outlive the training: LoRA files, and what a state folder says about its step."""

from __future__ import annotations

import json
import logging
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch

from launcher.errors import InputError
from launcher.trainers.rehearsal.metadata import file_metadata

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

logger = logging.getLogger(__name__)

TRAIN_STATE = "train_state.json"
DAMAGED_STATE = (
    OSError, ValueError, KeyError, RuntimeError, EOFError, pickle.UnpicklingError, safetensors.SafetensorError,
)  # fmt: skip  # what reading a state raises when files are missing, cut off, or of another network
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "float": torch.float32}


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """Where the training stands: `step` optimizer steps are done; `epoch` (from 1) is the one that the last was in."""

    epoch: int
    step: int


def base_name(args: argparse.Namespace, otherwise: str) -> str:
    """`output_name`, or upstream's word for this kind of file."""
    return args.output_name or otherwise


def save_lora(
    path: Path, network: Any, args: argparse.Namespace, known: dict[str, str], at: Position
) -> None:
    """Write a LoRA file in `save_precision` with its metadata. Raises: OSError, safetensors.SafetensorError."""
    dtype = DTYPES.get(args.save_precision, torch.float32)
    tensors = {
        name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    header = file_metadata(args, known, tensors, step=at.step, epoch=at.epoch)
    safetensors.torch.save_file(tensors, str(path), header)
    logger.info("saved %s", path.name)


def load_lora(path: Path, network: Any) -> None:
    """Start from the weights of a LoRA file.

    Raises:
        InputError: it cannot be read or belongs to another network.
    """
    try:
        network.load_state_dict(safetensors.torch.load_file(str(path)))
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise InputError(f"network_weights {path} does not fit: {str(error).splitlines()[0]}") from error


def write_position(folder: Path, at: Position) -> None:
    """`train_state.json`, as upstream's save hook writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"current_epoch": at.epoch, "current_step": at.step})
    (folder / TRAIN_STATE).write_text(text, encoding="utf-8")


def read_position(folder: Path) -> Position:
    """Raises: InputError, if the state does not say where it stands (upstream would silently begin at 0)."""
    path = folder / TRAIN_STATE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Position(epoch=int(values["current_epoch"]), step=int(values["current_step"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"the state {folder} cannot be resumed: {TRAIN_STATE} is missing or damaged"
        ) from error

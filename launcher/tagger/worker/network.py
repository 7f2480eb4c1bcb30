"""The ONNX model: on the graphics card where that works, else on the processor, and which of both is said."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from launcher.tagger.worker.labels import RATING
from launcher.tagger.worker.prepare import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from launcher.tagger.worker.labels import Labels

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
ERRORS_ONLY = 3


class ModelError(Exception):
    """The model cannot be used; the text says why."""


class Network:
    """A tagger that is ready to work."""

    def __init__(self, labels: Labels, *, wants_gpu: bool, least: float) -> None:
        self.labels = labels
        self._least = np.float32(least)  # no threshold is lower: what is below it need not be looked at
        self.note = ""  # why it works on the processor although the card was wanted
        self._session = self._open(wants_gpu=wants_gpu)
        wanted = self._session.get_inputs()[0]
        self._input = wanted.name
        self.fixed_batch = _fixed_batch(wanted.shape)
        _check_shape(wanted, is_mapping=labels.is_mapping)
        self._ratings = [label.place for label in labels.labels if label.category == RATING]

    @property
    def is_on_gpu(self) -> bool:
        return CUDA in self._session.get_providers()

    def _open(self, *, wants_gpu: bool) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        providers = [CPU]
        if wants_gpu and CUDA in onnxruntime.get_available_providers():
            self.note = _load_libraries(onnxruntime)
            providers = [CPU] if self.note else [CUDA, CPU]
        elif wants_gpu:
            self.note = "this onnxruntime has no CUDA"
        try:
            session = onnxruntime.InferenceSession(str(self.labels.model), options, providers=providers)
        except Exception as error:  # onnxruntime has no common class of its own
            raise ModelError(f"{self.labels.model.name} cannot be loaded: {_first_line(error)}") from error
        if wants_gpu and CUDA not in session.get_providers():
            self.note = self.note or "onnxruntime could not start CUDA"
        return session

    def score(self, images: NDArray[np.float32]) -> list[list[tuple[int, float]]]:
        """For each of (n, 448, 448, 3) images: places and probabilities, those of all ratings and all that may count.

        Raises:
            ModelError: the model fails, or gives something else than its labels say.
        """
        count = len(images)
        if self.fixed_batch and count < self.fixed_batch:
            empty = np.zeros((self.fixed_batch - count, *images.shape[1:]), np.float32)
            images = np.concatenate([images, empty])
        if self.labels.is_mapping:
            images = images.transpose(0, 3, 1, 2) / np.float32(127.5) - np.float32(1.0)
        try:
            found = self._session.run(None, {self._input: images})[0]
        except Exception as error:  # as above
            raise ModelError(f"the model fails: {_first_line(error)}") from error
        shape: tuple[int, ...] = tuple(getattr(found, "shape", ()))
        if len(shape) != 2 or shape[0] < count or not self._fits(shape[1]):
            raise ModelError(
                f"the model gives numbers of the shape {shape}, but its table has {self.labels.count} tags: they do not belong together"
            )
        return [self._places(row) for row in found[:count]]

    def _fits(self, width: int) -> bool:
        return width >= self.labels.count if self.labels.is_mapping else width == self.labels.count

    def _places(self, row: NDArray[np.float32]) -> list[tuple[int, float]]:
        scores = 1 / (1 + np.exp(-row)) if self.labels.is_mapping else row
        keep = scores >= self._least
        keep[self._ratings] = True
        return [(int(place), float(scores[place])) for place in np.nonzero(keep)[0]]


def _load_libraries(onnxruntime: Any) -> str:
    """CUDA and cuDNN come with torch; loading them first is how onnxruntime finds them. Returns why not, or nothing."""
    try:
        import torch

        if not torch.cuda.is_available():
            return "torch sees no graphics card"
        onnxruntime.preload_dlls()
    except Exception as error:  # noqa: BLE001  (whatever it is, the processor does the work)
        return f"CUDA could not be loaded: {_first_line(error)}"
    return ""


def _fixed_batch(shape: Any) -> int | None:
    first = shape[0] if len(shape) else None
    return first if isinstance(first, int) and first > 0 else None


def _check_shape(wanted: Any, *, is_mapping: bool) -> None:
    shape = list(wanted.shape)
    ours: list[int | None] = [None, 3, SIDE, SIDE] if is_mapping else [None, SIDE, SIDE, 3]
    fits = len(shape) == 4 and all(
        mine is None or not isinstance(theirs, int) or theirs == mine
        for mine, theirs in zip(ours, shape, strict=True)
    )
    if not fits or wanted.type != "tensor(float)":
        raise ModelError(
            f"the model wants {wanted.type} of the shape {shape}: a tagger of this family takes float32 images of {SIDE} pixels"
        )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300]


def versions() -> dict[str, str]:
    """What did the work, for the report."""
    import onnxruntime

    return {"python": sys.version.split()[0], "onnxruntime": onnxruntime.__version__, "numpy": np.__version__}

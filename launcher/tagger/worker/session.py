"""One job: read it, run it, tell what was found. Everything is told as one JSON object a line on standard output.

| type | fields |
|---|---|
| ready | device ("gpu" or "cpu"), note, batch, onnxruntime, numpy, python |
| batch | images: list of {i, tags} or {i, error} in the order of the job |
| error | message, kind ("packages" or "model")   the last line; the exit code is 1 |
| end | |
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_THREADS = 4
LONGEST_WORD = 300


def main(job_file: str) -> int:
    """Carry out the job; 0 when all of it was looked at."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    sys.path[:0] = job["packages"]
    try:
        import cv2  # noqa: F401  (needed at the first image: better known now)
        import numpy as np  # noqa: F401
        import onnxruntime  # noqa: F401
        import PIL  # noqa: F401
    except Exception as error:  # noqa: BLE001  (a broken package raises anything)
        return _fail("packages", f"{type(error).__name__}: {error}")
    from launcher.tagger.worker.labels import LabelError
    from launcher.tagger.worker.network import ModelError

    try:
        _work(job)
    except (LabelError, ModelError) as error:
        return _fail("model", str(error))
    _tell(type="end")
    return 0


def _work(job: dict[str, Any]) -> None:
    import numpy as np

    from launcher.tagger.worker.labels import read_labels
    from launcher.tagger.worker.network import Network, versions
    from launcher.tagger.worker.rules import Rules, choose

    labels = read_labels(Path(job["model"]))
    # sd-scripts compares in float32: 0.35 reaches a threshold of 0.35
    rules = Rules.from_json(job["rules"])
    rules = replace(
        rules, thresholds={name: float(np.float32(limit)) for name, limit in rules.thresholds.items()}
    )
    network = Network(labels, wants_gpu=job["wants_gpu"], least=min(rules.thresholds.values()))
    size = network.fixed_batch or job["batch"]
    device = "gpu" if network.is_on_gpu else "cpu"
    _tell(type="ready", device=device, note=network.note, batch=size, **versions())
    for batch in _batches(job["images"], size):
        good = [(number, image) for number, image in batch if not isinstance(image, str)]
        scores = network.score(np.stack([image for _, image in good])) if good else []
        found: dict[int, dict[str, Any]] = {
            number: {"i": number, "error": image} for number, image in batch if isinstance(image, str)
        }
        for (number, _), row in zip(good, scores, strict=True):
            found[number] = {"i": number, "tags": choose(labels, row, rules)}
        _tell(type="batch", images=[found[number] for number, _ in batch])


def _batches(paths: list[str], size: int) -> Iterator[list[tuple[int, Any]]]:
    """Images in batches of at most `size`; decoded ahead of time, but never more than two batches."""
    batch: list[tuple[int, Any]] = []
    for entry in _prepared(paths, ahead=2 * size):
        batch.append(entry)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _prepared(paths: list[str], *, ahead: int) -> Iterator[tuple[int, Any]]:
    """Each image as numbers, or as the words why it has none."""
    from concurrent.futures import ThreadPoolExecutor

    threads = max(1, min(MOST_THREADS, os.cpu_count() or 1))
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[int, Any]] = deque()
        for number, path in enumerate(paths):
            waiting.append((number, pool.submit(_load, path)))
            if len(waiting) > ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()


def _load(path: str) -> Any:
    from launcher.tagger.worker.prepare import load

    try:
        return load(path)
    except MemoryError:
        return "there is not enough memory for it"
    except Exception as error:  # noqa: BLE001  (Pillow raises anything for a damaged file)
        words = str(error).replace(repr(path), "").strip() or type(error).__name__
        return words[:LONGEST_WORD]


def _tell(**event: Any) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _fail(kind: str, message: str) -> int:
    _tell(type="error", kind=kind, message=message)
    return 1

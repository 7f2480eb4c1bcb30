"""Hashes of what a run made, to see whether two runs made the same."""

import hashlib
import struct


def of_run(output, lora):
    """By name: the LoRA's tensors without its metadata, and each sample's pixels, by order."""
    found = {} if lora is None else {"lora": of_tensors(lora)}
    samples = sorted(path for path in output.rglob("*.png"))
    return found | {f"sample {number}": of_pixels(path) for number, path in enumerate(samples, start=1)}


def of_tensors(path):
    """Behind the header of a safetensors file; the order of tensors is the writer's, the same for the same names."""
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        stream.seek(8 + length)
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def of_pixels(path):
    from PIL import Image

    with Image.open(path) as image:
        return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()[:16]

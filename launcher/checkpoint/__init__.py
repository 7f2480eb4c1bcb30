"""Model files by their header alone: what a file is, whether it is whole, and whether it is the same one as before."""

from launcher.checkpoint.header import CUT, MOST_HEADER_BYTES, Header, HeaderError, read_header
from launcher.checkpoint.identity import full_hash, known_hash, quick_print
from launcher.checkpoint.recognise import (
    Nature,
    has_zero_snr,
    is_fp8,
    lora_base,
    precisions,
    predicts_noise,
    predicts_v,
    recognise,
)

__all__ = [
    "CUT",
    "MOST_HEADER_BYTES",
    "Header",
    "HeaderError",
    "Nature",
    "full_hash",
    "has_zero_snr",
    "is_fp8",
    "known_hash",
    "lora_base",
    "precisions",
    "predicts_noise",
    "predicts_v",
    "quick_print",
    "read_header",
    "recognise",
]

"""The shipped sample images of `demo`: ten flat-colour landscapes with captions, drawn by `generate.py`."""

from __future__ import annotations

from pathlib import Path

IMAGES = Path(__file__).resolve().parent / "images"

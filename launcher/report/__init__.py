"""One self-contained HTML page that tells a run: pictures, curves, settings, and what to do with the LoRA."""

from __future__ import annotations

from launcher.report.page import write_report

__all__ = ["write_report"]

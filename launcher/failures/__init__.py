"""Failures of trainings as data: what happened, why, what to do, and which smaller settings to offer."""

from __future__ import annotations

from launcher.failures.evidence import evidence_of, explain_run, plan_values
from launcher.failures.explain import KINDS, UNKNOWN, Explanation, explain, explain_kind, title_of
from launcher.failures.rule import Evidence, Kind
from launcher.failures.spill import Spill, find_spill, spill_words

__all__ = [
    "KINDS", "UNKNOWN", "Evidence", "Explanation", "Kind", "Spill", "evidence_of", "explain",
    "explain_kind", "explain_run", "find_spill", "plan_values", "spill_words", "title_of",
]  # fmt: skip

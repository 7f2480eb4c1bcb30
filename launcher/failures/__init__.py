"""Failures of trainings as data: what happened, why, what to do, and which smaller settings to offer."""

from __future__ import annotations

from launcher.failures.evidence import evidence_of, explain_run, plan_values
from launcher.failures.explain import KINDS, UNKNOWN, Explanation, explain, explain_kind, title_of
from launcher.failures.rule import Evidence, Kind
from launcher.failures.spill import Spill, find_spill, spill_words
from launcher.failures.stepdown import Change, StepDown, step_down

__all__ = [
    "KINDS", "UNKNOWN", "Change", "Evidence", "Explanation", "Kind", "Spill", "StepDown", "evidence_of", "explain",
    "explain_kind", "explain_run", "find_spill", "plan_values", "spill_words", "step_down", "title_of",
]  # fmt: skip

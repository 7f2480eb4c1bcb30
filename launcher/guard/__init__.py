"""Watches a training beside the sampler: rules that yield what is wrong now, in words, and what they ask of the training."""

from __future__ import annotations

from launcher.guard.guard import Guard
from launcher.guard.limits import Limits
from launcher.guard.look import Battery, Concern, Gpu, Look, Moment, Progress
from launcher.guard.opening import guard_of
from launcher.guard.rules import RULES, Rule

__all__ = ["RULES", "Battery", "Concern", "Gpu", "Guard", "Limits", "Look", "Moment", "Progress", "Rule", "guard_of"]  # fmt: skip

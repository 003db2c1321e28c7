"""Evaluation: every figure of a run beside its baselines, on images that had no part in it."""

from __future__ import annotations

from nearkin.evaluation.measure import evaluate

__all__ = ["evaluate"]

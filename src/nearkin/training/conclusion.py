"""How a training ended: facts for the run's manifest, and a sentence for a person."""

from __future__ import annotations

from typing import Any

from nearkin.training.trainer import Outcome


def ending_facts(outcome: Outcome, target: float | None, steps_per_epoch: float) -> dict[str, Any]:
    """What the manifest says of the end; with a target also when it was reached, `None` where it never was."""
    standing = outcome.standing
    facts: dict[str, Any] = {
        "ended": outcome.ended,
        "steps": standing.step,
        "steps_per_epoch": steps_per_epoch,
        "kept_step": standing.best_step or standing.step,
        "select_pair_auc": standing.best_score,
        "warnings": list(outcome.warnings),
    }
    if target is None:
        return facts
    reached = standing.reached_at
    epochs = None if reached is None else reached / steps_per_epoch
    return {**facts, "target": target, "steps_to_target": reached, "epochs_to_target": epochs}


def told(outcome: Outcome, target: float | None, steps_per_epoch: float) -> str:
    """How it ended, in a sentence or two."""
    standing = outcome.standing
    best = f"with a pair AUC of {standing.best_score:.4f} on select" if standing.best_score is not None else ""
    kept = f"; kept the weights of step {standing.best_step}, {best}" if best else ""
    return f"trained {standing.step} steps ({outcome.ended}){kept}.{_of_target(outcome, target, steps_per_epoch)}"


def _of_target(outcome: Outcome, target: float | None, steps_per_epoch: float) -> str:
    if target is None:
        return ""
    reached = outcome.standing.reached_at
    if reached is None:
        return f" The target of {target:g} on select was never reached."
    return (
        f" The target of {target:g} on select was reached after {reached} steps, {reached / steps_per_epoch:g} epochs."
    )

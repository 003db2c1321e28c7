"""The learning curve: loss, and the score on select with its target and the step that was kept."""

from __future__ import annotations

from nearkin.report.chart import Mark, line_chart
from nearkin.run import Run


def curves(run: Run) -> list[tuple[str, str]]:
    """What each shows, and its SVG."""
    lines = run.metrics
    found = [("Loss", line_chart([(line["step"], line["loss"]) for line in lines]))] if lines else []
    scores = [(line["step"], line["select_pair_auc"]) for line in lines if "select_pair_auc" in line]
    if scores:
        target = run.facts.get("target")
        marks = [Mark(target, f"target {target:g}")] if target else []
        drawn = line_chart(scores, marks=marks, kept=run.facts.get("kept_step"))
        found.append(("Pair AUC on select, which chose the weights", drawn))
    return found

"""Whatever trains more than once: one draw of the shots is an anecdote."""

from __future__ import annotations

from nearkin.experiments.comparison import compare
from nearkin.experiments.repeat import Repeated, repeat
from nearkin.experiments.summary import Mean, mean_over

__all__ = ["Mean", "Repeated", "compare", "mean_over", "repeat"]

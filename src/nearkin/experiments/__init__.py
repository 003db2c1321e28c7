"""Whatever trains more than once: one draw of the shots is an anecdote."""

from __future__ import annotations

from nearkin.experiments.comparison import compare
from nearkin.experiments.repeat import Repeated, repeat
from nearkin.experiments.reproduction import reproduce
from nearkin.experiments.spaces import choose_space
from nearkin.experiments.summary import Mean, mean_over
from nearkin.experiments.sweeps import Sweep, resume_sweep, sweep
from nearkin.experiments.tables import table

__all__ = [
    "Mean",
    "Repeated",
    "Sweep",
    "choose_space",
    "compare",
    "mean_over",
    "repeat",
    "reproduce",
    "resume_sweep",
    "sweep",
    "table",
]

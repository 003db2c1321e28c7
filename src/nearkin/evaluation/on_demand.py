"""An index that is made when it is first asked: many evaluators need none, and a baseline's means embedding anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nearkin.contracts import Metric, QueryableIndex


@dataclass(frozen=True)
class OnDemand:
    """What `make` gives, once a question comes."""

    metric: Metric
    alpha: float
    make: Callable[[], QueryableIndex]

    @cached_property
    def made(self) -> QueryableIndex:
        """The index itself."""
        return self.make()

    def query(self, queries: Any, *, k: int = 5, alpha: float | None = None) -> Any:
        """As the index answers."""
        return self.made.query(queries, k=k, alpha=alpha)

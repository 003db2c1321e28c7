"""What stands in a view where the method can have no index, and says so to whoever asks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nearkin.contracts import Metric
from nearkin.errors import NoIndexError


@dataclass(frozen=True)
class NoIndex:
    """Refuses everything with the method's reason."""

    reason: str

    @property
    def metric(self) -> Metric:
        """Refused."""
        raise NoIndexError(f"There is no index: {self.reason}")

    @property
    def alpha(self) -> float:
        """Refused."""
        raise NoIndexError(f"There is no index: {self.reason}")

    def query(self, queries: Any, *, k: int = 5, alpha: float | None = None) -> Any:
        """Refused."""
        raise NoIndexError(f"There is no index: {self.reason}")

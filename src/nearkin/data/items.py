"""One labelled image of a source: what it is called, and what it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nearkin.contracts import Split


@dataclass(frozen=True)
class Item:
    """An image that has not been decoded yet."""

    key: str
    """Its name in the source, the same on every machine: `train/covid/01.jpg`, `digits/17`."""
    label: str
    """As written: `007` stays `007`."""
    group: str
    """What must not be parted between splits (the patient); the key where nothing else is said."""
    split: Split | None
    """As the source says, if it does."""
    place: Path | int
    """Where its source finds it."""

    @property
    def side(self) -> Split:
        """The side of the source's own split; what is not marked is training."""
        return self.split or "train"

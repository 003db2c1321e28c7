"""A place on disk that stays where it was when it was named, whatever folder the process goes to later."""

from __future__ import annotations

from pathlib import Path


class Place:
    """A path, taken once. It is said as it was given for as long as that leads there: `os.chdir` moves no files."""

    def __init__(self, given: Path | str) -> None:
        self._given = Path(given)
        self._absolute = _absolute(self._given)

    @property
    def path(self) -> Path:
        """As given, or absolute where the process has gone to another folder since."""
        return self._given if _absolute(self._given) == self._absolute else self._absolute


def _absolute(path: Path) -> Path:
    try:
        return path.absolute()
    except OSError:  # the folder that the process is in was removed
        return path

"""A limit on the log lines that strangers can cause, so that a flood does not fill the disk."""

from collections import Counter
from typing import Final

from ipsec.path import source_of

MINUTE: Final = 60.0
PER_HOST: Final = 10
IN_ALL: Final = 100
"""Lines in one minute, which begins with the first of them."""


class LineLimit:
    """Says which lines are written, and once a minute how many were not.

    There is no entry for a host that no line was written about, so that the table never has
    more than IN_ALL of them.
    """

    __slots__ = ("_end", "_left_out", "_lines")

    def __init__(self) -> None:
        self._lines: Counter[str] = Counter()
        self._left_out = 0
        self._end: float | None = None

    def admits(self, host: str, now: float) -> bool:
        """Count a line about a host; say whether it is to be written."""
        if self._end is None:
            self._end = now + MINUTE
        source = source_of(host)
        if self._lines[source] >= PER_HOST or self._lines.total() >= IN_ALL:
            self._left_out += 1
            return False
        self._lines[source] += 1
        return True

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is to be called, or None."""
        return self._end

    def handle_timeout(self, now: float) -> int:
        """Return how many lines were left out in the minute that is over, and begin anew."""
        if self._end is None or now < self._end:
            return 0
        left_out, self._left_out, self._end = self._left_out, 0, None
        self._lines.clear()
        return left_out

"""A limit on the log lines that strangers can cause, so that a flood does not fill the disk."""

from typing import Final

from wire import RateLimit

MINUTE: Final = 60.0
PER_HOST: Final = 10
IN_ALL: Final = 100
"""Lines in one minute, which begins with the first of them."""


class LineLimit:
    """Says which lines are written, and once a minute how many were not."""

    __slots__ = ("_left_out", "_limit")

    def __init__(self) -> None:
        self._limit = RateLimit(PER_HOST, IN_ALL, MINUTE)
        self._left_out = 0

    def admits(self, host: str, now: float) -> bool:
        """Count a line about a host; say whether it is to be written."""
        admitted = self._limit.admits(host, now)
        self._left_out += not admitted
        return admitted

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is to be called, or None."""
        return self._limit.end

    def handle_timeout(self, now: float) -> int:
        """Return how many lines were left out in the minute that is over, and begin anew."""
        if self._limit.end is None or now < self._limit.end:
            return 0
        self._limit.reset()
        left_out, self._left_out = self._left_out, 0
        return left_out

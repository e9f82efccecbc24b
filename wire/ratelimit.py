"""So often and no more: for what strangers can cause without end."""

from collections import Counter


class RateLimit:
    """Admits `per_host` of something for each host and `in_all` in each period of seconds.

    A period begins with the first that is admitted. There is no entry for a host of which nothing
    was admitted, so that the table never has more than `in_all` of them.
    """

    __slots__ = ("_admitted", "_in_all", "_per_host", "_period", "end")

    def __init__(self, per_host: int, in_all: int, period: float) -> None:
        self._per_host = per_host
        self._in_all = in_all
        self._period = period
        self._admitted: Counter[str] = Counter()
        self.end: float | None = None

    def __len__(self) -> int:
        return len(self._admitted)

    def admits(self, host: str, now: float) -> bool:
        """Count one of a host; False if that is one too many."""
        if self.end is None or now >= self.end:
            self._admitted.clear()
            self.end = now + self._period
        if self._admitted[host] >= self._per_host or self._admitted.total() >= self._in_all:
            return False
        self._admitted[host] += 1
        return True

    def reset(self) -> None:
        """End the period."""
        self._admitted.clear()
        self.end = None

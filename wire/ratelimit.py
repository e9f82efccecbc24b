"""So often and no more: for what strangers can cause without end."""

from collections import Counter
from ipaddress import IPv6Network


def source_of(host: str) -> str:
    """Return what limits on a single host count by: an IPv4 address, or the /64 of an IPv6 one.

    A host with IPv6 has as many addresses as it likes in the prefix of its link (RFC 4862).
    """
    return str(IPv6Network((host, 64), strict=False)) if ":" in host else host


class RateLimit:
    """Admits `per_host` of something for each host and `in_all` in each period of seconds.

    A host is known by its address in text (see `source_of`).

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
        source = source_of(host)
        if self._admitted[source] >= self._per_host or self._admitted.total() >= self._in_all:
            return False
        self._admitted[source] += 1
        return True

    def reset(self) -> None:
        """End the period."""
        self._admitted.clear()
        self.end = None

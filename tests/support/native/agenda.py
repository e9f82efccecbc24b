"""What a scripted client will do, and when."""

import heapq
from collections.abc import Callable


class Agenda:
    """Actions at moments of a fake clock. One that has become pointless sees that itself."""

    def __init__(self) -> None:
        self.now = 0.0
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._turn = 0

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self._turn += 1
        heapq.heappush(self._entries, (self.now + seconds, self._turn, action))

    def next(self) -> float | None:
        return self._entries[0][0] if self._entries else None

    def run(self, now: float) -> None:
        """Do what is due."""
        self.now = now
        while self._entries and self._entries[0][0] <= now:
            heapq.heappop(self._entries)[2]()


class Refusal(Exception):  # noqa: N818
    """The server sent what the real client does not take."""


class Stray(Exception):  # noqa: N818
    """A message for a tunnel or call that the client does not have; it drops it."""


def require(condition: bool, why: str) -> None:
    """Raise Refusal unless the condition holds."""
    if not condition:
        raise Refusal(why)

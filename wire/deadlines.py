"""When what is due: the timers of a core, without a clock."""

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Deadlines(Generic[Key]):
    """At most one deadline for each key, as seconds of the caller's clock.

    Setting, clearing and taking cost O(log n). Replaced deadlines stay in the heap until they
    come up or outnumber the live ones, so that the heap is never more than twice the live
    keys (plus a constant).
    """

    __slots__ = ("_heap", "_times", "_turn")

    def __init__(self) -> None:
        self._times: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._turn = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._times

    def __len__(self) -> int:
        return len(self._times)

    def set(self, key: Key, when: float) -> None:
        """Let `key` be due at `when`, in place of any earlier wish for it."""
        self._turn += 1
        self._times[key] = (when, self._turn)
        heapq.heappush(self._heap, (when, self._turn, key))
        if len(self._heap) > 2 * len(self._times) + 64:
            self._heap = [(time, turn, live) for live, (time, turn) in self._times.items()]
            heapq.heapify(self._heap)

    def clear(self, key: Key) -> None:
        """Forget `key`; it need not have a deadline."""
        self._times.pop(key, None)

    def get(self, key: Key) -> float | None:
        """Return when `key` is due, or None."""
        entry = self._times.get(key)
        return None if entry is None else entry[0]

    def next(self) -> float | None:
        """Return the earliest deadline, or None where there is none."""
        while self._heap:
            when, turn, key = self._heap[0]
            if self._times.get(key) == (when, turn):
                return when
            heapq.heappop(self._heap)
        return None

    def take_due(self, now: float) -> list[Key]:
        """Remove and return all keys that are due at `now`, earliest first.

        A key that is set again while the caller works through the list waits for the next
        call, so that a deadline in the past cannot hold the caller for ever.
        """
        due: list[Key] = []
        while (when := self.next()) is not None and when <= now:
            key = heapq.heappop(self._heap)[2]
            del self._times[key]
            due.append(key)
        return due

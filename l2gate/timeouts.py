"""Sessions that end after a time, or after a time without packets (RFC 2865 sections 5.27, 5.28).

Whether packets came is looked up four times in the time that is allowed without any, so a session
may last that much longer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aaa.radius.constants import AcctTerminateCause
from l2gate.calls import Call
from wire import Deadlines

LOOKS: Final = 4

TIME_OVER: Final = AcctTerminateCause.SESSION_TIMEOUT
IDLE: Final = AcctTerminateCause.IDLE_TIMEOUT


@dataclass(slots=True)
class _Idle:
    """A call that may not be without packets for `limit` seconds, and what was seen of it."""

    call: Call
    limit: float
    since: float
    packets: int


class Timeouts:
    """The calls that have such limits."""

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}
        self._idle: dict[int, _Idle] = {}
        self._ends: Deadlines[int] = Deadlines()
        self._looks: Deadlines[int] = Deadlines()

    def set(
        self, call: Call, session_timeout: int | None, idle_timeout: int | None, now: float
    ) -> None:
        """Let a call end so many seconds from now, or after so many without a packet.

        None changes nothing, 0 is no limit.
        """
        if session_timeout is not None:
            self._ends.clear(call.session)
        if session_timeout:
            self._calls[call.session] = call
            self._ends.set(call.session, now + session_timeout)
        if idle_timeout is not None:
            self._looks.clear(call.session)
        if idle_timeout:
            self._idle[call.session] = _Idle(call, float(idle_timeout), now, _packets(call))
            self._looks.set(call.session, now + idle_timeout / LOOKS)

    def clear(self, session: int) -> None:
        """Forget a call."""
        self._calls.pop(session, None)
        self._idle.pop(session, None)
        self._ends.clear(session)
        self._looks.clear(session)

    def next_timeout(self) -> float | None:
        """Return when something is due, or None."""
        moments = (self._ends.next(), self._looks.next())
        return min((moment for moment in moments if moment is not None), default=None)

    def take_due(self, now: float) -> Iterator[tuple[Call, str, AcctTerminateCause]]:
        """Yield the calls whose time is over, and why."""
        for session in self._ends.take_due(now):
            yield self._calls[session], "the session's time is over", TIME_OVER
        for session in self._looks.take_due(now):
            idle = self._idle[session]
            packets = _packets(idle.call)
            if packets != idle.packets:
                idle.packets, idle.since = packets, now
            if now - idle.since >= idle.limit:
                yield idle.call, f"no packets for {idle.limit:.0f} s", IDLE
            else:
                self._looks.set(session, now + idle.limit / LOOKS)


def _packets(call: Call) -> int:
    return 0 if call.record is None else call.record.packets_in + call.record.packets_out

"""Main modes that strangers have begun, and the limits on them.

A message 1 may bear any source address; only with message 3 has the sender shown that it gets
our answers. So when there are too many, the oldest that has not come that far gives way, in
all or of one address, and a flood of them shortens the time that others have for message 3
instead of shutting them out. One that came further is never pushed out.
"""

from collections import Counter

from ipsec.context import Context, Timer
from ipsec.main_mode import MainMode, State
from ipsec.message import NO_COOKIE, Cookies
from ipsec.path import Address
from wire import source_of


class HalfOpen:
    """A bounded table of responder main modes, under way or refused."""

    __slots__ = ("_by_cookies", "_by_first", "_context", "_hosts")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._by_first: dict[tuple[bytes, Address], MainMode] = {}
        self._by_cookies: dict[Cookies, MainMode] = {}
        self._hosts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._by_first)

    def find(self, cookies: Cookies, source: Address) -> MainMode | None:
        """Return the main mode that a message from `source` belongs to."""
        if cookies.responder == NO_COOKIE:
            return self._by_first.get((cookies.initiator, source))
        return self._by_cookies.get(cookies)

    def add(self, mode: MainMode, now: float) -> bool:
        """Take in a main mode that has its first message; False if there is no room.

        One that was refused is taken in again if it was offered something better.
        """
        self.remove(mode)
        config, host = self._context.config, source_of(mode.first[1].host)
        if self._hosts[host] >= config.half_open_per_host:
            if not self._push_out(host):
                return False
        elif len(self) >= config.half_open_limit and not self._push_out(None):
            return False
        self._by_first[mode.first] = mode
        if mode.cookies.responder != NO_COOKIE:
            self._by_cookies[mode.cookies] = mode
        self._hosts[host] += 1
        self.went_on(mode, now)
        return True

    def went_on(self, mode: MainMode, now: float) -> None:
        """Give a main mode that made a step its time for the next one."""
        lifetime = self._context.config.half_open_lifetime
        self._context.deadlines.set((Timer.HALF_OPEN, mode), now + lifetime)

    def remove(self, mode: MainMode) -> None:
        """Forget a main mode; it need not be there."""
        if self._by_first.get(mode.first) is not mode:
            return
        self._context.deadlines.clear((Timer.HALF_OPEN, mode))
        self._context.answered(mode)
        del self._by_first[mode.first]
        self._by_cookies.pop(mode.cookies, None)
        host = source_of(mode.first[1].host)
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]

    def _push_out(self, host: str | None) -> bool:
        """Forget the oldest main mode, of `host` if given, whose initiator may be a fake."""
        for mode in self._by_first.values():
            unproven = mode.state in (State.START, State.SA_ANSWERED)
            if unproven and (host is None or host == source_of(mode.first[1].host)):
                self.remove(mode)
                return True
        return False

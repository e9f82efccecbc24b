"""What wrong passwords lead to, so that nobody guesses one.

How this works. A wrong password counts for the user at that source address, for the user
anywhere, for the address and for the department. What happens when how many of them come
within `window` seconds, `attempts` being the number that is configured:

    a user at one address       attempts         locked there for `duration` seconds
    a user anywhere             4 x attempts     locked everywhere
    an address                  10 x attempts    everybody is locked there
    an address                  attempts         each answer to it takes DELAY seconds
    a department                20 x attempts    each answer to its users takes DELAY seconds

An address of IPv6 counts as its /64. Guessing from one place thus locks that place out long
before it locks the user out who is somewhere else. The names are those that were typed, so that
a name that does not exist is locked as any other is. What is locked gets the same answer
whatever its password is, and counts no further: a lock always ends. A login that is right
forgets the wrong ones of that user.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from wire import source_of

Key = TypeVar("Key")

_Login = tuple[str | None, str | None]

DELAY = 3.0
"""Seconds that an answer takes where many wrong passwords came from."""

USER_ANYWHERE = 4
ADDRESS = 10
DEPARTMENT = 20
"""How many times `attempts` it takes."""

MOST = 4096
"""Entries of each kind; beyond that the one that is longest without a wrong password goes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many wrong passwords in `window` seconds lock for `duration` seconds."""

    attempts: int = 5
    window: float = 600.0
    duration: float = 900.0


class Lock(NamedTuple):
    """A user (None for everybody) that is locked at an address (None for anywhere).

    `until` counts as the caller's clock does.
    """

    user: str | None
    host: str | None
    until: float


@dataclass(slots=True)
class _Count:
    since: float
    wrong: int = 0
    until: float = 0.0


class Lockout:
    """Counts wrong passwords. `limits` is None where nothing is ever locked or delayed.

    The time is that of people, and may jump: what seems to lie in the future is forgotten.
    """

    def __init__(self, limits: Limits | None) -> None:
        self._limits = limits
        self._logins: OrderedDict[_Login, _Count] = OrderedDict()
        self._departments: OrderedDict[str, _Count] = OrderedDict()

    def locked(self, user: str, host: str, now: float) -> Lock | None:
        """Return the lock that lasts longest of those that a login runs into, or None."""
        found = [self._lock(key, now) for key in _keys(user, host)]
        return max(filter(None, found), key=lambda lock: lock.until, default=None)

    def locks(self, now: float) -> list[Lock]:
        """Return all locks."""
        return [lock for key in self._logins if (lock := self._lock(key, now)) is not None]

    def delay(self, host: str, department: str, now: float) -> float:
        """Return how many seconds to wait before a login is looked at."""
        if self._limits is None:
            return 0.0
        attempts = self._limits.attempts
        pressed = (
            self._wrong(self._logins.get((None, source_of(host))), now) >= attempts
            or self._wrong(self._departments.get(department), now) >= DEPARTMENT * attempts
        )
        return DELAY if pressed else 0.0

    def failed(self, user: str, host: str, department: str, now: float) -> Lock | None:
        """Count a wrong password; return the lock that it caused, or None."""
        if self._limits is None:
            return None
        for key, times in zip(_keys(user, host), (1, USER_ANYWHERE, ADDRESS), strict=True):
            count = self._count(self._logins, key, now)
            if count.wrong >= times * self._limits.attempts:
                count.until, count.wrong = now + self._limits.duration, 0
        self._count(self._departments, department, now)
        return self.locked(user, host, now)

    def succeeded(self, user: str, host: str) -> None:
        """Forget the wrong passwords of a user that logged in."""
        self._logins.pop((user, source_of(host)), None)
        self._logins.pop((user, None), None)

    def unlock(self, user: str, now: float) -> list[Lock]:
        """Forget the wrong passwords of a user and of every address that they came from.

        Returns the locks that this ends.
        """
        hosts = {host for name, host in self._logins if name == user and host is not None}
        keys = [
            key for key in self._logins if key[0] == user or (key[0] is None and key[1] in hosts)
        ]
        locks = [lock for key in keys if (lock := self._lock(key, now)) is not None]
        for key in keys:
            del self._logins[key]
        return locks

    def _count(self, table: OrderedDict[Key, _Count], key: Key, now: float) -> _Count:
        """Count a wrong password for `key`."""
        count = table.get(key)
        if count is None:
            if len(table) >= MOST:
                table.popitem(last=False)
            count = table[key] = _Count(now)
        if not self._wrong(count, now):
            count.since, count.wrong = now, 0
        count.wrong += 1
        table.move_to_end(key)
        return count

    def _lock(self, key: _Login, now: float) -> Lock | None:
        count = self._logins.get(key)
        if count is None or self._limits is None:
            return None
        if not now < count.until <= now + self._limits.duration:
            return None
        return Lock(*key, count.until)

    def _wrong(self, count: _Count | None, now: float) -> int:
        if count is None or self._limits is None:
            return 0
        return count.wrong if 0 <= now - count.since < self._limits.window else 0


def _keys(user: str, host: str) -> tuple[_Login, ...]:
    source = source_of(host)
    return (user, source), (user, None), (None, source)

"""Which session holds which inner address.

How this works. An address of a pool is in one of three places:

    fresh      the pool's cursor has not passed it; it costs no memory
    held       by a session: in `_taken`
    released   it was held and is free again: in its pool's `released`, oldest first

Fixed addresses are in none of them: the cursor passes over them, and what is released never
contains them. A user gets, in this order: the fixed address; the address that it had last, while
that is released; a fresh one; the one that has been free the longest. Fresh ones come before old
ones so that addresses stay with their users as long as possible, but only as long as fewer than
REMEMBERED addresses are released: what a pool remembers is bounded by that and by the sessions
that there were at one time, whatever its size.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from aaa.decisions import AddressInUse, Lease, PoolExhausted
from aaa.directory import Department, Directory, Pool, User
from wire import LocalError

REMEMBERED = 65536
"""How many released addresses a pool keeps for their last users before it reuses them."""


@dataclass(frozen=True, slots=True)
class _Holding:
    user: str
    address: int
    fixed: bool


@dataclass(slots=True, eq=False)
class _PoolState:
    """One pool at work. `fresh` yields the addresses that the cursor has still to pass."""

    fresh: Iterator[int]
    released: OrderedDict[int, str] = field(default_factory=OrderedDict)
    last_of_user: dict[str, int] = field(default_factory=dict)

    def put_back(self, address: int, user: str) -> None:
        self.released[address] = user
        self.last_of_user[user] = address

    def take_released(self, address: int) -> int:
        user = self.released.pop(address)
        if self.last_of_user.get(user) == address:
            del self.last_of_user[user]
        return address


class Leases:
    """The addresses of all departments of a directory."""

    def __init__(self, directory: Directory) -> None:
        self._held: dict[Hashable, _Holding] = {}
        self._taken: set[int] = set()
        self._pools: dict[str, _PoolState] = {}
        self._serve(directory)

    def __len__(self) -> int:
        """How many sessions hold an address."""
        return len(self._held)

    def get(self, session: Hashable) -> Lease | None:
        """Return what a session holds, or None."""
        holding = self._held.get(session)
        return None if holding is None else Lease(IPv4Address(holding.address), holding.fixed)

    def lease(self, session: Hashable, user: User, department: Department) -> Lease:
        """Give a session an address; a session that has one keeps it.

        Raises PoolExhausted, or AddressInUse where another session holds the fixed address.
        """
        held = self.get(session)
        if held is not None:
            return held
        address = self._find(user, department)
        self._held[session] = _Holding(user.name, address, fixed=user.address is not None)
        self._taken.add(address)
        return Lease(IPv4Address(address), user.address is not None)

    def release(self, session: Hashable) -> None:
        """Free the address of a session, if it has one."""
        holding = self._held.pop(session, None)
        if holding is None:
            return
        self._taken.remove(holding.address)
        self._put_back(holding.address, holding.user)

    def transfer(self, old: Hashable, new: Hashable) -> None:
        """Hand the address of session `old`, if it has one, over to `new`, which has none."""
        if new in self._held:
            raise LocalError(f"session {new!r} has an address already")
        holding = self._held.pop(old, None)
        if holding is not None:
            self._held[new] = holding

    def replace(self, directory: Directory) -> None:
        """Serve the pools of another directory; what is held stays held until released."""
        before = self._pools
        self._serve(directory)
        for state in before.values():
            for address, user in state.released.items():
                self._put_back(address, user)

    def _find(self, user: User, department: Department) -> int:
        if user.address is not None:
            if int(user.address) in self._taken:
                raise AddressInUse(user.address, user.name)
            return int(user.address)
        pool = self._pools[department.name]
        last = pool.last_of_user.get(user.name)
        if last is not None:
            return pool.take_released(last)
        if len(pool.released) < REMEMBERED:
            for address in pool.fresh:
                if self._is_free(address) and address not in pool.released:
                    return address
        if pool.released:
            return pool.take_released(next(iter(pool.released)))
        raise PoolExhausted(department.name, str(department.pool), len(department.pool))

    def _put_back(self, address: int, user: str) -> None:
        pool = self._pool_of(address)
        if pool is not None and address not in self._reservations:
            pool.put_back(address, user)

    def _is_free(self, address: int) -> bool:
        return address not in self._reservations and address not in self._taken

    def _serve(self, directory: Directory) -> None:
        self._reservations: Mapping[int, str] = directory.reservations
        self._pools = {
            department.name: _PoolState(_addresses(department.pool))
            for department in directory.departments.values()
        }
        parts = sorted(
            (int(part.first), int(part.last), department.name)
            for department in directory.departments.values()
            for part in department.pool.ranges
        )
        self._parts = parts
        self._starts = [first for first, _, _ in parts]

    def _pool_of(self, address: int) -> _PoolState | None:
        place = bisect_right(self._starts, address) - 1
        if place < 0:
            return None
        _, last, name = self._parts[place]
        return self._pools[name] if address <= last else None


def _addresses(pool: Pool) -> Iterator[int]:
    for part in pool.ranges:
        yield from range(int(part.first), int(part.last) + 1)

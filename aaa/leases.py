"""Which session holds which inner address, and which IPv6 prefix.

How this works. Both are numbers here, and are given away in the same way. An address of a pool is
in one of four places:

    fresh      the pool's cursor has not passed it; it costs no memory
    held       by a session: in `_taken`
    released   it was held and is free again: in its pool's `released`, oldest first
    foreign    another gateway has it: in `_foreign`, as far as we know

Fixed addresses of the directory's users are in none of them: the cursor passes over them, and
what is released never contains them. A fixed address that a RADIUS server gives may be any that
is not held. A user gets, in this order: the fixed address; the address that it had last, while
that is released; a fresh one; the one that has been free the longest. Fresh ones come before old
ones so that addresses stay with their users as long as possible, but only as long as fewer than
REMEMBERED addresses are released: what a pool remembers is bounded by that and by the sessions
that there were at one time, whatever its size.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Network

from aaa.decisions import AddressInUse, Lease, NoAddress, PoolExhausted
from aaa.directory import Department, Directory, User, prefix_number, prefix_of
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


class Numbers(ABC):
    """The numbers that sessions hold, out of the pools of all departments of a directory."""

    def __init__(self, directory: Directory) -> None:
        self._held: dict[Hashable, _Holding] = {}
        self._taken: set[int] = set()
        self._foreign: frozenset[int] = frozenset()
        self._pools: dict[str, _PoolState] = {}
        self._serve(directory)

    def __len__(self) -> int:
        """How many sessions hold an address."""
        return len(self._held)

    # What a kind of numbers adds.

    @abstractmethod
    def _ranges(self, department: Department) -> Iterable[tuple[int, int]]:
        """Return the first and the last of each range of a department's pool."""

    @abstractmethod
    def _reserved(self, directory: Directory) -> Mapping[int, str]:
        """Return the users that have a fixed number, by it."""

    @abstractmethod
    def _fixed(self, user: User) -> int | None:
        """Return the fixed number of a user, or None."""

    @abstractmethod
    def _exhausted(self, department: Department) -> NoAddress:
        """Return what says that a pool has none left."""

    @abstractmethod
    def _in_use(self, user: User, number: int) -> NoAddress:
        """Return what says that another session holds the fixed number of a user."""

    # What all have in common.

    def _take(self, session: Hashable, user: User, department: Department) -> _Holding:
        """Give a session a number; a session that has one keeps it. Raises NoAddress."""
        held = self._held.get(session)
        if held is None:
            number = self._find(user, department)
            held = self._held[session] = _Holding(
                user.name, number, fixed=self._fixed(user) is not None
            )
            self._taken.add(number)
        return held

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

    def remember(self, last: Mapping[str, int]) -> None:
        """Take it that users had these numbers before, the latest last."""
        users: dict[int, str] = {}
        for user, number in last.items():
            users.pop(number, None)
            users[number] = user
        for number, user in users.items():
            self._put_back(number, user)

    def set_foreign(self, numbers: Iterable[int]) -> None:
        """Give nobody the numbers that other gateways have, which are these from now on."""
        before, self._foreign = self._foreign, frozenset(numbers)
        for number in before - self._foreign - self._taken:
            self._put_back(number, "")
        for number in self._foreign - before:
            pool = self._pool_of(number)
            if pool is not None and number in pool.released:
                pool.take_released(number)

    def give_up(self, session: Hashable) -> None:
        """Take the number from a session: another gateway has it."""
        holding = self._held.pop(session)
        self._taken.remove(holding.address)
        if not holding.fixed:
            self._foreign |= {holding.address}

    def replace(self, directory: Directory) -> None:
        """Serve the pools of another directory; what is held stays held until released."""
        before = self._pools
        self._serve(directory)
        for state in before.values():
            for address, user in state.released.items():
                self._put_back(address, user)

    def _find(self, user: User, department: Department) -> int:
        fixed = self._fixed(user)
        if fixed is not None:
            if fixed in self._taken:
                raise self._in_use(user, fixed)
            owner = self._pool_of(fixed)
            if owner is not None and fixed in owner.released:
                owner.take_released(fixed)
            return fixed
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
        raise self._exhausted(department)

    def _put_back(self, address: int, user: str) -> None:
        pool = self._pool_of(address)
        if pool is not None and self._is_free(address) and address not in pool.released:
            pool.put_back(address, user)

    def _is_free(self, address: int) -> bool:
        return not (
            address in self._reservations or address in self._taken or address in self._foreign
        )

    def _serve(self, directory: Directory) -> None:
        self._reservations: Mapping[int, str] = self._reserved(directory)
        self._pools = {
            department.name: _PoolState(_each(self._ranges(department)))
            for department in directory.departments.values()
        }
        parts = sorted(
            (first, last, department.name)
            for department in directory.departments.values()
            for first, last in self._ranges(department)
        )
        self._parts = parts
        self._starts = [first for first, _, _ in parts]

    def _pool_of(self, address: int) -> _PoolState | None:
        place = bisect_right(self._starts, address) - 1
        if place < 0:
            return None
        _, last, name = self._parts[place]
        return self._pools[name] if address <= last else None


class Leases(Numbers):
    """The addresses: each number is one."""

    def get(self, session: Hashable) -> Lease | None:
        """Return what a session holds, or None."""
        held = self._held.get(session)
        return None if held is None else Lease(IPv4Address(held.address), held.fixed)

    def lease(self, session: Hashable, user: User, department: Department) -> Lease:
        """Give a session an address; a session that has one keeps it.

        Raises PoolExhausted, or AddressInUse where another session holds the fixed address.
        """
        held = self._take(session, user, department)
        return Lease(IPv4Address(held.address), held.fixed)

    def _ranges(self, department: Department) -> Iterable[tuple[int, int]]:
        return [(int(part.first), int(part.last)) for part in department.pool.ranges]

    def _reserved(self, directory: Directory) -> Mapping[int, str]:
        return directory.reservations

    def _fixed(self, user: User) -> int | None:
        return None if user.address is None else int(user.address)

    def _exhausted(self, department: Department) -> NoAddress:
        return PoolExhausted(department.name, str(department.pool), len(department.pool))

    def _in_use(self, user: User, number: int) -> NoAddress:
        return AddressInUse(IPv4Address(number), user.name)


class Prefixes(Numbers):
    """The IPv6 prefixes of links: a number is the upper half of an address."""

    def get(self, session: Hashable) -> IPv6Network | None:
        """Return what a session holds, or None."""
        held = self._held.get(session)
        return None if held is None else prefix_of(held.address)

    def lease(self, session: Hashable, user: User, department: Department) -> IPv6Network:
        """Give a session a prefix; a session that has one keeps it. Raises NoAddress."""
        return prefix_of(self._take(session, user, department).address)

    def _ranges(self, department: Department) -> Iterable[tuple[int, int]]:
        """The first prefix of a pool is the server's own."""
        pool = department.pool6
        if pool is None:
            return []
        return [(prefix_number(pool.network_address) + 1, prefix_number(pool.broadcast_address))]

    def _reserved(self, directory: Directory) -> Mapping[int, str]:
        return directory.reservations6

    def _fixed(self, user: User) -> int | None:
        return None if user.prefix6 is None else prefix_number(user.prefix6.network_address)

    def _exhausted(self, department: Department) -> NoAddress:
        return NoAddress(
            f"all prefixes of pool6 of department {department.name!r} ({department.pool6}) are in "
            "use or reserved",
            f"enlarge departments.{department.name}.pool6",
        )

    def _in_use(self, user: User, number: int) -> NoAddress:
        return NoAddress(
            f"the fixed prefix {prefix_of(number)} of {user.name!r} is still held by another "
            "session",
            "it is free as soon as that one is closed",
        )


def _each(ranges: Iterable[tuple[int, int]]) -> Iterator[int]:
    for first, last in ranges:
        yield from range(first, last + 1)

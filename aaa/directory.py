"""Who there is: users, the departments they belong to, and the departments' address pools.

Plain values; whoever builds them (the program's configuration) has checked that names are
unique, that pools overlap neither each other nor a gateway, and that a fixed address is free.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from aaa.policy import Policy

MAX_USER_ROUTES = 64
"""Networks behind one user."""

LINK_BITS = 64
"""The length of the prefix of a link whose hosts form their own addresses (RFC 4862)."""

DEFAULT_DEPARTMENT = "default"
"""The department of the users whose names have no suffix."""

DEFAULT_INTERFACE = "l2gate0"
"""The device of the departments without one of their own, where nothing else is configured."""


class Source(Enum):
    """Who may know the users of a department: this directory, or RADIUS servers."""

    LOCAL = "local"
    RADIUS = "radius"


@dataclass(frozen=True, slots=True)
class AddressRange:
    """The addresses from `first` to `last`, both included."""

    first: IPv4Address
    last: IPv4Address

    def __len__(self) -> int:
        return int(self.last) - int(self.first) + 1

    def __contains__(self, address: IPv4Address) -> bool:
        return self.first <= address <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Pool:
    """The addresses that a department hands out: ranges in ascending order, without overlap."""

    ranges: tuple[AddressRange, ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.ranges)

    def __contains__(self, address: IPv4Address) -> bool:
        return any(address in part for part in self.ranges)

    def __str__(self) -> str:
        return ", ".join(map(str, self.ranges))


@dataclass(frozen=True, slots=True)
class Department:
    """A group of users with addresses of their own.

    `domains` are the suffixes of its users' names, without the @. `gateway` is our end of every
    link of the department (RFC 1332 section 3.3). `dns` and `wins` hold at most two addresses
    each, for RFC 1877. `max_sessions_per_user` is None where there is no limit. `routes` are
    the networks that clients reach through the tunnel if they do not send everything there,
    `search_domains` the domains in which they look names up; clients ask for both.

    `authenticate` says who is asked about a login. Of both, the directory first: the RADIUS
    servers know whom it does not; RADIUS first: the directory is asked if no server answers.

    Out of `pool6` each session gets a prefix of LINK_BITS for itself, but for the first one,
    which is the server's. `dns6` and `routes6` are told only where there is a `pool6`.

    `interface` is the network device of this machine that the clients are behind; departments
    may share one.
    """

    name: str
    domains: tuple[str, ...]
    pool: Pool
    gateway: IPv4Address
    dns: tuple[IPv4Address, ...] = ()
    wins: tuple[IPv4Address, ...] = ()
    max_sessions_per_user: int | None = None
    routes: tuple[IPv4Network, ...] = ()
    search_domains: tuple[str, ...] = ()
    pool6: IPv6Network | None = None
    dns6: tuple[IPv6Address, ...] = ()
    routes6: tuple[IPv6Network, ...] = ()
    authenticate: tuple[Source, ...] = (Source.LOCAL,)
    policy: Policy = field(default_factory=Policy)
    interface: str = DEFAULT_INTERFACE

    @property
    def gateway6(self) -> IPv6Address | None:
        """The server's own address in `pool6`."""
        return None if self.pool6 is None else self.pool6[1]


@dataclass(frozen=True, slots=True)
class User:
    """One user, by the exact login name: `bob` or `bob@sales.example.com`.

    Has one of `password`, `nt_hash`, the 16 octets of RFC 2759 section 8.3, and `argon2`, a
    hash in PHC's string format. `address` is the user's fixed address, or None for one out of
    the department's pool; `prefix6` is the same for IPv6. `expires` is the last day on which the
    user may log in, `totp` the secret of the codes that are typed after the password (RFC 6238),
    where there are any. A user who `must_change_password` gets in by a login that does so, or
    that needs no password. `routes` are the networks behind a user that is a router.
    """

    name: str
    password: str | None = field(default=None, repr=False)
    nt_hash: bytes | None = field(default=None, repr=False)
    address: IPv4Address | None = None
    disabled: bool = False
    argon2: str | None = field(default=None, repr=False)
    totp: bytes | None = field(default=None, repr=False)
    expires: date | None = None
    prefix6: IPv6Network | None = None
    must_change_password: bool = False
    routes: tuple[IPv4Network, ...] = ()

    @property
    def has_one_session(self) -> bool:
        """Whether what the user has of its own can be of one session only."""
        return self.address is not None or bool(self.routes)

    def time_left(self, now: float) -> float | None:
        """Return the seconds until the user's last day is over, or None if there is no such day.

        `now` counts seconds since 1970; a day is one of the local time zone.
        """
        if self.expires is None or self.expires == date.max:
            return None
        end = datetime.combine(self.expires + timedelta(days=1), time()).timestamp()
        return max(0.0, end - now)

    def has_expired(self, now: float) -> bool:
        """Say whether the user's last day is over; `now` counts seconds since 1970."""
        return self.time_left(now) == 0.0


@dataclass(frozen=True)
class Directory:
    """All departments and users, by name.

    `own_networks` are those that the server itself is in, where no client may have its address.
    """

    departments: Mapping[str, Department]
    users: Mapping[str, User]
    own_networks: tuple[IPv4Network, ...] = ()

    def department_of(self, name: str) -> Department | None:
        """Return the department that the suffix of a login name stands for, or None."""
        suffix = suffix_of(name)
        if suffix is None:
            return self.departments.get(DEFAULT_DEPARTMENT)
        return self._department_of_domain.get(suffix)

    @cached_property
    def reservations(self) -> Mapping[int, str]:
        """The users that have a fixed address, by that address as a number."""
        return {int(user.address): user.name for user in self.users.values() if user.address}

    @cached_property
    def reserved(self) -> Sequence[int]:
        """The fixed addresses as numbers, the lowest first."""
        return sorted(self.reservations)

    @cached_property
    def routers(self) -> Sequence[User]:
        """The users that have networks behind them."""
        return tuple(user for user in self.users.values() if user.routes)

    @cached_property
    def decoy(self) -> User | None:
        """Return nobody, with an argon2 hash that takes its time, where any user has one."""
        hashes = (user.argon2 for user in self.users.values() if user.argon2 is not None)
        return next((User("", argon2=argon2) for argon2 in hashes), None)

    @cached_property
    def reservations6(self) -> Mapping[int, str]:
        """The users that have a fixed prefix, by the number of that prefix."""
        return {
            prefix_number(user.prefix6.network_address): user.name
            for user in self.users.values()
            if user.prefix6
        }

    def similar(self, name: str) -> Sequence[str]:
        """Return the configured names that differ from `name` in suffix or letter case alone."""
        return self._names_by_stem.get(_stem(name), ())

    @cached_property
    def _names_by_stem(self) -> Mapping[str, Sequence[str]]:
        names: dict[str, list[str]] = {}
        for name in self.users:
            names.setdefault(_stem(name), []).append(name)
        return names

    @cached_property
    def _department_of_domain(self) -> Mapping[str, Department]:
        return {
            domain: department
            for department in self.departments.values()
            for domain in department.domains
        }


def prefix_number(address: IPv6Address) -> int:
    """Return the upper half of an address, by which the prefix of a link is known."""
    return int(address) >> 128 - LINK_BITS


def prefix_of(number: int) -> IPv6Network:
    """Return the prefix of a link by its number."""
    return IPv6Network((number << 128 - LINK_BITS, LINK_BITS))


def suffix_of(name: str) -> str | None:
    """Return what follows the last @ of a login name, or None where there is no @."""
    _, at, suffix = name.rpartition("@")
    return suffix if at else None


def _stem(name: str) -> str:
    stem, at, rest = name.rpartition("@")
    return (stem if at else rest).casefold()

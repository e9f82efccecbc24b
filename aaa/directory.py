"""Who there is: users, the departments they belong to, and the departments' address pools.

Plain values; whoever builds them (the program's configuration) has checked that names are
unique, that pools overlap neither each other nor a gateway, and that a fixed address is free.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network

DEFAULT_DEPARTMENT = "default"
"""The department of the users whose names have no suffix."""


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


@dataclass(frozen=True, slots=True)
class User:
    """One user, by the exact login name: `bob` or `bob@sales.example.com`.

    Has either a `password` or an `nt_hash`, the 16 octets of RFC 2759 section 8.3. `address`
    is the user's fixed address, or None for one out of the department's pool. A user who
    `must_change_password` gets in by a login that does so, or that needs no password.
    """

    name: str
    password: str | None = field(default=None, repr=False)
    nt_hash: bytes | None = field(default=None, repr=False)
    address: IPv4Address | None = None
    disabled: bool = False
    must_change_password: bool = False


@dataclass(frozen=True)
class Directory:
    """All departments and users, by name."""

    departments: Mapping[str, Department]
    users: Mapping[str, User]

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


def suffix_of(name: str) -> str | None:
    """Return what follows the last @ of a login name, or None where there is no @."""
    _, at, suffix = name.rpartition("@")
    return suffix if at else None


def _stem(name: str) -> str:
    stem, at, rest = name.rpartition("@")
    return (stem if at else rest).casefold()

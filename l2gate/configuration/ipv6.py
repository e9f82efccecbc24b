"""The IPv6 part of departments and users: prefixes out of pools, and what clients are told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import combinations

from aaa.directory import LINK_BITS, Department
from l2gate.configuration.section import Expected, Section
from ppp import Assignment, router

AnyNetwork = IPv4Network | IPv6Network
"""A network of the server's own, of either kind."""

_FOR_HOSTS = (IPv6Network("2000::/3"), IPv6Network("fc00::/7"))
"""Global unicast addresses, and unique local ones (RFC 4291, RFC 4193)."""
_EXAMPLE = "2001:db8:1::/56"


def address(text: str) -> IPv6Address:
    """Return an IPv6 address that a host can have, and that is known beyond its link."""
    try:
        found = IPv6Address(text)
    except ValueError:
        raise Expected("an IPv6 address, such as 2001:db8::53") from None
    if not any(found in network for network in _FOR_HOSTS):
        raise Expected("an IPv6 address that a host can have, such as 2001:db8::53")
    return found


def network(text: str) -> IPv6Network:
    """Return a network of such addresses."""
    try:
        found = IPv6Network(text, strict=False)
    except ValueError:
        raise Expected(f"an IPv6 network, such as {_EXAMPLE}") from None
    if IPv6Address(text.partition("/")[0]) != found.network_address:
        raise Expected(f"a network without host bits, such as {found}")
    if not any(found.subnet_of(known) for known in _FOR_HOSTS):
        raise Expected("an IPv6 network in 2000::/3 or fc00::/7")
    return found


def pool(text: str) -> IPv6Network:
    """Return a network with room for the server's prefix and for at least one client's."""
    found = network(text)
    if found.prefixlen >= LINK_BITS:
        raise Expected(f"a network larger than a /{LINK_BITS}, which is what each session gets")
    return found


def prefix(text: str) -> IPv6Network:
    """Return the prefix of one link."""
    found = network(text)
    if found.prefixlen != LINK_BITS:
        raise Expected(f"a /{LINK_BITS}, such as 2001:db8:1:7::/{LINK_BITS}")
    return found


@dataclass(frozen=True, slots=True)
class Told:
    """What clients are told, each kind of address apart."""

    dns: tuple[IPv4Address, ...]
    dns6: tuple[IPv6Address, ...]
    routes: tuple[IPv4Network, ...]
    routes6: tuple[IPv6Network, ...]


def tell_apart(
    section: Section,
    dns: Iterable[IPv4Address | IPv6Address],
    routes: Iterable[AnyNetwork],
    pool6: IPv6Network | None,
    domains: tuple[str, ...],
) -> Told:
    """Part IPv4 from IPv6, and note what is of no use."""
    dns, routes = tuple(dns), tuple(routes)
    told = Told(
        tuple(server for server in dns if isinstance(server, IPv4Address)),
        tuple(server for server in dns if isinstance(server, IPv6Address)),
        tuple(route for route in routes if isinstance(route, IPv4Network)),
        tuple(route for route in routes if isinstance(route, IPv6Network)),
    )
    if pool6 is None:
        for key, useless in (("dns", told.dns6), ("routes", told.routes6)):
            if useless:
                section.error(key, f"{useless[0]} is of no use without pool6: add that")
        return told
    nobody = IPv4Address(0)
    example = Assignment(
        nobody, nobody, search_domains=domains, dns6=told.dns6, routes6=told.routes6
    )
    if not router.fits(example):
        section.error(
            "routes" if routes else "search_domains",
            "routes and search_domains together are more than a Router Advertisement holds: "
            "join networks, or leave some out",
        )
    return told


class PrefixPlan:
    """Which prefix belongs to which department's pool6."""

    def __init__(self, departments: Iterable[tuple[Section, Department]]) -> None:
        self._pools = [
            (section, department.name, department.pool6)
            for section, department in departments
            if department.pool6 is not None
        ]

    def check(self, own_networks: Sequence[AnyNetwork]) -> None:
        """Note pools that overlap each other or a network of this server."""
        for (_, name, one), (section, _, other) in combinations(self._pools, 2):
            if one.overlaps(other):
                section.error("pool6", f"{other} overlaps the pool6 of {name!r} ({one})")
        for section, _, found in self._pools:
            for own in own_networks:
                if isinstance(own, IPv6Network) and found.overlaps(own):
                    section.error(
                        "pool6",
                        f"{found} overlaps {own}, a network of this server: choose another",
                    )

    def why_not_fixed(
        self, wanted: IPv6Network, department: str, own_networks: Sequence[AnyNetwork]
    ) -> str | None:
        """Say why a user of a department cannot have a fixed prefix, or None."""
        if not any(name == department for _, name, _ in self._pools):
            return f"is of no use, since department {department!r} has no pool6"
        for _, name, found in self._pools:
            if wanted.subnet_of(found):
                if name != department:
                    return f"is in the pool6 of department {name!r}"
                if wanted.network_address == found.network_address:
                    return "is the server's own, the first of the pool6"
        for own in own_networks:
            if isinstance(own, IPv6Network) and wanted.overlaps(own):
                return f"is in {own}, a network of this server"
        return None

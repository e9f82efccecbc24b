"""The router that a server is to its peer: RFC 4861, 4862, 4191 and 8106.

How this works: when IPV6CP opens, the peer is told its prefix, from which it forms its
addresses (RFC 4862), the way out, the name servers and the MTU; then again every few minutes,
and whenever it asks (Router Solicitation). A department with IPv6 routes is no default router:
its peers get these routes alone (RFC 4191), as split tunnelling wants it. Questions about our
link-local address (Neighbor Solicitation) and echo requests to it are answered as well. All
else is dropped: there are no neighbours on a link with two ends.

Name servers and domains are also told by DHCPv6 (`ppp.dhcpv6`), to which the O flag points.

Timer: `_deadline`, when the next unsolicited advertisement is due.
"""

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from ppp import dhcpv6
from ppp.config import Assignment
from ppp.constants import Icmpv6Type, NdpOption
from ppp.ipv6 import ALL_NODES, ICMPV6, UDP, UNSPECIFIED, Ipv6Packet
from wire import DecodeError, Entropy, OpenEnum, Reader, Writer
from wire.types import Octets

MINIMUM_MTU = 1280
"""RFC 8200 section 5: a link that carries less carries no IPv6."""

LINK_LOCAL = IPv6Network("fe80::/64")

INITIAL_ADVERTISEMENTS = 3
INITIAL_INTERVAL = 16.0
"""So many advertisements come at first, and this far apart, in seconds (section 6.2.4)."""
LEAST_INTERVAL, MOST_INTERVAL = 200.0, 600.0
"""Between two later ones: MinRtrAdvInterval and MaxRtrAdvInterval of section 6.2.1."""
LIFETIME = 1800
"""Seconds that an advertised router, route or server holds: three times MOST_INTERVAL."""
VALID_LIFETIME, PREFERRED_LIFETIME = 2592000, 604800
"""Seconds that a prefix holds (section 6.2.1); the link is gone long before."""

_HOP_LIMIT = 64
_NDP_HOP_LIMIT = 255
"""What proves that a message of Neighbor Discovery comes from this link."""
_OTHER_CONFIGURATION = 0x40
_AUTONOMOUS = 0x40
_ROUTER_SOLICITED_OVERRIDE = 0xE0


def link_local(identifier: bytes) -> IPv6Address:
    """Return the address that an interface identifier makes (RFC 5072 section 5)."""
    return IPv6Address(LINK_LOCAL.network_address.packed[:8] + identifier)


@dataclass(frozen=True, slots=True)
class Icmpv6:
    """A message of RFC 4443 section 2.1: `body` is what follows the checksum."""

    type: int
    code: int
    body: bytes

    @classmethod
    def parse(cls, packet: Ipv6Packet) -> "Icmpv6":
        """Read the message in a packet. Raises DecodeError, also for a wrong checksum."""
        reader = Reader(packet.payload)
        kind, code = reader.u8(), reader.u8()
        reader.skip(2)
        if packet.checksum():
            raise DecodeError("wrong ICMPv6 checksum")
        return cls(kind, code, reader.rest())

    def build(self, source: IPv6Address, destination: IPv6Address, hop_limit: int) -> bytes:
        """Return the message as an IPv6 packet."""
        writer = Writer().u8(self.type).u8(self.code).u16(0).put(self.body)
        packet = Ipv6Packet(source, destination, ICMPV6, hop_limit, writer.build())
        writer.patch_u16(2, packet.checksum())
        return Ipv6Packet(source, destination, ICMPV6, hop_limit, writer.build()).build()


class Router:
    """Our end of one link as the peer's router.

    `assignment` must have a prefix. `receive`, `handle_timeout` and the rest take and give whole
    IPv6 packets; times are seconds of the caller's clock.
    """

    __slots__ = ("_address", "_advertisement", "_assignment", "_deadline", "_entropy", "_initial")

    def __init__(
        self, identifier: bytes, assignment: Assignment, mtu: int, entropy: Entropy, now: float
    ) -> None:
        self._address = link_local(identifier)
        self._assignment = assignment
        self._advertisement = _advertisement(assignment, mtu)
        self._entropy = entropy
        self._initial = INITIAL_ADVERTISEMENTS
        self._deadline = now

    def next_timeout(self) -> float:
        """Return when `handle_timeout` is due."""
        return self._deadline

    def handle_timeout(self, now: float) -> bytes | None:
        """Return the unsolicited advertisement if it is due."""
        if now < self._deadline:
            return None
        self._initial = max(0, self._initial - 1)
        self._deadline = now + (INITIAL_INTERVAL if self._initial else self._interval())
        return self._advertise(ALL_NODES)

    def receive(self, octets: Octets) -> bytes | None:
        """Return the answer to a packet, if there is one. Raises DecodeError."""
        packet = Ipv6Packet.parse(Reader(octets))
        if packet.next_header == UDP:
            return dhcpv6.answer(packet, self._address, self._assignment)
        if packet.next_header != ICMPV6:
            return None
        message = Icmpv6.parse(packet)
        if message.type == Icmpv6Type.ECHO_REQUEST and packet.destination == self._address:
            reply = Icmpv6(Icmpv6Type.ECHO_REPLY, 0, message.body)
            return reply.build(self._address, packet.source, _HOP_LIMIT)
        if packet.hop_limit != _NDP_HOP_LIMIT or message.code:
            return None
        if message.type == Icmpv6Type.ROUTER_SOLICITATION:
            is_silent = packet.source == UNSPECIFIED
            return self._advertise(ALL_NODES if is_silent else packet.source)
        if message.type == Icmpv6Type.NEIGHBOR_SOLICITATION:
            return self._answer_neighbor(packet, message)
        return None

    def _answer_neighbor(self, packet: Ipv6Packet, message: Icmpv6) -> bytes | None:
        """Be reachable (section 7.2.4); who asks from no address checks that of its own."""
        reader = Reader(message.body)
        reader.skip(4)
        target = IPv6Address(reader.take(16))
        if target != self._address or packet.source == UNSPECIFIED:
            return None
        body = Writer().u32(_ROUTER_SOLICITED_OVERRIDE << 24).put(target.packed).build()
        advertisement = Icmpv6(Icmpv6Type.NEIGHBOR_ADVERTISEMENT, 0, body)
        return advertisement.build(self._address, packet.source, _NDP_HOP_LIMIT)

    def _advertise(self, destination: IPv6Address) -> bytes:
        message = Icmpv6(Icmpv6Type.ROUTER_ADVERTISEMENT, 0, self._advertisement)
        return message.build(self._address, destination, _NDP_HOP_LIMIT)

    def _interval(self) -> float:
        share = int.from_bytes(self._entropy(2), "big") / 0xFFFF
        return LEAST_INTERVAL + (MOST_INTERVAL - LEAST_INTERVAL) * share


def _advertisement(assignment: Assignment, mtu: int) -> bytes:
    """Return the body of a Router Advertisement (section 4.2) with its options."""
    routes, dns, domains = assignment.routes6, assignment.dns6, assignment.search_domains
    flags = _OTHER_CONFIGURATION if dns or domains else 0
    writer = Writer().u8(_HOP_LIMIT).u8(flags).u16(0 if routes else LIFETIME).u32(0).u32(0)
    writer.put(_option(NdpOption.MTU, Writer().u16(0).u32(mtu).build()))
    if assignment.prefix is not None:
        prefix = Writer().u8(assignment.prefix.prefixlen).u8(_AUTONOMOUS)
        prefix.u32(VALID_LIFETIME).u32(PREFERRED_LIFETIME).u32(0)
        prefix.put(assignment.prefix.network_address.packed)
        writer.put(_option(NdpOption.PREFIX_INFORMATION, prefix.build()))
    for route in routes:
        writer.put(_option(NdpOption.ROUTE_INFORMATION, _route(route)))
    if dns:
        servers = b"".join(server.packed for server in dns)
        told = Writer().u16(0).u32(LIFETIME).put(servers).build()
        writer.put(_option(NdpOption.RECURSIVE_DNS_SERVER, told))
    if domains:
        told = Writer().u16(0).u32(LIFETIME).put(dhcpv6.names(domains)).build()
        writer.put(_option(NdpOption.DNS_SEARCH_LIST, told))
    return writer.build()


def fits(assignment: Assignment) -> bool:
    """Return whether an advertisement with all of this goes through the narrowest link."""
    return 40 + 4 + len(_advertisement(assignment, MINIMUM_MTU)) <= MINIMUM_MTU


def _route(route: IPv6Network) -> bytes:
    """RFC 4191 section 2.3: with no more of the prefix than its length needs."""
    octets = (route.prefixlen + 63) // 64 * 8
    writer = Writer().u8(route.prefixlen).u8(0).u32(LIFETIME)
    return writer.put(route.network_address.packed[:octets]).build()


def _option(kind: OpenEnum, data: bytes) -> bytes:
    """Return an option, padded to whole units of 8 octets (section 4.6)."""
    units = (2 + len(data) + 7) // 8
    return Writer().u8(kind).u8(units).put(data).build().ljust(units * 8, b"\0")

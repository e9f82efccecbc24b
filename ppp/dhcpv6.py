"""Answers to DHCPv6 Information-requests (RFC 8415 section 18.3.6, RFC 3646): name servers.

How this works: whoever asks is answered, each time anew, and nothing is remembered. No other
message of DHCPv6 is answered: addresses come by advertised prefix (`ppp.router`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Self
from uuid import NAMESPACE_OID, uuid5

from ppp.config import Assignment
from ppp.ipv6 import UDP, Ipv6Packet
from wire import OpenEnum, Reader, Writer

CLIENT_PORT = 546
SERVER_PORT = 547
ALL_SERVERS = IPv6Address("ff02::1:2")
"""All_DHCP_Relay_Agents_and_Servers."""

INFORMATION_REQUEST = 11
REPLY = 7

_DUID_UUID = 4
_HOP_LIMIT = 64


class Dhcpv6Option(OpenEnum):
    """Option codes (RFC 8415 section 21; 23 and 24 are RFC 3646)."""

    CLIENT_ID = 1
    SERVER_ID = 2
    IA_NA = 3
    IA_TA = 4
    OPTION_REQUEST = 6
    DNS_SERVERS = 23
    DOMAIN_LIST = 24
    IA_PD = 25


ADDRESSES = frozenset({Dhcpv6Option.IA_NA, Dhcpv6Option.IA_TA, Dhcpv6Option.IA_PD})
"""What no Information-request may ask for (section 16.12)."""

Options = Sequence[tuple[int, bytes]]
"""Code and data of each option, in the order of the message."""


@dataclass(frozen=True, slots=True)
class Dhcpv6Message:
    """A message between client and server (section 8)."""

    type: int
    transaction: bytes
    options: Options

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read a whole message. Raises DecodeError."""
        kind, transaction = reader.u8(), reader.take(3)
        options = []
        while reader.remaining:
            code = reader.u16()
            options.append((code, reader.take(reader.u16())))
        return cls(kind, transaction, tuple(options))

    def build(self) -> bytes:
        """Return the message."""
        writer = Writer().u8(self.type).put(self.transaction)
        for code, data in self.options:
            writer.u16(code).u16(len(data)).put(data)
        return writer.build()

    def option(self, code: int) -> bytes | None:
        """Return the data of the first option with a code, or None."""
        return next((data for found, data in self.options if found == code), None)


def answer(packet: Ipv6Packet, own: IPv6Address, assignment: Assignment) -> bytes | None:
    """Return the Reply to a packet with a UDP datagram, itself an IPv6 packet, or None.

    `own` is our link-local address. None if the packet is no Information-request to us or to
    all servers. Raises DecodeError if it is no whole datagram or message.
    """
    udp = Reader(packet.payload)
    port, destination_port, length = udp.u16(), udp.u16(), udp.u16()
    udp.skip(2)
    if destination_port != SERVER_PORT or packet.destination not in (own, ALL_SERVERS):
        return None
    request = Dhcpv6Message.parse(udp.sub(length - 8))
    duid = server_id(assignment)
    if (
        request.type != INFORMATION_REQUEST
        or request.option(Dhcpv6Option.SERVER_ID) not in (None, duid)
        or any(code in ADDRESSES for code, _ in request.options)
    ):
        return None
    client_id = request.option(Dhcpv6Option.CLIENT_ID)
    options: list[tuple[int, bytes]] = [(Dhcpv6Option.SERVER_ID, duid)]
    if client_id is not None:
        options.append((Dhcpv6Option.CLIENT_ID, client_id))
    options += _asked_for(request, assignment)
    reply = Dhcpv6Message(REPLY, request.transaction, options).build()
    return _datagram(own, packet.source, port, reply)


def server_id(assignment: Assignment) -> bytes:
    """Return our DUID (RFC 6355): the same for good, and another for another server."""
    uuid = uuid5(NAMESPACE_OID, str(assignment.gateway6))
    return _DUID_UUID.to_bytes(2, "big") + uuid.bytes


def names(domains: Sequence[str]) -> bytes:
    """Return names as in DNS (RFC 1035 section 3.1) without compression (RFC 8415 section 10)."""
    writer = Writer()
    for domain in domains:
        for label in domain.split("."):
            writer.u8(len(label)).put(label.encode())
        writer.u8(0)
    return writer.build()


def _asked_for(request: Dhcpv6Message, assignment: Assignment) -> list[tuple[int, bytes]]:
    """Return those options that the client wants; without a list it wants all."""
    wanted = request.option(Dhcpv6Option.OPTION_REQUEST)
    known = [
        (Dhcpv6Option.DNS_SERVERS, b"".join(server.packed for server in assignment.dns6)),
        (Dhcpv6Option.DOMAIN_LIST, names(assignment.search_domains)),
    ]
    codes = None if wanted is None else {wanted[i : i + 2] for i in range(0, len(wanted), 2)}
    return [
        (code, data)
        for code, data in known
        if data and (codes is None or code.to_bytes(2, "big") in codes)
    ]


def _datagram(own: IPv6Address, destination: IPv6Address, port: int, payload: bytes) -> bytes:
    udp = Writer().u16(SERVER_PORT).u16(port).u16(8 + len(payload)).u16(0).put(payload)
    packet = Ipv6Packet(own, destination, UDP, _HOP_LIMIT, udp.build())
    udp.patch_u16(6, packet.checksum() or 0xFFFF)
    return Ipv6Packet(own, destination, UDP, _HOP_LIMIT, udp.build()).build()

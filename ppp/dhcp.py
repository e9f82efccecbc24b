"""Answers to DHCPINFORM (RFC 2131 section 4.3.5): what IPCP has no option for.

How this works: a client that shall not send everything through the link asks on it, as soon as
IPCP has given it an address, which networks lie behind the link and where names are searched.
Whoever asks is answered, each time anew, and nothing is remembered. No other message of DHCP is
answered: addresses are IPCP's.

Option 249 is what Windows called option 121 before there was an RFC. Windows understands both,
macOS only the older one, and macOS wants the message type to be the first option.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Self

from ppp.config import Assignment
from ppp.udp import Datagram
from wire import DecodeError, OpenEnum, Reader, Writer
from wire.types import Octets

SERVER_PORT = 67
CLIENT_PORT = 68
EVERYBODY = IPv4Address("255.255.255.255")

BOOTREQUEST = 1
BOOTREPLY = 2
MAGIC_COOKIE = bytes([99, 130, 83, 99])
"""What tells DHCP's options from others (RFC 2131 section 3)."""

LEAST_MESSAGE = 300
"""Octets that a message has at least (RFC 1542 section 2.1): some clients drop shorter ones."""

MOST_OPTIONS = 312
"""Octets of cookie and options that every client takes (RFC 2131 section 2)."""

MOST_DATA = 255
"""Octets of one option; longer ones go on in another of the same code (RFC 3396)."""


class DhcpOption(OpenEnum):
    """Option codes (RFC 2132; 119 is RFC 3397, 121 RFC 3442, 249 Microsoft's)."""

    PAD = 0
    SUBNET_MASK = 1
    DOMAIN_NAME_SERVER = 6
    DOMAIN_NAME = 15
    MESSAGE_TYPE = 53
    SERVER_IDENTIFIER = 54
    PARAMETER_REQUEST_LIST = 55
    DOMAIN_SEARCH = 119
    CLASSLESS_STATIC_ROUTE = 121
    MICROSOFT_CLASSLESS_STATIC_ROUTE = 249
    END = 255


class MessageType(OpenEnum):
    """Values of the option MESSAGE_TYPE (RFC 2132 section 9.6)."""

    DHCPACK = 5
    DHCPINFORM = 8


ALWAYS = frozenset({DhcpOption.MESSAGE_TYPE, DhcpOption.SERVER_IDENTIFIER, DhcpOption.SUBNET_MASK})
"""What an answer has whether the client asked for it or not."""

ROUTES = frozenset({DhcpOption.CLASSLESS_STATIC_ROUTE, DhcpOption.MICROSOFT_CLASSLESS_STATIC_ROUTE})
"""The two codes of the same thing: who asks for one gets both."""

Options = Mapping[int, bytes]
"""The data of each option, by its code, in the order of the message."""


@dataclass(frozen=True, slots=True)
class DhcpMessage:
    """A message of RFC 2131 section 2, without what no DHCPINFORM and no answer to it needs.

    On a link with two ends there is no relay agent (hops, giaddr), no address to be assigned
    (secs, yiaddr) and nothing to boot from (siaddr, sname, file): these are zero.
    """

    op: int
    htype: int
    hlen: int
    xid: int
    flags: int
    ciaddr: IPv4Address
    chaddr: bytes
    options: Options

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read a whole message. Raises DecodeError, also where it is BOOTP and not DHCP."""
        op, htype, hlen = reader.u8(), reader.u8(), reader.u8()
        reader.skip(1)
        xid = reader.u32()
        reader.skip(2)
        flags = reader.u16()
        ciaddr = IPv4Address(reader.u32())
        reader.skip(12)
        chaddr = reader.take(16)
        reader.skip(64 + 128)
        if reader.take(4) != MAGIC_COOKIE:
            raise DecodeError("no magic cookie")
        return cls(op, htype, hlen, xid, flags, ciaddr, chaddr, _parse_options(reader))

    def build(self) -> bytes:
        """Return the message."""
        writer = Writer().u8(self.op).u8(self.htype).u8(self.hlen).u8(0).u32(self.xid)
        writer.u16(0).u16(self.flags).put(self.ciaddr.packed).put(bytes(12)).put(self.chaddr)
        writer.put(bytes(64 + 128)).put(MAGIC_COOKIE).put(_build_options(self.options))
        return writer.build().ljust(LEAST_MESSAGE, b"\0")


def answer(packet: Octets, assignment: Assignment) -> bytes | None:
    """Return the DHCPACK for an IPv4 packet from the peer, itself an IPv4 packet, or None.

    None if it is no DHCPINFORM that the peer, which has the address of `assignment`, sent to
    us or to everybody. Raises DecodeError if it is no whole UDP datagram or DHCP message.
    """
    datagram = Datagram.parse(Reader(packet))
    if (
        datagram.source != assignment.address
        or datagram.destination not in (EVERYBODY, assignment.gateway)
        or datagram.destination_port != SERVER_PORT
    ):
        return None
    request = DhcpMessage.parse(Reader(datagram.payload))
    message_type = request.options.get(DhcpOption.MESSAGE_TYPE)
    if request.op != BOOTREQUEST or message_type != bytes([MessageType.DHCPINFORM]):
        return None
    wanted = request.options.get(DhcpOption.PARAMETER_REQUEST_LIST)
    options = _only(_options(assignment), wanted) if wanted else _options(assignment)
    return Datagram(
        assignment.gateway,
        SERVER_PORT,
        assignment.address,
        CLIENT_PORT,
        replace(request, op=BOOTREPLY, options=options).build(),
    ).build()


def fits(assignment: Assignment) -> bool:
    """Return whether every client takes an answer with all that `assignment` has to tell."""
    return len(MAGIC_COOKIE + _build_options(_options(assignment))) <= MOST_OPTIONS


def _options(assignment: Assignment) -> Options:
    """Return all that can be told to the peer. The network of the link is its address alone."""
    gateway, domains = assignment.gateway, assignment.search_domains
    routes = b"".join(_route(network, gateway) for network in assignment.routes)
    options = {
        DhcpOption.MESSAGE_TYPE: bytes([MessageType.DHCPACK]),
        DhcpOption.SERVER_IDENTIFIER: gateway.packed,
        DhcpOption.SUBNET_MASK: EVERYBODY.packed,
        DhcpOption.DOMAIN_NAME_SERVER: b"".join(server.packed for server in assignment.dns),
        DhcpOption.DOMAIN_NAME: domains[0].encode() if domains else b"",
        DhcpOption.DOMAIN_SEARCH: b"".join(map(_domain, domains)),
        DhcpOption.CLASSLESS_STATIC_ROUTE: routes,
        DhcpOption.MICROSOFT_CLASSLESS_STATIC_ROUTE: routes,
    }
    return {code: data for code, data in options.items() if data}


def _only(options: Options, wanted: bytes) -> Options:
    """Return those of the options that a client asks for or gets unasked."""
    codes = ALWAYS.union(wanted)
    if codes & ROUTES:
        codes |= ROUTES
    return {code: data for code, data in options.items() if code in codes}


def _route(network: IPv4Network, router: IPv4Address) -> bytes:
    """RFC 3442: the width of the mask, the octets of the network that it covers, the router."""
    length = network.prefixlen
    return bytes([length]) + network.network_address.packed[: (length + 7) // 8] + router.packed


def _domain(name: str) -> bytes:
    """RFC 3397: a name as in DNS (RFC 1035 section 3.1), here without compression."""
    labels = (label.encode() for label in name.split("."))
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _parse_options(reader: Reader) -> Options:
    """Read options up to END, which must be there (RFC 2131 section 4.1)."""
    options: dict[int, bytes] = {}
    while (code := reader.u8()) != DhcpOption.END:
        if code != DhcpOption.PAD:
            options[code] = options.get(code, b"") + reader.take(reader.u8())
    return options


def _build_options(options: Options) -> bytes:
    writer = Writer()
    for code, data in options.items():
        for start in range(0, len(data), MOST_DATA):
            part = data[start : start + MOST_DATA]
            writer.u8(code).u8(len(part)).put(part)
    return writer.u8(DhcpOption.END).build()

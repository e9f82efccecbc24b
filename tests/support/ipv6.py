"""What hosts ask on a link with IPv6, and what they are told; by scapy."""

from ipaddress import IPv6Address

from scapy.layers.dhcp6 import DUID_LL, DHCP6_InfoRequest, DHCP6OptClientId, DHCP6OptOptReq
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6ND_RS,
    ICMPv6NDOptPrefixInfo,
    IPv6,
)
from scapy.packet import Packet

ALL_ROUTERS = "ff02::2"
ALL_DHCP = "ff02::1:2"
SERVER = "fe80::1"
WINDOWS_WANTS = [17, 23, 24, 32]


def link_local(identifier: bytes) -> str:
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def solicitation(source: str, hop_limit: int = 255) -> bytes:
    return bytes(IPv6(src=source, dst=ALL_ROUTERS, hlim=hop_limit) / ICMPv6ND_RS())


def neighbor_solicitation(source: str, target: str = SERVER) -> bytes:
    return bytes(IPv6(src=source, dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt=target))


def echo(source: str, destination: str, data: bytes = b"ping") -> bytes:
    return bytes(IPv6(src=source, dst=destination) / ICMPv6EchoRequest(id=7, seq=1, data=data))


def information_request(
    source: str, wants: list[int] | None = None, *more: Packet, destination: str = ALL_DHCP
) -> bytes:
    """Return what Windows sends where an advertisement has the O flag."""
    message: Packet = DHCP6_InfoRequest(trid=0xC0FFEE)
    message /= DHCP6OptClientId(duid=DUID_LL(lladdr="00:11:22:33:44:55"))
    message /= DHCP6OptOptReq(reqopts=WINDOWS_WANTS if wants is None else wants)
    for option in more:
        message /= option
    return bytes(IPv6(src=source, dst=destination) / UDP(sport=546, dport=547) / message)


def slaac(advertisement: bytes, identifier: bytes) -> str:
    """Return the address that a host forms (RFC 4862 section 5.5.3)."""
    option = IPv6(advertisement)[ICMPv6NDOptPrefixInfo]
    assert option.A == 1
    assert option.prefixlen == 64
    return str(IPv6Address(IPv6Address(option.prefix).packed[:8] + identifier))

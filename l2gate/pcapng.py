"""The format of captures: pcapng, with one interface of raw IP packets.

draft-ietf-opsawg-pcapng; all numbers are little-endian, as the section header says. Packets are
what the sockets had in hand with an IP and a UDP header put before it again: what the kernel
has taken off (TTL, DSCP, the identification of fragments, the UDP checksum) is made up.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct
from typing import Final

from ipsec.path import Address
from l2gate.inner import with_udp6_checksum
from wire.checksum import checksum

RAW_IP: Final = 101
"""Link type: IPv4 and IPv6 packets, told apart by their version (tcpdump.org/linktypes.html)."""

_SECTION_HEADER: Final = 0x0A0D0D0A
_INTERFACE_DESCRIPTION: Final = 1
_ENHANCED_PACKET: Final = 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_FLAGS: Final = 2
_INBOUND, _OUTBOUND = 1, 2

_BLOCK: Final = Struct("<II")
_LENGTH: Final = Struct("<I")
_SECTION: Final = Struct("<IHHq")
_INTERFACE: Final = Struct("<HHI")
_PACKET: Final = Struct("<IIIII")
_OPTION: Final = Struct("<HHIHH")
"""One option of four octets, and the end of the options."""

_UDP: Final = Struct("!HHHH")
_IPV4: Final = Struct("!BBHHHBBH4s4s")
_IPV6: Final = Struct("!IHBB16s16s")
_UDP_PROTOCOL, _ESP_PROTOCOL = 17, 50
_HOPS: Final = 64


def header() -> bytes:
    """Return what a capture begins with."""
    section = _SECTION.pack(_BYTE_ORDER, 1, 0, -1)
    return _block(_SECTION_HEADER, section) + _block(
        _INTERFACE_DESCRIPTION, _INTERFACE.pack(RAW_IP, 0, 0)
    )


def packet_block(packet: bytes, seconds: float, inbound: bool) -> bytes:
    """Return the block of an IP packet that was seen so many seconds after 1970."""
    moment, length = round(seconds * 1_000_000), len(packet)
    fixed = _PACKET.pack(0, moment >> 32, moment & 0xFFFFFFFF, length, length)
    direction = _OPTION.pack(_FLAGS, 4, _INBOUND if inbound else _OUTBOUND, 0, 0)
    return _block(_ENHANCED_PACKET, fixed + packet + bytes(-length % 4) + direction)


def outer_packet(data: bytes, source: Address, destination: Address) -> bytes:
    """Return the IP packet that carried a UDP payload, or with port 0 an ESP packet."""
    protocol, payload = _ESP_PROTOCOL, data
    come, go = _host(source), _host(destination)
    if source.port or destination.port:
        protocol = _UDP_PROTOCOL
        payload = _UDP.pack(source.port, destination.port, _UDP.size + len(data), 0) + data
    if isinstance(come, IPv6Address):
        if protocol == _UDP_PROTOCOL:
            payload = with_udp6_checksum(payload, str(come), str(go))
        head = _IPV6.pack(6 << 28, len(payload), protocol, _HOPS, come.packed, go.packed)
        return head + payload
    fields = 0x45, 0, _IPV4.size + len(payload), 0, 0, _HOPS, protocol
    value = checksum(_IPV4.pack(*fields, 0, come.packed, go.packed))
    return _IPV4.pack(*fields, value, come.packed, go.packed) + payload


def _host(address: Address) -> IPv4Address | IPv6Address:
    return ip_address(address.host.partition("%")[0])


def _block(kind: int, body: bytes) -> bytes:
    length = _BLOCK.size + len(body) + _LENGTH.size
    return _BLOCK.pack(kind, length) + body + _LENGTH.pack(length)

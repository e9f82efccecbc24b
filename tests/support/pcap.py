"""Reading of captures: pcap and pcapng, also gzipped, down to IP packets and UDP datagrams.

For captures that are part of the tests, so it trusts them: what it does not understand is a
ValueError, except that `ip_packets()` and `udp_datagrams()` pass over frames that are neither.
"""

import gzip
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

DATA: Final = Path(__file__).parent.parent / "captures" / "data"

NULL: Final = 0
ETHERNET: Final = 1
PPP: Final = 9
PPP_HDLC: Final = 50
RAW_IP: Final = 101
LINUX_SLL: Final = 113
_NO_VERSION_BITS: Final = 0x0FFFFFFF
"""The upper bits of a link type tell the length of a frame check sequence."""

UDP: Final = 17
ESP: Final = 50

_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_FRAGMENT_OFFSET: Final = 0x1FFF


class Frame(NamedTuple):
    """What was captured; `link_type` is that of tcpdump.org/linktypes.html."""

    link_type: int
    data: bytes


class IpPacket(NamedTuple):
    """An IP packet: addresses, protocol and what follows the IP header."""

    source: str
    destination: str
    protocol: int
    payload: bytes


class UdpDatagram(NamedTuple):
    """A UDP datagram: each end as host and port, and what follows the UDP header."""

    source: tuple[str, int]
    destination: tuple[str, int]
    payload: bytes


def frames(path: Path) -> list[Frame]:
    """Return all frames of a capture."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if int.from_bytes(data[:4]) == _SECTION:
        return list(_pcapng(data))
    return list(_pcap(data))


def ip_packets(path: Path) -> list[IpPacket]:
    """Return all IPv4 and IPv6 packets of a capture."""
    packets = (_ip(frame) for frame in frames(path))
    return [packet for packet in packets if packet]


def udp_datagrams(path: Path) -> list[UdpDatagram]:
    """Return all UDP datagrams of a capture, also those that are cut short."""
    datagrams = (_udp(packet) for packet in ip_packets(path))
    return [datagram for datagram in datagrams if datagram]


def esp_packets(path: Path) -> list[IpPacket]:
    """Return all ESP packets of a capture, from SPI to ICV: IP protocol 50 and UDP port 4500."""
    found = []
    for packet in ip_packets(path):
        datagram = _udp(packet)
        if packet.protocol == ESP:
            found.append(packet)
        elif datagram and 4500 in (datagram.source[1], datagram.destination[1]):
            payload = datagram.payload
            if len(payload) > 8 and any(payload[:4]):
                found.append(packet._replace(protocol=ESP, payload=payload))
    return found


def _pcap(data: bytes) -> Iterator[Frame]:
    orders = {0xA1B2C3D4: ">", 0xA1B23C4D: ">", 0xD4C3B2A1: "<", 0x4D3CB2A1: "<"}
    order = orders.get(int.from_bytes(data[:4]))
    if order is None:
        raise ValueError("not a capture")
    (link_type,) = Struct(order + "I").unpack_from(data, 20)
    header = Struct(order + "8xI4x")
    position = 24
    while position + header.size <= len(data):
        (length,) = header.unpack_from(data, position)
        position += header.size
        yield Frame(link_type & _NO_VERSION_BITS, data[position : position + length])
        position += length


def _pcapng(data: bytes) -> Iterator[Frame]:
    order = "<" if data[8:12] == b"\x4d\x3c\x2b\x1a" else ">"
    header = Struct(order + "II")
    interfaces: list[int] = []
    position = 0
    while position + header.size <= len(data):
        kind, length = header.unpack_from(data, position)
        body = data[position + header.size : position + length - 4]
        position += length
        if kind == _SECTION:
            interfaces.clear()
        elif kind == _INTERFACE:
            interfaces.append(Struct(order + "H").unpack_from(body)[0])
        elif kind == _ENHANCED:
            interface, captured = Struct(order + "I8xI4x").unpack_from(body)
            yield Frame(interfaces[interface], body[20 : 20 + captured])
        elif kind == _SIMPLE:
            yield Frame(interfaces[0], body[4 : 4 + Struct(order + "I").unpack_from(body)[0]])


def _ip(frame: Frame) -> IpPacket | None:
    link_type, data = frame
    if link_type == ETHERNET:
        start = 14
        while data[start - 2 : start] == b"\x81\x00":
            start += 4
    else:
        start = {NULL: 4, RAW_IP: 0, LINUX_SLL: 16}.get(link_type, len(data))
    packet = data[start:]
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        header, total = (packet[0] & 15) * 4, int.from_bytes(packet[2:4])
        if int.from_bytes(packet[6:8]) & _FRAGMENT_OFFSET:
            return None
        source, destination = packet[12:16], packet[16:20]
        return _ip_packet(source, destination, packet[9], packet[header:total])
    if version == 6 and len(packet) >= 40:
        end = 40 + int.from_bytes(packet[4:6])
        return _ip_packet(packet[8:24], packet[24:40], packet[6], packet[40:end])
    return None


def _ip_packet(source: bytes, destination: bytes, protocol: int, payload: bytes) -> IpPacket:
    return IpPacket(str(ip_address(source)), str(ip_address(destination)), protocol, payload)


def _udp(packet: IpPacket) -> UdpDatagram | None:
    if packet.protocol != UDP or len(packet.payload) < 8:
        return None
    source, destination, length = Struct("!HHH").unpack_from(packet.payload)
    return UdpDatagram(
        (packet.source, source), (packet.destination, destination), packet.payload[8:length]
    )

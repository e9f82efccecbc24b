"""A UDP datagram (RFC 768) in an IPv4 packet (RFC 791), as a link carries it."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Self

from wire import DecodeError, Reader, Writer
from wire.checksum import checksum

_UDP = 17
_HEADER = 20
"""An IPv4 header without options, in octets."""
_DONT_FRAGMENT = 0x4000
_FRAGMENT = 0x3FFF
"""More Fragments and Fragment Offset: all zero in a packet that is whole."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """A UDP datagram and where it goes from and to."""

    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int
    payload: bytes

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read an IPv4 packet; what stands behind it is padding.

        Raises DecodeError unless it holds a whole UDP datagram. The checksums are not verified:
        what carries the link protects it better.
        """
        first = reader.u8()
        length = (first & 0x0F) * 4
        if first >> 4 != 4 or length < _HEADER:
            raise DecodeError("not an IPv4 packet")
        reader.skip(1)
        packet = reader.sub(reader.u16() - 4)
        packet.skip(2)
        fragment = packet.u16() & _FRAGMENT
        packet.skip(1)
        if packet.u8() != _UDP or fragment:
            raise DecodeError("not a whole UDP datagram")
        packet.skip(2)
        source, destination = IPv4Address(packet.u32()), IPv4Address(packet.u32())
        packet.skip(length - _HEADER)
        source_port, destination_port = packet.u16(), packet.u16()
        datagram = packet.sub(packet.u16() - 6)
        datagram.skip(2)
        return cls(source, source_port, destination, destination_port, datagram.rest())

    def build(self) -> bytes:
        """Return the IPv4 packet, with both checksums."""
        addresses = self.source.packed + self.destination.packed
        length = 8 + len(self.payload)
        udp = Writer().u16(self.source_port).u16(self.destination_port).u16(length).u16(0)
        udp.put(self.payload)
        pseudo = Writer().put(addresses).u16(_UDP).u16(length).put(udp.build())
        udp.patch_u16(6, checksum(pseudo.build()) or 0xFFFF)
        ip = Writer().u8(0x45).u8(0).u16(_HEADER + length).u16(0).u16(_DONT_FRAGMENT)
        ip.u8(64).u8(_UDP).u16(0).put(addresses)
        ip.patch_u16(10, checksum(ip.build()))
        return ip.put(udp.build()).build()

"""An IPv6 packet (RFC 8200) without extension headers, as control traffic on a link is."""

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Self

from wire import DecodeError, Reader, Writer
from wire.checksum import checksum

UDP = 17
ICMPV6 = 58

ALL_NODES = IPv6Address("ff02::1")
UNSPECIFIED = IPv6Address("::")

_VERSION = 6 << 28


@dataclass(frozen=True, slots=True)
class Ipv6Packet:
    """Where a packet goes from and to, and what it carries."""

    source: IPv6Address
    destination: IPv6Address
    next_header: int
    hop_limit: int
    payload: bytes

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read a packet; what stands behind it is padding. Raises DecodeError."""
        if reader.u32() >> 28 != 6:
            raise DecodeError("not an IPv6 packet")
        length, next_header, hop_limit = reader.u16(), reader.u8(), reader.u8()
        source, destination = IPv6Address(reader.take(16)), IPv6Address(reader.take(16))
        return cls(source, destination, next_header, hop_limit, reader.take(length))

    def build(self) -> bytes:
        """Return the octets of the packet."""
        writer = Writer().u32(_VERSION).u16(len(self.payload)).u8(self.next_header)
        writer.u8(self.hop_limit).put(self.source.packed).put(self.destination.packed)
        return writer.put(self.payload).build()

    def checksum(self) -> int:
        """Return the checksum of the payload with its pseudo-header (RFC 8200 section 8.1).

        It is 0 for a payload that has its right checksum in it.
        """
        pseudo = Writer().put(self.source.packed).put(self.destination.packed)
        pseudo.u32(len(self.payload)).u32(self.next_header)
        return checksum(pseudo.put(self.payload).build())

"""Bodies of the ISAKMP payloads that have an inner structure, SA excepted (proposals.py).

RFC 2408 section 3, RFC 2407 section 4.6, RFC 3947 section 5.2. Key exchange, hash, nonce,
vendor id and NAT-D payloads are plain octets and need no codec.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self

from ipsec.constants import DOI_IPSEC, IdType, NotifyType, ProtocolId
from wire import DecodeError, Reader, Writer

NAME_LENGTH = 64
"""Octets of an identity that are shown; a peer may send thousands."""

ADDRESS_LENGTHS = {IdType.IPV4_ADDR: 4, IdType.IPV6_ADDR: 16}


def address_type(address: IPv4Address | IPv6Address) -> IdType:
    """Return the ID type that holds a single address of this family."""
    return IdType.IPV4_ADDR if address.version == 4 else IdType.IPV6_ADDR


@dataclass(frozen=True, slots=True)
class Identification:
    """RFC 2407 section 4.6.2: who somebody is (phase 1) or which traffic is meant (phase 2).

    `name` says for people what `data` does not: a distinguished name, once it is read.
    """

    type: IdType
    protocol: int
    port: int
    data: bytes
    name: str = field(default="", compare=False)

    @classmethod
    def of_address(cls, host: str, protocol: int = 0, port: int = 0) -> Self:
        """Return the identification that names the IP address `host`."""
        address = ip_address(host)
        return cls(address_type(address), protocol, port, address.packed)

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read a payload body. Raises DecodeError where an address has not its length."""
        kind = IdType(reader.u8())
        protocol, port, data = reader.u8(), reader.u16(), reader.rest()
        if len(data) != ADDRESS_LENGTHS.get(kind, len(data)):
            raise DecodeError(f"{kind} of {len(data)} octets")
        return cls(kind, protocol, port, data)

    def build(self) -> bytes:
        """Return the payload body."""
        return Writer().u8(self.type).u8(self.protocol).u16(self.port).put(self.data).build()

    @property
    def address(self) -> str | None:
        """The one IP address that is named, as text, or None."""
        return str(ip_address(self.data)) if self.type in ADDRESS_LENGTHS else None

    def __str__(self) -> str:
        name = self.name or self.address
        if name is None:
            data = self.data[:NAME_LENGTH]
            text = data.decode("ascii", "backslashreplace")
            name = text if text.isprintable() else data.hex()
        return f"{name}/{self.protocol}/{self.port}" if self.protocol or self.port else name


@dataclass(frozen=True, slots=True)
class Notification:
    """RFC 2408 section 3.14."""

    type: NotifyType
    protocol: ProtocolId = ProtocolId.ISAKMP
    spi: bytes = b""
    data: bytes = b""
    doi: int = DOI_IPSEC

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read a payload body. Raises DecodeError if it is too short."""
        doi, protocol, spi_size = reader.u32(), ProtocolId(reader.u8()), reader.u8()
        kind = NotifyType(reader.u16())
        return cls(kind, protocol, reader.take(spi_size), reader.rest(), doi)

    def build(self) -> bytes:
        """Return the payload body."""
        writer = Writer().u32(self.doi).u8(self.protocol).u8(len(self.spi)).u16(self.type)
        return writer.put(self.spi).put(self.data).build()


@dataclass(frozen=True, slots=True)
class Delete:
    """RFC 2408 section 3.15: SAs of one protocol that the sender has removed."""

    protocol: ProtocolId
    spis: tuple[bytes, ...]
    doi: int = DOI_IPSEC

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read a payload body. Raises DecodeError unless it ends with its last SPI."""
        doi, protocol, spi_size = reader.u32(), ProtocolId(reader.u8()), reader.u8()
        count = reader.u16()
        if spi_size * count != reader.remaining:
            raise DecodeError(f"{count} SPIs of {spi_size} octets in {reader.remaining}")
        if not spi_size:
            raise DecodeError("a Delete without SPIs")
        return cls(protocol, tuple(reader.take(spi_size) for _ in range(count)), doi)

    def build(self) -> bytes:
        """Return the payload body; all SPIs are of the same size."""
        size = len(self.spis[0]) if self.spis else 0
        writer = Writer().u32(self.doi).u8(self.protocol).u8(size).u16(len(self.spis))
        return writer.put(b"".join(self.spis)).build()


@dataclass(frozen=True, slots=True)
class OriginalAddress:
    """NAT-OA, RFC 3947 section 5.2: an IP address as the sender of the payload sees it."""

    host: str

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read a payload body. Raises DecodeError if it holds no IP address."""
        kind = IdType(reader.u8())
        reader.skip(3)
        if kind not in ADDRESS_LENGTHS:
            raise DecodeError(f"NAT-OA of type {kind}")
        address = reader.take(ADDRESS_LENGTHS[kind])
        reader.expect_end("NAT-OA")
        return cls(str(ip_address(address)))

    def build(self) -> bytes:
        """Return the payload body."""
        address = ip_address(self.host)
        return Writer().u8(address_type(address)).u8(0).u16(0).put(address.packed).build()


def read_notifications(bodies: Iterable[bytes]) -> Iterator[Notification]:
    """Return the notifications in these payload bodies that can be read."""
    for body in bodies:
        with suppress(DecodeError):
            yield Notification.parse(Reader(body))

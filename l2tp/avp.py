"""Attribute-value pairs as they are on the wire (RFC 2661 section 4.1).

Here an AVP is flags, numbers and octets; what they mean is in l2tp.attributes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from l2tp.constants import AttributeType
from wire import DecodeError, LocalError, Reader, Writer

M_BIT = 0x8000
H_BIT = 0x4000
RESERVED_BITS = 0x3C00
LENGTH_MASK = 0x03FF

HEADER_LENGTH = 6
MAX_VALUE_LENGTH = LENGTH_MASK - HEADER_LENGTH

IETF = 0
"""The vendor id of all attributes that RFCs define."""


@dataclass(frozen=True, slots=True)
class Avp:
    """One AVP. `value` is as transmitted: hidden if `hidden` (the H bit) is set.

    `reserved` holds the four reserved bits in place; one that is set makes the AVP one that
    nobody recognizes.
    """

    type: int
    value: bytes = b""
    mandatory: bool = True
    hidden: bool = False
    vendor: int = IETF
    reserved: int = 0

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read one AVP. Raises DecodeError if its Length is below 6 or past the end."""
        flags = reader.u16()
        length = flags & LENGTH_MASK
        if length < HEADER_LENGTH:
            raise DecodeError(f"AVP of length {length}")
        body = reader.sub(length - 2)
        vendor, attribute_type = body.u16(), body.u16()
        return cls(
            attribute_type,
            body.rest(),
            bool(flags & M_BIT),
            bool(flags & H_BIT),
            vendor,
            flags & RESERVED_BITS,
        )

    def build(self) -> bytes:
        """Return the octets. Raises LocalError if the value is too long for one AVP."""
        if len(self.value) > MAX_VALUE_LENGTH:
            raise LocalError(f"{len(self.value)} octets do not fit into {self}")
        flags = self.reserved | HEADER_LENGTH + len(self.value)
        if self.mandatory:
            flags |= M_BIT
        if self.hidden:
            flags |= H_BIT
        return Writer().u16(flags).u16(self.vendor).u16(self.type).put(self.value).build()

    def __str__(self) -> str:
        if self.vendor != IETF:
            return f"AVP {self.type} of vendor {self.vendor}"
        return f"AVP {int(self.type)} ({AttributeType(self.type)})"


def parse_avps(reader: Reader) -> Iterator[Avp]:
    """Yield the AVPs up to the end; DecodeError comes after those that can be read."""
    while reader.remaining:
        yield Avp.parse(reader)

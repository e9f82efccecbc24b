"""The PPP frame as L2TP carries it: RFC 1661 section 2 behind the header of RFC 1662 section 3.

L2TP takes frames without flags, transparency and FCS. Address and Control may be missing, and
the Protocol field may be one octet, where we agreed to it (RFC 1661 sections 6.5 and 6.6); all
forms are understood always. We ourselves never compress.
"""

from dataclasses import dataclass
from typing import Self

from ppp.constants import Protocol
from wire import Reader, Writer

ADDRESS_AND_CONTROL = b"\xff\x03"
"""All stations, unnumbered information (RFC 1662 section 3.1)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A protocol number and the packet of that protocol, perhaps with padding behind it."""

    protocol: Protocol
    information: bytes

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read a whole frame. Raises DecodeError if it ends before the Information field."""
        if reader.remaining >= 2 and reader.peek(2) == ADDRESS_AND_CONTROL:
            reader.skip(2)
        number = reader.u8()
        if not number & 1:
            number = number << 8 | reader.u8()
        return cls(Protocol(number), reader.rest())

    def build(self) -> bytes:
        """Return the frame with all header fields in full."""
        return Writer().put(ADDRESS_AND_CONTROL).u16(self.protocol).put(self.information).build()

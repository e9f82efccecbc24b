"""The packet that all control protocols share, and its Configuration Options.

LCP, NCPs, PAP and CHAP have the same first four octets (RFC 1661 section 5, RFC 1334 section
2.2, RFC 1994 section 4).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from wire import DecodeError, Reader, Writer

HEADER_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Packet:
    """Code, Identifier and Data; what codes mean is up to the protocol."""

    code: int
    identifier: int
    data: bytes = b""

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read a packet and leave the padding behind it. Raises DecodeError."""
        code, identifier, length = reader.u8(), reader.u8(), reader.u16()
        if length < HEADER_LENGTH:
            raise DecodeError(f"a Length of {length} is less than the header")
        return cls(code, identifier, reader.take(length - HEADER_LENGTH))

    def build(self) -> bytes:
        """Return the octets of the packet."""
        length = HEADER_LENGTH + len(self.data)
        return Writer().u8(self.code).u8(self.identifier).u16(length).put(self.data).build()


@dataclass(frozen=True, slots=True)
class Option:
    """A Configuration Option (RFC 1661 section 6): its type and what follows its length."""

    type: int
    data: bytes = b""

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read one option. Raises DecodeError if it reaches beyond the packet."""
        option_type, length = reader.u8(), reader.u8()
        if length < 2:
            raise DecodeError(f"option {option_type} has a Length of {length}")
        return cls(option_type, reader.take(length - 2))

    def build(self) -> bytes:
        """Return the octets of the option."""
        return Writer().u8(self.type).u8(2 + len(self.data)).put(self.data).build()


def parse_options(data: bytes) -> tuple[Option, ...]:
    """Read the options that fill the Data of a Configure packet. Raises DecodeError."""
    reader = Reader(data)
    options = []
    while reader.remaining:
        options.append(Option.parse(reader))
    return tuple(options)


def build_options(options: Iterable[Option]) -> bytes:
    """Return the Data of a Configure packet."""
    return b"".join(option.build() for option in options)

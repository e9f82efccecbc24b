"""ISAKMP messages: the header and the chain of payloads after it.

RFC 2408 sections 3.1 and 3.2. Reading goes in two steps: here a message becomes payloads of
a type and a body each, whatever the type; whoever needs a payload decodes its body. So what is
unknown passes, and what nobody looks at cannot be wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from ipsec.constants import ExchangeType, Flags, PayloadType
from wire import DecodeError, Reader, Writer
from wire.types import Octets

VERSION: Final = 0x10
"""Major version 1, minor version 0."""

COOKIE_LENGTH: Final = 8
NO_COOKIE: Final = bytes(COOKIE_LENGTH)
HEADER_LENGTH: Final = 28
GENERIC_HEADER_LENGTH: Final = 4

MAX_PAYLOADS: Final = 64
"""Our own limit; Windows and Apple send about 15 vendor ids at most."""


class Cookies(NamedTuple):
    """The name of an ISAKMP SA; who is the initiator never changes (RFC 2409 section 3.2)."""

    initiator: bytes
    responder: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """RFC 2408 section 3.1; `length` is that of the whole message in octets."""

    cookies: Cookies
    first: PayloadType
    exchange: ExchangeType
    flags: Flags
    message_id: int
    length: int
    version: int = VERSION

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read a header."""
        cookies = Cookies(reader.take(COOKIE_LENGTH), reader.take(COOKIE_LENGTH))
        first, version, exchange = PayloadType(reader.u8()), reader.u8(), ExchangeType(reader.u8())
        flags, message_id, length = Flags(reader.u8()), reader.u32(), reader.u32()
        return cls(cookies, first, exchange, flags, message_id, length, version)

    def build(self) -> bytes:
        """Return the octets of the header."""
        writer = Writer().put(self.cookies.initiator).put(self.cookies.responder)
        writer.u8(self.first).u8(self.version).u8(self.exchange).u8(self.flags)
        return writer.u32(self.message_id).u32(self.length).build()


class Payload(NamedTuple):
    """A payload without its generic header."""

    type: PayloadType
    body: bytes


@dataclass(frozen=True, slots=True)
class Payloads:
    """The payloads of a message in their order, and the octets that they were read from.

    `octets` has all generic headers as they came, and not the padding that encryption adds:
    the hashes of Quick Mode are over these (RFC 2409 section 5.5).
    """

    items: tuple[Payload, ...]
    octets: bytes

    @classmethod
    def parse(cls, first: PayloadType, data: Octets) -> Self:
        """Read the chain that begins with `first`; what is left over in `data` is padding."""
        reader = Reader(data)
        items: list[Payload] = []
        following = first
        while following != PayloadType.NONE:
            if len(items) == MAX_PAYLOADS:
                raise DecodeError(f"more than {MAX_PAYLOADS} payloads")
            kind, following = following, PayloadType(reader.u8())
            reader.skip(1)
            items.append(Payload(kind, reader.take(reader.u16() - GENERIC_HEADER_LENGTH)))
        return cls(tuple(items), bytes(data[: reader.position]))

    @classmethod
    def of(cls, items: Sequence[Payload]) -> Self:
        """Return the chain of `items`."""
        return cls(tuple(items), build_payloads(items))

    @property
    def first_type(self) -> PayloadType:
        """The type of the first payload, which the header names."""
        return self.items[0].type if self.items else PayloadType.NONE

    def all(self, *kinds: PayloadType) -> list[bytes]:
        """Return the bodies of all payloads of these types."""
        return [item.body for item in self.items if item.type in kinds]

    def find(self, kind: PayloadType) -> bytes | None:
        """Return the body of the one payload of this type, or None.

        Raises DecodeError where there are several.
        """
        bodies = self.all(kind)
        if len(bodies) > 1:
            raise DecodeError(f"{len(bodies)} {kind} payloads")
        return bodies[0] if bodies else None

    def the(self, kind: PayloadType) -> bytes:
        """Return the body of the one payload of this type. Raises DecodeError if not one."""
        body = self.find(kind)
        if body is None:
            raise DecodeError(f"no {kind} payload")
        return body

    def after_hash(self) -> bytes:
        """Return the octets after the HASH payload, which comes first.

        Raises DecodeError if it does not (RFC 2409 sections 5.5 and 5.7).
        """
        if self.first_type != PayloadType.HASH:
            raise DecodeError(f"{self.first_type} where HASH comes first")
        return self.octets[GENERIC_HEADER_LENGTH + len(self.items[0].body) :]


def build_payloads(items: Sequence[Payload]) -> bytes:
    """Return the octets of a chain of payloads."""
    writer = Writer()
    following = [*(item.type for item in items), PayloadType.NONE][1:]
    for item, next_type in zip(items, following, strict=True):
        writer.u8(next_type).u8(0).u16(GENERIC_HEADER_LENGTH + len(item.body)).put(item.body)
    return writer.build()


def parse_message(data: Octets) -> tuple[Header, bytes]:
    """Split a UDP payload (without non-ESP marker) into header and body.

    Raises DecodeError if the length of the header is not that of the message.
    """
    reader = Reader(data)
    header = Header.parse(reader)
    if header.length != len(data):
        raise DecodeError(f"a message of {len(data)} octets that says {header.length}")
    return header, reader.rest()


def build_message(
    cookies: Cookies, exchange: ExchangeType, payloads: Payloads, message_id: int = 0
) -> bytes:
    """Return a message in clear."""
    length = HEADER_LENGTH + len(payloads.octets)
    header = Header(cookies, payloads.first_type, exchange, Flags(0), message_id, length)
    return header.build() + payloads.octets

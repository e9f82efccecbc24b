"""The SA payload: proposals, transforms and their attributes, as octets.

RFC 2408 sections 3.3 to 3.6. What the attributes mean and which offer is taken is for
policy.py to say. An attribute keeps the encoding it came in, so that an answer repeats the
chosen transform octet for octet (RFC 2409 section 5: nothing in it may be changed).
"""

from dataclasses import dataclass
from typing import Self

from ipsec.constants import DOI_IPSEC, SIT_IDENTITY_ONLY, NotifyType, PayloadType, ProtocolId
from ipsec.errors import NotifyError
from wire import DecodeError, Reader, Writer

BASIC = 0x8000
"""The attribute format bit, RFC 2408 section 3.3: the value is 2 octets and stands for itself."""

NUMBER_LENGTH = 8
"""Octets of the longest attribute that can be a number we know; only primes are longer."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """RFC 2408 section 3.3; `basic` says in which of the two encodings."""

    type: int
    value: bytes
    basic: bool

    @classmethod
    def short(cls, kind: int, number: int) -> Self:
        """Return an attribute in the 4-octet encoding."""
        return cls(kind, number.to_bytes(2, "big"), True)

    @classmethod
    def long(cls, kind: int, number: int) -> Self:
        """Return an attribute in the variable-length encoding, with 4 octets of value."""
        return cls(kind, number.to_bytes(4, "big"), False)

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read one attribute."""
        kind = reader.u16()
        if kind & BASIC:
            return cls(kind & ~BASIC, reader.take(2), True)
        return cls(kind, reader.take(reader.u16()), False)

    def build(self) -> bytes:
        """Return the octets of the attribute."""
        if self.basic:
            return Writer().u16(self.type | BASIC).put(self.value).build()
        return Writer().u16(self.type).u16(len(self.value)).put(self.value).build()

    @property
    def number(self) -> int:
        """The value as a number. Raises DecodeError where it is longer than numbers are."""
        if len(self.value) > NUMBER_LENGTH:
            raise DecodeError(f"attribute {self.type} of {len(self.value)} octets is no number")
        return int.from_bytes(self.value, "big")


@dataclass(frozen=True, slots=True)
class Transform:
    """RFC 2408 section 3.6."""

    number: int
    id: int
    attributes: tuple[Attribute, ...]

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read what follows the generic header."""
        number, transform_id = reader.u8(), reader.u8()
        reader.skip(2)
        attributes = []
        while reader.remaining:
            attributes.append(Attribute.parse(reader))
        return cls(number, transform_id, tuple(attributes))

    def build(self) -> bytes:
        """Return what follows the generic header."""
        writer = Writer().u8(self.number).u8(self.id).u16(0)
        return writer.put(b"".join(attribute.build() for attribute in self.attributes)).build()


@dataclass(frozen=True, slots=True)
class Proposal:
    """RFC 2408 section 3.5."""

    number: int
    protocol: ProtocolId
    spi: bytes
    transforms: tuple[Transform, ...]

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read what follows the generic header. Raises DecodeError if the counts disagree."""
        number, protocol, spi_size = reader.u8(), ProtocolId(reader.u8()), reader.u8()
        count = reader.u8()
        spi = reader.take(spi_size)
        bodies = _read_list(reader, PayloadType.TRANSFORM)
        if len(bodies) != count:
            raise DecodeError(f"{count} transforms announced, {len(bodies)} there")
        return cls(number, protocol, spi, tuple(Transform.parse(body) for body in bodies))

    def build(self) -> bytes:
        """Return what follows the generic header."""
        writer = Writer().u8(self.number).u8(self.protocol).u8(len(self.spi))
        writer.u8(len(self.transforms)).put(self.spi)
        bodies = [transform.build() for transform in self.transforms]
        return writer.put(_build_list(bodies, PayloadType.TRANSFORM)).build()


@dataclass(frozen=True, slots=True)
class SecurityAssociation:
    """RFC 2408 section 3.4 with the situation of RFC 2407 section 4.2."""

    proposals: tuple[Proposal, ...]

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read a payload body.

        Raises DecodeError; NotifyError where it is for another DOI or situation than ours.
        """
        doi, situation = reader.u32(), reader.u32()
        if doi != DOI_IPSEC:
            raise NotifyError(NotifyType.DOI_NOT_SUPPORTED, f"DOI {doi}")
        if situation != SIT_IDENTITY_ONLY:
            raise NotifyError(NotifyType.SITUATION_NOT_SUPPORTED, f"situation {situation:#x}")
        bodies = _read_list(reader, PayloadType.PROPOSAL)
        return cls(tuple(Proposal.parse(body) for body in bodies))

    def build(self) -> bytes:
        """Return the payload body."""
        bodies = [proposal.build() for proposal in self.proposals]
        writer = Writer().u32(DOI_IPSEC).u32(SIT_IDENTITY_ONLY)
        return writer.put(_build_list(bodies, PayloadType.PROPOSAL)).build()


def _read_list(reader: Reader, kind: PayloadType) -> list[Reader]:
    """Read payloads of one kind, each of which says whether another one follows."""
    bodies = []
    more = True
    while more:
        following = reader.u8()
        if following not in (kind, PayloadType.NONE):
            raise DecodeError(f"{PayloadType(following)} in a list of {kind}")
        more = following == kind
        reader.skip(1)
        bodies.append(reader.sub(reader.u16() - 4))
    reader.expect_end(f"the last {kind}")
    return bodies


def _build_list(bodies: list[bytes], kind: PayloadType) -> bytes:
    writer = Writer()
    for left, body in zip(reversed(range(len(bodies))), bodies, strict=True):
        writer.u8(kind if left else PayloadType.NONE).u8(0).u16(len(body) + 4).put(body)
    return writer.build()

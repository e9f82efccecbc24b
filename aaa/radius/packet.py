"""RADIUS packets (RFC 2865 section 3): attributes, authenticators, Message-Authenticator.

How packets are protected. All depends on a secret that client and server share:

    Access-Request       its authenticator is random; hides User-Password (section 5.2)
    every answer         authenticator = MD5(header, the request's one, attributes, secret)
    Accounting-Request,  authenticator = MD5(header, 16 zeros, attributes, secret)
    Disconnect, CoA        (RFC 2866 section 3, RFC 5176 section 3.4)

MD5 with a suffix can be forged by who can choose what comes before (CVE-2024-3596), so every
packet of ours, and every answer that may let somebody in, has a Message-Authenticator too,
which is an HMAC over all of it (RFC 3579 section 3.2).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import md5
from hmac import compare_digest
from hmac import digest as hmac_digest
from ipaddress import IPv4Address
from typing import Final, Self

from aaa.radius.constants import AttributeType, Code
from wire import DecodeError, LocalError, Reader, Writer

HEADER_LENGTH: Final = 20
MAX_LENGTH: Final = 4096
MAX_VALUE_LENGTH: Final = 253
AUTHENTICATOR_LENGTH: Final = 16
ZEROS: Final = bytes(AUTHENTICATOR_LENGTH)
MESSAGE_AUTHENTICATOR_HEADER: Final = bytes([AttributeType.MESSAGE_AUTHENTICATOR, 18])


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute; `value` has at most 253 octets, and may be a password or a key."""

    type: int
    value: bytes = field(repr=False)

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read one. Raises DecodeError."""
        attribute_type, length = reader.u8(), reader.u8()
        return cls(attribute_type, reader.take(length - 2))

    def build(self) -> bytes:
        """Return the octets. Raises LocalError if the value is too long."""
        if len(self.value) > MAX_VALUE_LENGTH:
            raise LocalError(f"{len(self.value)} octets in {AttributeType(self.type)}")
        return bytes([self.type, len(self.value) + 2]) + self.value

    @classmethod
    def text(cls, attribute_type: AttributeType, text: str) -> Self:
        """Make one of text, cut where an attribute ends."""
        return cls(attribute_type, text.encode()[:MAX_VALUE_LENGTH])

    @classmethod
    def number(cls, attribute_type: AttributeType, number: int) -> Self:
        """Make one of a number of 4 octets."""
        return cls(attribute_type, number.to_bytes(4, "big"))

    @classmethod
    def of_vendor(cls, vendor: int, vendor_type: int, value: bytes) -> Self:
        """Make a Vendor-Specific one of the usual form (RFC 2865 section 5.26)."""
        inner = bytes([vendor_type, len(value) + 2]) + value
        return cls(AttributeType.VENDOR_SPECIFIC, vendor.to_bytes(4, "big") + inner)


class Attributes(tuple[Attribute, ...]):
    """The attributes of a packet in order, with ways to read them.

    What is malformed in one attribute raises DecodeError when that is read: a server's odd
    attribute that nobody asks for does no harm.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read the part of a packet behind its header. Raises DecodeError."""
        reader = Reader(octets)
        found = []
        while reader.remaining:
            found.append(Attribute.parse(reader))
        return cls(found)

    def build(self) -> bytes:
        """Return the octets."""
        return b"".join(attribute.build() for attribute in self)

    def all(self, attribute_type: int) -> list[bytes]:
        """Return the values of all attributes of a type."""
        return [attribute.value for attribute in self if attribute.type == attribute_type]

    def first(self, attribute_type: int) -> bytes | None:
        """Return the value of the first attribute of a type, or None."""
        return next(iter(self.all(attribute_type)), None)

    def joined(self, attribute_type: int) -> bytes:
        """Return what was cut into several attributes of a type (EAP-Message)."""
        return b"".join(self.all(attribute_type))

    def text(self, attribute_type: int) -> str | None:
        """Return the first attribute of a type as text; a NUL at its end does not count."""
        value = self.first(attribute_type)
        return None if value is None else _decoded(value)

    def texts(self, attribute_type: int) -> list[str]:
        """Return all attributes of a type as texts."""
        return [_decoded(value) for value in self.all(attribute_type)]

    def number(self, attribute_type: int) -> int | None:
        """Return the first attribute of a type as a number. Raises DecodeError."""
        value = self.first(attribute_type)
        return None if value is None else _number(value)

    def address(self, attribute_type: int) -> IPv4Address | None:
        """Return the first attribute of a type as an IPv4 address. Raises DecodeError."""
        number = self.number(attribute_type)
        return None if number is None else IPv4Address(number)

    def of_vendor(self, vendor: int) -> Iterator[tuple[int, bytes]]:
        """Yield type and value of each attribute of a vendor. Raises DecodeError."""
        for value in self.all(AttributeType.VENDOR_SPECIFIC):
            reader = Reader(value)
            if reader.u32() != vendor:
                continue
            while reader.remaining:
                vendor_type, length = reader.u8(), reader.u8()
                yield vendor_type, reader.take(length - 2)


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet as it is on the wire; what protects it is checked by the functions below."""

    code: Code
    identifier: int
    authenticator: bytes
    attributes: Attributes

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read a UDP payload; octets behind the packet's Length are padding.

        Raises DecodeError.
        """
        reader = Reader(octets)
        code, identifier, length = Code(reader.u8()), reader.u8(), reader.u16()
        if not HEADER_LENGTH <= length <= MAX_LENGTH:
            raise DecodeError(f"a packet of length {length}")
        authenticator = reader.take(AUTHENTICATOR_LENGTH)
        attributes = Attributes.parse(reader.take(length - HEADER_LENGTH))
        return cls(code, identifier, authenticator, attributes)

    def build(self) -> bytes:
        """Return the octets. Raises LocalError if they are too many for a packet."""
        attributes = self.attributes.build()
        length = HEADER_LENGTH + len(attributes)
        if length > MAX_LENGTH:
            raise LocalError(f"a packet of {length} octets")
        header = Writer().u8(self.code).u8(self.identifier).u16(length).put(self.authenticator)
        return header.put(attributes).build()


def access_request(
    identifier: int, authenticator: bytes, attributes: Iterable[Attribute], secret: bytes
) -> bytes:
    """Return an Access-Request; `authenticator` is random.

    A User-Password among the attributes is in clear here, and hidden in what is returned.
    """
    hidden = (
        Attribute(attribute.type, hidden_password(attribute.value, authenticator, secret))
        if attribute.type == AttributeType.USER_PASSWORD
        else attribute
        for attribute in attributes
    )
    return _build(Code.ACCESS_REQUEST, identifier, authenticator, hidden, secret)


def signed_request(
    code: Code, identifier: int, attributes: Iterable[Attribute], secret: bytes
) -> bytes:
    """Return an Accounting-Request, a Disconnect-Request or a CoA-Request.

    Of these the first needs no Message-Authenticator (RFC 5080 section 2.2.2 has it optional),
    and is signed as a whole already.
    """
    message_authenticator = code != Code.ACCOUNTING_REQUEST
    octets = _build(code, identifier, ZEROS, attributes, secret, message_authenticator)
    return _signed(octets, ZEROS, secret)


def response(
    code: Code,
    identifier: int,
    request_authenticator: bytes,
    attributes: Iterable[Attribute],
    secret: bytes,
) -> bytes:
    """Return the answer to a request."""
    octets = _build(code, identifier, request_authenticator, attributes, secret)
    return _signed(octets, request_authenticator, secret)


def answers(packet: Packet, request_authenticator: bytes, secret: bytes) -> bool:
    """Say whether `packet` is of who knows `secret`, and an answer to that request."""
    expected = _signature(packet, request_authenticator, secret)
    if not compare_digest(expected, packet.authenticator):
        return False
    return proves(packet, request_authenticator, secret) is not False


def is_signed(packet: Packet, secret: bytes) -> bool:
    """Say whether a request that is no Access-Request is of who knows `secret`."""
    if not compare_digest(_signature(packet, ZEROS, secret), packet.authenticator):
        return False
    return proves(packet, ZEROS, secret) is not False


def proves(packet: Packet, request_authenticator: bytes, secret: bytes) -> bool | None:
    """Say whether the Message-Authenticator is right; None where there is none."""
    kind = AttributeType.MESSAGE_AUTHENTICATOR
    proofs = packet.attributes.all(kind)
    if not proofs:
        return None
    if [len(proof) for proof in proofs] != [AUTHENTICATOR_LENGTH]:
        return False
    blank = Attributes(
        Attribute(kind, ZEROS) if attribute.type == kind else attribute
        for attribute in packet.attributes
    )
    octets = Packet(packet.code, packet.identifier, request_authenticator, blank).build()
    return compare_digest(hmac_digest(secret, octets, "md5"), proofs[0])


def hidden_password(password: bytes, authenticator: bytes, secret: bytes) -> bytes:
    """Return the value of User-Password (RFC 2865 section 5.2), for passwords up to 128 octets."""
    padded = password + bytes(-len(password) % 16 or (0 if password else 16))
    hidden, block = b"", authenticator
    for start in range(0, len(padded), 16):
        mask = md5(secret + block, usedforsecurity=False).digest()
        block = bytes(a ^ b for a, b in zip(padded[start : start + 16], mask, strict=True))
        hidden += block
    return hidden


def _build(
    code: Code,
    identifier: int,
    authenticator: bytes,
    attributes: Iterable[Attribute],
    secret: bytes,
    message_authenticator: bool = True,
) -> bytes:
    """Return a packet; the Message-Authenticator comes first, where a forger cannot reach it."""
    listed = list(attributes)
    if not message_authenticator:
        return Packet(code, identifier, authenticator, Attributes(listed)).build()
    blank = Attribute(AttributeType.MESSAGE_AUTHENTICATOR, ZEROS)
    octets = Packet(code, identifier, authenticator, Attributes([blank, *listed])).build()
    proof = hmac_digest(secret, octets, "md5")
    start = HEADER_LENGTH + len(MESSAGE_AUTHENTICATOR_HEADER)
    return octets[:start] + proof + octets[start + len(proof) :]


def _signed(octets: bytes, authenticator: bytes, secret: bytes) -> bytes:
    signature = _signature(Packet.parse(octets), authenticator, secret)
    return octets[:4] + signature + octets[HEADER_LENGTH:]


def _signature(packet: Packet, authenticator: bytes, secret: bytes) -> bytes:
    octets = Packet(packet.code, packet.identifier, authenticator, packet.attributes).build()
    return md5(octets + secret, usedforsecurity=False).digest()


def _number(value: bytes) -> int:
    if len(value) != 4:
        raise DecodeError(f"a number of {len(value)} octets")
    return int.from_bytes(value, "big")


def _decoded(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")

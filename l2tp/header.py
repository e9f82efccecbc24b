"""The header of control and data messages (RFC 2661 section 3.1)."""

from dataclasses import dataclass
from typing import Self

from l2tp.constants import VERSION
from wire import DecodeError, LocalError, Reader, Writer
from wire.types import Octets

T_BIT = 0x8000
L_BIT = 0x4000
S_BIT = 0x0800
O_BIT = 0x0200
P_BIT = 0x0100
VERSION_MASK = 0x000F

CONTROL_FLAGS = T_BIT | L_BIT | S_BIT | VERSION
CONTROL_LENGTH = 12


def is_control(data: Octets) -> bool:
    """Tell from the T bit whether a datagram is a control message."""
    return len(data) > 0 and bool(data[0] & 0x80)


@dataclass(frozen=True, slots=True)
class ControlHeader:
    """The header of a control message; T, L and S are always set, O and P never."""

    tunnel_id: int
    session_id: int
    ns: int
    nr: int

    @classmethod
    def parse(cls, reader: Reader) -> tuple[Self, Reader]:
        """Return the header and a reader for the AVPs that follow within Length.

        What lies behind Length is ignored: a datagram may be padded. Raises DecodeError.
        """
        flags = reader.u16()
        if flags & VERSION_MASK != VERSION:
            raise DecodeError(f"version {flags & VERSION_MASK} in the header")
        if flags & (T_BIT | L_BIT | S_BIT | O_BIT | P_BIT) != CONTROL_FLAGS & ~VERSION:
            raise DecodeError(f"flags {flags:#06x} on a control message")
        length = reader.u16()
        if length < CONTROL_LENGTH:
            raise DecodeError(f"length {length} is less than the header's")
        body = reader.sub(length - 4)
        return cls(body.u16(), body.u16(), body.u16(), body.u16()), body

    def build(self, avps: bytes = b"") -> bytes:
        """Return the message with these AVPs; none make a ZLB, exactly 12 octets."""
        return (
            Writer()
            .u16(CONTROL_FLAGS)
            .u16(CONTROL_LENGTH + len(avps))
            .u16(self.tunnel_id)
            .u16(self.session_id)
            .u16(self.ns)
            .u16(self.nr)
            .put(avps)
            .build()
        )


@dataclass(frozen=True, slots=True)
class DataHeader:
    """The header of a data message.

    `ns` is None without the S bit (Nr is reserved there: sent as 0, ignored); `length` says
    whether the Length field is present; `offset` is the Offset Size, None without the O bit;
    `priority` is the P bit.
    """

    tunnel_id: int
    session_id: int
    ns: int | None = None
    length: bool = False
    offset: int | None = None
    priority: bool = False

    @classmethod
    def parse(cls, reader: Reader) -> tuple[Self, bytes]:
        """Return the header and the PPP frame behind it. Raises DecodeError.

        What lies behind Length is ignored: a datagram may be padded.
        """
        flags = reader.u16()
        if flags & VERSION_MASK != VERSION:
            raise DecodeError(f"version {flags & VERSION_MASK} in the header")
        if flags & T_BIT:
            raise DecodeError("a control message where data was expected")
        if flags & L_BIT:
            reader = reader.sub(_rest_of(reader.u16(), reader.position))
        tunnel_id, session_id = reader.u16(), reader.u16()
        ns = None
        if flags & S_BIT:
            ns = reader.u16()
            reader.skip(2)
        offset = None
        if flags & O_BIT:
            offset = reader.u16()
            reader.skip(offset)
        header = cls(tunnel_id, session_id, ns, bool(flags & L_BIT), offset, bool(flags & P_BIT))
        return header, reader.rest()

    def build(self, frame: Octets) -> bytes:
        """Return the data message that carries `frame`. Raises LocalError if it is too long."""
        flags = VERSION
        fields = Writer().u16(self.tunnel_id).u16(self.session_id)
        if self.ns is not None:
            flags |= S_BIT
            fields.u16(self.ns).u16(0)
        if self.offset is not None:
            flags |= O_BIT
            fields.u16(self.offset).put(bytes(self.offset))
        if self.priority:
            flags |= P_BIT
        head = Writer().u16(flags)
        if self.length:
            total = 4 + len(fields) + len(frame)
            if total > 0xFFFF:
                raise LocalError(f"a frame of {len(frame)} octets does not fit into a message")
            head.u16(total).put(fields.build())
            head.patch_u16(0, flags | L_BIT)
        else:
            head.put(fields.build())
        return head.put(frame).build()


def _rest_of(length: int, position: int) -> int:
    if length < position:
        raise DecodeError(f"length {length} is less than the header's")
    return length - position

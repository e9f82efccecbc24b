"""EAP that a server and a peer speak through us: RFC 3579, the part of the NAS.

What is looked at is the header of EAP (section 2.2); what methods say in it is not. Who gets in is
what the packet of RADIUS says, never that of EAP in it (section 2.6.3): a Success or Failure that
contradicts is not passed on, and one that is missing is not made up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from aaa.radius.access import eap
from aaa.radius.client import Answered, Server
from aaa.radius.constants import AttributeType, ErrorCause
from aaa.radius.packet import Attribute, Attributes
from wire import DecodeError

HEADER_LENGTH: Final = 4
MAX_TIME: Final = 300.0
"""Seconds from the Identity of a login to the last Response of it that is passed on."""

MAX_INTERVAL: Final = 120.0
"""Seconds that a server may want to pass until a Request is repeated."""


class Code(IntEnum):
    """RFC 3748 section 4."""

    REQUEST = 1
    SUCCESS = 3
    FAILURE = 4


@dataclass(frozen=True, slots=True)
class Challenge:
    """An EAP-Request for the peer.

    `interval` are the seconds after which it is repeated, where the server says so (RFC 3579
    section 2.3). `is_ignored`: the server has ignored the last Response (section 2.2).
    """

    packet: bytes
    interval: float | None
    is_ignored: bool


@dataclass(slots=True)
class Conversation:
    """One login: since when it is, the most octets of a Request, and who has it with what State.

    The State of RFC 2865 section 5.24 means something to one server alone, so that no other one
    can go on with it.
    """

    began: float
    mtu: int
    server: Server | None = None
    state: bytes | None = None

    def attributes(self, response: bytes) -> Sequence[Attribute]:
        """Return a Response of the peer's for the server."""
        mtu = Attribute.number(AttributeType.FRAMED_MTU, self.mtu)
        return [mtu, *eap(response, self.state)]

    def challenged(self, answered: Answered) -> Challenge:
        """Take an Access-Challenge. Raises DecodeError where it holds nothing for the peer."""
        attributes = answered.attributes
        packet = message_of(attributes)
        if packet[:1] != bytes([Code.REQUEST]) or len(packet) <= HEADER_LENGTH:
            raise DecodeError("an Access-Challenge needs an EAP-Request in EAP-Message")
        if len(packet) > self.mtu:
            raise DecodeError(f"an EAP-Message of {len(packet)} octets, Framed-MTU is {self.mtu}")
        interval = attributes.number(AttributeType.SESSION_TIMEOUT)
        cause = attributes.number(AttributeType.ERROR_CAUSE)
        self.server, self.state = answered.server, attributes.first(AttributeType.STATE)
        return Challenge(
            packet,
            min(float(interval), MAX_INTERVAL) if interval else None,
            cause == ErrorCause.INVALID_EAP_PACKET,
        )


def message_of(attributes: Attributes) -> bytes:
    """Return the EAP packet in a packet of RADIUS, or nothing where there is no sound one."""
    packet = attributes.joined(AttributeType.EAP_MESSAGE)
    is_sound = len(packet) >= HEADER_LENGTH and int.from_bytes(packet[2:4], "big") == len(packet)
    return packet if is_sound else b""


def result_of(attributes: Attributes, code: Code) -> bytes:
    """Return the Success or Failure in a packet of RADIUS, or nothing where there is none."""
    packet = message_of(attributes)
    is_result = packet[:1] == bytes([code]) and len(packet) == HEADER_LENGTH
    return packet if is_result else b""

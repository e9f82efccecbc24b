"""What each attribute means and how it is sent (RFC 2661 section 4.4, RFC 3145).

`ATTRIBUTES` is the RFC's list as a table: the kind of value, whether the M bit is set, and
whether the value may be hidden. An attribute that is not in it is not recognized.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from l2tp.constants import AttributeType, ErrorCode
from l2tp.errors import AvpError
from l2tp.values import Accm, CallErrors, DisconnectCause, Q931Cause, ResultCode, Value
from wire import DecodeError, LocalError, Reader


@dataclass(frozen=True, slots=True)
class Number:
    """A number of `size` octets, at least `minimum`."""

    size: int
    minimum: int = 0

    def decode(self, octets: bytes) -> int:
        """Return the number. Raises AvpError."""
        if len(octets) != self.size:
            raise AvpError(
                f"has {len(octets)} octets instead of {self.size}", ErrorCode.WRONG_LENGTH
            )
        number = int.from_bytes(octets, "big")
        if number < self.minimum:
            raise AvpError(f"is {number}", ErrorCode.OUT_OF_RANGE)
        return number


@dataclass(frozen=True, slots=True)
class Text:
    """Octets of any number from `minimum` on."""

    minimum: int = 0

    def decode(self, octets: bytes) -> bytes:
        """Return the octets. Raises AvpError."""
        if len(octets) < self.minimum:
            raise AvpError("is empty", ErrorCode.WRONG_LENGTH)
        return octets


@dataclass(frozen=True, slots=True)
class Presence:
    """No value: the attribute is there or not."""

    def decode(self, octets: bytes) -> bool:
        """Return True. Raises AvpError."""
        if octets:
            raise AvpError(f"has {len(octets)} octets instead of 0", ErrorCode.WRONG_LENGTH)
        return True


@dataclass(frozen=True, slots=True)
class Record:
    """A value with fields."""

    parse: Callable[[Reader], Value]

    def decode(self, octets: bytes) -> Value:
        """Return the value. Raises AvpError."""
        reader = Reader(octets)
        try:
            value = self.parse(reader)
            reader.expect_end("the value")
        except DecodeError as error:
            raise AvpError(f"is malformed: {error}", ErrorCode.WRONG_LENGTH) from error
        return value


class Attribute(NamedTuple):
    """One row of the table: `mandatory` is the M bit that we send, as the RFC demands."""

    kind: Number | Text | Presence | Record
    mandatory: bool
    hidable: bool


ATTRIBUTES: dict[AttributeType, Attribute] = {
    # 4.4.1 applicable to all control messages
    AttributeType.MESSAGE_TYPE: Attribute(Number(2), mandatory=True, hidable=False),
    AttributeType.RANDOM_VECTOR: Attribute(Text(), mandatory=True, hidable=False),
    # 4.4.2 result and error codes
    AttributeType.RESULT_CODE: Attribute(Record(ResultCode.parse), mandatory=True, hidable=False),
    # 4.4.3 control connection management
    AttributeType.PROTOCOL_VERSION: Attribute(Number(2), mandatory=True, hidable=False),
    AttributeType.FRAMING_CAPABILITIES: Attribute(Number(4), mandatory=True, hidable=True),
    AttributeType.BEARER_CAPABILITIES: Attribute(Number(4), mandatory=True, hidable=True),
    AttributeType.TIE_BREAKER: Attribute(Number(8), mandatory=False, hidable=False),
    AttributeType.FIRMWARE_REVISION: Attribute(Number(2), mandatory=False, hidable=True),
    AttributeType.HOST_NAME: Attribute(Text(1), mandatory=True, hidable=False),
    AttributeType.VENDOR_NAME: Attribute(Text(), mandatory=False, hidable=True),
    AttributeType.ASSIGNED_TUNNEL_ID: Attribute(Number(2, 1), mandatory=True, hidable=True),
    AttributeType.RECEIVE_WINDOW_SIZE: Attribute(Number(2, 1), mandatory=True, hidable=False),
    AttributeType.CHALLENGE: Attribute(Text(1), mandatory=True, hidable=True),
    AttributeType.CHALLENGE_RESPONSE: Attribute(Text(1), mandatory=True, hidable=True),
    # 4.4.4 call management
    AttributeType.Q931_CAUSE_CODE: Attribute(
        Record(Q931Cause.parse), mandatory=True, hidable=False
    ),
    AttributeType.ASSIGNED_SESSION_ID: Attribute(Number(2, 1), mandatory=True, hidable=True),
    AttributeType.CALL_SERIAL_NUMBER: Attribute(Number(4), mandatory=True, hidable=True),
    AttributeType.MINIMUM_BPS: Attribute(Number(4), mandatory=True, hidable=True),
    AttributeType.MAXIMUM_BPS: Attribute(Number(4), mandatory=True, hidable=True),
    AttributeType.BEARER_TYPE: Attribute(Number(4), mandatory=True, hidable=True),
    AttributeType.FRAMING_TYPE: Attribute(Number(4), mandatory=True, hidable=True),
    AttributeType.CALLED_NUMBER: Attribute(Text(), mandatory=True, hidable=True),
    AttributeType.CALLING_NUMBER: Attribute(Text(), mandatory=True, hidable=True),
    AttributeType.SUB_ADDRESS: Attribute(Text(), mandatory=True, hidable=True),
    AttributeType.TX_CONNECT_SPEED: Attribute(Number(4), mandatory=True, hidable=True),
    AttributeType.RX_CONNECT_SPEED: Attribute(Number(4), mandatory=False, hidable=True),
    AttributeType.PHYSICAL_CHANNEL_ID: Attribute(Number(4), mandatory=False, hidable=True),
    AttributeType.PRIVATE_GROUP_ID: Attribute(Text(), mandatory=False, hidable=True),
    AttributeType.SEQUENCING_REQUIRED: Attribute(Presence(), mandatory=True, hidable=False),
    # 4.4.5 proxy LCP and authentication
    AttributeType.INITIAL_RECEIVED_LCP_CONFREQ: Attribute(Text(), mandatory=False, hidable=True),
    AttributeType.LAST_SENT_LCP_CONFREQ: Attribute(Text(), mandatory=False, hidable=True),
    AttributeType.LAST_RECEIVED_LCP_CONFREQ: Attribute(Text(), mandatory=False, hidable=True),
    AttributeType.PROXY_AUTHEN_TYPE: Attribute(Number(2), mandatory=False, hidable=True),
    AttributeType.PROXY_AUTHEN_NAME: Attribute(Text(), mandatory=False, hidable=True),
    AttributeType.PROXY_AUTHEN_CHALLENGE: Attribute(Text(), mandatory=False, hidable=True),
    AttributeType.PROXY_AUTHEN_ID: Attribute(Number(2), mandatory=False, hidable=True),
    AttributeType.PROXY_AUTHEN_RESPONSE: Attribute(Text(), mandatory=False, hidable=True),
    # 4.4.6 call status
    AttributeType.CALL_ERRORS: Attribute(Record(CallErrors.parse), mandatory=True, hidable=True),
    AttributeType.ACCM: Attribute(Record(Accm.parse), mandatory=True, hidable=True),
    # RFC 3145
    AttributeType.PPP_DISCONNECT_CAUSE: Attribute(
        Record(DisconnectCause.parse), mandatory=False, hidable=True
    ),
}


def encode(attribute_type: AttributeType, value: Value) -> bytes:
    """Return the octets of a value. Raises LocalError if it is none of this attribute."""
    kind = ATTRIBUTES[attribute_type].kind
    if isinstance(kind, Number) and isinstance(value, int):
        return value.to_bytes(kind.size, "big")
    if isinstance(kind, Presence) and value is True:
        return b""
    if isinstance(kind, Text) and isinstance(value, bytes):
        return value
    if isinstance(kind, Record) and not isinstance(value, int | bytes):
        return value.build()
    raise LocalError(f"{value!r} is no value of {attribute_type}")

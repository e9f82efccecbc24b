"""The control messages (RFC 2661 section 6) and the rules for their AVPs (4.1, 4.3, 7.1).

A message is a dataclass whose fields are its AVPs: a field `host_name` is the attribute
HOST_NAME, and a field without a default is an AVP that must be present. Fields stand in the
order in which they are sent, behind Message Type and, where values are hidden, Random Vector.
"""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import ClassVar, NamedTuple

from l2tp.attributes import ATTRIBUTES, encode
from l2tp.avp import IETF, Avp, parse_avps
from l2tp.constants import AttributeType, ErrorCode, MessageType
from l2tp.errors import AvpError, MessageError
from l2tp.hiding import hide, reveal
from l2tp.values import Accm, CallErrors, DisconnectCause, Q931Cause, ResultCode, Value
from wire import DecodeError, Entropy, Reader

VECTOR_LENGTH = 16
"""Octets of the Random Vectors that we send; section 4.4.1 recommends at least these."""


class Hiding(NamedTuple):
    """What hiding a message's values takes."""

    secret: bytes
    entropy: Entropy


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What all control messages have in common."""

    TYPE: ClassVar[MessageType]

    def build(self, hiding: Hiding | None = None) -> bytes:
        """Return the AVPs; with `hiding`, all that may be hidden are. Raises LocalError."""
        avps = [Avp(AttributeType.MESSAGE_TYPE, encode(AttributeType.MESSAGE_TYPE, self.TYPE))]
        vector = b""
        if hiding is not None:
            vector = hiding.entropy(VECTOR_LENGTH)
            avps.append(Avp(AttributeType.RANDOM_VECTOR, vector))
        for name, attribute_type in ATTRIBUTES_OF[self.TYPE].items():
            value: Value | None = getattr(self, name)
            if value is None or value is False:
                continue
            _, mandatory, hidable = ATTRIBUTES[attribute_type]
            octets = encode(attribute_type, value)
            if hiding is not None and hidable:
                octets = hide(attribute_type, octets, hiding.secret, vector)
                avps.append(Avp(attribute_type, octets, mandatory, hidden=True))
            else:
                avps.append(Avp(attribute_type, octets, mandatory))
        return b"".join(avp.build() for avp in avps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sccrq(Message):
    """Start-Control-Connection-Request (6.1)."""

    TYPE = MessageType.SCCRQ
    protocol_version: int
    framing_capabilities: int
    bearer_capabilities: int | None = None
    tie_breaker: int | None = None
    firmware_revision: int | None = None
    host_name: bytes
    vendor_name: bytes | None = None
    assigned_tunnel_id: int
    receive_window_size: int | None = None
    challenge: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sccrp(Message):
    """Start-Control-Connection-Reply (6.2)."""

    TYPE = MessageType.SCCRP
    protocol_version: int
    framing_capabilities: int
    bearer_capabilities: int | None = None
    firmware_revision: int | None = None
    host_name: bytes
    vendor_name: bytes | None = None
    assigned_tunnel_id: int
    receive_window_size: int | None = None
    challenge_response: bytes | None = None
    challenge: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scccn(Message):
    """Start-Control-Connection-Connected (6.3)."""

    TYPE = MessageType.SCCCN
    challenge_response: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCcn(Message):
    """Stop-Control-Connection-Notification (6.4)."""

    TYPE = MessageType.StopCCN
    assigned_tunnel_id: int
    result_code: ResultCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Message):
    """Hello (6.5)."""

    TYPE = MessageType.HELLO


@dataclass(frozen=True, slots=True, kw_only=True)
class Icrq(Message):
    """Incoming-Call-Request (6.6)."""

    TYPE = MessageType.ICRQ
    assigned_session_id: int
    call_serial_number: int
    bearer_type: int | None = None
    physical_channel_id: int | None = None
    calling_number: bytes | None = None
    called_number: bytes | None = None
    sub_address: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Icrp(Message):
    """Incoming-Call-Reply (6.7)."""

    TYPE = MessageType.ICRP
    assigned_session_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Iccn(Message):
    """Incoming-Call-Connected (6.8)."""

    TYPE = MessageType.ICCN
    tx_connect_speed: int
    framing_type: int
    initial_received_lcp_confreq: bytes | None = None
    last_sent_lcp_confreq: bytes | None = None
    last_received_lcp_confreq: bytes | None = None
    proxy_authen_type: int | None = None
    proxy_authen_name: bytes | None = None
    proxy_authen_challenge: bytes | None = field(default=None, repr=False)
    proxy_authen_id: int | None = None
    proxy_authen_response: bytes | None = field(default=None, repr=False)
    private_group_id: bytes | None = None
    rx_connect_speed: int | None = None
    sequencing_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ocrq(Message):
    """Outgoing-Call-Request (6.9)."""

    TYPE = MessageType.OCRQ
    assigned_session_id: int
    call_serial_number: int
    minimum_bps: int
    maximum_bps: int
    bearer_type: int
    framing_type: int
    called_number: bytes
    sub_address: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ocrp(Message):
    """Outgoing-Call-Reply (6.10)."""

    TYPE = MessageType.OCRP
    assigned_session_id: int
    physical_channel_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Occn(Message):
    """Outgoing-Call-Connected (6.11)."""

    TYPE = MessageType.OCCN
    tx_connect_speed: int
    framing_type: int
    rx_connect_speed: int | None = None
    sequencing_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cdn(Message):
    """Call-Disconnect-Notify (6.12; the last AVP is RFC 3145)."""

    TYPE = MessageType.CDN
    result_code: ResultCode
    assigned_session_id: int
    q931_cause_code: Q931Cause | None = None
    ppp_disconnect_cause: DisconnectCause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wen(Message):
    """WAN-Error-Notify (6.13)."""

    TYPE = MessageType.WEN
    call_errors: CallErrors


@dataclass(frozen=True, slots=True, kw_only=True)
class Sli(Message):
    """Set-Link-Info (6.14)."""

    TYPE = MessageType.SLI
    accm: Accm


MESSAGES: dict[MessageType, type[Message]] = {
    message.TYPE: message
    for message in (
        *(Sccrq, Sccrp, Scccn, StopCcn, Hello),
        *(Ocrq, Ocrp, Occn, Icrq, Icrp, Iccn, Cdn),
        *(Wen, Sli),
    )
}

CALL_MESSAGES = frozenset(kind for kind in MESSAGES if kind >= MessageType.OCRQ)
"""The messages that concern one session; the others concern the whole tunnel."""

ATTRIBUTES_OF: dict[MessageType, dict[str, AttributeType]] = {
    kind: {field.name: AttributeType[field.name.upper()] for field in fields(message)}
    for kind, message in MESSAGES.items()
}

REQUIRED_OF: dict[MessageType, list[AttributeType]] = {
    kind: [ATTRIBUTES_OF[kind][field.name] for field in fields(message) if field.default is MISSING]
    for kind, message in MESSAGES.items()
}


def parse_message(body: bytes, secret: bytes | None = None) -> Message | None:
    """Return the message that these AVPs are, or None if it is one to ignore.

    An AVP that is not recognized, or whose value is wrong, is ignored unless its M bit is set
    (sections 4.1 and 7.1). Of an attribute that comes twice the first one counts. Raises
    MessageError, which says what to end and why.
    """
    avps, broken = _split(body)
    kind = _message_type(avps)
    if kind is None:
        return None
    values, faults = _values_of(avps[1:], secret)
    for attribute_type in REQUIRED_OF[kind]:
        if attribute_type not in values:
            faults.append(AvpError(f"{attribute_type} is missing", ErrorCode.OUT_OF_RANGE))
    if broken is not None:
        raise MessageError(kind, values, broken, whole_tunnel=True)
    if faults:
        raise MessageError(kind, values, faults[0])
    construct: Callable[..., Message] = MESSAGES[kind]
    return construct(
        **{name: values[number] for name, number in ATTRIBUTES_OF[kind].items() if number in values}
    )


def _split(body: bytes) -> tuple[list[Avp], AvpError | None]:
    """Return the AVPs that can be read, and what is wrong with the one that cannot."""
    avps: list[Avp] = []
    try:
        avps.extend(parse_avps(Reader(body)))
    except DecodeError as error:
        return avps, AvpError(f"the AVPs cannot be read: {error}", ErrorCode.WRONG_LENGTH)
    return avps, None


def _message_type(avps: list[Avp]) -> MessageType | None:
    """Return the type, or None for an unknown one that may be ignored (section 4.4.1)."""
    first = avps[0] if avps else None
    if (
        first is None
        or (first.vendor, first.type) != (IETF, AttributeType.MESSAGE_TYPE)
        or (first.hidden or first.reserved or len(first.value) != 2)
    ):
        raise MessageError(
            None,
            {},
            AvpError("the first AVP is no Message Type", ErrorCode.OUT_OF_RANGE),
            whole_tunnel=True,
        )
    kind = MessageType(int.from_bytes(first.value, "big"))
    if kind in MESSAGES:
        return kind
    if not first.mandatory:
        return None
    raise MessageError(
        kind,
        {},
        AvpError("unknown message type with the M bit", ErrorCode.OUT_OF_RANGE),
        whole_tunnel=True,
    )


def _values_of(
    avps: list[Avp], secret: bytes | None
) -> tuple[dict[AttributeType, Value], list[AvpError]]:
    """Return what the AVPs say, and the faults of those that have the M bit."""
    values: dict[AttributeType, Value] = {}
    faults: list[AvpError] = []
    vector: bytes | None = None
    for avp in avps:
        try:
            value = _value_of(avp, secret, vector)
        except AvpError as fault:
            if avp.mandatory:
                faults.append(AvpError(f"{avp} {fault.why}", fault.error))
            continue
        if avp.type == AttributeType.RANDOM_VECTOR:
            vector = avp.value
        values.setdefault(AttributeType(avp.type), value)
    return values, faults


def _value_of(avp: Avp, secret: bytes | None, vector: bytes | None) -> Value:
    if avp.vendor != IETF or avp.type not in ATTRIBUTES or avp.reserved:
        raise AvpError("is unknown, with the M bit", ErrorCode.UNKNOWN_MANDATORY_AVP)
    attribute = ATTRIBUTES[AttributeType(avp.type)]
    if not avp.hidden:
        return attribute.kind.decode(avp.value)
    if not attribute.hidable:
        raise AvpError("must not be hidden", ErrorCode.OUT_OF_RANGE)
    if secret is None:
        raise AvpError("is hidden, and no secret is configured here", ErrorCode.OUT_OF_RANGE)
    if vector is None:
        raise AvpError("is hidden without a Random Vector", ErrorCode.OUT_OF_RANGE)
    try:
        octets = reveal(avp.type, avp.value, secret, vector)
    except DecodeError as error:
        raise AvpError(
            "cannot be revealed: the tunnel secrets differ", ErrorCode.WRONG_LENGTH
        ) from error
    return attribute.kind.decode(octets)

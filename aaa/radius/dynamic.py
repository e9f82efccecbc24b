"""Dynamic authorization: a server ends or changes a session (RFC 5176).

A request names the sessions it is about by User-Name, Acct-Session-Id, NAS-Port,
Framed-IP-Address or Calling-Station-Id; all that it names must fit. Whoever receives asks
`Requests` whether it is to be believed, acts, and sends what `answer` returns. Requests that
come again are answered as they were before, without another act (section 2.3); but without an
Event-Timestamp a new request for the same thing may be the same octets, so that only one that
comes soon is a repetition.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Final

from aaa.radius.access import Authorization, authorization, has_only_rates
from aaa.radius.constants import AttributeType, Code, ErrorCause
from aaa.radius.packet import Attribute, Attributes, Packet, is_signed, response
from wire import DecodeError

REMEMBERED: Final = 256
"""Answers that are kept, for requests that come again."""

REPEATED: Final = 60
"""Seconds in which a request that does not say when it was sent counts as a repetition."""

WINDOW: Final = 300
"""Seconds by which an Event-Timestamp may differ from our clock (section 6.3)."""

ACKS: Final = {
    Code.DISCONNECT_REQUEST: (Code.DISCONNECT_ACK, Code.DISCONNECT_NAK),
    Code.COA_REQUEST: (Code.COA_ACK, Code.COA_NAK),
}
NAMES: Final = frozenset(
    {
        AttributeType.USER_NAME,
        AttributeType.ACCT_SESSION_ID,
        AttributeType.NAS_PORT,
        AttributeType.FRAMED_IP_ADDRESS,
        AttributeType.CALLING_STATION_ID,
    }
)
CHANGES: Final = frozenset(
    {
        AttributeType.SESSION_TIMEOUT,
        AttributeType.IDLE_TIMEOUT,
        AttributeType.VENDOR_SPECIFIC,
    }
)
"""What a CoA-Request can change in a session that is up."""

HARMLESS: Final = frozenset(
    {
        AttributeType.NAS_IDENTIFIER,
        AttributeType.NAS_IP_ADDRESS,
        AttributeType.NAS_IPV6_ADDRESS,
        AttributeType.NAS_PORT_ID,
        AttributeType.NAS_PORT_TYPE,
        AttributeType.EVENT_TIMESTAMP,
        AttributeType.MESSAGE_AUTHENTICATOR,
        AttributeType.PROXY_STATE,
        AttributeType.STATE,
        AttributeType.CLASS,
        AttributeType.REPLY_MESSAGE,
        AttributeType.SERVICE_TYPE,
    }
)


class Refused(Exception):  # noqa: N818 (past tense, as every answer)
    """A request that is believed and cannot be done; `cause` is for the answer."""

    def __init__(self, cause: ErrorCause, why: str) -> None:
        super().__init__(why)
        self.cause = cause
        self.why = why


@dataclass(frozen=True, slots=True)
class Target:
    """The sessions that a request names; None is any."""

    user: str | None
    session_id: str | None
    port: int | None
    address: IPv4Address | None
    client: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """A request of who knows the secret. `change` is None where the session is to end."""

    target: Target
    change: Authorization | None
    packet: Packet = field(repr=False)


class Requests:
    """The requests of one server, with the answers to the last of them."""

    def __init__(self, secret: bytes, nas_identifier: str) -> None:
        self._secret = secret
        self._nas_identifier = nas_identifier
        self._answers: OrderedDict[tuple[int, bytes], tuple[int, bytes]] = OrderedDict()

    def receive(self, data: bytes, now: int) -> Request | bytes | None:
        """Take a UDP payload; `now` is in seconds since 1970.

        Returns a request to act on; or an answer to be sent; or None for what is dropped.
        """
        try:
            packet = Packet.parse(data)
        except DecodeError:
            return None
        if packet.code not in ACKS or not is_signed(packet, self._secret):
            return None
        until, before = self._answers.get((packet.identifier, packet.authenticator), (-1, b""))
        if now <= until:
            return before
        try:
            if not self._is_fresh(packet.attributes, now):
                return None
            return self._read(packet)
        except Refused as refused:
            return self.answer(packet, now, refused)
        except DecodeError as error:
            malformed = Refused(ErrorCause.INVALID_ATTRIBUTE_VALUE, str(error))
            return self.answer(packet, now, malformed)

    def answer(self, packet: Packet, now: int, refused: Refused | None = None) -> bytes:
        """Return the answer to a request: done, or why not; `now` as in `receive`."""
        ack, nak = ACKS[packet.code]
        states = packet.attributes.all(AttributeType.PROXY_STATE)
        attributes = [Attribute(AttributeType.PROXY_STATE, state) for state in states]
        if refused is not None:
            attributes.append(Attribute.number(AttributeType.ERROR_CAUSE, refused.cause))
            attributes.append(Attribute.text(AttributeType.REPLY_MESSAGE, refused.why))
        octets = response(
            ack if refused is None else nak,
            packet.identifier,
            packet.authenticator,
            attributes,
            self._secret,
        )
        sent = packet.attributes.first(AttributeType.EVENT_TIMESTAMP)
        until = now + REPEATED if sent is None else int.from_bytes(sent, "big") + WINDOW
        self._answers[packet.identifier, packet.authenticator] = until, octets
        if len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        return octets

    @staticmethod
    def _is_fresh(attributes: Attributes, now: int) -> bool:
        """Section 6.3: what was recorded must not work another day, if it says when it was."""
        sent = attributes.number(AttributeType.EVENT_TIMESTAMP)
        return sent is None or abs(now - sent) <= WINDOW

    def _read(self, packet: Packet) -> Request:
        attributes = packet.attributes
        coa = packet.code == Code.COA_REQUEST
        for attribute in attributes:
            if attribute.type not in NAMES | HARMLESS and not (coa and attribute.type in CHANGES):
                kind = AttributeType(attribute.type)
                raise Refused(ErrorCause.UNSUPPORTED_ATTRIBUTE, f"{kind} cannot be changed")
        for value in attributes.all(AttributeType.VENDOR_SPECIFIC) if coa else ():
            if not has_only_rates(value):
                raise Refused(ErrorCause.UNSUPPORTED_ATTRIBUTE, "no rate: it cannot be changed")
        nas = attributes.text(AttributeType.NAS_IDENTIFIER)
        if nas is not None and nas != self._nas_identifier:
            raise Refused(ErrorCause.NAS_IDENTIFICATION_MISMATCH, f"this is not {nas}")
        if not any(attribute.type in NAMES for attribute in attributes):
            raise Refused(ErrorCause.MISSING_ATTRIBUTE, "no attribute names a session")
        target = Target(
            attributes.text(AttributeType.USER_NAME),
            attributes.text(AttributeType.ACCT_SESSION_ID),
            attributes.number(AttributeType.NAS_PORT),
            attributes.address(AttributeType.FRAMED_IP_ADDRESS),
            attributes.text(AttributeType.CALLING_STATION_ID),
        )
        return Request(target, authorization(attributes) if coa else None, packet)

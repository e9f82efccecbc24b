"""Disconnect and Change-of-Authorization (RFC 5176), asked by pyrad and by worse."""

from collections.abc import Sequence

import pytest
from pyrad import packet as pyrad
from pyrad.dictionary import Dictionary

from aaa.radius.constants import AttributeType, Code, ErrorCause
from aaa.radius.dynamic import REMEMBERED, REPEATED, WINDOW, Refused, Request, Requests
from aaa.radius.packet import Attribute, Packet, answers, signed_request

SECRET = b"dynamic secret"
NOW = 1_700_000_000
SESSION = Attribute.text(AttributeType.ACCT_SESSION_ID, "2f-17")


def requests() -> Requests:
    return Requests(SECRET, "vpn.example.com")


def disconnect(*attributes: Attribute, identifier: int = 1) -> bytes:
    return signed_request(Code.DISCONNECT_REQUEST, identifier, attributes, SECRET)


def coa(*attributes: Attribute) -> bytes:
    return signed_request(Code.COA_REQUEST, 1, attributes, SECRET)


def believed(data: bytes, listener: Requests | None = None) -> Request:
    request = (listener or requests()).receive(data, NOW)
    assert isinstance(request, Request)
    return request


def cause(answer: Request | bytes | None, asked: bytes) -> ErrorCause:
    """What a NAK says, which pyrad must believe too."""
    assert isinstance(answer, bytes)
    packet = Packet.parse(answer)
    assert answers(packet, Packet.parse(asked).authenticator, SECRET)
    assert packet.code in (Code.DISCONNECT_NAK, Code.COA_NAK)
    number = packet.attributes.number(AttributeType.ERROR_CAUSE)
    assert number is not None
    return ErrorCause(number)


def test_disconnect_as_pyrad_sends_it() -> None:
    theirs = pyrad.CoAPacket(code=pyrad.DisconnectRequest, secret=SECRET, dict=Dictionary(), id=9)
    theirs[int(AttributeType.USER_NAME)] = [b"bob"]
    listener = requests()
    request = believed(theirs.RequestPacket(), listener)
    assert request.target.user == "bob"
    assert request.target.session_id is None
    assert request.change is None
    answer = listener.answer(request.packet, NOW)
    assert theirs.VerifyReply(pyrad.Packet(packet=answer, dict=Dictionary()), answer)
    assert Packet.parse(answer).code == Code.DISCONNECT_ACK


def test_coa() -> None:
    request = believed(coa(SESSION, Attribute.number(AttributeType.SESSION_TIMEOUT, 60)))
    assert request.target.session_id == "2f-17"
    assert request.change is not None
    assert request.change.session_timeout == 60


def test_what_comes_again_is_answered_and_not_done_again() -> None:
    listener, asked = requests(), disconnect(SESSION)
    answer = listener.answer(believed(asked, listener).packet, NOW)
    assert listener.receive(asked, NOW) == answer


def test_the_same_octets_are_another_request_later() -> None:
    """A client whose identifiers begin at the same number asks for the same thing once more."""
    listener, asked = requests(), disconnect(SESSION)
    answer = listener.answer(believed(asked, listener).packet, NOW)
    assert listener.receive(asked, NOW + REPEATED) == answer
    assert isinstance(listener.receive(asked, NOW + REPEATED + 1), Request)


@pytest.mark.parametrize("ahead", [-WINDOW, 0, WINDOW])
def test_what_was_recorded_never_works_again(ahead: int) -> None:
    """Not as long as its Event-Timestamp is believed, nor after."""
    stamp = Attribute.number(AttributeType.EVENT_TIMESTAMP, NOW + ahead)
    listener, asked = requests(), disconnect(SESSION, stamp)
    answer = listener.answer(believed(asked, listener).packet, NOW)
    for later in range(0, 3 * WINDOW, 10):
        fresh = later <= ahead + WINDOW
        assert listener.receive(asked, NOW + later) == (answer if fresh else None)


def test_the_memory_is_bounded() -> None:
    listener, first = requests(), disconnect(SESSION)
    listener.answer(believed(first, listener).packet, NOW)
    for number in range(REMEMBERED):
        proxy = Attribute.number(AttributeType.PROXY_STATE, number)
        listener.answer(believed(disconnect(SESSION, proxy), listener).packet, NOW)
    assert len(listener._answers) == REMEMBERED
    assert isinstance(listener.receive(first, NOW), Request)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        signed_request(Code.DISCONNECT_REQUEST, 1, [SESSION], b"another secret"),
        signed_request(Code.ACCOUNTING_REQUEST, 1, [SESSION], SECRET),
        disconnect(SESSION)[:-1] + b"x",
        disconnect(SESSION, Attribute.number(AttributeType.EVENT_TIMESTAMP, NOW - 301)),
        disconnect(SESSION, Attribute.number(AttributeType.EVENT_TIMESTAMP, NOW + 301)),
    ],
)
def test_what_is_dropped(data: bytes) -> None:
    assert requests().receive(data, NOW) is None


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ([], ErrorCause.MISSING_ATTRIBUTE),
        (
            [SESSION, Attribute.text(AttributeType.NAS_IDENTIFIER, "another")],
            ErrorCause.NAS_IDENTIFICATION_MISMATCH,
        ),
        (
            [SESSION, Attribute.number(AttributeType.FRAMED_MTU, 1400)],
            ErrorCause.UNSUPPORTED_ATTRIBUTE,
        ),
        (
            [Attribute(AttributeType.FRAMED_IP_ADDRESS, b"\x01")],
            ErrorCause.INVALID_ATTRIBUTE_VALUE,
        ),
    ],
)
def test_what_cannot_be_done(attributes: Sequence[Attribute], expected: ErrorCause) -> None:
    for asked in (disconnect(*attributes), coa(*attributes)):
        assert cause(requests().receive(asked, NOW), asked) == expected


def test_a_disconnect_changes_nothing() -> None:
    asked = disconnect(SESSION, Attribute.number(AttributeType.SESSION_TIMEOUT, 60))
    assert cause(requests().receive(asked, NOW), asked) == ErrorCause.UNSUPPORTED_ATTRIBUTE


def test_a_refusal_has_its_cause_and_the_proxy_state() -> None:
    listener = requests()
    asked = disconnect(SESSION, Attribute(AttributeType.PROXY_STATE, b"proxy"))
    refused = Refused(ErrorCause.SESSION_CONTEXT_NOT_FOUND, "no such session")
    answer = listener.answer(believed(asked, listener).packet, NOW, refused)
    assert cause(answer, asked) == ErrorCause.SESSION_CONTEXT_NOT_FOUND
    assert Packet.parse(answer).attributes.all(AttributeType.PROXY_STATE) == [b"proxy"]

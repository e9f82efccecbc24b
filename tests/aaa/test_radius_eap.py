"""What the NAS looks at in EAP between RADIUS and PPP (RFC 3579)."""

import pytest

from aaa.radius.access import Nas, Port, session_attributes
from aaa.radius.client import Answered, Server
from aaa.radius.constants import AttributeType, ErrorCause
from aaa.radius.constants import Code as RadiusCode
from aaa.radius.eap import MAX_INTERVAL, Challenge, Code, Conversation, message_of, result_of
from aaa.radius.packet import MAX_LENGTH, Attribute, Attributes, access_request
from wire import DecodeError

SERVER = Server("192.0.2.10", 1812, b"secret")
MTU = 1400


def packet(code: int, data: bytes = b"", identifier: int = 1) -> bytes:
    return bytes([code, identifier]) + (4 + len(data)).to_bytes(2, "big") + data


def carrying(message: bytes) -> list[Attribute]:
    pieces = [message[at : at + 253] for at in range(0, len(message), 253)]
    return [Attribute(AttributeType.EAP_MESSAGE, piece) for piece in pieces]


def challenged(conversation: Conversation, *attributes: Attribute) -> Challenge:
    return conversation.challenged(
        Answered(1, SERVER, RadiusCode.ACCESS_CHALLENGE, Attributes(attributes))
    )


@pytest.mark.parametrize("size", [5, 253, 254, 506, 507, 1300])
def test_a_message_in_pieces(size: int) -> None:
    message = packet(Code.REQUEST, bytes(at % 251 for at in range(size - 4)))
    conversation = Conversation(0.0, MTU)
    sent = Attributes(conversation.attributes(message))
    assert sent.joined(AttributeType.EAP_MESSAGE) == message
    assert all(len(value) <= 253 for value in sent.all(AttributeType.EAP_MESSAGE))
    assert sent.number(AttributeType.FRAMED_MTU) == MTU
    assert sent.first(AttributeType.STATE) is None
    assert challenged(conversation, *carrying(message)).packet == message


def test_the_state_comes_back_as_it_was_and_the_latest_alone() -> None:
    conversation = Conversation(0.0, MTU)
    ask = carrying(packet(Code.REQUEST, b"\x04"))
    for state in (b"\0one\xff", b"", None, b"s" * 253):
        more = [] if state is None else [Attribute(AttributeType.STATE, state)]
        challenged(conversation, *ask, *more)
        assert conversation.server is SERVER
        sent = Attributes(conversation.attributes(b"\x02\x01\x00\x05\x04"))
        assert sent.all(AttributeType.STATE) == ([] if state is None else [state])


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01",
        packet(Code.REQUEST),
        packet(2, b"\x04"),
        packet(Code.SUCCESS),
        packet(Code.FAILURE),
        packet(0, b"\x04"),
        packet(Code.REQUEST, b"\x04") + b"\0",
        packet(Code.REQUEST, b"\x04more")[:-1],
        packet(Code.REQUEST, bytes(MTU - 3)),
    ],
)
def test_a_challenge_with_nothing_for_the_peer(message: bytes) -> None:
    """Of a wrong code or length, without a type, larger than the link, or without any EAP."""
    with pytest.raises(DecodeError):
        challenged(Conversation(0.0, MTU), *carrying(message))


@pytest.mark.parametrize(
    ("seconds", "interval"), [(None, None), (0, None), (30, 30.0), (2**32 - 1, MAX_INTERVAL)]
)
def test_the_time_of_retransmission(seconds: int | None, interval: float | None) -> None:
    more = [] if seconds is None else [Attribute.number(AttributeType.SESSION_TIMEOUT, seconds)]
    challenge = challenged(Conversation(0.0, MTU), *carrying(packet(1, b"\x04")), *more)
    assert (challenge.interval, challenge.is_ignored) == (interval, False)


def test_a_server_that_ignores_a_response() -> None:
    cause = Attribute.number(AttributeType.ERROR_CAUSE, ErrorCause.INVALID_EAP_PACKET)
    other = Attribute.number(AttributeType.ERROR_CAUSE, ErrorCause.INVALID_REQUEST)
    ask = carrying(packet(1, b"\x04"))
    assert challenged(Conversation(0.0, MTU), *ask, cause).is_ignored
    assert not challenged(Conversation(0.0, MTU), *ask, other).is_ignored


@pytest.mark.parametrize("code", [Code.SUCCESS, Code.FAILURE])
def test_a_result_is_one_only_if_it_is_what_radius_says(code: Code) -> None:
    right = packet(code)
    assert result_of(Attributes(carrying(right)), code) == right
    for wrong in (b"", packet(7 - code), packet(1, b"\x04"), packet(code, b"\0"), right + b"\0"):
        assert result_of(Attributes(carrying(wrong)), code) == b""


def test_pieces_count_in_their_order_whatever_is_between_them() -> None:
    message = packet(Code.REQUEST, bytes(range(5, 255)) * 2)
    first, *others = carrying(message)
    state = Attribute(AttributeType.STATE, b"s")
    assert message_of(Attributes([first, state, *others])) == message
    assert message_of(Attributes([*others, first])) == b""


def test_the_longest_of_all_fit_into_one_packet() -> None:
    """A Response of the most octets, beside a State and names of the most that there can be."""
    nas, name = Nas("n" * 253), b"u" * 253
    port = Port(1, "s" * 40, "2001:db8::" + "1" * 4, "2001:db8::" + "2" * 4, "h" * 1000)
    conversation = Conversation(0.0, MTU, SERVER, b"s" * 253)
    attributes = [*session_attributes(nas, port, name), *conversation.attributes(bytes(2048))]
    assert len(access_request(1, bytes(16), attributes, b"secret")) <= MAX_LENGTH

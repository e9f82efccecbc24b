"""EAP that is handed on: what an authenticator does itself (RFC 3748 section 2.3, RFC 3579)."""

import pytest

from ppp.authentication import REPEAT_INTERVAL, Verdict
from ppp.config import LinkConfig, Method
from ppp.constants import Code, EapCode, EapType, LcpOption, Protocol
from ppp.eap import MAX_ROUNDS
from ppp.eap_relay import MAX_RESPONSE, EapRelay
from ppp.eap_server import EapServer
from ppp.events import AuthenticationRequested, LinkClosed, Reason
from ppp.link import Link
from ppp.packet import Packet
from ppp.proofs import EapResponse, MsChapV2Proof, Proof
from tests.support.ppp import NAME, PASSWORD, Sent, configure, drain, entropy, read
from wire import DecodeError

MTU = 1400
SUCCESS = Packet(EapCode.SUCCESS, 77)


class Conversation:
    """A relay, with what it sends and hands on; the test is peer and server."""

    def __init__(self) -> None:
        self.sent: list[Packet] = []
        backend = EapServer(LinkConfig(), MTU, entropy())
        self.relay = EapRelay(backend, MTU, entropy(), self.sent.append)
        self.relay.start(0.0)

    @property
    def last(self) -> Packet:
        return self.sent[-1]

    def respond(
        self, data: bytes, identifier: int | None = None, now: float = 0.0
    ) -> Proof | Verdict | None:
        identifier = self.last.identifier if identifier is None else identifier
        return self.relay.receive(Packet(EapCode.RESPONSE, identifier, data), now)

    def identify(self) -> EapResponse:
        response = self.respond(b"\x01" + NAME.encode())
        assert isinstance(response, EapResponse)
        return response

    def ask(self, identifier: int, data: bytes = b"\x63what", ignored: bool = False) -> object:
        request = Packet(EapCode.REQUEST, identifier, data)
        return self.relay.ask(request, None, ignored, 0.0)


def begun(identifier: int = 77) -> Conversation:
    """A server has asked by a method that nobody knows here."""
    conversation = Conversation()
    conversation.identify()
    assert conversation.ask(identifier) is None
    return conversation


def test_the_identity_is_handed_on_as_it_came() -> None:
    conversation = Conversation()
    identifier = conversation.last.identifier
    response = conversation.identify()
    packet = Packet(EapCode.RESPONSE, identifier, b"\x01" + NAME.encode())
    assert response == EapResponse(NAME.encode(), packet.build(), MTU, begins=True)
    assert (response.name, response.method) == (NAME, "EAP")
    assert response.verify(PASSWORD, None) is None
    assert NAME not in repr(response.packet) or "packet" not in repr(response)


def test_requests_and_responses_pass_with_their_identifiers() -> None:
    conversation = begun(77)
    assert conversation.last == Packet(EapCode.REQUEST, 77, b"\x63what")
    response = conversation.respond(b"\x63this")
    assert isinstance(response, EapResponse)
    assert response.packet == Packet(EapCode.RESPONSE, 77, b"\x63this").build()
    assert not response.begins
    assert response.identity == NAME.encode()
    assert conversation.ask(5) is None
    assert conversation.relay.succeed(SUCCESS.build(), 0.0) is False
    assert conversation.last == SUCCESS
    assert conversation.relay.next_timeout() is None
    conversation.relay.repeat()
    assert conversation.sent[-2:] == [SUCCESS, SUCCESS]


@pytest.mark.parametrize(
    "data", [b"\x03\x0d", b"\x03\x00", b"\x02", b"\x01bob", b"\xfe" + bytes(9)]
)
def test_a_response_of_any_type_is_handed_on(data: bytes) -> None:
    """Such as a Nak: only the server knows what it has asked."""
    response = begun().respond(data)
    assert isinstance(response, EapResponse)
    assert response.packet[4:] == data


def test_before_the_identity_nothing_else_is_handed_on() -> None:
    conversation = Conversation()
    for kind in (0, 2, 3, 4, 13, 26, 254):
        assert conversation.respond(bytes([kind, 1])) is None
    assert conversation.identify()


def test_what_answers_no_request_is_discarded() -> None:
    conversation = begun(77)
    for code in (EapCode.REQUEST, EapCode.SUCCESS, EapCode.FAILURE, 0, 5):
        assert conversation.relay.receive(Packet(code, 77, b"\x63this"), 0.0) is None
    assert conversation.respond(b"\x63this", identifier=78) is None
    assert conversation.respond(b"\x63this", identifier=76) is None
    with pytest.raises(DecodeError):
        conversation.respond(b"")
    assert conversation.respond(b"\x63this")


def test_what_no_link_could_have_carried_is_discarded() -> None:
    conversation = begun()
    assert conversation.respond(bytes(MAX_RESPONSE - 3)) is None
    assert conversation.respond(bytes(MAX_RESPONSE - 4))


def test_a_request_is_repeated_until_it_is_answered() -> None:
    conversation = begun()
    count = len(conversation.sent)
    for turn in range(1, 4):
        conversation.relay.handle_timeout(turn * REPEAT_INTERVAL)
    assert conversation.sent[count - 1 :] == [conversation.last] * 4
    conversation.respond(b"\x63this")
    assert conversation.relay.next_timeout() is None


def test_a_server_says_when_its_request_and_that_alone_is_repeated() -> None:
    conversation = Conversation()
    conversation.identify()
    assert conversation.relay.ask(Packet(EapCode.REQUEST, 1, b"\x06"), 30.0, False, 10.0) is None
    assert conversation.relay.next_timeout() == 40.0
    conversation.relay.handle_timeout(40.0)
    assert conversation.relay.next_timeout() == 70.0
    conversation.respond(b"\x06 123", now=50.0)
    assert conversation.relay.ask(Packet(EapCode.REQUEST, 2, b"\x06"), None, False, 60.0) is None
    assert conversation.relay.next_timeout() == 60.0 + REPEAT_INTERVAL


def test_a_response_that_comes_twice_is_handed_on_once() -> None:
    conversation = begun(77)
    assert conversation.respond(b"\x63this")
    assert conversation.respond(b"\x63this") is None
    assert conversation.ask(78) is None
    assert conversation.respond(b"\x63this", identifier=77) is None
    assert conversation.last.identifier == 78


def test_what_the_server_ignored_is_asked_for_again() -> None:
    conversation = begun(77)
    conversation.respond(b"\x63this")
    conversation.respond(b"\x63this")
    assert conversation.ask(77, ignored=True) is None
    assert conversation.sent[-1] == conversation.sent[-2]
    assert conversation.respond(b"\x63this"), "the same again is another try"


def test_another_response_takes_the_place_of_one_that_the_server_ignored() -> None:
    """RFC 3579 section 2.2: somebody else's may have come first."""
    conversation = begun(77)
    conversation.respond(b"\x63forged")
    assert conversation.respond(b"\x63true") is None
    assert conversation.respond(b"\x63other", identifier=78) is None
    count = len(conversation.sent)
    response = conversation.ask(77, ignored=True)
    assert isinstance(response, EapResponse)
    assert response.packet[5:] == b"true"
    assert len(conversation.sent) == count
    assert conversation.ask(77, ignored=True) is None
    assert len(conversation.sent) == count + 1


def test_another_response_is_forgotten_where_the_server_goes_on() -> None:
    conversation = begun(77)
    conversation.respond(b"\x63this")
    conversation.respond(b"\x63other")
    assert conversation.ask(78) is None
    conversation.respond(b"\x63more")
    assert conversation.ask(79, ignored=True) is None


def test_no_success_is_made_up() -> None:
    conversation = begun()
    conversation.respond(b"\x63this")
    count = len(conversation.sent)
    assert conversation.relay.succeed(b"", 0.0) is False
    conversation.relay.repeat()
    assert len(conversation.sent) == count
    assert conversation.respond(b"\x63this") is None


def test_a_refusal_is_a_failure_that_answers_the_last_response() -> None:
    conversation = begun(77)
    conversation.respond(b"\x63this")
    assert conversation.relay.fail(691, "no", 0.0) is False
    assert conversation.last == Packet(EapCode.FAILURE, 77)


def test_a_conversation_has_an_end() -> None:
    conversation = begun()
    rounds, verdict = 2, None
    while verdict is None:
        conversation.respond(b"\x63this")
        verdict = conversation.ask(rounds % 256)
        rounds += 1
    assert isinstance(verdict, Verdict)
    assert not verdict.accepted
    assert [packet.code for packet in conversation.sent].count(EapCode.REQUEST) == MAX_ROUNDS
    assert conversation.last.code == EapCode.FAILURE


def test_eap_goes_on_here() -> None:
    conversation = Conversation()
    conversation.identify()
    assert conversation.relay.go_on_here(0.0) is None
    assert conversation.last.data[0] == EapType.MS_CHAP_V2
    assert conversation.last.identifier == (conversation.sent[0].identifier + 1) % 256
    verdict = conversation.respond(b"\x03\x0d")
    assert isinstance(verdict, Verdict)
    assert conversation.last.code == EapCode.FAILURE


# Within a link.


def a_link(authentication_timeout: float = 60.0) -> Link:
    """A link whose peer has been asked for its identity."""
    config = LinkConfig(
        methods=(Method.EAP,), relay_eap=True, authentication_timeout=authentication_timeout
    )
    link = Link(config, entropy())
    link.start(0.0)
    (frame,) = link.frames_to_send()
    request = read(frame)
    link.receive(
        Sent(Protocol.LCP, Code.CONFIGURE_ACK, request.identifier, request.data).build(), 0
    )
    peer = configure(
        Protocol.LCP, Code.CONFIGURE_REQUEST, 1, (LcpOption.MAXIMUM_RECEIVE_UNIT, "0514")
    )
    link.receive(peer.build(), 0.0)
    return link


def asked(link: Link) -> Sent:
    sent = map(read, link.frames_to_send())
    return [packet for packet in sent if packet.protocol is Protocol.EAP][-1]


def respond(link: Link, data: bytes, now: float) -> AuthenticationRequested:
    request = asked(link)
    link.receive(Sent(Protocol.EAP, EapCode.RESPONSE, request.identifier, data).build(), now)
    (event,) = [event for event in drain(link) if isinstance(event, AuthenticationRequested)]
    return event


REQUEST = Packet(EapCode.REQUEST, 77, b"\x63what").build()


def test_a_link_tells_the_size_that_both_ends_take() -> None:
    event = respond(a_link(), b"\x01bob", 1.0)
    assert isinstance(event.proof, EapResponse)
    assert event.proof.mtu == 0x514


def test_a_peer_that_falls_silent_is_given_up() -> None:
    link = a_link()
    event = respond(link, b"\x01bob", 1.0)
    assert link.next_timeout() != 60.0, "the server may take its time"
    link.relay(event.request, REQUEST, None, False, 100.0)
    link.handle_timeout(159.9)
    assert not drain(link)
    link.handle_timeout(160.0)
    link.lower_down(161.0)
    (closed,) = [event for event in drain(link) if isinstance(event, LinkClosed)]
    assert closed.reason is Reason.AUTHENTICATION_TIMED_OUT


def test_a_peer_has_the_time_that_the_server_gives_it() -> None:
    link = a_link()
    event = respond(link, b"\x01bob", 1.0)
    link.relay(event.request, REQUEST, 90.0, False, 10.0)
    link.handle_timeout(99.0)
    assert respond(link, b"\x63this", 99.5)


def test_an_answer_that_is_late_does_nothing() -> None:
    link = a_link()
    first = respond(link, b"\x01bob", 1.0)
    link.relay(first.request, REQUEST, None, False, 2.0)
    assert asked(link).identifier == 77
    link.relay(first.request, REQUEST, None, False, 3.0)
    link.go_on_here(first.request, 3.0)
    link.authenticated(first.request, SUCCESS.build(), 3.0)
    assert link.frames_to_send() == []
    assert drain(link) == []


def test_a_link_that_does_not_ask_for_it_hands_nothing_on() -> None:
    link = Link(LinkConfig(methods=(Method.EAP,)), entropy())
    link.relay(0, REQUEST, None, False, 0.0)
    link.go_on_here(0, 0.0)
    assert link.frames_to_send() == []


def test_a_proof_here_follows_in_the_same_link() -> None:
    link = a_link()
    event = respond(link, b"\x01bob", 1.0)
    link.go_on_here(event.request, 1.0)
    request = asked(link)
    value = b"\x02\x01\x00\x39\x31" + bytes(49) + b"bob"
    packet = Sent(Protocol.EAP, EapCode.RESPONSE, request.identifier, b"\x1a" + value)
    link.receive(packet.build(), 2.0)
    (other,) = drain(link)
    assert isinstance(other, AuthenticationRequested)
    assert isinstance(other.proof, MsChapV2Proof)
    assert other.request > event.request

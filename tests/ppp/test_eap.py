"""EAP's authenticator, its choice of method and its peer: RFC 3748; EAP-MSCHAPv2 in it."""

from contextlib import suppress
from dataclasses import replace

import pytest

from ppp.authentication import REPEAT_INTERVAL, Verdict
from ppp.config import Credentials, EapMethod, LinkConfig
from ppp.constants import ChapCode, EapCode, EapType
from ppp.eap import MAX_ROUNDS, EapAuthenticator, Message
from ppp.eap_peer import EapPeer
from ppp.eap_server import EapServer
from ppp.packet import Packet
from ppp.proofs import MsChapV2Change, MsChapV2Proof, Proof
from tests.support.password_change import NEW, challenge_of, change_of_password
from tests.support.ppp import CREDENTIALS, NAME, PASSWORD, entropy
from wire import DecodeError

SUCCEEDED, REFUSED = b"\x03", b"\x04"


class Conversation:
    """An authenticator and a peer whose packets the test carries."""

    def __init__(
        self, config: LinkConfig | None = None, credentials: Credentials = CREDENTIALS
    ) -> None:
        self.sent: list[Packet] = []
        self.responses: list[Packet] = []
        server = EapServer(config or LinkConfig(), 1400, entropy(1))
        self.eap = EapAuthenticator(server, entropy(1), self.sent.append)
        self.peer = EapPeer(credentials, entropy(2), self.responses.append)
        self.eap.start(0.0)

    @property
    def last(self) -> Packet:
        return self.sent[-1]

    def step(self) -> Proof | Verdict | None:
        """Let the peer answer the last packet, and the authenticator take that."""
        self.peer.receive(self.last, 0.0)
        return self.eap.receive(self.responses[-1], 0.0)

    def respond(self, kind: int, data: bytes = b"") -> Proof | Verdict | None:
        """Answer the last packet by hand."""
        return self.eap.receive(
            Packet(EapCode.RESPONSE, self.last.identifier, bytes([kind]) + data), 0.0
        )

    def prove(self) -> MsChapV2Proof:
        self.step()
        proof = self.step()
        assert isinstance(proof, MsChapV2Proof)
        return proof

    def refuse(self, error: int) -> bytes:
        """Refuse a proof; return what the Failure of MS-CHAPv2 says."""
        assert self.eap.fail(error, "no", 0.0)
        assert self.last.code == EapCode.REQUEST
        assert self.last.data[:2] == bytes([EapType.MS_CHAP_V2, ChapCode.FAILURE])
        return self.last.data[5:]


def test_a_login() -> None:
    conversation = Conversation()
    assert conversation.last.data == bytes([EapType.IDENTITY])
    proof = conversation.prove()
    assert (proof.name, proof.method) == (NAME, "EAP-MSCHAPv2")
    reply = proof.verify(PASSWORD, None)
    assert reply
    assert conversation.eap.succeed(reply, 0.0), "the peer must confirm it"
    request = conversation.last
    assert request.data[5:].startswith(reply + b" M=")
    assert int.from_bytes(request.data[3:5]) == len(request.data) - 1
    assert conversation.step() == Verdict(True, "")
    assert conversation.responses[-1].data == bytes([EapType.MS_CHAP_V2]) + SUCCEEDED
    assert conversation.last == Packet(EapCode.SUCCESS, request.identifier)
    verdict = conversation.peer.receive(conversation.last, 0.0)
    assert verdict
    assert verdict.accepted
    conversation.eap.repeat()
    assert conversation.sent[-1] == conversation.sent[-2]


@pytest.mark.parametrize(
    "name",
    ["alice@corp.example.com", "CORP\\alice", "CORP\\alice@corp.example.com", "ALICE", "Jürgen"],
)
def test_names_of_all_forms(name: str) -> None:
    conversation = Conversation(credentials=Credentials(name, PASSWORD))
    proof = conversation.prove()
    assert proof.name == name
    assert proof.verify(PASSWORD, None)
    assert replace(proof, name=name.swapcase()).verify(PASSWORD, None) is None


def test_a_request_is_repeated_as_it_was_until_it_is_answered() -> None:
    conversation = Conversation()
    for count in range(1, 4):
        assert conversation.eap.next_timeout() == count * REPEAT_INTERVAL
        conversation.eap.handle_timeout(count * REPEAT_INTERVAL - 0.1)
        conversation.eap.handle_timeout(count * REPEAT_INTERVAL)
    assert conversation.sent == conversation.sent[:1] * 4
    conversation.step()
    assert conversation.last.identifier == (conversation.sent[0].identifier + 1) % 256


def test_while_a_proof_is_verified_nothing_is_sent_or_taken() -> None:
    conversation = Conversation()
    conversation.prove()
    count = len(conversation.sent)
    assert conversation.eap.next_timeout() is None
    assert conversation.eap.receive(conversation.responses[-1], 1.0) is None
    conversation.eap.handle_timeout(100.0)
    assert len(conversation.sent) == count


def test_what_answers_no_request_is_discarded() -> None:
    conversation = Conversation()
    identifier = conversation.last.identifier
    for code in (EapCode.REQUEST, EapCode.SUCCESS, EapCode.FAILURE, 0, 5):
        assert conversation.eap.receive(Packet(code, identifier, b"\x01alice"), 0.0) is None
    other = (identifier + 1) % 256
    assert conversation.eap.receive(Packet(EapCode.RESPONSE, other, b"\x01alice"), 0.0) is None
    assert len(conversation.sent) == 1


@pytest.mark.parametrize("kind", [0, 2, 3, 4, 13, 26, 254, 255])
def test_the_identity_request_is_answered_by_nothing_else(kind: int) -> None:
    conversation = Conversation()
    assert conversation.respond(kind, b"\x1a") is None
    assert len(conversation.sent) == 1


def test_a_response_without_a_type_is_malformed() -> None:
    conversation = Conversation()
    with pytest.raises(DecodeError):
        conversation.eap.receive(Packet(EapCode.RESPONSE, conversation.last.identifier), 0.0)
    assert conversation.prove()


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        (b"\x19", "PEAP"),
        (b"\x00", "no other"),
        (b"", "no other"),
        (b"\x1a", "MS_CHAP_V2"),
        (b"\x15\x04", "TTLS, MD5_CHALLENGE"),
        (bytes([200]), "200"),
    ],
)
def test_a_peer_that_wants_what_we_have_not(wanted: bytes, named: str) -> None:
    conversation = Conversation()
    conversation.step()
    verdict = conversation.respond(EapType.NAK, wanted)
    assert isinstance(verdict, Verdict)
    assert not verdict.accepted
    assert named in verdict.message
    assert verdict.hint
    assert conversation.last.code == EapCode.FAILURE


def test_a_nak_after_the_peer_has_consented_is_discarded() -> None:
    conversation = Conversation(LinkConfig(authentication_attempts=2))
    conversation.prove()
    conversation.refuse(691)
    assert conversation.respond(EapType.NAK, b"\x0d") is None
    assert conversation.last.code == EapCode.REQUEST


@pytest.mark.parametrize("data", [b"", b"\x03", b"\x04", b"\x02\x01\x00\x04", b"\x07" * 60])
def test_a_response_of_mschapv2_that_is_none(data: bytes) -> None:
    conversation = Conversation()
    conversation.step()
    challenge = conversation.last
    with suppress(DecodeError):
        assert conversation.respond(EapType.MS_CHAP_V2, data) is None
    assert conversation.last is challenge
    assert isinstance(conversation.step(), MsChapV2Proof)


def test_the_identifier_within_mschapv2_does_not_matter() -> None:
    conversation = Conversation()
    conversation.step()
    conversation.peer.receive(conversation.last, 0.0)
    data = bytearray(conversation.responses[-1].data[1:])
    data[1] ^= 0xFF
    assert isinstance(conversation.respond(EapType.MS_CHAP_V2, bytes(data)), MsChapV2Proof)


def test_the_last_failure_is_confirmed_before_the_end() -> None:
    conversation = Conversation()
    conversation.prove()
    text = conversation.refuse(691)
    assert text.startswith(b"E=691 R=0 C=")
    assert text.endswith(b" V=3 M=no")
    verdict = conversation.step()
    assert verdict == Verdict(False, "no")
    assert conversation.responses[-1].data == bytes([EapType.MS_CHAP_V2]) + REFUSED
    assert conversation.last.code == EapCode.FAILURE
    ended = conversation.peer.receive(conversation.last, 0.0)
    assert ended
    assert not ended.accepted


def another_try(conversation: Conversation, failure: bytes) -> Proof | Verdict | None:
    """Answer the challenge that is in a Failure, by the right password."""
    retry = Conversation()
    challenge = b"\x10" + challenge_of(failure) + b"LNS"
    packet = Packet(ChapCode.CHALLENGE, 9, challenge).build()
    request = Packet(EapCode.REQUEST, conversation.last.identifier, b"\x1a" + packet)
    retry.peer.receive(request, 0.0)
    return conversation.eap.receive(retry.responses[-1], 0.0)


def test_another_try() -> None:
    conversation = Conversation(LinkConfig(authentication_attempts=2))
    conversation.prove()
    failure = conversation.refuse(691)
    assert failure.startswith(b"E=691 R=1 C=")
    assert conversation.respond(EapType.MS_CHAP_V2, SUCCEEDED + b"\x01\x00\x04") is None
    proof = another_try(conversation, failure)
    assert isinstance(proof, MsChapV2Proof)
    assert proof.verify(PASSWORD, None)
    assert conversation.refuse(691).startswith(b"E=691 R=0 C=")


def test_another_try_that_was_not_allowed() -> None:
    conversation = Conversation()
    conversation.prove()
    failure = conversation.refuse(691)
    assert another_try(conversation, failure) == Verdict(False, "no")
    assert conversation.last.code == EapCode.FAILURE


def test_a_change_of_password() -> None:
    conversation = Conversation()
    conversation.prove()
    text = conversation.refuse(648)
    assert text.startswith(b"E=648 R=1 C=")
    change, expected = change_of_password(
        challenge_of(text), bytes(16), NAME.encode(), PASSWORD, NEW
    )
    packet = Packet(ChapCode.CHANGE_PASSWORD, 77, change.build()).build()
    proof = conversation.respond(EapType.MS_CHAP_V2, packet)
    assert isinstance(proof, MsChapV2Change)
    assert (proof.method, proof.new_password(PASSWORD, None)) == ("EAP-MSCHAPv2", NEW)
    assert proof.verify(PASSWORD, None) == expected
    assert conversation.eap.succeed(expected, 0.0)
    assert conversation.respond(EapType.MS_CHAP_V2, SUCCEEDED) == Verdict(True, "")


def test_a_peer_that_does_not_believe_our_success() -> None:
    conversation = Conversation()
    conversation.prove()
    conversation.eap.succeed(b"S=" + b"0" * 40, 0.0)
    verdict = conversation.step()
    assert isinstance(verdict, Verdict)
    assert not verdict.accepted
    assert conversation.last.code == EapCode.FAILURE


def test_a_conversation_has_an_end() -> None:
    class Endless:
        def start(self) -> Message:
            return Message(EapType.TLS)

        def receive(self, response: Message) -> Message:
            return Message(EapType.TLS)

        succeed = fail = receive

    sent: list[Packet] = []
    eap = EapAuthenticator(Endless(), entropy(), sent.append)  # type: ignore[arg-type]
    eap.start(0.0)
    verdict = None
    while verdict is None:
        verdict = eap.receive(Packet(EapCode.RESPONSE, sent[-1].identifier, b"\x0d"), 0.0)
    assert isinstance(verdict, Verdict)
    assert not verdict.accepted
    assert [packet.code for packet in sent] == [EapCode.REQUEST] * MAX_ROUNDS + [EapCode.FAILURE]


# The peer.


def test_a_peer_answers_by_nak_what_it_has_not() -> None:
    conversation = Conversation()
    for identifier, kind in enumerate((4, 13, 25, 254)):
        conversation.peer.receive(Packet(EapCode.REQUEST, identifier, bytes([kind])), 0.0)
        assert conversation.responses[-1] == Packet(EapCode.RESPONSE, identifier, b"\x03\x1a")


def test_a_peer_acknowledges_a_notification() -> None:
    conversation = Conversation()
    conversation.peer.receive(Packet(EapCode.REQUEST, 1, b"\x02soon"), 0.0)
    assert conversation.responses == [Packet(EapCode.RESPONSE, 1, b"\x02")]


def test_a_peer_answers_a_repetition_from_memory() -> None:
    conversation = Conversation()
    conversation.step()
    conversation.peer.receive(conversation.last, 0.0)
    conversation.peer.receive(conversation.last, 3.0)
    assert conversation.responses[-1] is conversation.responses[-2]


def test_a_success_that_comes_too_early_is_not_believed() -> None:
    conversation = Conversation()
    for step in range(3):
        assert conversation.peer.receive(Packet(EapCode.SUCCESS, step), 0.0) is None
        conversation.step()


@pytest.mark.parametrize("data", [b"\x03\x01\x00\x04", b"\x04\x01\x00\x04", b"\x05\x01\x00\x04"])
def test_a_peer_takes_no_verdict_on_what_it_has_not_said(data: bytes) -> None:
    conversation = Conversation()
    with pytest.raises(DecodeError):
        conversation.peer.receive(Packet(EapCode.REQUEST, 1, b"\x1a" + data), 0.0)
    assert conversation.responses == []


def test_a_failure_ends_it_at_any_time() -> None:
    verdict = Conversation().peer.receive(Packet(EapCode.FAILURE, 1), 0.0)
    assert verdict
    assert not verdict.accepted


def test_our_order_counts_among_the_methods() -> None:
    assert [method.value for method in EapMethod] == ["EAP-TLS", "EAP-MSCHAPv2"]

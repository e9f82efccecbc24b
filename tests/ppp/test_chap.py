"""CHAP with MD5 and MS-CHAPv2, both ends: RFC 1994 section 4, RFC 2759 sections 3 to 6."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from ppp.authentication import Verdict
from ppp.chap import ChapAuthenticator, ChapPeer, MsChapV2Value, NamedValue, failure_text
from ppp.config import Credentials, Method
from ppp.constants import ChapCode
from ppp.mschapv2 import nt_password_hash
from ppp.packet import Packet
from ppp.proofs import ChapMd5Proof, MsChapV2Change, MsChapV2Proof, chap_md5_response
from tests.support.password_change import NEW, challenge_of, change_of_password
from tests.support.ppp import entropy
from wire import DecodeError, Reader

BOTH = pytest.mark.parametrize("method", [Method.MS_CHAP_V2, Method.CHAP_MD5])
CREDENTIALS = Credentials("CORP\\alice", "wonderland")


class Exchange:
    """An authenticator and a peer whose packets the test carries."""

    def __init__(self, method: Method = Method.MS_CHAP_V2, attempts: int = 1) -> None:
        self.from_server: list[Packet] = []
        self.from_peer: list[Packet] = []
        self.server = ChapAuthenticator(
            method, "lns", attempts, entropy(1), self.from_server.append
        )
        self.peer = ChapPeer(method, CREDENTIALS, entropy(2), self.from_peer.append)
        self.server.start(0.0)
        self.peer.start(0.0)

    def respond(self) -> Packet:
        """Let the peer answer the last Challenge."""
        self.peer.receive(self.from_server[-1], 0.0)
        return self.from_peer[-1]

    def prove(self) -> ChapMd5Proof | MsChapV2Proof:
        proof = self.server.receive(self.respond(), 0.0)
        assert isinstance(proof, ChapMd5Proof | MsChapV2Proof)
        return proof


@BOTH
def test_a_challenge_is_sent_at_once(method: Method) -> None:
    (challenge,) = Exchange(method).from_server
    assert challenge.code == ChapCode.CHALLENGE
    value = NamedValue.parse(Reader(challenge.data))
    assert len(value.value) == 16
    assert value.name == b"lns"


@BOTH
def test_success(method: Method) -> None:
    exchange = Exchange(method)
    proof = exchange.prove()
    assert proof.name == "CORP\\alice"
    reply = proof.verify("wonderland", None)
    assert reply is not None
    exchange.server.succeed(reply, 0.0)
    success = exchange.from_server[-1]
    assert success.code == ChapCode.SUCCESS
    assert success.identifier == exchange.from_peer[-1].identifier
    verdict = exchange.peer.receive(success, 0.0)
    assert verdict is not None
    assert verdict.accepted
    assert exchange.peer.next_timeout() is None


def test_a_success_of_mschapv2_proves_the_authenticator_too() -> None:
    exchange = Exchange()
    reply = exchange.prove().verify("wonderland", None)
    assert reply
    exchange.server.succeed(reply, 0.0)
    text = exchange.from_server[-1].data.decode()
    assert re.fullmatch(r"S=[0-9A-F]{40} M=Welcome", text)


@pytest.mark.parametrize("message", [b"", b"Welcome", b"S=" + b"0" * 40, b"S=", b"s=" + b"0" * 40])
def test_an_authenticator_that_proves_nothing_is_not_believed(message: bytes) -> None:
    exchange = Exchange()
    response = exchange.respond()
    verdict = exchange.peer.receive(Packet(ChapCode.SUCCESS, response.identifier, message), 0.0)
    assert verdict is not None
    assert not verdict.accepted


@BOTH
def test_challenges_are_repeated_and_always_new(method: Method) -> None:
    exchange = Exchange(method)
    for _ in range(5):
        due = exchange.server.next_timeout()
        assert due is not None
        exchange.server.handle_timeout(due - 0.1)
        exchange.server.handle_timeout(due)
    challenges = exchange.from_server
    assert len(challenges) == 6
    assert len({challenge.identifier for challenge in challenges}) == 6
    assert len({challenge.data for challenge in challenges}) == 6


@BOTH
def test_the_response_to_an_old_challenge_is_discarded(method: Method) -> None:
    exchange = Exchange(method)
    late = exchange.respond()
    exchange.server.handle_timeout(3.0)
    assert exchange.server.receive(late, 3.1) is None
    assert exchange.server.receive(exchange.respond(), 3.2) is not None


@BOTH
def test_while_a_proof_is_verified_nothing_is_sent(method: Method) -> None:
    exchange = Exchange(method)
    exchange.prove()
    assert exchange.server.receive(exchange.from_peer[-1], 1.0) is None
    assert exchange.server.next_timeout() is None
    assert len(exchange.from_server) == 1


@BOTH
def test_repetitions_of_a_response_are_answered_from_memory(method: Method) -> None:
    exchange = Exchange(method)
    reply = exchange.prove().verify("wonderland", None)
    assert reply is not None
    exchange.server.succeed(reply, 0.0)
    response = exchange.from_peer[-1]
    for data in (response.data, b"", b"\x10" + bytes(16) + b"mallory"):
        assert (
            exchange.server.receive(Packet(response.code, response.identifier, data), 9.0) is None
        )
    exchange.server.repeat()
    assert exchange.from_server[1:] == [exchange.from_server[1]] * 5


def test_a_failure_of_mschapv2_has_all_that_windows_wants() -> None:
    exchange = Exchange()
    exchange.prove()
    assert not exchange.server.fail(691, "authentication failed", 0.0)
    failure = exchange.from_server[-1]
    assert failure.code == ChapCode.FAILURE
    assert failure.identifier == exchange.from_peer[-1].identifier
    text = failure.data.decode()
    assert re.fullmatch(r"E=691 R=0 C=[0-9A-F]{32} V=3 M=authentication failed", text)
    assert exchange.peer.receive(failure, 0.0) == Verdict(
        False, "E=691 R=0 V=3 M=authentication failed"
    )


@pytest.mark.parametrize("error", [646, 647, 649, 709])
def test_another_try_helps_against_a_wrong_password_only(error: int) -> None:
    exchange = Exchange(attempts=3)
    exchange.prove()
    assert not exchange.server.fail(error, "no", 0.0)
    assert exchange.from_server[-1].data.startswith(b"E=%d R=0 C=" % error)


def test_another_try_answers_the_challenge_of_the_failure() -> None:
    """RFC 2759 section 9.1.4: Response (++ID) to the challenge in the Failure message."""
    exchange = Exchange(attempts=2)
    exchange.prove()
    assert exchange.server.fail(691, "no", 0.0)
    failure = exchange.from_server[-1]
    match = re.fullmatch(rb"E=691 R=1 C=([0-9A-F]{32}) V=3 M=no", failure.data)
    assert match
    assert exchange.server.next_timeout() is None, "the user is being asked"
    identifier = (failure.identifier + 1) % 256
    challenge = NamedValue(bytes.fromhex(match[1].decode()), b"").build()
    exchange.peer.receive(Packet(ChapCode.CHALLENGE, identifier, challenge), 0.0)
    proof = exchange.server.receive(exchange.from_peer[-1], 0.0)
    assert proof is not None
    assert proof.verify("wonderland", None) is not None
    exchange.server.receive(exchange.from_peer[0], 0.0)
    assert exchange.from_server[-1] == failure, "the first Response keeps its answer"
    assert not exchange.server.fail(691, "no", 0.0)
    assert b" R=0 " in exchange.from_server[-1].data
    assert exchange.from_server[-1].identifier == identifier


# A new password: RFC 2759 sections 7, 9.1.6 and 9.1.7.

NAME, OLD = CREDENTIALS.name.encode(), CREDENTIALS.password


def expired(exchange: Exchange) -> Packet:
    """Let the old password be right and expired; return the Failure."""
    exchange.prove()
    assert exchange.server.fail(648, "password expired", 0.0)
    return exchange.from_server[-1]


def change(failure: Packet, old: str = OLD, new: str = NEW, name: bytes = NAME) -> Packet:
    data, _ = change_of_password(challenge_of(failure.data), bytes(16), name, old, new)
    return Packet(ChapCode.CHANGE_PASSWORD, (failure.identifier + 1) % 256, data.build())


def test_a_change_of_password() -> None:
    exchange = Exchange()
    failure = expired(exchange)
    assert re.fullmatch(rb"E=648 R=1 C=[0-9A-F]{32} V=3 M=password expired", failure.data)
    packet = change(failure)
    assert len(packet.build()) == 586
    proof = exchange.server.receive(packet, 0.0)
    assert isinstance(proof, MsChapV2Change)
    assert proof.name == "CORP\\alice"
    assert proof.new_password(OLD, None) == NEW
    assert proof.new_password(None, nt_password_hash(OLD)) == NEW
    reply = proof.verify(OLD, None)
    _, expected = change_of_password(challenge_of(failure.data), bytes(16), NAME, OLD, NEW)
    assert reply == expected, "it is over the new password"
    assert exchange.server.receive(packet, 1.0) is None, "while it is stored nothing else is"
    exchange.server.succeed(reply, 0.0)
    success = exchange.from_server[-1]
    assert success.code == ChapCode.SUCCESS
    assert success.identifier == packet.identifier
    exchange.server.receive(packet, 2.0)
    assert exchange.from_server[-1] == success


def test_after_another_try_a_change_of_password() -> None:
    exchange = Exchange(attempts=2)
    exchange.prove()
    assert exchange.server.fail(691, "no", 0.0)
    failure = exchange.from_server[-1]
    challenge = NamedValue(challenge_of(failure.data), b"").build()
    identifier = (failure.identifier + 1) % 256
    exchange.peer.receive(Packet(ChapCode.CHALLENGE, identifier, challenge), 0.0)
    assert exchange.server.receive(exchange.from_peer[-1], 0.0) is not None
    assert exchange.server.fail(648, "expired", 0.0)
    assert exchange.server.receive(change(exchange.from_server[-1]), 0.0) is not None


def test_after_a_change_there_is_no_other_try() -> None:
    exchange = Exchange(attempts=9)
    exchange.server.receive(change(expired(exchange)), 0.0)
    for error in (709, 691, 648):
        assert not exchange.server.fail(error, "no", 0.0)
        assert exchange.from_server[-1].data.startswith(b"E=%d R=0 C=" % error)
        assert exchange.server.receive(change(exchange.from_server[-1]), 0.0) is None


def test_a_password_that_expires_is_offered_a_change_once() -> None:
    """A peer that answers by the old password again would go on for ever."""
    exchange = Exchange(attempts=9)
    expired(exchange)
    assert not exchange.server.fail(648, "password expired", 0.0)


def test_a_change_that_nobody_asked_for_is_discarded() -> None:
    exchange = Exchange(attempts=9)
    packet = Packet(ChapCode.CHANGE_PASSWORD, exchange.from_server[0].identifier, bytes(582))
    assert exchange.server.receive(packet, 0.0) is None
    exchange.prove()
    exchange.server.fail(691, "no", 0.0)
    assert exchange.server.receive(change(exchange.from_server[-1]), 0.0) is None
    assert exchange.server.receive(exchange.respond(), 0.0) is None
    md5 = Exchange(Method.CHAP_MD5)
    assert md5.server.receive(replace(packet, identifier=md5.server.identifier), 0.0) is None


@pytest.mark.parametrize("length", [0, 1, 516, 581, 583])
def test_a_change_of_the_wrong_length_is_malformed(length: int) -> None:
    exchange = Exchange()
    failure = expired(exchange)
    packet = replace(change(failure), data=bytes(length))
    with pytest.raises(DecodeError):
        exchange.server.receive(packet, 0.0)
    assert exchange.server.receive(change(failure), 0.0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda packet, failure: change(failure, old="wrong"),
        lambda packet, failure: change(failure, name=b"CORP\\bob"),
        lambda packet, failure: replace(packet, data=bytes(516) + packet.data[516:]),
        lambda packet, failure: replace(packet, data=packet.data[:516] + bytes(66)),
        lambda packet, failure: replace(packet, data=packet.data[:540] + bytes(42)),
        lambda packet, failure: replace(packet, data=bytes([packet.data[0] ^ 1]) + packet.data[1:]),
    ],
)
def test_a_change_that_is_not_proven(damage: Callable[[Packet, Packet], Packet]) -> None:
    exchange = Exchange()
    failure = expired(exchange)
    packet = damage(change(failure, new="x" * 256), failure)
    proof = exchange.server.receive(packet, 0.0)
    assert isinstance(proof, MsChapV2Change)
    assert proof.verify(OLD, None) is None
    assert proof.verify(None, None) is None


def test_a_failure_of_md5_is_text_and_final() -> None:
    exchange = Exchange(Method.CHAP_MD5, attempts=3)
    exchange.prove()
    assert not exchange.server.fail(691, "no", 0.0)
    assert exchange.from_server[-1].data == b"no"


@pytest.mark.parametrize("length", [0, 16, 48, 50, 255])
def test_a_response_of_the_wrong_length_is_malformed(length: int) -> None:
    exchange = Exchange()
    data = NamedValue(bytes(length), b"alice").build()
    response = Packet(ChapCode.RESPONSE, exchange.from_server[0].identifier, data)
    with pytest.raises(DecodeError):
        exchange.server.receive(response, 0.0)
    assert exchange.prove()


@BOTH
def test_an_authenticator_takes_responses_only(method: Method) -> None:
    exchange = Exchange(method)
    for code in (ChapCode.CHALLENGE, ChapCode.SUCCESS, ChapCode.FAILURE, 5, 0):
        assert exchange.server.receive(Packet(code, 1, b"\x01a"), 0.0) is None
    assert len(exchange.from_server) == 1


@BOTH
def test_the_same_challenge_gets_the_same_response(method: Method) -> None:
    exchange = Exchange(method)
    assert exchange.respond() == exchange.respond()
    exchange.peer.handle_timeout(2.9)
    exchange.peer.handle_timeout(3.0)
    assert len(exchange.from_peer) == 3
    assert len(set(exchange.from_peer)) == 1


def test_a_new_challenge_gets_a_new_response_at_any_time() -> None:
    exchange = Exchange(Method.CHAP_MD5)
    exchange.prove()
    exchange.server.succeed(b"", 0.0)
    exchange.peer.receive(exchange.from_server[-1], 0.0)
    challenge = NamedValue(b"again", b"lns").build()
    exchange.peer.receive(Packet(ChapCode.CHALLENGE, 200, challenge), 60.0)
    value = NamedValue.parse(Reader(exchange.from_peer[-1].data)).value
    assert value == chap_md5_response(200, "wonderland", b"again")


@BOTH
def test_a_peer_takes_no_verdict_that_is_not_its_own(method: Method) -> None:
    exchange = Exchange(method)
    assert exchange.peer.receive(Packet(ChapCode.SUCCESS, 0, b""), 0.0) is None
    response = exchange.respond()
    for code in (ChapCode.SUCCESS, ChapCode.FAILURE):
        stray = Packet(code, (response.identifier + 1) % 256, b"")
        assert exchange.peer.receive(stray, 0.0) is None
    assert exchange.peer.receive(Packet(ChapCode.RESPONSE, response.identifier), 0.0) is None


@BOTH
def test_challenges_may_overtake_each_other(method: Method) -> None:
    exchange = Exchange(method)
    exchange.server.handle_timeout(3.0)
    late, wanted = exchange.from_server
    exchange.peer.receive(wanted, 3.0)
    exchange.peer.receive(late, 3.0)
    proof = exchange.server.receive(exchange.from_peer[0], 3.0)
    assert proof is not None
    exchange.server.succeed(proof.verify("wonderland", None) or b"", 0.0)
    verdict = exchange.peer.receive(exchange.from_server[-1], 3.0)
    assert verdict is not None
    assert verdict.accepted


def test_mschapv2_has_a_challenge_of_16_octets() -> None:
    exchange = Exchange()
    challenge = Packet(ChapCode.CHALLENGE, 1, NamedValue(bytes(8), b"lns").build())
    with pytest.raises(DecodeError):
        exchange.peer.receive(challenge, 0.0)
    assert exchange.from_peer == []


def test_codecs() -> None:
    octets = b"\x03abcname"
    assert NamedValue.parse(Reader(octets)) == NamedValue(b"abc", b"name")
    assert NamedValue(b"abc", b"name").build() == octets
    value = bytes(range(16)) + bytes(8) + bytes(range(24)) + b"\0"
    assert MsChapV2Value.parse(Reader(value)).build() == value


def test_failure_text() -> None:
    assert failure_text(b"E=691 R=0 C=00FF V=3 M=no") == "E=691 R=0 V=3 M=no"
    assert failure_text(b"\xff") == r"\xff"

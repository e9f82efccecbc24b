"""PAP, both ends: RFC 1334 section 2.2."""

import pytest

from ppp.authentication import Verdict
from ppp.config import Credentials
from ppp.constants import PapCode
from ppp.packet import Packet
from ppp.pap import AuthenticateRequest, PapAuthenticator, PapPeer, Reply
from ppp.proofs import PapProof
from wire import DecodeError, Reader

DATA = b"\x05alice\x0awonderland"


def request(identifier: int, data: bytes = DATA) -> Packet:
    return Packet(PapCode.AUTHENTICATE_REQUEST, identifier, data)


def authenticator() -> tuple[PapAuthenticator, list[Packet]]:
    sent: list[Packet] = []
    end = PapAuthenticator(sent.append)
    end.start(0.0)
    return end, sent


def test_codecs() -> None:
    parsed = AuthenticateRequest.parse(Reader(DATA))
    assert parsed == AuthenticateRequest(b"alice", b"wonderland")
    assert parsed.build() == DATA
    assert "wonderland" not in repr(parsed)
    assert Reply.parse(Reader(b"\x02hi")).build() == b"\x02hi"
    assert Reply.parse(Reader(b"")) == Reply(b"")


@pytest.mark.parametrize(
    "data", [b"", b"\x05alic", b"\x05alice", b"\x05alice\x0bwonderland", b"\xff"]
)
def test_broken_requests(data: bytes) -> None:
    end, sent = authenticator()
    with pytest.raises(DecodeError):
        end.receive(request(1, data), 0.0)
    assert sent == []


def test_success() -> None:
    end, sent = authenticator()
    assert end.receive(request(0), 0.0) == PapProof("alice", b"wonderland")
    end.succeed(b"", 0.0)
    assert sent == [Packet(PapCode.AUTHENTICATE_ACK, 0, b"\0")]


def test_failure_is_final() -> None:
    end, sent = authenticator()
    end.receive(request(3), 0.0)
    assert not end.fail(691, "no", 0.0)
    assert sent == [Packet(PapCode.AUTHENTICATE_NAK, 3, b"\x02no")]


def test_one_proof_at_a_time_and_the_answer_goes_to_the_latest_repetition() -> None:
    end, sent = authenticator()
    assert end.receive(request(1), 0.0)
    assert end.receive(request(2), 3.0) is None
    assert sent == []
    end.succeed(b"", 0.0)
    assert sent == [Packet(PapCode.AUTHENTICATE_ACK, 2, b"\0")]


def test_repetitions_get_the_same_answer_whatever_they_say() -> None:
    end, sent = authenticator()
    end.receive(request(1), 0.0)
    end.succeed(b"", 0.0)
    assert end.receive(request(9, b"\x01x\x01y"), 0.0) is None
    end.repeat()
    assert sent[1:] == [Packet(PapCode.AUTHENTICATE_ACK, 9, b"\0")] * 2


def test_nothing_to_repeat() -> None:
    end, sent = authenticator()
    end.repeat()
    end.handle_timeout(100.0)
    assert end.next_timeout() is None
    assert sent == []


def test_an_authenticator_takes_requests_only() -> None:
    end, sent = authenticator()
    assert end.receive(Packet(PapCode.AUTHENTICATE_ACK, 1, b"\0"), 0.0) is None
    assert end.receive(Packet(9, 1), 0.0) is None
    assert sent == []


def peer() -> tuple[PapPeer, list[Packet]]:
    sent: list[Packet] = []
    end = PapPeer(Credentials("alice", "wonderland"), sent.append)
    end.start(0.0)
    return end, sent


def test_the_peer_repeats_until_it_is_answered() -> None:
    end, sent = peer()
    assert sent == [request(1)]
    assert end.next_timeout() == 3.0
    end.handle_timeout(2.9)
    end.handle_timeout(3.0)
    assert sent == [request(1), request(2)]
    assert end.receive(Packet(PapCode.AUTHENTICATE_ACK, 1, b"\0"), 3.1) is None
    assert end.receive(Packet(PapCode.AUTHENTICATE_ACK, 2), 3.1) == Verdict(True, "")
    assert end.next_timeout() is None


def test_the_peer_is_refused() -> None:
    end, _ = peer()
    verdict = end.receive(Packet(PapCode.AUTHENTICATE_NAK, 1, b"\x03no\xff"), 0.0)
    assert verdict == Verdict(False, r"no\xff")


def test_the_peer_ignores_the_rest() -> None:
    end, sent = peer()
    assert end.receive(request(1), 0.0) is None
    assert len(sent) == 1


def test_overlong_names_are_cut() -> None:
    sent: list[Packet] = []
    PapPeer(Credentials("a" * 300, "b" * 300), sent.append).start(0.0)
    parsed = AuthenticateRequest.parse(Reader(sent[0].data))
    assert (len(parsed.peer_id), len(parsed.password)) == (255, 255)

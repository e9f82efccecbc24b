"""Messages that are wrong, sent to an LNS: what ends, with which code, and what the log says.

RFC 2661 sections 4.1 and 7.1: an AVP with the M bit that is unknown or malformed ends the
session if the message concerns one, else the tunnel; so does a mandatory AVP that is missing.
"""

import pytest

from l2tp.config import L2tpConfig
from l2tp.constants import ErrorCode
from l2tp.events import SessionClosed, SessionRefused, TunnelClosed, TunnelRefused
from l2tp.hiding import hide
from l2tp.lns import Lns
from tests.support.l2tp import (
    CDN,
    HELLO,
    ICCN,
    ICRQ,
    SCCCN,
    SCCRP,
    SCCRQ,
    SLI,
    STOPCCN,
    WEN,
    Peer,
    RawControl,
    avp,
    cdn,
    control,
    entropy,
    events,
    iccn,
    icrq,
    message,
    raw_avps,
    sccrq,
    stopccn,
    u16,
    u32,
)

SECRET = b"s3cr3t"
VECTOR = avp(36, b"v" * 16)


def a_peer(secret: bytes | None = None) -> Peer:
    return Peer(Lns(L2tpConfig(host_name="lns", secret=secret), entropy().randbytes))


@pytest.fixture
def peer() -> Peer:
    made = a_peer()
    made.open_tunnel()
    events(made.endpoint)
    return made


def general_error(answers: list[RawControl], kind: int) -> int:
    """Return the error code of the only answer, which must be `kind` with result 2."""
    (answer,) = answers
    assert answer.kind == kind
    assert answer.avps[1][:2] == u16(2)
    assert answer.avps[1][4:], "the peer's admin is told why"
    return int.from_bytes(answer.avps[1][2:4])


def without(body: bytes, number: int) -> bytes:
    return b"".join(avp(a.type, a.value) for a in raw_avps(body) if a.type != number or a.type == 0)


class TestMissingAvps:
    @pytest.mark.parametrize("number", [2, 3, 7])
    def test_in_sccrq(self, number: int) -> None:
        peer = a_peer()
        assert general_error(peer.send(without(sccrq(7), number)), STOPCCN) == 3
        (event,) = events(peer.endpoint)
        assert isinstance(event, TunnelRefused)
        assert "is missing" in event.why

    def test_the_tunnel_id_in_sccrq(self) -> None:
        peer = a_peer()
        assert peer.send(without(sccrq(7), 9)) == []
        assert peer.endpoint.snapshot().tunnels == ()

    @pytest.mark.parametrize("number", [1, 9])
    def test_in_stopccn_it_stops_all_the_same(self, peer: Peer, number: int) -> None:
        (zlb,) = peer.send(without(stopccn(7), number))
        assert zlb.kind == 0
        (event,) = events(peer.endpoint)
        assert isinstance(event, TunnelClosed)
        assert event.by_peer
        assert "is missing" in event.why

    def test_the_session_id_in_icrq_ends_the_tunnel(self, peer: Peer) -> None:
        """There is nobody to send a CDN to."""
        assert general_error(peer.send(without(icrq(5), 14)), STOPCCN) == 3

    def test_the_serial_number_in_icrq(self, peer: Peer) -> None:
        answers = peer.send(without(icrq(5), 15))
        assert answers[0].session_id == 5
        assert general_error(answers, CDN) == 3
        (event,) = events(peer.endpoint)
        assert isinstance(event, SessionRefused)
        assert event.why == "the peer sent ICRQ: CALL_SERIAL_NUMBER is missing"

    @pytest.mark.parametrize("number", [24, 19])
    def test_in_iccn(self, peer: Peer, number: int) -> None:
        (reply,) = peer.send(icrq(5))
        answers = peer.send(without(iccn(), number), int.from_bytes(reply.avps[14]))
        assert answers[0].session_id == 5
        assert general_error(answers, CDN) == 3

    @pytest.mark.parametrize("number", [1, 14])
    def test_in_cdn_it_disconnects_all_the_same(self, peer: Peer, number: int) -> None:
        session = peer.open_session(5)
        events(peer.endpoint)
        (zlb,) = peer.send(without(cdn(5), number), session)
        assert zlb.kind == 0
        (event,) = events(peer.endpoint)
        assert isinstance(event, SessionClosed)
        assert event.by_peer

    @pytest.mark.parametrize("kind", [WEN, SLI])
    def test_in_wen_and_sli(self, peer: Peer, kind: int) -> None:
        session = peer.open_session(5)
        assert general_error(peer.send(message(kind), session), CDN) == 3

    @pytest.mark.parametrize("body", [message(WEN), message(SLI), message(ICCN), message(CDN)])
    def test_to_a_session_that_has_ended_nothing_ends(self, peer: Peer, body: bytes) -> None:
        """Such a message may have crossed our CDN; other sessions must not suffer for it."""
        peer.open_session(5)
        (zlb,) = peer.send(body, 99)
        assert zlb.kind == 0
        assert len(peer.endpoint.snapshot().tunnels[0].sessions) == 1


UNKNOWN = [
    avp(40),
    avp(47, b"x"),
    avp(20, b"x"),
    avp(0xFFFF, b"x"),
    avp(9, u16(1), vendor=311),
    avp(22, b"1", reserved=0x0400),
]


class TestUnknownMandatoryAvps:
    @pytest.mark.parametrize("unknown", UNKNOWN, ids=bytes.hex)
    def test_in_sccrq(self, unknown: bytes) -> None:
        peer = a_peer()
        answers = peer.send(sccrq(7, unknown))
        assert general_error(answers, STOPCCN) == ErrorCode.UNKNOWN_MANDATORY_AVP
        number = int.from_bytes(unknown[4:6])
        assert f"AVP {number}" in answers[0].avps[1][4:].decode()

    @pytest.mark.parametrize("unknown", UNKNOWN, ids=bytes.hex)
    def test_in_a_tunnel_message(self, peer: Peer, unknown: bytes) -> None:
        peer.open_session()
        events(peer.endpoint)
        answers = peer.send(message(HELLO, unknown))
        assert general_error(answers, STOPCCN) == ErrorCode.UNKNOWN_MANDATORY_AVP
        session, tunnel = events(peer.endpoint)
        assert isinstance(session, SessionClosed)
        assert isinstance(tunnel, TunnelClosed)

    @pytest.mark.parametrize("unknown", UNKNOWN, ids=bytes.hex)
    def test_in_a_session_message_only_the_session_ends(self, peer: Peer, unknown: bytes) -> None:
        other = peer.open_session(4)
        (reply,) = peer.send(icrq(5))
        answers = peer.send(iccn(unknown), int.from_bytes(reply.avps[14]))
        assert answers[0].session_id == 5
        assert general_error(answers, CDN) == ErrorCode.UNKNOWN_MANDATORY_AVP
        (tunnel,) = peer.endpoint.snapshot().tunnels
        assert [session.session for session in tunnel.sessions] == [other]

    @pytest.mark.parametrize("unknown", UNKNOWN, ids=bytes.hex)
    def test_in_icrq(self, peer: Peer, unknown: bytes) -> None:
        answers = peer.send(icrq(5, unknown))
        assert answers[0].session_id == 5
        assert general_error(answers, CDN) == ErrorCode.UNKNOWN_MANDATORY_AVP

    @pytest.mark.parametrize("unknown", UNKNOWN, ids=bytes.hex)
    def test_without_the_m_bit_nothing_ends(self, unknown: bytes) -> None:
        harmless = bytes([unknown[0] & 0x7F]) + unknown[1:]
        peer = a_peer()
        (reply,) = peer.send(sccrq(7, harmless))
        assert reply.kind == SCCRP
        peer.peer_tunnel_id = int.from_bytes(reply.avps[9])
        peer.send(message(SCCCN, harmless))
        peer.send(message(HELLO, harmless))
        peer.open_session(5, harmless)
        (tunnel,) = peer.endpoint.snapshot().tunnels
        assert len(tunnel.sessions) == 1

    def test_an_unknown_message_type(self, peer: Peer) -> None:
        assert general_error(peer.send(avp(0, u16(99))), STOPCCN) == 3


class TestMalformedValues:
    @pytest.mark.parametrize(
        "wrong",
        [
            avp(10, u16(0)),
            avp(10, b"\4"),
            avp(3, b"\0\0\3"),
            avp(11, b""),
            avp(7, b"") + avp(7, b"x"),
        ],
        ids=bytes.hex,
    )
    def test_in_sccrq(self, wrong: bytes) -> None:
        peer = a_peer()
        assert general_error(peer.send(sccrq(7, wrong)), STOPCCN) in (2, 3)

    @pytest.mark.parametrize("wrong", [avp(38, u16(1), mandatory=False)], ids=bytes.hex)
    def test_the_rfcs_example_of_what_is_recoverable(self, peer: Peer, wrong: bytes) -> None:
        """Section 7.1: Rx Connect Speed in two octets."""
        peer.open_session(5, wrong)

    def test_a_tunnel_id_of_zero(self) -> None:
        peer = a_peer()
        assert peer.send(sccrq(0)) == []

    def test_a_session_id_of_zero(self, peer: Peer) -> None:
        assert general_error(peer.send(icrq(0)), STOPCCN) == 3


BROKEN = [
    b"\x80",
    b"\x80\x08\0\0\0",
    *(avp(22, b"12", length=length) for length in (0, 1, 5, 9, 1023)),
    *(avp(22, b"12", length=length, mandatory=False) for length in (0, 1, 5, 9, 1023)),
]


class TestBrokenAvps:
    """AVPs that cannot be taken apart: nothing behind them can be trusted."""

    @pytest.mark.parametrize("broken", BROKEN, ids=bytes.hex)
    @pytest.mark.parametrize(
        "body",
        [message(HELLO), icrq(5), message(ICCN), message(WEN)],
        ids=["HELLO", "ICRQ", "ICCN", "WEN"],
    )
    def test_in_an_established_tunnel(self, peer: Peer, body: bytes, broken: bytes) -> None:
        answers = peer.send(body + broken)
        assert general_error(answers, STOPCCN) == ErrorCode.WRONG_LENGTH

    @pytest.mark.parametrize("broken", BROKEN, ids=bytes.hex)
    def test_in_sccrq(self, broken: bytes) -> None:
        peer = a_peer()
        assert general_error(peer.send(sccrq(7) + broken), STOPCCN) == ErrorCode.WRONG_LENGTH
        other = a_peer()
        assert other.send(message(SCCRQ) + broken) == []
        assert other.endpoint.snapshot().tunnels == ()

    @pytest.mark.parametrize("broken", BROKEN, ids=bytes.hex)
    def test_as_the_whole_message(self, peer: Peer, broken: bytes) -> None:
        assert general_error(peer.send(broken), STOPCCN) == ErrorCode.OUT_OF_RANGE

    @pytest.mark.parametrize("broken", BROKEN, ids=bytes.hex)
    def test_a_broken_stopccn_stops(self, peer: Peer, broken: bytes) -> None:
        (zlb,) = peer.send(stopccn(7) + broken)
        assert zlb.kind == 0

    def test_a_broken_message_that_is_early_waits_for_its_turn(self, peer: Peer) -> None:
        number = peer.peer_tunnel_id
        (zlb,) = peer.raw(control(number, 0, peer.ns + 1, peer.nr, message(HELLO) + b"\x80"))
        assert (zlb.kind, zlb.nr) == (0, 2)
        assert general_error(peer.send(message(HELLO)), STOPCCN) == ErrorCode.WRONG_LENGTH

    def test_a_thousand_avps(self, peer: Peer) -> None:
        many = avp(47, mandatory=False) * 10_000
        (zlb,) = peer.raw(control(peer.peer_tunnel_id, 0, peer.ns, peer.nr, message(HELLO), many))
        assert zlb.kind == 0


class TestHiddenAvps:
    """The attacks that hit accel-ppp, and what a wrong secret looks like."""

    def open(self) -> Peer:
        peer = a_peer(SECRET)
        peer.open_tunnel()
        events(peer.endpoint)
        return peer

    def test_a_hidden_call(self) -> None:
        peer = self.open()
        body = message(
            ICRQ,
            VECTOR,
            avp(14, hide(14, u16(5), SECRET, b"v" * 16, b"padding"), hidden=True),
            avp(15, hide(15, u32(1), SECRET, b"v" * 16), hidden=True),
        )
        (reply,) = peer.send(body)
        assert reply.session_id == 5

    @pytest.mark.parametrize("value", [b"", b"x", bytes(2), bytes(16), bytes(1017)])
    def test_what_cannot_be_revealed(self, value: bytes) -> None:
        peer = self.open()
        answers = peer.send(icrq(5, VECTOR, avp(22, value, hidden=True)))
        assert general_error(answers, CDN) == ErrorCode.WRONG_LENGTH
        (event,) = events(peer.endpoint)
        assert isinstance(event, SessionRefused)
        assert "the tunnel secrets differ" in event.why

    def test_without_a_vector(self) -> None:
        peer = self.open()
        hidden = avp(22, hide(22, b"1", SECRET, b""), hidden=True)
        assert general_error(peer.send(icrq(5, hidden, VECTOR)), CDN) == 3

    def test_without_a_secret(self, peer: Peer) -> None:
        hidden = avp(22, hide(22, b"1", b"", b"v" * 16), hidden=True)
        assert general_error(peer.send(icrq(5, VECTOR, hidden)), CDN) == 3
        (event,) = events(peer.endpoint)
        assert isinstance(event, SessionRefused)
        assert "no secret is configured here" in event.why

    def test_hidden_message_type(self) -> None:
        peer = self.open()
        hidden = avp(0, hide(0, u16(HELLO), SECRET, b"v" * 16), hidden=True)
        assert general_error(peer.send(VECTOR + hidden), STOPCCN) == 3

    def test_without_the_m_bit_it_is_ignored(self) -> None:
        peer = self.open()
        odd = avp(8, b"x", hidden=True, mandatory=False)
        assert peer.open_session(5, VECTOR, odd)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (b"\0\1", "GENERAL_REQUEST"),
        (b"\1\0", "GENERAL_REQUEST"),
        (b"\2\0\6\0", "GENERAL_ERROR, VENDOR_SPECIFIC"),
        (b"\0\6\0\0", "SHUTTING_DOWN"),
        (b"\0\2\0\x07192.0.2.9", "GENERAL_ERROR, TRY_ANOTHER (192.0.2.9)"),
        (b"\x12\x34\x56\x78", "StopResult 4660, ErrorCode 22136"),
    ],
)
def test_result_codes_of_all_kinds_of_peers(peer: Peer, code: bytes, words: str) -> None:
    """MikroTik sends no error code, macOS and iOS send host byte order."""
    peer.send(stopccn(7, code))
    (event,) = events(peer.endpoint)
    assert isinstance(event, TunnelClosed)
    assert event.why == f"the peer stopped the tunnel: {words}"


@pytest.mark.parametrize("kind", [SCCRQ, SCCRP, SCCCN, STOPCCN, HELLO, ICRQ, ICCN, CDN, WEN])
def test_cut_off_anywhere_nothing_breaks(kind: int) -> None:
    bodies = {
        SCCRQ: sccrq(7),
        SCCRP: message(SCCRP, sccrq(7)[8:]),
        STOPCCN: stopccn(7),
        ICRQ: icrq(5),
        ICCN: iccn(),
        CDN: cdn(5),
        WEN: message(WEN, avp(34, bytes(26))),
    }
    whole = bodies.get(kind, message(kind))
    for end in range(len(whole)):
        peer = a_peer()
        number = peer.open_tunnel()
        for answer in peer.raw(control(number, 0, peer.ns, peer.nr, whole[:end])):
            assert answer.kind in (0, STOPCCN, CDN)
        a_peer().raw(control(0, 0, 0, 0, whole[:end]))

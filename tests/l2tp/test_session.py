"""Calls (RFC 2661 sections 5.2 to 5.6 and 7.4), as LNS unless said otherwise."""

import pytest

from l2tp.config import L2tpConfig
from l2tp.constants import CallResult, ErrorCode
from l2tp.events import (
    Call,
    FrameReceived,
    Proxy,
    Result,
    SessionClosed,
    SessionOpened,
    SessionRefused,
)
from l2tp.lac import Lac
from l2tp.lns import Lns
from l2tp.role import Role
from l2tp.session_states import TRANSITIONS, Action, CallEvent, State
from l2tp.values import DisconnectCause
from tests.support.l2tp import (
    CDN,
    FLOW,
    ICCN,
    ICRP,
    ICRQ,
    OCCN,
    OCRP,
    OCRQ,
    SCCCN,
    SCCRP,
    SLI,
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
    sccrq,
    u16,
    u32,
)
from wire import LocalError

FRAME = bytes.fromhex("ff03c0210101000a")


@pytest.fixture
def peer() -> Peer:
    """A LAC with an established tunnel to our LNS."""
    made = Peer(Lns(L2tpConfig(host_name="lns"), entropy().randbytes))
    made.open_tunnel()
    events(made.endpoint)
    return made


def cdn_of(answers: list[RawControl], session_id: int) -> tuple[int, int]:
    """Return result and error code of the CDN that is the only answer."""
    (answer,) = answers
    assert (answer.kind, answer.session_id) == (CDN, session_id)
    assert int.from_bytes(answer.avps[14]) > 0
    code = answer.avps[1]
    return int.from_bytes(code[:2]), int.from_bytes(code[2:4])


def ocrq(session_id: int) -> bytes:
    numbers = b"".join(avp(number, u32(1)) for number in (15, 16, 17, 18, 19))
    return message(OCRQ, avp(14, u16(session_id)), numbers, avp(21, b"123"))


MESSAGES = {
    ICRQ: icrq(5),
    ICRP: message(ICRP, avp(14, u16(5))),
    ICCN: iccn(),
    OCRQ: ocrq(5),
    OCRP: message(OCRP, avp(14, u16(5))),
    OCCN: message(OCCN, avp(24, u32(1)), avp(19, u32(1))),
}


class TestTables:
    @pytest.mark.parametrize("role", Role)
    def test_every_end_leads_to_idle(self, role: Role) -> None:
        for (state, _), (action, after) in TRANSITIONS[role].items():
            if action in (Action.SEND_CDN, Action.CLEAN_UP):
                assert after is State.IDLE
            else:
                assert after is not state

    def test_a_cdn_is_never_answered(self) -> None:
        for table in TRANSITIONS.values():
            for (_, event), (action, _) in table.items():
                assert event is not CallEvent.CDN or action is Action.CLEAN_UP


class TestEstablishment:
    def test_three_messages(self, peer: Peer) -> None:
        more = (avp(18, u32(2)), avp(22, b"123"), avp(21, b"456"), avp(23, b"7"))
        channel = avp(25, u32(9), mandatory=False)
        (reply,) = peer.send(icrq(5, *more, channel))
        assert (reply.kind, reply.tunnel_id, reply.session_id) == (ICRP, 7, 5)
        assert set(reply.avps) == {0, 14}
        number = int.from_bytes(reply.avps[14])
        assert number
        assert events(peer.endpoint) == []
        (zlb,) = peer.send(iccn(avp(38, u32(64000), mandatory=False)), number)
        assert zlb.kind == 0
        call = Call(
            serial_number=1,
            tx_speed=100_000_000,
            rx_speed=64000,
            framing_type=1,
            bearer_type=2,
            calling_number="123",
            called_number="456",
            sub_address="7",
            physical_channel=9,
        )
        assert events(peer.endpoint) == [
            SessionOpened(number, peer.peer_tunnel_id, FLOW, 7, 5, False, call, None)
        ]

    def test_proxy_avps(self, peer: Peer) -> None:
        proxy = (
            avp(26, b"first", mandatory=False),
            avp(27, b"sent", mandatory=False),
            avp(28, b"received", mandatory=False),
            avp(29, u16(2), mandatory=False),
            avp(30, b"alice", mandatory=False),
            avp(31, b"challenge", mandatory=False),
            avp(32, u16(9), mandatory=False),
            avp(33, b"response", mandatory=False),
            avp(37, b"group", mandatory=False),
        )
        peer.open_session(5, *proxy)
        (event,) = events(peer.endpoint)
        assert isinstance(event, SessionOpened)
        assert event.call.private_group == "group"
        assert event.proxy is not None
        assert event.proxy.authen_type == 2
        assert event.proxy.authen_response == b"response"
        assert event.proxy.last_received_confreq == b"received"

    def test_many_calls_in_a_tunnel(self, peer: Peer) -> None:
        numbers = {peer.open_session(n) for n in range(1, 51)}
        assert len(numbers) == 50
        (tunnel,) = peer.endpoint.snapshot().tunnels
        assert {s.session for s in tunnel.sessions} == numbers
        assert {s.peer_session for s in tunnel.sessions} == set(range(1, 51))

    def test_a_call_that_nobody_completes(self, peer: Peer) -> None:
        (reply,) = peer.send(icrq(5))
        number = int.from_bytes(reply.avps[14])
        peer.ack()
        assert cdn_of(peer.wait(60.0)[:1], 5) == (CallResult.TIMED_OUT, 0)
        (event,) = events(peer.endpoint)
        assert isinstance(event, SessionRefused)
        assert event.session == number
        assert event.why == "not connected within 60 s: the peer left it at wait-connect"

    def test_an_established_call_has_no_time_limit(self, peer: Peer) -> None:
        peer.open_session()
        peer.ack()
        events(peer.endpoint)
        for _ in range(10):
            peer.wait(60.0)
            peer.ack()
        assert events(peer.endpoint) == []


class TestOutOfSequence:
    @pytest.mark.parametrize("kind", [ICRQ, ICRP, ICCN, OCRQ, OCRP, OCCN])
    def test_to_an_established_call(self, peer: Peer, kind: int) -> None:
        number = peer.open_session(5)
        events(peer.endpoint)
        result = cdn_of(peer.send(MESSAGES[kind], number), 5)
        if kind == OCRQ:
            assert result == (CallResult.NO_FACILITIES, 0)
        else:
            assert result == (CallResult.GENERAL_ERROR, ErrorCode.INVALID_SESSION_ID)
        (event,) = events(peer.endpoint)
        assert isinstance(event, SessionClosed)
        assert not event.by_peer
        (tunnel,) = peer.endpoint.snapshot().tunnels
        assert (tunnel.state, tunnel.sessions) == ("established", ())

    @pytest.mark.parametrize("kind", [ICRQ, ICRP, OCRQ, OCRP, OCCN])
    def test_to_a_call_that_waits_for_iccn(self, peer: Peer, kind: int) -> None:
        (reply,) = peer.send(icrq(5))
        number = int.from_bytes(reply.avps[14])
        assert cdn_of(peer.send(MESSAGES[kind], number), 5)[0] in (2, 5)
        (event,) = events(peer.endpoint)
        assert isinstance(event, SessionRefused)

    def test_the_same_icrq_with_another_ns(self, peer: Peer) -> None:
        peer.open_session(5)
        assert cdn_of(peer.send(icrq(5)), 5)[0] == CallResult.GENERAL_ERROR

    def test_icrp_for_no_call(self, peer: Peer) -> None:
        assert cdn_of(peer.send(MESSAGES[ICRP], 99), 5)[0] == CallResult.GENERAL_ERROR

    @pytest.mark.parametrize("kind", [ICCN, OCRP, OCCN])
    def test_what_is_only_cleaned_up(self, peer: Peer, kind: int) -> None:
        (zlb,) = peer.send(MESSAGES[kind], 99)
        assert zlb.kind == 0
        assert events(peer.endpoint) == []

    def test_an_outgoing_call_is_refused(self, peer: Peer) -> None:
        assert cdn_of(peer.send(ocrq(5)), 5) == (CallResult.NO_FACILITIES, 0)
        (event,) = events(peer.endpoint)
        assert isinstance(event, SessionRefused)
        assert "outgoing call" in event.why

    @pytest.mark.parametrize(
        "body",
        [
            message(WEN, avp(34, bytes(26))),
            message(SLI, avp(35, bytes(10))),
            avp(0, u16(20), mandatory=False),
        ],
        ids=["WEN", "SLI", "unknown without M"],
    )
    def test_what_is_accepted_and_means_nothing_to_us(self, peer: Peer, body: bytes) -> None:
        number = peer.open_session(5)
        events(peer.endpoint)
        for session_id in (number, 0, 99):
            (zlb,) = peer.send(body, session_id)
            assert zlb.kind == 0
        assert events(peer.endpoint) == []


class TestDisconnection:
    def test_by_the_peer(self, peer: Peer) -> None:
        number = peer.open_session(5)
        events(peer.endpoint)
        cause = avp(46, b"\0\x10\xc2\x23\x01wrong", mandatory=False)
        q931 = avp(12, b"\0\x10\x45")
        (zlb,) = peer.send(cdn(5, b"\0\2\0\6bad") + q931 + cause, number)
        assert zlb.kind == 0
        (event,) = events(peer.endpoint)
        assert event == SessionClosed(
            number,
            peer.peer_tunnel_id,
            FLOW,
            "the peer disconnected the call: GENERAL_ERROR, VENDOR_SPECIFIC (bad); "
            "PPP disconnect cause 16, protocol 0xc223 (wrong)",
            True,
            Result(CallResult.GENERAL_ERROR, ErrorCode.VENDOR_SPECIFIC, "bad"),
        )

    def test_before_the_call_is_established(self, peer: Peer) -> None:
        (reply,) = peer.send(icrq(5))
        peer.send(cdn(5), int.from_bytes(reply.avps[14]))
        (event,) = events(peer.endpoint)
        assert isinstance(event, SessionRefused)
        assert event.by_peer

    def test_before_the_peer_knows_our_id(self, peer: Peer) -> None:
        """Section 4.4.4: then the Assigned Session ID in the CDN tells which call it is."""
        peer.send(icrq(5))
        peer.send(cdn(5), 0)
        (event,) = events(peer.endpoint)
        assert isinstance(event, SessionRefused)

    def test_the_header_counts_before_the_assigned_session_id(self, peer: Peer) -> None:
        number, other = peer.open_session(5), peer.open_session(6)
        events(peer.endpoint)
        peer.send(cdn(6), number)
        (event,) = events(peer.endpoint)
        assert isinstance(event, SessionClosed)
        assert event.session == number != other

    def test_of_no_call(self, peer: Peer) -> None:
        (zlb,) = peer.send(cdn(9), 77)
        assert zlb.kind == 0
        assert events(peer.endpoint) == []

    def test_twice(self, peer: Peer) -> None:
        number = peer.open_session(5)
        for _ in range(2):
            (zlb,) = peer.send(cdn(5), number)
            assert zlb.kind == 0
        assert len(events(peer.endpoint)) == 2

    def test_by_us(self, peer: Peer) -> None:
        number = peer.open_session(5)
        events(peer.endpoint)
        for _ in range(2):
            peer.endpoint.close_session(
                number,
                CallResult.ADMINISTRATIVE,
                ErrorCode.NONE,
                "idle for an hour",
                now=0.0,
                cause=DisconnectCause(1, message="idle"),
            )
        (bye,) = peer.collect()
        assert (bye.kind, bye.session_id) == (CDN, 5)
        assert bye.avps[14] == u16(number)
        assert bye.avps[1] == b"\0\3\0\0idle for an hour"
        assert bye.avps[46] == b"\0\1\0\0\0idle"
        (event,) = events(peer.endpoint)
        assert isinstance(event, SessionClosed)
        assert (event.why, event.by_peer) == ("idle for an hour", False)

    def test_the_id_of_the_peer_is_free_again(self, peer: Peer) -> None:
        for _ in range(3):
            number = peer.open_session(5)
            peer.send(cdn(5), number)
        assert len(events(peer.endpoint)) == 6


class TestData:
    def test_both_ways(self, peer: Peer) -> None:
        number = peer.open_session(5)
        events(peer.endpoint)
        head = u16(peer.peer_tunnel_id) + u16(number)
        for data in (
            b"\x00\x02" + head + FRAME,
            b"\x40\x02" + u16(8 + len(FRAME)) + head + FRAME,
            b"\x08\x02" + head + u16(7) + u16(9) + FRAME,
            b"\x03\x02" + head + u16(2) + b"??" + FRAME,
        ):
            assert peer.raw(data) == []
            assert events(peer.endpoint) == [FrameReceived(number, FRAME)]
        peer.endpoint.send(number, FRAME)
        peer.collect()
        assert peer.data == [b"\x40\x02" + u16(8 + len(FRAME)) + u16(7) + u16(5) + FRAME]

    def test_not_before_the_call_is_established(self, peer: Peer) -> None:
        (reply,) = peer.send(icrq(5))
        number = int.from_bytes(reply.avps[14])
        peer.raw(b"\x00\x02" + u16(peer.peer_tunnel_id) + u16(number) + FRAME)
        peer.endpoint.send(number, FRAME)
        peer.collect()
        assert peer.data == []
        assert events(peer.endpoint) == []

    def test_not_after_it_has_ended(self, peer: Peer) -> None:
        number = peer.open_session(5)
        peer.send(cdn(5), number)
        events(peer.endpoint)
        peer.raw(b"\x00\x02" + u16(peer.peer_tunnel_id) + u16(number) + FRAME)
        peer.endpoint.send(number, FRAME)
        peer.collect()
        assert peer.data == []
        assert events(peer.endpoint) == []

    def test_sequence_numbers_if_the_lac_demands_them(self, peer: Peer) -> None:
        number = peer.open_session(5, avp(39))
        (event,) = events(peer.endpoint)
        assert isinstance(event, SessionOpened)
        assert event.sequencing
        for _ in range(2):
            peer.endpoint.send(number, b"frame")
        peer.endpoint.send(number, b"frame", ns=0xFFFF)
        peer.endpoint.send(number, b"frame")
        peer.collect()
        assert [data[:2] for data in peer.data] == [b"\x48\x02"] * 4
        assert [int.from_bytes(data[8:10]) for data in peer.data] == [0, 1, 0xFFFF, 2]

    def test_sequence_numbers_wrap(self, peer: Peer) -> None:
        number = peer.open_session(5, avp(39))
        for _ in range(0x10000 + 1):
            peer.endpoint.send(number, b"")
        last = peer.endpoint.datagrams_to_send()[-2:]
        assert [datagram.data[8:10] for datagram in last] == [b"\xff\xff", b"\0\0"]


class TestAsLac:
    CALL = Call(serial_number=1, tx_speed=1000, rx_speed=1000, framing_type=1)

    @pytest.fixture
    def lac(self) -> Lac:
        return Lac(L2tpConfig(host_name="lac"), entropy().randbytes)

    @pytest.fixture
    def lns(self, lac: Lac) -> Peer:
        """An LNS that our LAC has begun to call."""
        number = lac.connect(FLOW, 0.0)
        peer = Peer(lac)
        peer.peer_tunnel_id = number
        peer.collect()
        return peer

    def open_tunnel(self, lns: Peer) -> list[RawControl]:
        connected, *more = lns.send(message(SCCRP, sccrq(7)[8:]))
        assert connected.kind == SCCCN
        return more + lns.ack()

    def test_three_messages(self, lac: Lac, lns: Peer) -> None:
        number = lac.call(lns.peer_tunnel_id, self.CALL, 0.0)
        assert lns.collect() == [], "the call waits for the tunnel"
        (request,) = self.open_tunnel(lns)
        assert (request.kind, request.session_id) == (ICRQ, 0)
        assert request.avps[14] == u16(number)
        (connected,) = lns.send(message(ICRP, avp(14, u16(5))), number)
        assert (connected.kind, connected.session_id) == (ICCN, 5)
        _, event = events(lac)
        tunnel = lns.peer_tunnel_id
        assert event == SessionOpened(number, tunnel, FLOW, 7, 5, False, self.CALL, None)

    def test_a_call_over_an_open_tunnel(self, lac: Lac, lns: Peer) -> None:
        self.open_tunnel(lns)
        lac.call(lns.peer_tunnel_id, self.CALL, 0.0)
        assert [answer.kind for answer in lns.collect()] == [ICRQ]

    def test_the_lns_refuses(self, lac: Lac, lns: Peer) -> None:
        number = lac.call(lns.peer_tunnel_id, self.CALL, 0.0)
        self.open_tunnel(lns)
        lns.send(cdn(5, b"\0\4\0\0"), number)
        _, event = events(lac)
        assert isinstance(event, SessionRefused)
        assert event.why == "the peer disconnected the call: NO_FACILITIES_NOW"

    def test_the_tunnel_does_not_open(self, lac: Lac, lns: Peer) -> None:
        lac.call(lns.peer_tunnel_id, self.CALL, 0.0)
        lns.wait(31.0)
        session, tunnel = events(lac)
        assert isinstance(session, SessionRefused)
        assert session.why == tunnel.why  # type: ignore[union-attr]

    def test_closed_while_it_waits(self, lac: Lac, lns: Peer) -> None:
        number = lac.call(lns.peer_tunnel_id, self.CALL, 0.0)
        lac.close_session(number, CallResult.ADMINISTRATIVE, message="enough", now=0.0)
        (event,) = events(lac)
        assert isinstance(event, SessionRefused)
        assert event.why == "enough"
        assert self.open_tunnel(lns) == []

    @pytest.mark.parametrize("kind", [ICRQ, OCRQ, OCRP, OCCN])
    def test_messages_that_a_lac_does_not_expect(self, lac: Lac, lns: Peer, kind: int) -> None:
        number = lac.call(lns.peer_tunnel_id, self.CALL, 0.0)
        self.open_tunnel(lns)
        answers = lns.send(MESSAGES[kind], number)
        assert cdn_of(answers, 0 if kind == OCCN else 5)[0] in (2, 5)

    def test_iccn_is_only_cleaned_up(self, lac: Lac, lns: Peer) -> None:
        number = lac.call(lns.peer_tunnel_id, self.CALL, 0.0)
        self.open_tunnel(lns)
        (zlb,) = lns.send(iccn(), number)
        assert zlb.kind == 0
        assert isinstance(events(lac)[-1], SessionRefused)

    def test_a_lac_takes_no_calls(self, lac: Lac, lns: Peer) -> None:
        self.open_tunnel(lns)
        assert cdn_of(lns.send(icrq(5)), 5)[0] == CallResult.GENERAL_ERROR
        assert cdn_of(lns.send(ocrq(6)), 6)[0] == CallResult.NO_FACILITIES

    def test_no_tunnel(self, lac: Lac) -> None:
        with pytest.raises(LocalError):
            lac.call(5, self.CALL, 0.0)

    def test_proxy_and_sequencing_are_announced(self, lac: Lac, lns: Peer) -> None:
        proxy = Proxy(authen_name=b"alice", last_sent_confreq=b"x")
        number = lac.call(lns.peer_tunnel_id, self.CALL, 0.0, proxy, sequencing=True)
        self.open_tunnel(lns)
        (connected,) = lns.send(message(ICRP, avp(14, u16(5))), number)
        assert connected.avps[30] == b"alice"
        assert connected.avps[27] == b"x"
        assert connected.avps[39] == b""

    @pytest.mark.parametrize("demanded", [False, True])
    def test_sequence_numbers_follow_the_lns(self, lac: Lac, lns: Peer, demanded: bool) -> None:
        """Section 5.4: the LNS turns them on and off, unless the LAC demanded them."""
        number = lac.call(lns.peer_tunnel_id, self.CALL, 0.0, sequencing=demanded)
        self.open_tunnel(lns)
        lns.send(message(ICRP, avp(14, u16(5))), number)
        head = u16(lns.peer_tunnel_id) + u16(number)
        numbered = []
        for data in (None, b"\x08\x02" + head + bytes(4), b"\x00\x02" + head):
            if data is not None:
                lns.raw(data + FRAME)
            lac.send(number, FRAME)
            lns.collect()
            numbered.append(bool(lns.data[-1][0] & 0x08))
        assert numbered == [demanded, True, demanded]


def test_retransmitted_call_messages_are_not_obeyed_twice(peer: Peer) -> None:
    (reply,) = peer.send(icrq(5))
    (zlb,) = peer.raw(control(peer.peer_tunnel_id, 0, 2, 1, icrq(5)))
    assert zlb.kind == 0
    number = int.from_bytes(reply.avps[14])
    peer.send(iccn(), number)
    (zlb,) = peer.raw(control(peer.peer_tunnel_id, number, 3, 2, iccn()))
    assert zlb.kind == 0
    (event,) = events(peer.endpoint)
    assert isinstance(event, SessionOpened)

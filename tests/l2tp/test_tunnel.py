"""Control connections (RFC 2661 sections 5.1, 5.5, 5.7, 7.2), as LNS unless said otherwise."""

from hashlib import md5

import pytest

from l2tp.config import L2tpConfig
from l2tp.constants import ErrorCode, StopResult
from l2tp.endpoint import Endpoint
from l2tp.events import Result, SessionClosed, TunnelClosed, TunnelOpened, TunnelRefused
from l2tp.lac import Lac
from l2tp.lns import Lns
from l2tp.tunnel_states import TRANSITIONS, Action, State, TunnelEvent
from tests.support.l2tp import (
    FLOW,
    HELLO,
    SCCCN,
    SCCRP,
    SCCRQ,
    STOPCCN,
    Peer,
    RawControl,
    avp,
    cdn,
    control,
    entropy,
    events,
    icrq,
    message,
    sccrq,
    stopccn,
    u16,
    u32,
)

SECRET = b"s3cr3t"


def an_lns(**settings: object) -> Lns:
    config = L2tpConfig(host_name="lns.example", **settings)  # type: ignore[arg-type]
    return Lns(config, entropy().randbytes)


def sccrp(tunnel_id: int, *more: bytes) -> bytes:
    return message(SCCRP, sccrq(tunnel_id)[8:], *more)


def stop_of(answers: list[RawControl]) -> tuple[int, int]:
    """Return result and error code of the StopCCN that is the only answer."""
    (answer,) = answers
    assert answer.kind == STOPCCN
    assert int.from_bytes(answer.avps[9]) > 0
    code = answer.avps[1]
    return int.from_bytes(code[:2]), int.from_bytes(code[2:4])


class TestTable:
    def test_it_is_the_rfcs(self) -> None:
        """Section 7.2.1, and the rows that its text adds."""
        waiting = (State.WAIT_CTL_REPLY, State.WAIT_CTL_CONN)
        for state in (*waiting, State.ESTABLISHED):
            assert TRANSITIONS[state, TunnelEvent.StopCCN] == (Action.CLEAN_UP, State.STOPPED)
            assert TRANSITIONS[state, TunnelEvent.CLOSE] == (Action.SEND_STOPCCN, State.STOPPED)
        for event in (TunnelEvent.SCCRQ, TunnelEvent.SCCRP, TunnelEvent.SCCCN):
            end = (Action.SEND_STOPCCN, State.STOPPED)
            assert TRANSITIONS[State.ESTABLISHED, event] == end

    def test_nothing_leads_out_of_stopped(self) -> None:
        assert not [row for row in TRANSITIONS if row[0] is State.STOPPED]
        assert {state for _, state in TRANSITIONS.values()} == set(State)


class TestEstablishment:
    def test_three_messages(self) -> None:
        lns = an_lns()
        peer = Peer(lns, tunnel_id=0x1234)
        (reply,) = peer.send(sccrq(0x1234, avp(8, b"Vendor", mandatory=False)))
        assert (reply.kind, reply.tunnel_id, reply.session_id) == (SCCRP, 0x1234, 0)
        assert (reply.ns, reply.nr) == (0, 1)
        assert reply.avps[2] == b"\1\0"
        assert reply.avps[3] == u32(3)
        assert reply.avps[7] == b"lns.example"
        assert reply.avps[10] == u16(8)
        assert set(reply.avps) == {0, 2, 3, 4, 7, 8, 9, 10}, "no challenge, nothing exotic"
        assert lns.next_event() is None
        peer.peer_tunnel_id = int.from_bytes(reply.avps[9])
        (zlb,) = peer.send(message(SCCCN))
        assert zlb == (0x1234, 0, 1, 2, 0, {})
        assert events(lns) == [
            TunnelOpened(peer.peer_tunnel_id, FLOW, 0x1234, "client", "Vendor", False)
        ]

    def test_a_retransmitted_sccrq_is_acknowledged_and_begins_nothing(self) -> None:
        lns = an_lns()
        peer = Peer(lns)
        peer.send(sccrq(7))
        (zlb,) = peer.raw(control(0, 0, 0, 0, sccrq(7)))
        assert (zlb.kind, zlb.nr, zlb.tunnel_id) == (0, 1, 7)
        assert len(lns.snapshot().tunnels) == 1

    def test_sccrp_is_sent_again_until_it_is_acknowledged(self) -> None:
        peer = Peer(an_lns())
        peer.send(sccrq(7))
        times = []
        for _ in range(40):
            times += [peer.now for answer in peer.wait(1.0) if answer.kind == SCCRP]
        assert times == [1, 3, 7, 15, 23]
        (event,) = events(peer.endpoint)
        assert isinstance(event, TunnelRefused)
        assert event.why == ("the peer is gone: it did not acknowledge SCCRP, sent 6 times in 31 s")
        assert peer.endpoint.snapshot().tunnels == ()

    def test_a_tunnel_that_nobody_completes(self) -> None:
        peer = Peer(an_lns())
        peer.send(sccrq(7))
        peer.peer_tunnel_id = int.from_bytes(peer.answers[0].avps[9])
        peer.ack()
        assert stop_of(peer.wait(60.0)) == (StopResult.GENERAL_REQUEST, 0)
        (event,) = events(peer.endpoint)
        assert isinstance(event, TunnelRefused)
        assert event.why == "not established within 60 s: the peer left it at wait-ctl-conn"

    @pytest.mark.parametrize("version", [b"\2\0", b"\0\0", b"\3\1"])
    def test_another_protocol_version(self, version: bytes) -> None:
        peer = Peer(an_lns())
        body = message(SCCRQ, avp(2, version)) + sccrq(7)[16:]
        assert stop_of(peer.send(body)) == (StopResult.VERSION_NOT_SUPPORTED, 0x0100)
        (event,) = events(peer.endpoint)
        assert isinstance(event, TunnelRefused)
        assert event.host_name == "client"
        assert event.why.endswith(f"L2TP version {version[0]}.{version[1]}, not 1.0")

    def test_a_later_revision_is_welcome(self) -> None:
        peer = Peer(an_lns())
        (reply,) = peer.send(message(SCCRQ, avp(2, b"\1\7")) + sccrq(7)[16:])
        assert reply.kind == SCCRP

    def test_a_refusal_is_sent_again_until_it_is_acknowledged(self) -> None:
        peer = Peer(an_lns())
        peer.send(sccrq(7, avp(99, b"?")))
        assert [answer.kind for answer in peer.wait(10.0)] == [STOPCCN] * 3

    @pytest.mark.parametrize("ids", [(1, 0), (0, 1), (5, 5)])
    def test_an_sccrq_that_does_not_begin_at_zero_begins_nothing(
        self, ids: tuple[int, int]
    ) -> None:
        peer = Peer(an_lns())
        assert peer.raw(control(0, 0, *ids, sccrq(7))) == []
        assert peer.endpoint.snapshot().tunnels == ()


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        (SCCRQ, (StopResult.STATE_MACHINE_ERROR, 0)),
        (SCCRP, (StopResult.STATE_MACHINE_ERROR, 0)),
    ],
)
@pytest.mark.parametrize("established", [False, True])
def test_messages_out_of_sequence(kind: int, result: tuple[int, int], established: bool) -> None:
    peer = Peer(an_lns())
    if established:
        peer.open_tunnel()
    else:
        (reply,) = peer.send(sccrq(7))
        peer.peer_tunnel_id = int.from_bytes(reply.avps[9])
    events(peer.endpoint)
    assert stop_of(peer.send(message(kind, sccrq(7)[8:]))) == result
    (event,) = events(peer.endpoint)
    assert isinstance(event, TunnelClosed if established else TunnelRefused)
    assert not event.by_peer


def test_a_second_scccn() -> None:
    peer = Peer(an_lns())
    peer.open_tunnel()
    assert stop_of(peer.send(message(SCCCN))) == (StopResult.STATE_MACHINE_ERROR, 0)


def test_a_call_before_the_tunnel_is_established() -> None:
    peer = Peer(an_lns())
    (reply,) = peer.send(sccrq(7))
    peer.peer_tunnel_id = int.from_bytes(reply.avps[9])
    result = (StopResult.GENERAL_ERROR, ErrorCode.NO_CONTROL_CONNECTION)
    assert stop_of(peer.send(icrq(1))) == result


class TestAuthentication:
    def challenge(self, peer: Peer, *more: bytes) -> RawControl:
        (reply,) = peer.send(sccrq(7, *more))
        assert reply.kind == SCCRP
        peer.peer_tunnel_id = int.from_bytes(reply.avps[9])
        return reply

    def test_off_by_default(self) -> None:
        reply = self.challenge(Peer(an_lns(secret=SECRET)))
        assert 11 not in reply.avps
        assert 13 not in reply.avps

    def test_the_peer_challenges(self) -> None:
        peer = Peer(an_lns(secret=SECRET))
        reply = self.challenge(peer, avp(11, b"challenge"))
        assert reply.avps[13] == md5(b"\x02" + SECRET + b"challenge").digest()
        peer.send(message(SCCCN))
        (event,) = events(peer.endpoint)
        assert isinstance(event, TunnelOpened)
        assert not event.authenticated

    def test_the_peer_challenges_and_there_is_no_secret(self) -> None:
        peer = Peer(an_lns())
        assert stop_of(peer.send(sccrq(7, avp(11, b"c")))) == (StopResult.NOT_AUTHORIZED, 0)
        (event,) = events(peer.endpoint)
        assert isinstance(event, TunnelRefused)
        assert "no tunnel secret is configured here" in event.why

    def test_we_challenge(self) -> None:
        peer = Peer(an_lns(secret=SECRET, require_authentication=True))
        reply = self.challenge(peer)
        assert len(reply.avps[11]) == 16
        response = md5(b"\x03" + SECRET + reply.avps[11]).digest()
        (zlb,) = peer.send(message(SCCCN, avp(13, response)))
        assert zlb.kind == 0
        (event,) = events(peer.endpoint)
        assert isinstance(event, TunnelOpened)
        assert event.authenticated

    def test_challenges_differ(self) -> None:
        lns = an_lns(secret=SECRET, require_authentication=True)
        challenges = {self.challenge(Peer(lns, f"flow {n}")).avps[11] for n in range(20)}
        assert len(challenges) == 20

    @pytest.mark.parametrize(
        ("response", "why"),
        [
            (avp(13, bytes(16)), "the peer's tunnel secret differs from ours"),
            (avp(13, b"x"), "the peer's tunnel secret differs from ours"),
            (b"", "it has no tunnel secret"),
        ],
    )
    def test_a_wrong_response(self, response: bytes, why: str) -> None:
        peer = Peer(an_lns(secret=SECRET, require_authentication=True))
        self.challenge(peer)
        assert stop_of(peer.send(message(SCCCN, response))) == (StopResult.NOT_AUTHORIZED, 0)
        (event,) = events(peer.endpoint)
        assert isinstance(event, TunnelRefused)
        assert why in event.why

    def test_our_own_response_sent_back_is_wrong(self) -> None:
        """A response to an SCCRP's challenge cannot be had from another tunnel's SCCRP."""
        lns = an_lns(secret=SECRET, require_authentication=True)
        victim, oracle = Peer(lns, "victim"), Peer(lns, "oracle")
        asked = self.challenge(victim).avps[11]
        stolen = self.challenge(oracle, avp(11, asked)).avps[13]
        answers = victim.send(message(SCCCN, avp(13, stolen)))
        assert stop_of(answers) == (StopResult.NOT_AUTHORIZED, 0)


class TestHello:
    def test_hello_is_answered(self) -> None:
        peer = Peer(an_lns())
        peer.open_tunnel()
        (zlb,) = peer.send(message(HELLO))
        assert (zlb.kind, zlb.nr) == (0, 3)

    def test_silence_is_broken_after_a_minute(self) -> None:
        peer = Peer(an_lns())
        peer.open_tunnel()
        peer.ack()
        assert peer.wait(59.9) == []
        (hello,) = peer.wait(0.1)
        assert (hello.kind, hello.session_id, hello.tunnel_id) == (HELLO, 0, 7)
        peer.ack()
        assert peer.wait(59.9) == []
        assert [answer.kind for answer in peer.wait(0.1)] == [HELLO]

    def test_any_control_message_puts_it_off(self) -> None:
        peer = Peer(an_lns(hello_interval=10.0))
        peer.open_tunnel()
        for _ in range(5):
            assert peer.wait(9.0) == []
            peer.send(message(HELLO))
        assert [answer.kind for answer in peer.wait(10.0)] == [HELLO]

    def test_a_peer_that_does_not_answer_is_gone(self) -> None:
        peer = Peer(an_lns())
        peer.open_tunnel()
        peer.open_session()
        events(peer.endpoint)
        answers = peer.wait(60.0 + 31.0)
        assert [answer.kind for answer in answers] == [HELLO] * 6
        session, tunnel = events(peer.endpoint)
        assert isinstance(session, SessionClosed)
        assert isinstance(tunnel, TunnelClosed)
        assert session.why == tunnel.why
        assert tunnel.why.startswith("the peer is gone: it did not acknowledge HELLO")
        assert peer.endpoint.snapshot().tunnels == ()
        assert peer.endpoint.next_timeout() is None


class TestStop:
    def test_by_the_peer(self) -> None:
        peer = Peer(an_lns())
        peer.open_tunnel()
        peer.open_session()
        events(peer.endpoint)
        (zlb,) = peer.send(stopccn(7, b"\0\6\0\0bye"))
        assert (zlb.kind, zlb.nr) == (0, 5)
        session, tunnel = events(peer.endpoint)
        assert isinstance(session, SessionClosed)
        assert session.by_peer
        assert isinstance(tunnel, TunnelClosed)
        assert tunnel.by_peer
        assert tunnel.why == "the peer stopped the tunnel: SHUTTING_DOWN (bye)"
        assert tunnel.result == Result(StopResult.SHUTTING_DOWN, message="bye")

    def test_retransmissions_are_acknowledged_for_a_full_cycle(self) -> None:
        """Section 5.7."""
        peer = Peer(an_lns())
        number = peer.open_tunnel()
        peer.send(stopccn(7))
        again = control(number, 0, 2, peer.nr, stopccn(7))
        for _ in range(3):
            peer.wait(10.0)
            assert [answer.kind for answer in peer.raw(again)] == [0]
        peer.wait(1.0)
        assert peer.raw(again) == []
        assert peer.endpoint.snapshot().tunnels == ()
        assert peer.endpoint.next_timeout() is None

    def test_by_us(self) -> None:
        peer = Peer(an_lns())
        number = peer.open_tunnel()
        events(peer.endpoint)
        peer.endpoint.close_tunnel(number, StopResult.SHUTTING_DOWN, message="bye", now=0.0)
        peer.endpoint.close_tunnel(number, StopResult.SHUTTING_DOWN, message="bye", now=0.0)
        (stop,) = peer.collect()
        assert (stop.kind, stop.avps[9], stop.avps[1]) == (
            STOPCCN,
            u16(number),
            b"\0\6\0\0bye",
        )
        (event,) = events(peer.endpoint)
        assert isinstance(event, TunnelClosed)
        assert (event.why, event.by_peer) == ("bye", False)
        assert not peer.endpoint.drained
        assert [answer.kind for answer in peer.wait(3.0)] == [STOPCCN] * 2
        peer.ack()
        assert peer.endpoint.drained
        assert peer.wait(40.0) == []
        assert peer.endpoint.snapshot().tunnels == ()

    def test_what_was_not_sent_yet_is_not_sent_before_it(self) -> None:
        peer = Peer(an_lns())
        number = peer.open_tunnel()
        for session_id in (1, 2, 3, 4):
            peer.raw(control(number, 0, peer.ns, 0, icrq(session_id)))
            peer.ns += 1
        peer.endpoint.close_tunnel(number, StopResult.GENERAL_REQUEST, now=0.0)
        peer.collect()
        kinds = []
        for _ in range(10):
            kinds += [answer.kind for answer in peer.ack()]
        assert kinds[-1] == STOPCCN
        assert kinds.count(11) < 4
        assert peer.endpoint.drained

    def test_messages_after_the_end_are_acknowledged_and_not_obeyed(self) -> None:
        peer = Peer(an_lns())
        peer.open_tunnel()
        peer.send(stopccn(7))
        events(peer.endpoint)
        for body in (icrq(5), sccrq(7), message(SCCCN), cdn(1), b"\x80\x02"):
            (answer,) = peer.send(body)
            assert answer.kind == 0
        assert events(peer.endpoint) == []

    def test_stopccn_before_the_peer_knows_our_id(self) -> None:
        """Section 4.4.3: then the Assigned Tunnel ID in it tells which tunnel it is."""
        peer = Peer(an_lns())
        peer.send(sccrq(7))
        (zlb,) = peer.raw(control(0, 0, 1, 0, stopccn(7)))
        assert (zlb.kind, zlb.nr) == (0, 2)
        (event,) = events(peer.endpoint)
        assert isinstance(event, TunnelRefused)
        assert event.by_peer

    def test_stopccn_for_no_tunnel(self) -> None:
        peer = Peer(an_lns())
        assert peer.raw(control(0, 0, 0, 0, stopccn(7))) == []
        assert peer.raw(control(99, 0, 0, 0, stopccn(7))) == []

    def test_the_peer_does_not_like_our_secret(self) -> None:
        peer = Peer(an_lns(secret=SECRET))
        (reply,) = peer.send(sccrq(7, avp(11, b"c")))
        peer.peer_tunnel_id = int.from_bytes(reply.avps[9])
        peer.send(stopccn(7, b"\0\4"))
        (event,) = events(peer.endpoint)
        assert isinstance(event, TunnelRefused)
        assert "NOT_AUTHORIZED; does it have the same tunnel secret?" in event.why

    def test_the_flow_is_gone(self) -> None:
        peer = Peer(an_lns())
        peer.open_tunnel()
        peer.open_session()
        Peer(peer.endpoint, "other").open_tunnel()
        events(peer.endpoint)
        peer.endpoint.close_flow(FLOW, "its SAs are gone", 0.0)
        session, tunnel = events(peer.endpoint)
        assert isinstance(session, SessionClosed)
        assert isinstance(tunnel, TunnelClosed)
        assert tunnel.why == "its SAs are gone"
        assert peer.endpoint.datagrams_to_send() == []
        assert [t.flow for t in peer.endpoint.snapshot().tunnels] == ["other"]

    def test_shutdown(self) -> None:
        lns = an_lns()
        peers = [Peer(lns, f"flow {n}") for n in range(3)]
        for peer in peers:
            peer.open_tunnel()
        lns.close_all(0.0)
        stops = lns.datagrams_to_send()
        assert len(stops) == 3
        assert not lns.drained
        for peer in peers:
            peer.nr += 1
            peer.ack()
        assert lns.drained


class TestAsOriginator:
    def a_lac(self, **settings: object) -> tuple[Lac, Peer]:
        config = L2tpConfig(host_name="lac", **settings)  # type: ignore[arg-type]
        lac = Lac(config, entropy().randbytes)
        number = lac.connect(FLOW, 0.0)
        peer = Peer(lac)
        peer.peer_tunnel_id = number
        return lac, peer

    def test_three_messages(self) -> None:
        lac, peer = self.a_lac()
        (request,) = peer.collect()
        assert (request.kind, request.tunnel_id, request.ns) == (SCCRQ, 0, 0)
        assert request.avps[9] == u16(peer.peer_tunnel_id)
        assert set(request.avps) == {0, 2, 3, 4, 7, 8, 9, 10}
        (connected,) = peer.send(sccrp(7))
        assert (connected.kind, connected.tunnel_id) == (SCCCN, 7)
        (event,) = events(lac)
        assert isinstance(event, TunnelOpened)
        assert event.peer_tunnel == 7

    def test_nobody_answers(self) -> None:
        lac, peer = self.a_lac()
        peer.collect()
        assert [answer.kind for answer in peer.wait(31.0)] == [SCCRQ] * 5
        (event,) = events(lac)
        assert isinstance(event, TunnelRefused)
        assert "did not acknowledge SCCRQ" in event.why

    def test_mutual_authentication(self) -> None:
        lac, peer = self.a_lac(secret=SECRET, require_authentication=True)
        (request,) = peer.collect()
        response = md5(b"\x02" + SECRET + request.avps[11]).digest()
        (connected,) = peer.send(sccrp(7, avp(13, response), avp(11, b"theirs")))
        assert connected.avps[13] == md5(b"\x03" + SECRET + b"theirs").digest()
        (event,) = events(lac)
        assert isinstance(event, TunnelOpened)
        assert event.authenticated

    def test_the_lns_does_not_know_the_secret(self) -> None:
        _, peer = self.a_lac(secret=SECRET, require_authentication=True)
        peer.collect()
        assert stop_of(peer.send(sccrp(7, avp(13, bytes(16))))) == (4, 0)

    @pytest.mark.parametrize("kind", [SCCCN, SCCRQ])
    def test_another_message_than_sccrp(self, kind: int) -> None:
        _, peer = self.a_lac()
        peer.collect()
        body = sccrq(7) if kind == SCCRQ else message(kind)
        assert stop_of(peer.send(body)) == (StopResult.STATE_MACHINE_ERROR, 0)

    def test_it_is_refused(self) -> None:
        lac, peer = self.a_lac()
        peer.collect()
        (zlb,) = peer.send(stopccn(7, b"\0\2\0\4full"))
        assert (zlb.kind, zlb.tunnel_id) == (0, 7)
        (event,) = events(lac)
        assert isinstance(event, TunnelRefused)
        assert event.by_peer
        assert event.why == "the peer stopped the tunnel: GENERAL_ERROR, NO_RESOURCES (full)"


def both_call(ours: int | None, theirs: int | None) -> tuple[Endpoint, Peer]:
    """Let both ends originate a tunnel at the same time."""
    lac = Lac(L2tpConfig(host_name="lac"), entropy().randbytes)
    lac.connect(FLOW, 0.0, tie_breaker=ours)
    peer = Peer(lac)
    (request,) = peer.collect()
    assert request.avps.get(5) == (None if ours is None else ours.to_bytes(8))
    peer.nr = 0
    tie = b"" if theirs is None else avp(5, theirs.to_bytes(8), mandatory=False)
    peer.send(sccrq(7, tie))
    return lac, peer


class TestTieBreaker:
    """Section 4.4.3."""

    @pytest.mark.parametrize(("ours", "theirs"), [(5, 4), (None, 4), (1 << 63, 1)])
    def test_lost(self, ours: int | None, theirs: int | None) -> None:
        lac, peer = both_call(ours, theirs)
        (reply,) = peer.answers
        assert (reply.kind, reply.ns, reply.nr) == (SCCRP, 0, 1)
        peer.peer_tunnel_id = int.from_bytes(reply.avps[9])
        (zlb,) = peer.send(message(SCCCN))
        assert zlb.kind == 0
        (tunnel,) = lac.snapshot().tunnels
        assert tunnel.state == "established"
        assert [type(event) for event in events(lac)] == [TunnelOpened]

    @pytest.mark.parametrize(("ours", "theirs"), [(4, 5), (4, None)])
    def test_won(self, ours: int | None, theirs: int | None) -> None:
        lac, peer = both_call(ours, theirs)
        assert peer.answers == []
        (tunnel,) = lac.snapshot().tunnels
        assert tunnel.state == "wait-ctl-reply"

    def test_equal(self) -> None:
        lac, peer = both_call(4, 4)
        assert peer.answers == []
        (event,) = events(lac)
        assert isinstance(event, TunnelRefused)
        assert peer.wait(31.0) == []
        assert lac.snapshot().tunnels == ()

    def test_none_makes_two_tunnels(self) -> None:
        lac, peer = both_call(None, None)
        assert [answer.kind for answer in peer.answers] == [SCCRP]
        assert len(lac.snapshot().tunnels) == 2

"""Limits: what a peer can make us keep, and what it is told when that is enough."""

import pytest

from l2tp.config import L2tpConfig
from l2tp.constants import CallResult, ErrorCode, StopResult
from l2tp.events import SessionRefused, TunnelClosed, TunnelRefused
from l2tp.lac import Lac
from l2tp.lns import Lns
from tests.support.l2tp import (
    CDN,
    FLOW,
    ICRP,
    SCCRP,
    STOPCCN,
    Peer,
    RawControl,
    avp,
    cdn,
    control,
    entropy,
    events,
    icrq,
    sccrq,
    stopccn,
)
from wire import LocalError


def an_lns(**settings: int) -> Lns:
    return Lns(L2tpConfig(host_name="lns", **settings), entropy().randbytes)  # type: ignore[arg-type]


def assert_no_room(answers: list[RawControl], peer_id: int) -> None:
    (answer,) = answers
    assert (answer.kind, answer.tunnel_id, answer.ns, answer.nr) == (STOPCCN, peer_id, 0, 1)
    code = answer.avps[1]
    assert int.from_bytes(code[:2]) == StopResult.GENERAL_ERROR
    assert int.from_bytes(code[2:4]) == ErrorCode.NO_RESOURCES


def test_tunnels_of_one_client() -> None:
    lns = an_lns(max_tunnels_per_flow=2)
    for tunnel_id in (1, 2):
        Peer(lns, FLOW, tunnel_id).open_tunnel()
    events(lns)
    assert_no_room(Peer(lns, FLOW, 3).send(sccrq(3)), 3)
    (event,) = events(lns)
    assert isinstance(event, TunnelRefused)
    assert event.why == "this client has 2 tunnels open, the limit for one client"
    assert event.host_name == "client"
    assert Peer(lns, "another", 3).open_tunnel()


def test_a_refusal_for_want_of_room_keeps_no_state_and_is_logged_once() -> None:
    lns = an_lns(max_tunnels_per_flow=1)
    Peer(lns, FLOW, 1).open_tunnel()
    events(lns)
    for _ in range(5):
        assert_no_room(Peer(lns, FLOW, 2).send(sccrq(2)), 2)
    assert len(events(lns)) == 1
    assert len(lns.snapshot().tunnels) == 1


def test_half_open_tunnels() -> None:
    lns = an_lns(max_half_open=3)
    for number in range(3):
        Peer(lns, f"flow {number}").send(sccrq(7))
    late = Peer(lns, "late", 9)
    assert_no_room(late.send(sccrq(9)), 9)
    while (when := lns.next_timeout()) is not None:
        lns.handle_timeout(when)
    assert lns.snapshot().tunnels == ()
    lns.datagrams_to_send()
    (reply,) = Peer(lns, "late", 10).send(sccrq(10))
    assert reply.kind == SCCRP


def test_all_tunnels() -> None:
    lns = an_lns(max_tunnels=2)
    first = Peer(lns, "first")
    first.open_tunnel()
    Peer(lns, "second").open_tunnel()
    assert_no_room(Peer(lns, "third", 9).send(sccrq(9)), 9)
    first.send(stopccn(7))
    assert len(lns.snapshot().tunnels) == 2, "one of them only acknowledges"
    assert Peer(lns, "third", 9).open_tunnel()
    assert len(lns.snapshot().tunnels) == 2, "and has made room"


def test_tunnels_that_only_acknowledge_do_not_pile_up() -> None:
    lns = an_lns(max_tunnels_per_flow=4)
    for tunnel_id in range(1, 50):
        peer = Peer(lns, FLOW, tunnel_id)
        peer.open_tunnel()
        peer.send(stopccn(tunnel_id))
    assert len(lns.snapshot().tunnels) == 4


def test_sessions_of_one_tunnel() -> None:
    lns = an_lns(max_sessions_per_tunnel=2)
    peer = Peer(lns)
    peer.open_tunnel()
    first, _ = peer.open_session(1), peer.open_session(2)
    events(lns)
    (answer,) = peer.send(icrq(3))
    assert (answer.kind, answer.session_id) == (CDN, 3)
    assert int.from_bytes(answer.avps[1][:2]) == CallResult.NO_FACILITIES_NOW
    (event,) = events(lns)
    assert isinstance(event, SessionRefused)
    assert event.session is None
    assert event.why == "the tunnel has 2 sessions, the limit for one tunnel"
    peer.send(cdn(1), first)
    assert peer.open_session(3)


def test_all_sessions() -> None:
    lns = an_lns(max_sessions=1)
    first, second = Peer(lns, "first"), Peer(lns, "second")
    for peer in (first, second):
        peer.open_tunnel()
    first.open_session()
    events(lns)
    assert [answer.kind for answer in second.send(icrq(3))] == [CDN]
    (event,) = events(lns)
    assert isinstance(event, SessionRefused)
    assert event.why == "1 sessions are open, the limit"
    lns.close_flow("first", "gone", 0.0)
    assert [answer.kind for answer in second.send(icrq(4))] == [ICRP]


def test_a_peer_that_asks_and_does_not_acknowledge() -> None:
    lns = an_lns(send_queue=10)
    peer = Peer(lns)
    number = peer.open_tunnel()
    events(lns)
    for session_id in range(1, 12):
        peer.raw(control(number, 0, peer.ns, 1, icrq(session_id)))
        peer.ns += 1
    *_, event = events(lns)
    assert isinstance(event, TunnelClosed)
    assert event.why == "the peer leaves 10 control messages unacknowledged"
    assert lns.snapshot().tunnels == ()
    assert lns.next_timeout() is None


def test_a_lac_keeps_to_its_limits_too() -> None:
    config = L2tpConfig(host_name="lac", max_tunnels_per_flow=1)
    lac = Lac(config, entropy().randbytes)
    lac.connect(FLOW, 0.0)
    with pytest.raises(LocalError, match="the limit for one client"):
        lac.connect(FLOW, 0.0)


def test_a_flood_leaves_nothing_behind() -> None:
    lns = an_lns(max_tunnels=50, max_half_open=20, max_sessions=50)
    for number in range(500):
        peer = Peer(lns, f"flow {number % 60}", number % 50 + 1, now=float(number))
        lns.handle_timeout(float(number))
        lns.datagrams_to_send()
        (answer,) = peer.send(sccrq(number % 50 + 1, avp(8, bytes(900), mandatory=False)))
        assert answer.kind in (0, SCCRP, STOPCCN)
        assert len(lns.snapshot().tunnels) <= 50
    now = 500.0
    while (when := lns.next_timeout()) is not None:
        now = max(now, when)
        lns.handle_timeout(now)
        lns.datagrams_to_send()
    assert lns.snapshot().tunnels == ()
    assert now < 600

"""Finding the tunnel for a datagram (RFC 3193 section 3.3), and clients that start anew."""

import pytest

from l2tp.config import L2tpConfig
from l2tp.events import TunnelClosed, TunnelOpened, TunnelRefused
from l2tp.lns import Lns
from l2tp.shared import DropReason
from tests.support.l2tp import (
    FLOW,
    HELLO,
    SCCCN,
    SCCRP,
    SCCRQ,
    Peer,
    avp,
    control,
    entropy,
    events,
    icrq,
    message,
    sccrq,
    stopccn,
    u16,
)

FRAME = bytes.fromhex("ff03c0210101000a")


@pytest.fixture
def lns() -> Lns:
    return Lns(L2tpConfig(host_name="lns"), entropy().randbytes)


def dropped(lns: Lns) -> dict[DropReason, int]:
    return lns.snapshot().dropped


class TestFlows:
    def test_two_clients_with_the_same_ids_are_two(self, lns: Lns) -> None:
        """Two Windows hosts behind one NAT: same address, same port, same tunnel id."""
        first, second = Peer(lns, "first", 1), Peer(lns, "second", 1)
        assert first.open_tunnel() != second.open_tunnel()
        assert first.open_session(1) != second.open_session(1)

    def test_control_through_another_flow_is_dropped(self, lns: Lns) -> None:
        victim, thief = Peer(lns, "victim"), Peer(lns, "thief")
        number = victim.open_tunnel()
        thief.peer_tunnel_id, thief.ns, thief.nr = number, victim.ns, victim.nr
        assert thief.send(stopccn(7)) == []
        assert dropped(lns) == {DropReason.OTHER_FLOW: 1}
        (zlb,) = victim.send(message(HELLO))
        assert zlb.kind == 0

    def test_data_through_another_flow_is_dropped(self, lns: Lns) -> None:
        victim, thief = Peer(lns, "victim"), Peer(lns, "thief")
        tunnel, session = victim.open_tunnel(), victim.open_session()
        events(lns)
        thief.raw(b"\x00\x02" + u16(tunnel) + u16(session) + FRAME)
        assert events(lns) == []
        assert dropped(lns) == {DropReason.OTHER_FLOW: 1}

    def test_a_session_of_another_tunnel_of_the_same_flow(self, lns: Lns) -> None:
        first, second = Peer(lns, FLOW, 1), Peer(lns, FLOW, 2)
        first.open_tunnel()
        session, other = first.open_session(), second.open_tunnel()
        events(lns)
        second.raw(b"\x00\x02" + u16(other) + u16(session) + FRAME)
        assert events(lns) == []
        assert dropped(lns) == {DropReason.UNKNOWN_SESSION: 1}

    def test_stopccn_with_tunnel_id_0_through_another_flow(self, lns: Lns) -> None:
        Peer(lns, "victim").send(sccrq(7))
        assert Peer(lns, "thief").raw(control(0, 0, 1, 0, stopccn(7))) == []
        assert dropped(lns) == {DropReason.STRAY: 1}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", DropReason.MALFORMED_HEADER),
        (b"\xc8", DropReason.MALFORMED_HEADER),
        (bytes.fromhex("c801000c0000000000000000"), DropReason.MALFORMED_HEADER),
        (bytes.fromhex("000100010001"), DropReason.MALFORMED_HEADER),
        (control(1, 0, 0, 0), DropReason.UNKNOWN_TUNNEL),
        (control(1, 0, 0, 0, message(SCCCN)), DropReason.UNKNOWN_TUNNEL),
        (bytes.fromhex("000200010001") + FRAME, DropReason.UNKNOWN_TUNNEL),
        (control(0, 0, 0, 0), DropReason.STRAY),
        (control(0, 0, 0, 0, message(HELLO)), DropReason.STRAY),
        (control(0, 0, 0, 0, message(SCCCN)), DropReason.STRAY),
        (control(0, 0, 0, 0, message(SCCRP, sccrq(7)[8:])), DropReason.STRAY),
        (control(0, 0, 0, 0, icrq(1)), DropReason.STRAY),
        (control(0, 0, 0, 0, avp(0, u16(99))), DropReason.STRAY),
        (control(0, 0, 0, 0, avp(0, u16(99), mandatory=False)), DropReason.STRAY),
        (control(0, 0, 0, 0, b"junk"), DropReason.STRAY),
        (control(0, 0, 0, 0, message(SCCRQ)), DropReason.STRAY),
        (control(0, 0, 0, 0, sccrq(0)), DropReason.STRAY),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else "",
)
def test_strangers_get_no_answer_and_no_state(lns: Lns, data: bytes, reason: DropReason) -> None:
    assert Peer(lns).raw(data) == []
    assert dropped(lns) == {reason: 1}
    assert lns.snapshot().tunnels == ()
    assert events(lns) == []
    assert lns.next_timeout() is None


def test_an_acknowledgement_of_the_future_is_dropped(lns: Lns) -> None:
    peer = Peer(lns)
    number = peer.open_tunnel()
    assert peer.raw(control(number, 0, 2, 99, message(HELLO))) == []
    assert dropped(lns) == {DropReason.NEVER_SENT: 1}


class TestStartedAnew:
    def test_with_another_tunnel_id(self, lns: Lns) -> None:
        Peer(lns, tunnel_id=7).open_tunnel()
        Peer(lns, tunnel_id=8).open_tunnel()
        assert [tunnel.peer_tunnel for tunnel in lns.snapshot().tunnels] == [7, 8]

    def test_with_the_same_tunnel_id(self, lns: Lns) -> None:
        """A client that lost power and counts from 1 again is not kept waiting."""
        old = Peer(lns, tunnel_id=1)
        number = old.open_tunnel()
        old.open_session()
        events(lns)
        new = Peer(lns, tunnel_id=1, now=30.0)
        assert new.open_tunnel() != number
        _, closed, opened = events(lns)
        assert isinstance(closed, TunnelClosed)
        assert closed.why == "the peer has started anew"
        assert isinstance(opened, TunnelOpened)
        assert len(lns.snapshot().tunnels) == 1

    def test_an_sccrq_that_does_not_begin_at_zero_is_no_new_start(self, lns: Lns) -> None:
        peer = Peer(lns, now=0.0)
        number = peer.open_tunnel()
        peer.now = 30.0
        peer.raw(control(0, 0, 1, 1, sccrq(7)))
        assert [tunnel.tunnel for tunnel in lns.snapshot().tunnels] == [number]

    def test_a_retransmission_that_was_long_under_way_is_no_new_start(self, lns: Lns) -> None:
        peer = Peer(lns)
        number = peer.open_tunnel()
        peer.now = 5.0
        (zlb,) = peer.raw(control(0, 0, 0, 0, sccrq(7)))
        assert (zlb.kind, zlb.nr) == (0, 2)
        assert [tunnel.tunnel for tunnel in lns.snapshot().tunnels] == [number]

    def test_right_after_the_end_of_the_last_one(self, lns: Lns) -> None:
        """The old tunnel still acknowledges; that must not hold up a new one with its id."""
        for _ in range(3):
            peer = Peer(lns, tunnel_id=1)
            peer.open_tunnel()
            peer.send(stopccn(1))
        opened = [event for event in events(lns) if isinstance(event, TunnelOpened)]
        assert len(opened) == 3

    def test_a_refused_sccrq_that_comes_again(self, lns: Lns) -> None:
        peer = Peer(lns)
        peer.send(sccrq(7, avp(99)))
        (zlb,) = peer.raw(control(0, 0, 0, 0, sccrq(7, avp(99))))
        assert zlb.kind == 0, "our StopCCN is still under way"
        assert len(events(lns)) == 1


def test_snapshot(lns: Lns) -> None:
    peer = Peer(lns)
    tunnel, session = peer.open_tunnel(), peer.open_session(5)
    (status,) = lns.snapshot().tunnels
    assert (status.tunnel, status.peer_tunnel, status.flow) == (tunnel, 7, FLOW)
    assert (status.state, status.host_name, status.vendor_name) == ("established", "client", "")
    (call,) = status.sessions
    assert (call.session, call.peer_session, call.state) == (session, 5, "established")


def test_ids_are_unpredictable(lns: Lns) -> None:
    tunnels = []
    for number in range(100):
        Peer(lns, f"flow {number}").open_tunnel()
        tunnels.append(lns.snapshot().tunnels[-1].tunnel)
    assert len(set(tunnels)) == 100
    assert max(tunnels) - min(tunnels) > 50_000


def test_an_unknown_session_or_tunnel_of_the_program_is_left_alone(lns: Lns) -> None:
    lns.send(5, FRAME)
    lns.close_flow("nothing", "", 0.0)
    lns.handle_timeout(1e9)
    assert lns.datagrams_to_send() == []
    assert not [event for event in events(lns) if isinstance(event, TunnelRefused)]

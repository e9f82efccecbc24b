"""An LNS and LACs over a network that loses, delays, reorders and duplicates; a fake clock."""

import pytest

from ipsec.path import Address
from l2tp.config import L2tpConfig
from l2tp.constants import CallResult, StopResult
from l2tp.events import (
    Call,
    SessionClosed,
    SessionOpened,
    SessionRefused,
    TunnelClosed,
    TunnelOpened,
    TunnelRefused,
)
from l2tp.lac import Lac
from l2tp.lns import Lns
from tests.support.l2tp import SimulatedEnd
from tests.support.simulation import Link, Simulation

LNS = Address("192.0.2.1", 1701)
CALL = Call(serial_number=1, tx_speed=1000, rx_speed=1000, framing_type=1)
BAD = Link(delay=0.05, jitter=0.4, loss=0.2, duplication=0.1)
SECRET = b"s3cr3t"


class Network:
    """One LNS, some LACs, a link."""

    def __init__(self, seed: int, link: Link, lacs: int = 1, **settings: object) -> None:
        self.simulation = Simulation(seed, link)
        config = L2tpConfig(host_name="lns", **settings)  # type: ignore[arg-type]
        self.lns = Lns(config, self.simulation.entropy())
        self.server = SimulatedEnd(self.lns, LNS)
        self.simulation.add(self.server, LNS.host)
        self.lacs: list[Lac] = []
        self.clients: list[SimulatedEnd] = []
        for number in range(lacs):
            address = Address(f"198.51.100.{number + 1}", 1701)
            config = L2tpConfig(host_name=f"lac{number}", **settings)  # type: ignore[arg-type]
            self.lacs.append(Lac(config, self.simulation.entropy()))
            self.clients.append(SimulatedEnd(self.lacs[-1], address))
            self.simulation.add(self.clients[-1], address.host)

    def count(self, kind: type, server: bool = True) -> int:
        """Return how many events of a kind there were, at the LNS or at all LACs."""
        ends = [self.server] if server else self.clients
        return sum(isinstance(event, kind) for end in ends for event in end.events)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("authenticated", [False, True])
def test_login_and_logout(seed: int, authenticated: bool) -> None:
    settings = {
        "secret": SECRET if authenticated else None,
        "require_authentication": authenticated,
        "hide_avps": authenticated,
    }
    network = Network(seed, BAD, lacs=3, **settings)
    now = network.simulation.now
    tunnels = [lac.connect(LNS, now) for lac in network.lacs]
    for lac, tunnel in zip(network.lacs, tunnels, strict=True):
        for _ in range(3):
            lac.call(tunnel, CALL, now)
    assert network.simulation.run(120.0, lambda: network.count(SessionOpened) == 9)
    assert network.simulation.run(60.0, lambda: network.count(SessionOpened, False) == 9)
    assert network.count(TunnelOpened) == network.count(TunnelOpened, False) == 3
    first = network.lns.snapshot().tunnels[0].sessions[0].session
    now = network.simulation.now
    network.lns.close_session(first, CallResult.ADMINISTRATIVE, message="enough", now=now)
    assert network.simulation.run(60.0, lambda: network.count(SessionClosed, False) == 1)
    for lac in network.lacs:
        lac.close_all(network.simulation.now)
    assert network.simulation.run(60.0, lambda: network.count(TunnelClosed) == 3)
    assert network.count(SessionClosed) == network.count(SessionClosed, False) == 9
    network.simulation.run(120.0)
    for end in (network.lns, *network.lacs):
        assert end.snapshot().tunnels == ()
        assert end.next_timeout() is None
    assert not network.count(TunnelRefused)
    assert not network.count(SessionRefused)
    assert network.simulation.lost


@pytest.mark.parametrize("seed", range(5))
def test_a_tunnel_lives_for_a_day(seed: int) -> None:
    network = Network(seed, BAD, max_retransmissions=20)
    tunnel = network.lacs[0].connect(LNS, network.simulation.now)
    network.lacs[0].call(tunnel, CALL, network.simulation.now)
    network.simulation.run(24 * 3600.0)
    assert network.count(TunnelOpened) == network.count(SessionOpened) == 1
    assert network.count(TunnelClosed) == 0
    assert network.simulation.carried > 4000


def test_the_network_goes_away() -> None:
    network = Network(1, Link())
    tunnel = network.lacs[0].connect(LNS, network.simulation.now)
    network.lacs[0].call(tunnel, CALL, network.simulation.now)
    network.simulation.run(1.0)
    network.simulation.link = Link(loss=1.0)
    network.simulation.run(92.0)
    for server in (True, False):
        assert network.count(SessionClosed, server) == network.count(TunnelClosed, server) == 1
    network.simulation.link = Link()
    network.simulation.run(60.0)
    assert network.lns.snapshot().tunnels == ()


def test_a_hundred_calls_in_one_tunnel() -> None:
    network = Network(3, Link(delay=0.02, jitter=0.02, loss=0.05), max_retransmissions=10)
    lac = network.lacs[0]
    tunnel = lac.connect(LNS, network.simulation.now)
    waiting = 100
    while waiting:
        for _ in range(min(waiting, 20)):
            lac.call(tunnel, CALL, network.simulation.now)
            waiting -= 1
        network.simulation.run(300.0, lambda: lac.drained)
    assert network.simulation.run(300.0, lambda: network.count(SessionOpened) == 100)
    assert network.count(SessionRefused) == 0


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("ties", [(1, 2), (2, 1), (None, 1), (1, None)])
def test_both_ends_call_at_once(seed: int, ties: tuple[int | None, int | None]) -> None:
    """One tunnel is left, whichever message comes first (RFC 2661 section 4.4.3)."""
    simulation = Simulation(seed, Link(delay=0.05, jitter=0.2, loss=0.1))
    addresses = Address("192.0.2.1", 1701), Address("192.0.2.2", 1701)
    ends = [Lac(L2tpConfig(host_name=f"end{n}"), simulation.entropy()) for n in (0, 1)]
    hosts = [SimulatedEnd(end, at) for end, at in zip(ends, addresses, strict=True)]
    for host in hosts:
        simulation.add(host, host.address.host)
    for end, other, tie in zip(ends, reversed(addresses), ties, strict=True):
        end.connect(other, simulation.now, tie_breaker=tie)

    def settled() -> bool:
        states = [[tunnel.state for tunnel in end.snapshot().tunnels] for end in ends]
        return states == [["established"], ["established"]]

    assert simulation.run(30.0, settled)
    one, two = (end.snapshot().tunnels[0] for end in ends)
    assert (one.tunnel, one.peer_tunnel) == (two.peer_tunnel, two.tunnel)
    simulation.run(300.0)
    assert settled()


def test_stopccn_reaches_a_peer_that_lost_the_first_ones() -> None:
    network = Network(1, Link())
    tunnel = network.lacs[0].connect(LNS, network.simulation.now)
    network.simulation.run(1.0)
    network.simulation.link = Link(loss=1.0)
    now = network.simulation.now
    network.lacs[0].close_tunnel(tunnel, StopResult.SHUTTING_DOWN, message="bye", now=now)
    network.simulation.run(5.0)
    assert network.count(TunnelClosed) == 0
    network.simulation.link = Link()
    assert network.simulation.run(5.0, lambda: network.count(TunnelClosed) == 1)

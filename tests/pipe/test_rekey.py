"""A session outlives its SAs: a working day and more of renewals, over a bad network."""

from dataclasses import replace
from typing import NamedTuple

import pytest
from scapy.layers.inet import ICMP, IP

from ipsec.context import Timer
from ipsec.events import Why
from ipsec.peer import Peer
from ipsec.peers import GRACE
from l2gate.forwarder import Drop
from l2gate.gateway import DRAINING
from tests.support.client import ClientHost, ClientState
from tests.support.lab import Lab
from tests.support.simulation import Link, Nat

MINUTE = 60.0
HOUR = 60
"""Minutes."""

INSIDE = "192.168.1.10"


class Lost(NamedTuple):
    """Pings that did not arrive, of the client and of the server."""

    up: list[int]
    down: list[int]


class Session:
    """One client that is logged in, and what happens to it."""

    def __init__(
        self, nat: bool, link: Link | None = None, seed: int = 1, **settings: object
    ) -> None:
        self.lab = Lab(seed, link)
        router = Nat("198.51.100.1") if nat else None
        self.client = self.lab.client("u1", "192.168.77.11" if nat else "198.51.100.7", router)
        context = self.client.ike._context
        offers = {"ike_lifetime": 3600, "esp_lifetime": 1800, **settings}
        context.config = replace(context.config, **offers)  # type: ignore[arg-type]
        assert self.lab.run(MINUTE, lambda: self.client.state is ClientState.UP)
        self.lab.run(1)
        outside = str(self.client.address)
        self._there = bytes(IP(src=outside, dst=INSIDE) / ICMP())
        self._back = bytes(IP(src=INSIDE, dst=outside) / ICMP(type=0))
        self.most_pairs = self.most_isakmp_sas = 0

    def run(self, minutes: int) -> Lost:
        """Ping each minute both ways, and look at what both ends keep."""
        lost = Lost([], [])
        for minute in range(minutes):
            self.ping()
            self.lab.run(MINUTE)
            if not self.lab.server.inner:
                lost.up.append(minute)
            if not self.client.inner:
                lost.down.append(minute)
            self.lab.server.inner.clear()
            self.client.inner.clear()
            self._look()
        return lost

    def ping(self) -> None:
        self.client.send(self._there)
        self.lab.server.receive_inner(self._back)

    def peer_of(self, host: ClientHost | None = None) -> Peer:
        """Return the one IPsec peer of the client, or of the server."""
        ike = self.lab.server.gateway.ike if host is None else host.ike
        (peer,) = ike._peers.by_id.values()
        return peer

    def assert_unharmed(self) -> None:
        """Nobody had to log in again, and nothing was sent that the other could not open."""
        assert self.client.state is ClientState.UP, self.client.why
        assert len(self.lab.server.noted("SA established")) >= 2
        assert len(self.lab.server.noted("authenticated as")) == 1
        assert self.lab.server.noted("closed") == []
        for forwarder in (self.client.forwarder, self.lab.server.gateway.forwarder):
            assert forwarder.drops[Drop.UNKNOWN_SPI] == 0
            assert forwarder.drops[Drop.NO_SA] == 0

    def _look(self) -> None:
        for peer in (self.peer_of(), self.peer_of(self.client)):
            self.most_pairs = max(self.most_pairs, len(peer.pairs))
            self.most_isakmp_sas = max(self.most_isakmp_sas, len(peer.isakmp_sas))


@pytest.mark.parametrize(
    ("seed", "nat", "hours"), [(1, False, 26), (2, True, 26), (3, False, 8), (4, True, 8)]
)
def test_a_day_on_a_network_that_loses_and_reorders(seed: int, nat: bool, hours: int) -> None:
    session = Session(nat, Link(delay=0.02, jitter=0.02, loss=0.02), seed)
    lost = session.run(hours * HOUR)
    session.assert_unharmed()
    assert max(map(len, lost)) < 0.04 * hours * HOUR
    assert session.most_pairs <= 3
    assert session.most_isakmp_sas <= 3
    assert len(session.lab.server.noted("SA established")) == pytest.approx(
        hours * 3600 / 1530 + 1, abs=2
    )


@pytest.mark.parametrize("nat", [False, True])
def test_nothing_is_lost_by_renewals(nat: bool) -> None:
    session = Session(nat, Link(delay=0.02, jitter=0.02))
    assert session.run(5 * HOUR) == ([], [])
    session.assert_unharmed()
    assert (session.most_pairs, session.most_isakmp_sas) == (2, 2)


def test_renewals_in_the_midst_of_traffic() -> None:
    """Packets are under way on the old pair and the new one at any moment."""
    session = Session(True, Link(delay=0.2, jitter=0.3), ike_lifetime=120, esp_lifetime=90)
    client, server = session.client, session.lab.server
    for _ in range(3000):
        session.ping()
        session.lab.run(0.2)
    session.lab.run(1)
    session.assert_unharmed()
    assert (len(server.inner), len(client.inner)) == (3000, 3000)


@pytest.mark.parametrize("nat", [False, True])
def test_short_outages_of_the_network(nat: bool) -> None:
    """20 seconds every 10 minutes, some of them when SAs are due."""
    session = Session(nat, ike_lifetime=1000, esp_lifetime=500)
    for _ in range(12):
        session.lab.simulation.link = Link(loss=1.0)
        session.lab.run(20)
        session.lab.simulation.link = Link()
        assert session.run(10) == ([], [])
    session.assert_unharmed()
    assert session.most_pairs <= 3
    assert session.most_isakmp_sas <= 3


@pytest.mark.parametrize("by_client", [True, False])
@pytest.mark.parametrize("told", [True, False])
def test_the_isakmp_sa_is_deleted_and_the_esp_sas_are_kept(by_client: bool, told: bool) -> None:
    """Whether or not the message that says so arrives."""
    session = Session(True)
    ike = (session.client if by_client else session.lab.server.gateway).ike
    (peer,) = ike._peers.by_id.values()
    (sa,) = peer.isakmp_sas
    ike._peers.delete_isakmp_sa(sa)
    if not told:
        ike.datagrams_to_send()
    assert session.run(3 * HOUR) == ([], [])
    session.assert_unharmed()


def test_a_client_that_never_renews_phase_1() -> None:
    """The pairs outlive the ISAKMP SA; for another pair the client makes another."""
    session = Session(True, ike_lifetime=600, esp_lifetime=3600)
    client = session.client.ike
    for _ in range(36):
        for sa in session.peer_of(session.client).isakmp_sas:
            client._context.deadlines.clear((Timer.IKE_RENEWAL, sa))
        assert session.run(5) == ([], [])
    session.assert_unharmed()
    assert session.most_isakmp_sas == 1
    assert len(session.lab.server.noted("SA established")) == 4
    assert session.peer_of().isakmp_sas == [], "long over, and not missed"


def test_renewal_by_volume() -> None:
    session = Session(False, esp_kilobytes=20)
    client, server = session.client, session.lab.server
    for _ in range(1500):
        session.ping()
        session.lab.run(0.5)
    session.lab.run(1)
    session.assert_unharmed()
    assert (len(server.inner), len(client.inner)) == (1500, 1500)
    assert len(server.noted("SA established")) >= 4
    assert len(session.peer_of().pairs) <= 3


def test_the_way_of_apple() -> None:
    """A new main mode in parallel, from port 4500 and without INITIAL-CONTACT; then quick mode
    under the new ISAKMP SA, and only much later is the old one deleted."""
    session = Session(True, ike_lifetime=28800, esp_lifetime=28800)
    ike, now = session.client.ike, session.lab.simulation.now
    before = session.peer_of().pairs.copy()
    assert session.client.peer is not None
    ike.rekey_ike(session.client.peer, now)
    session.lab.run(2)
    _, new = session.peer_of().isakmp_sas
    ike.rekey_esp(session.client.peer, session.lab.simulation.now)
    session.lab.run(2)
    pair = session.peer_of().sending
    assert pair is not None
    assert pair.sa is new
    assert pair.spi not in before
    assert session.run(10) == ([], [])
    session.lab.run(GRACE)
    assert session.peer_of().isakmp_sas == [new]
    session.assert_unharmed()


# Clients that delete early, or never renew.


@pytest.mark.parametrize("new_first", [True, False])
def test_packets_that_a_delete_has_overtaken_are_let_in(new_first: bool) -> None:
    session = Session(True, Link(delay=0.2, jitter=0.3), ike_lifetime=28800, esp_lifetime=28800)
    client, server = session.client, session.lab.server
    assert client.peer is not None
    sent = 0
    for _ in range(20):
        (old,) = session.peer_of(client).pairs.values()
        if new_first:
            client.ike.rekey_esp(client.peer, session.lab.simulation.now)
            assert session.lab.run(30, lambda old=old: session.peer_of(client).sending is not old)  # type: ignore[misc]
        for _ in range(20):
            session.ping()
            sent += 1
            session.lab.run(0.01)
        client.ike._peers.delete_pair(old, Why.CLOSED)
        if not new_first:
            sa = session.peer_of(client).isakmp_sas[-1]
            client.ike._quick_modes.start(sa, session.lab.simulation.now)
        assert session.lab.run(30, lambda: len(session.peer_of().pairs) == 1)
        session.lab.run(DRAINING + 2)
        assert len(server.gateway.tables.sas) == 1
    assert len(server.inner) == sent
    assert server.gateway.forwarder.drops[Drop.UNKNOWN_SPI] == 0
    assert client.state is ClientState.UP
    assert server.noted("closed") == []


class Lazy(Session):
    """A client that never renews a pair, nor ends one that is not renewed."""

    def ping(self) -> None:
        self.sleep()
        super().ping()

    def sleep(self) -> None:
        for pair in self.peer_of(self.client).pairs.values():
            self.client.ike._context.deadlines.clear((Timer.ESP_RENEWAL, pair))
            if len(self.peer_of(self.client).pairs) == 1:
                self.client.ike._context.deadlines.clear((Timer.ESP_END, pair))


@pytest.mark.parametrize("nat", [False, True])
def test_a_client_that_never_renews_phase_2(nat: bool) -> None:
    session = Lazy(nat, Link(delay=0.02, jitter=0.02))
    assert session.run(5 * HOUR) == ([], [])
    session.assert_unharmed()
    assert session.most_pairs == 2
    assert len(session.lab.server.noted("SA established")) == pytest.approx(1 + 300 / 29, abs=2)


def test_a_client_that_lets_nobody_renew_ends_with_one_line_that_says_so() -> None:
    session = Lazy(True, ike_lifetime=600, esp_lifetime=1800)
    client, server = session.client, session.lab.server
    client.ike._context.deadlines.clear((Timer.IKE_RENEWAL, session.peer_of(client).isakmp_sas[0]))
    assert session.run(30) == ([], []), "to the end of its pair"
    session.lab.run(2 * MINUTE)
    (line,) = server.noted("did not renew")
    assert "there was no ISAKMP SA to do so" in str(line)
    assert line.trouble


@pytest.mark.parametrize("pause", [0.0, 0.3, 1.0])
def test_nat_moves_a_client_that_then_renews_before_it_says_anything_else(pause: float) -> None:
    """Its old SAs speak for it: the server asks at the new place under them."""
    session = Session(True, Link(delay=0.02, jitter=0.01), ike_lifetime=28800, esp_lifetime=28800)
    client, simulation = session.client, session.lab.simulation
    (nat,) = simulation._nat_of.values()
    assert client.peer is not None
    for _ in range(5):
        old = session.peer_of(client).sending
        nat.forget()
        client.ike.rekey_ike(client.peer, simulation.now)
        session.lab.run(1, lambda: len(session.peer_of(client).isakmp_sas) > 1)
        session.lab.run(pause)
        client.ike.rekey_esp(client.peer, simulation.now)
        assert session.lab.run(5, lambda old=old: session.peer_of(client).sending is not old)  # type: ignore[misc]
        session.lab.run(1)
        assert session.run(2) == ([], [])
    assert client.state is ClientState.UP, client.why
    assert [line.attempt for line in session.lab.server.noted("closed")] == [2, 3, 4, 5, 6]
    assert len(session.lab.server.gateway.peers) == 1
    assert session.lab.server.gateway.forwarder.drops[Drop.FOREIGN_SESSION] == 0

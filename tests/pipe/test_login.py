"""Logins from the first IKE packet to traffic, over good and bad networks."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from ppp.config import Method
from ppp.lcp import Lcp
from ppp.packet import Packet
from tests.support.client import ClientState
from tests.support.lab import INNER_SERVER, Lab, assert_passes_traffic, ping, up
from tests.support.simulation import Link, Nat


@pytest.mark.parametrize("nat", [None, Nat("198.51.100.1")], ids=["direct", "behind NAT"])
def test_login(nat: Nat | None) -> None:
    lab = Lab()
    client = lab.client("u1@sales.example.com", "192.168.77.11" if nat else "198.51.100.7", nat)
    assert lab.run(10, lambda: up(client)), (client.state, client.why)
    assert client.address == IPv4Address("172.16.1.2")
    assert [str(address) for address in client.dns] == ["192.168.1.53", "192.168.1.54"]
    assert_passes_traffic(lab, client)
    record = lab.server.gateway.tables.addresses[int(client.address)]
    assert record.peer.encapsulated is (nat is not None)


def test_departments_have_pools_of_their_own() -> None:
    lab = Lab()
    names = ("u1@sales.example.com", "u1@hr.example.com", "u1")
    clients = [lab.client(name, f"198.51.100.{n}") for n, name in enumerate(names, 10)]
    assert lab.run(10, lambda: up(*clients))
    addresses = [str(client.address) for client in clients]
    assert addresses == ["172.16.1.2", "172.16.2.2", "172.16.9.2"]


def test_two_clients_behind_one_nat_do_not_disturb_each_other() -> None:
    lab = Lab()
    nat = Nat("198.51.100.1")
    first = lab.client("u1", "192.168.77.11", nat)
    second = lab.client("u2", "192.168.77.12", nat)
    assert lab.run(10, lambda: up(first, second))
    for number in range(3):
        assert_passes_traffic(lab, first, number)
        assert_passes_traffic(lab, second, number)
    first.hang_up(lab.simulation.now)
    lab.run(120)
    assert first.state is ClientState.CLOSED
    assert up(second)
    assert_passes_traffic(lab, second)


def test_the_same_private_address_behind_two_nats() -> None:
    lab = Lab()
    clients = [
        lab.client(f"u{n}", "192.168.1.2", Nat(f"198.51.100.{n}", keep_ports=True))
        for n in range(1, 4)
    ]
    assert lab.run(10, lambda: up(*clients))
    for client in clients:
        assert_passes_traffic(lab, client)


def test_a_client_that_hangs_up_frees_its_address_and_the_next_login_gets_it() -> None:
    lab = Lab()
    client = lab.client("u1@tiny.example.com")
    assert lab.run(10, lambda: up(client))
    client.hang_up(lab.simulation.now)
    lab.run(5)
    assert not lab.server.gateway.tables.addresses
    other = lab.client("u2@tiny.example.com", "198.51.100.8")
    assert lab.run(10, lambda: up(other))
    assert other.address == client.address


def test_a_client_that_lost_power_is_back_at_once_with_its_old_address() -> None:
    lab = Lab()
    for nat in (None, Nat("198.51.100.1"), Nat("198.51.100.2", keep_ports=True)):
        host = "198.51.100.7" if nat is None else "192.168.77.11"
        client = lab.client("u3", host, nat)
        assert lab.run(10, lambda client=client: up(client))
        lab.run(60)
        lab.simulation.remove(client)
        again = lab.client("u3", host, nat)
        assert lab.run(5, lambda client=again: up(client)), again.why
        assert again.address == client.address
        assert_passes_traffic(lab, again)
        lab.run(300)
        assert_passes_traffic(lab, again)
        assert len(lab.server.gateway.tables.addresses) == 1
        again.hang_up(lab.simulation.now)
        lab.run(5)
        lab.simulation.remove(again)


def test_a_wrong_key_is_named_in_the_log() -> None:
    lab = Lab()
    client = lab.client(psk=b"another key")
    assert not lab.run(120, lambda: up(client))
    lines = lab.server.noted("pre-shared key")
    assert lines
    assert all(line.trouble and line.peer.startswith("198.51.100.7:") for line in lines)
    assert not len(lab.server.gateway.peers)


@pytest.mark.parametrize(
    ("name", "password", "cause"),
    [
        ("u1", "wrong", "wrong password"),
        ("nobody", "wrong", "no such user"),
        ("u1@marketing.example.com", "correct horse", "no department has this suffix"),
    ],
)
def test_a_refused_login_is_named_in_the_log(name: str, password: str, cause: str) -> None:
    lab = Lab()
    client = lab.client(name, password=password)
    assert lab.run(30, lambda: client.state is ClientState.FAILED), client.state
    lines = lab.server.noted(cause)
    assert any(line.trouble and line.user == name for line in lines), lab.server.log
    assert not lab.server.gateway.tables.addresses


def test_a_full_pool_is_an_answer_to_the_client_and_a_line_in_the_log() -> None:
    lab = Lab()
    first = lab.client("u1@tiny.example.com")
    assert lab.run(10, lambda: up(first))
    second = lab.client("u2@tiny.example.com", "198.51.100.8")
    assert lab.run(30, lambda: second.state is ClientState.FAILED)
    assert lab.server.noted("no address: all 1 addresses of the pool of department 'tiny'")
    assert up(first)


def test_the_server_shuts_down_politely() -> None:
    lab = Lab()
    clients = [lab.client(f"u{n}", f"198.51.100.{10 + n}") for n in range(3)]
    assert lab.run(10, lambda: up(*clients))
    lab.server.gateway.shut_down(lab.simulation.now)
    assert lab.run(3, lambda: lab.server.finished)
    assert all(client.state is ClientState.CLOSED for client in clients)
    assert not lab.server.gateway.tables.addresses
    assert not len(lab.server.gateway.calls)


def test_the_shutdown_does_not_wait_for_clients_that_are_gone() -> None:
    lab = Lab()
    client = lab.client()
    assert lab.run(10, lambda: up(client))
    lab.simulation.remove(client)
    lab.server.gateway.shut_down(lab.simulation.now)
    assert lab.run(3, lambda: lab.server.finished)


def test_a_dead_client_is_noticed() -> None:
    lab = Lab()
    client = lab.client()
    assert lab.run(10, lambda: up(client))
    lab.simulation.remove(client)
    assert lab.run(300, lambda: not lab.server.gateway.tables.addresses)
    assert lab.run(300, lambda: not len(lab.server.gateway.peers))
    assert not lab.server.gateway.tables.sas


def test_a_client_whose_data_comes_is_alive_whatever_becomes_of_its_echoes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab = Lab()
    client = lab.client("u0")
    assert lab.run(10, lambda: up(client))
    link, answer = client.link, Lcp.send_echo_reply

    def silent(lcp: Lcp, packet: Packet) -> None:
        if link is not None and lcp is not link._lcp:
            answer(lcp, packet)

    monkeypatch.setattr(Lcp, "send_echo_reply", silent)
    for number in range(20):
        client.send(ping(str(client.address), INNER_SERVER, number))
        lab.run(25)
    assert up(client)
    assert lab.run(200, lambda: client.state is ClientState.CLOSED), "now it is silent"


def test_two_hundred_logins_over_a_bad_network() -> None:
    """20 % of all packets are lost, some come twice, many out of order; all logins succeed."""
    link = Link(delay=0.02, jitter=0.2, loss=0.2, duplication=0.1)
    failures = []
    for seed in range(200):
        lab = Lab(seed, link)
        nat = Nat("198.51.100.1") if seed % 2 else None
        client = lab.client("u1", "192.168.77.11" if nat else "198.51.100.7", nat)
        if not lab.run(120, lambda client=client: up(client)):
            failures.append((seed, client.state, client.why, [str(x) for x in lab.server.log]))
            continue
        lab.simulation.link = Link()
        lab.run(10)
        assert_passes_traffic(lab, client)
    assert failures == []


def test_fifty_clients_behind_one_address() -> None:
    lab = Lab()
    nat = Nat("198.51.100.1")
    clients = [lab.client(f"u{n}", f"192.168.1.{n + 2}", nat) for n in range(50)]
    assert lab.run(30, lambda: up(*clients))
    for client in clients:
        assert_passes_traffic(lab, client)
    assert len({client.address for client in clients}) == 50


def test_a_client_that_refuses_every_method_is_trouble_in_the_log() -> None:
    lab = Lab()
    calls = lab.server.gateway.calls
    calls._links = replace(calls._links, methods=(Method.PAP,))
    client = lab.client()
    client._link_config = replace(client._link_config, methods=(Method.MS_CHAP_V2,))
    assert lab.run(60, lambda: client.state is not ClientState.CONNECTING)
    (line,) = lab.server.noted("ended after")
    assert line.trouble
    assert "the peer refuses all that we allow" in line.text

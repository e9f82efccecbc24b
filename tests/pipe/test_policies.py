"""What departments allow, through the whole stack: how long sessions last, and how many."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network

import pytest
from scapy.layers.inet import IP, UDP

from aaa import Directory, Hours, Policy, Span, User
from l2gate.calls import LOOKS
from l2gate.events import RouteAdded, RouteRemoved
from l2gate.forwarder import Drop
from l2gate.records import LEAST_BURST
from tests.support.client import ClientHost, ClientState
from tests.support.lab import (
    INNER_SERVER,
    PASSWORD,
    Lab,
    assert_passes_traffic,
    configuration,
    ping,
)


def with_policy(limit: int | None = None, **policy: object) -> Directory:
    """The lab's directory, with another policy of the default department."""
    directory = configuration().directory
    before = directory.departments["default"]
    changed = replace(
        before,
        policy=Policy(**policy),  # type: ignore[arg-type]
        max_sessions_per_user=limit,
    )
    return replace(directory, departments={**directory.departments, "default": changed})


def lab_with(limit: int | None = None, **policy: object) -> Lab:
    lab = Lab()
    directory = with_policy(limit, **policy)
    lab.server.gateway.replace_directory(directory, lab.simulation.now)
    return lab


def logged_in(
    lab: Lab, host: str = "198.51.100.7", name: str = "u1", host_name: str = "laptop"
) -> ClientHost:
    client = lab.client(name, host, host_name=host_name)
    assert lab.run(10, lambda: client.state is ClientState.UP), client.why
    return client


def test_a_session_ends_after_its_time_whatever_it_does() -> None:
    lab = lab_with(session_timeout=3600.0)
    client = logged_in(lab)
    other = logged_in(lab, "198.51.100.8", "u1@sales.example.com")
    for _ in range(35):
        lab.run(100)
        assert_passes_traffic(lab, client)
    lab.run(60)
    assert client.state is ClientState.UP
    lab.run(10)
    assert (client.state, other.state) == (ClientState.CLOSED, ClientState.UP)
    assert lab.server.noted("the session has lasted 3600 s")


def test_a_session_ends_when_it_is_idle() -> None:
    """The echoes of PPP, Hellos and dead peer detection go on all the time."""
    lab = lab_with(idle_timeout=800.0)
    client = logged_in(lab)
    for _ in range(10):
        lab.run(700)
        assert_passes_traffic(lab, client)
    lab.run(790)
    assert client.state is ClientState.UP
    lab.run(10 + 800 / LOOKS)
    assert client.state is ClientState.CLOSED
    assert lab.server.noted("no traffic for 800 s")


def test_either_direction_is_traffic() -> None:
    lab = lab_with(idle_timeout=800.0)
    clients = [logged_in(lab, f"198.51.100.{n}", f"u{n}") for n in range(3)]
    there = [f"192.168.1.{n}" for n in range(3)]
    for _ in range(3):
        lab.run(500)
        clients[0].send(ping(str(clients[0].address), there[0]))
        lab.server.receive_inner(ping(there[1], str(clients[1].address)))
    assert [c.state for c in clients] == [ClientState.UP, ClientState.UP, ClientState.CLOSED]


def test_a_reload_changes_the_time_of_sessions_that_there_are() -> None:
    lab = lab_with()
    client = logged_in(lab)
    lab.run(2000)
    gateway = lab.server.gateway
    gateway.replace_directory(with_policy(session_timeout=3000.0), lab.simulation.now)
    lab.run(900)
    assert client.state is ClientState.UP
    gateway.replace_directory(with_policy(session_timeout=60.0), lab.simulation.now)
    lab.run(5)
    assert client.state is ClientState.CLOSED


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_sessions_end_with_the_hours(utc: None) -> None:
    lab = Lab()
    # Tuesday, 2026-06-02
    start = datetime.fromisoformat("2026-06-02T17:00:00+00:00").timestamp()
    wall = start - lab.simulation.now
    lab.server.gateway.aaa._wall = lambda: lab.simulation.now + wall
    hours = Hours((Span((1,), 8 * 60, 18 * 60), Span((1,), 17 * 60, 19 * 60)))
    lab.server.gateway.replace_directory(with_policy(hours=hours), lab.simulation.now)
    client = logged_in(lab)
    lab.run(2 * 3600 - 60)
    assert client.state is ClientState.UP
    lab.run(65)
    assert client.state is ClientState.CLOSED
    assert lab.server.noted("the hours of the department are over")
    late = lab.client("u2", "198.51.100.9")
    lab.run(10)
    assert late.state is ClientState.FAILED
    refused, *_ = lab.server.noted("outside of the hours of the department")
    assert refused.windows == 646


def test_a_reload_with_other_hours_ends_sessions(utc: None) -> None:
    lab = lab_with()
    client = logged_in(lab)
    hours = Hours((Span((0,), 0, 60),))
    lab.server.gateway.aaa._wall = lambda: 0.0  # a Thursday
    assert lab.server.gateway.replace_directory(with_policy(hours=hours), lab.simulation.now) == 1
    lab.run(5)
    assert client.state is ClientState.CLOSED


def test_the_oldest_session_gives_way_where_it_is_to() -> None:
    lab = lab_with(limit=2, replace_sessions=True)
    clients = [logged_in(lab, f"198.51.100.{n}", host_name=f"pc{n}") for n in (1, 2, 3)]
    lab.run(5)
    states = [client.state for client in clients]
    assert states == [ClientState.CLOSED, ClientState.UP, ClientState.UP]
    assert lab.server.noted("the user has logged in again, from 198.51.100.3")
    assert clients[2].address == clients[0].address
    assert_passes_traffic(lab, clients[1])
    assert_passes_traffic(lab, clients[2], 2)


def test_the_same_device_comes_before_the_oldest() -> None:
    lab = lab_with(limit=2, replace_sessions=True)
    one = logged_in(lab, "198.51.100.1", host_name="pc1")
    two = logged_in(lab, "198.51.100.2", host_name="pc2")
    lab.simulation.remove(two)
    again = logged_in(lab, "198.51.100.22", host_name="pc2")
    assert (one.state, again.state) == (ClientState.UP, ClientState.UP)
    assert again.address == two.address
    assert lab.server.noted("the same device has logged in again")


def offer(lab: Lab, client: ClientHost, octets: int) -> tuple[int, int]:
    """Send as much up and as much down; return how many packets of 1000 octets arrive."""
    up, down = (
        bytes(IP(src=a, dst=b) / UDP(sport=9, dport=9) / bytes(972))
        for a, b in ((str(client.address), INNER_SERVER), (INNER_SERVER, str(client.address)))
    )
    before, client_before = len(lab.server.inner), len(client.inner)
    for _ in range(octets // 1000):
        client.send(up)
        lab.server.receive_inner(down)
    lab.run(0.1)
    return len(lab.server.inner) - before, len(client.inner) - client_before


def test_each_session_has_its_rate() -> None:
    lab = lab_with(rate_up=800_000, rate_down=8_000_000)
    slow = logged_in(lab)
    other = logged_in(lab, "198.51.100.8", "u2")
    free = logged_in(lab, "198.51.100.9", "u2@sales.example.com")
    assert offer(lab, slow, 200_000) == (LEAST_BURST // 1000, 100)
    assert offer(lab, other, 50_000) == (50, 50), "another session has a bucket of its own"
    assert offer(lab, free, 200_000) == (200, 200)
    assert lab.server.gateway.forwarder.drops[Drop.OVER_RATE] == 135 + 100
    lab.run(0.4)
    up, down = offer(lab, slow, 200_000)
    assert 50 <= up <= LEAST_BURST // 1000, "half a second's worth of 100 packets"
    assert down == 100, "no more than the burst however long it rests"


def test_a_reload_changes_the_rate_of_sessions_that_there_are() -> None:
    lab = lab_with()
    client = logged_in(lab)
    gateway = lab.server.gateway
    assert offer(lab, client, 200_000) == (200, 200)
    limited = with_policy(rate_down=64_000)
    gateway.replace_directory(limited, lab.simulation.now)
    assert offer(lab, client, 200_000) == (200, 65)
    gateway.replace_directory(limited, lab.simulation.now)
    assert offer(lab, client, 200_000)[1] <= 2, "the bucket is not filled by a reload"
    gateway.replace_directory(with_policy(), lab.simulation.now)
    assert offer(lab, client, 200_000) == (200, 200)


def test_control_messages_are_not_limited() -> None:
    """Echoes and Hellos pass in a session whose bucket is empty."""
    lab = lab_with(rate_up=64_000, rate_down=64_000)
    client = logged_in(lab)
    for _ in range(60):
        offer(lab, client, 100_000)
        lab.run(10)
    assert client.state is ClientState.UP


def test_a_department_has_an_mtu_of_its_own() -> None:
    lab = lab_with(mtu=1000)
    client = logged_in(lab)
    other = logged_in(lab, "198.51.100.8", "u1@sales.example.com")
    records = [call.record for call in lab.server.gateway.calls]
    assert [record.mtu for record in records if record] == [1000, 1400]
    for one, parts in ((client, 2), (other, 1)):
        one.inner.clear()
        payload = bytes(1200)
        packet = IP(src=INNER_SERVER, dst=str(one.address), flags=0) / UDP(dport=9) / payload
        lab.server.receive_inner(bytes(packet))
        lab.run(1)
        assert len(one.inner) == parts


BRANCH = IPv4Network("10.9.0.0/24")


def with_branch(*routes: IPv4Network, limit: int | None = None) -> Directory:
    """The lab's directory, where u1 is a router."""
    directory = with_policy(limit)
    branch = User("u1", password=PASSWORD, routes=routes)
    return replace(directory, users={**directory.users, "u1": branch})


def branch_lab() -> Lab:
    lab = Lab()
    lab.server.gateway.replace_directory(with_branch(BRANCH), lab.simulation.now)
    return lab


def test_a_network_behind_a_user_is_reached_through_its_session() -> None:
    lab = branch_lab()
    client, other = logged_in(lab), logged_in(lab, "198.51.100.8", "u2")
    assert RouteAdded(BRANCH, IPv4Address("172.16.9.1"), "default", "l2gate0") in lab.server.events
    there, back = ping("10.9.0.7", INNER_SERVER), ping(INNER_SERVER, "10.9.0.7")
    client.send(there)
    lab.server.receive_inner(back)
    lab.run(1)
    assert lab.server.inner[-1] == there
    assert client.inner[-1] == back
    before = len(lab.server.inner)
    other.send(there)
    client.send(ping("10.9.1.7", INNER_SERVER))
    lab.run(1)
    assert len(lab.server.inner) == before, "neither somebody else's nor what lies beyond"
    assert lab.server.gateway.forwarder.drops[Drop.SPOOFED] == 2
    client.hang_up(lab.simulation.now)
    lab.run(5)
    assert RouteRemoved(BRANCH, "default") in lab.server.events
    lab.server.receive_inner(back)
    assert lab.server.gateway.forwarder.drops[Drop.NO_SESSION] == 1


def test_a_router_has_one_session_and_takes_its_network_along() -> None:
    lab = branch_lab()
    first = logged_in(lab)
    second = lab.client("u1", "198.51.100.8", host_name="another")
    lab.run(10)
    assert (first.state, second.state) == (ClientState.UP, ClientState.FAILED)
    assert lab.server.noted("the user has too many sessions")
    lab.simulation.remove(first)
    again = logged_in(lab, "198.51.100.9")
    lab.run(5)
    back = ping(INNER_SERVER, "10.9.0.7")
    lab.server.receive_inner(back)
    lab.run(1)
    assert again.inner[-1] == back
    routes = [e for e in lab.server.events if getattr(e, "network", None) == BRANCH]
    assert [type(event) for event in routes] == [RouteAdded, RouteRemoved, RouteAdded]


def test_other_networks_at_a_reload_end_the_session() -> None:
    lab = branch_lab()
    client = logged_in(lab)
    gateway = lab.server.gateway
    assert gateway.replace_directory(with_branch(BRANCH, limit=3), lab.simulation.now) == 0
    other = IPv4Network("10.10.0.0/24")
    assert gateway.replace_directory(with_branch(BRANCH, other), lab.simulation.now) == 1
    lab.run(5)
    assert client.state is ClientState.CLOSED
    assert lab.server.noted("the networks behind the user were changed")
    logged_in(lab)
    assert RouteAdded(other, IPv4Address("172.16.9.1"), "default", "l2gate0") in lab.server.events


def test_the_server_answers_arp_for_clients_where_it_is_to() -> None:
    lab = lab_with(proxy_arp=True)
    client = logged_in(lab)
    other = logged_in(lab, "198.51.100.8", "u2@sales.example.com")
    added = [event for event in lab.server.events if isinstance(event, RouteAdded)]
    assert {str(e.network.network_address): e.proxy_arp for e in added} == {
        str(client.address): True,
        str(other.address): False,
    }

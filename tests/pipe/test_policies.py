"""What departments allow, through the whole stack: how long sessions last, and how many."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from aaa import Directory, Hours, Policy, Span
from l2gate.calls import LOOKS
from tests.support.client import ClientHost, ClientState
from tests.support.lab import Lab, assert_passes_traffic, configuration, ping


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
        lab.server.gateway.receive_inner(ping(there[1], str(clients[1].address)))
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

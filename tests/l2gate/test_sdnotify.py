"""What systemd is told, as a socket of our own hears it."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from l2gate.sdnotify import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket, and what NOTIFY_SOCKET says of it."""
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.bind(name if request.param == "path" else "\0" + name)
        yield sock, name if request.param == "path" else "@" + name


def test_what_is_told(systemd: tuple[socket.socket, str]) -> None:
    sock, name = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready("no sessions")
    notifier.reloading(12.5)
    notifier.alive("2 sessions")
    notifier.stopping("2 sessions to end")
    assert [sock.recv(1000).decode() for _ in range(4)] == [
        "READY=1\nSTATUS=no sessions",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "WATCHDOG=1\nSTATUS=2 sessions",
        "STOPPING=1\nSTATUS=2 sessions to end",
    ]


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time(
    environment: dict[str, str], interval: float | None
) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/x", **environment}).watchdog == interval
    assert Notifier(environment).watchdog is None


def test_nobody_there(tmp_path: Path) -> None:
    Notifier({}).ready("nobody asked")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("nobody listens")


def test_who_does_not_listen_stops_nobody(systemd: tuple[socket.socket, str]) -> None:
    _, name = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name})
    for _ in range(5000):
        notifier.alive("x" * 1000)

"""The lab and its clients, booted once for all tests; a server for each test."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop import lab as laboratory
from tests.interop.authority import Authority
from tests.interop.lab import Client, Lab
from tests.interop.server import Server, Settings, configuration
from tests.support.prerequisites import need

TOOLS = ("linux.uml", "modprobe", "ip", "nft", "sysctl", "ping", "tcpdump", "tshark")

BOOTING = 300.0
"""Seconds that a test may take: the first ones boot their clients."""

Serve = Callable[..., Server]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("interop"):
            item.add_marker(pytest.mark.timeout(BOOTING))


def missing() -> str:
    """What this machine lacks for the lab, or nothing."""
    if os.geteuid() != 0:
        return "needs root"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun"
    tools = [tool for tool in TOOLS if shutil.which(tool) is None]
    if tools:
        return f"needs {', '.join(tools)}: run 'make setup'"
    if not (laboratory.CACHE / ".installed").exists():
        return "needs the clients unpacked: run 'make setup'"
    return ""


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    need(missing())
    network = Lab(tmp_path_factory.mktemp("lab"))
    try:
        network.up()
        yield network
    finally:
        network.down()


@pytest.fixture(scope="session")
def _booted(lab: Lab) -> Callable[[str, str], Client]:
    """The clients that are up, each booted by the first test that wants it."""
    clients: dict[str, Client] = {}

    def booted(name: str, software: str) -> Client:
        if name not in clients:
            client = Client(lab, name, software)
            client.machine.boot()
            clients[name] = client
        return clients[name]

    return booted


def _lent(client: Client) -> Iterator[Client]:
    """A client for one test: what it logged is shown if the test fails, and then it hangs up."""
    yield client
    print(f"--- {client.machine.name}\n{client.logs()}")
    client.hang_up()


@pytest.fixture
def direct(_booted: Callable[[str, str], Client]) -> Iterator[Client]:
    """strongSwan with an address of the wan."""
    yield from _lent(_booted("d1", "strongswan"))


@pytest.fixture
def behind_nat(_booted: Callable[[str, str], Client]) -> Iterator[Client]:
    """strongSwan behind the home router."""
    yield from _lent(_booted("n1", "strongswan"))


@pytest.fixture
def neighbour(_booted: Callable[[str, str], Client]) -> Iterator[Client]:
    """Another strongSwan behind the same router."""
    yield from _lent(_booted("n2", "strongswan"))


@pytest.fixture
def libreswan(_booted: Callable[[str, str], Client]) -> Iterator[Client]:
    """libreswan with an address of the wan."""
    yield from _lent(_booted("d2", "libreswan"))


@pytest.fixture
def libreswan_behind_nat(_booted: Callable[[str, str], Client]) -> Iterator[Client]:
    """libreswan behind the home router."""
    yield from _lent(_booted("n4", "libreswan"))


@pytest.fixture(params=["direct", "behind_nat"])
def anywhere(request: pytest.FixtureRequest) -> Client:
    """strongSwan, once direct and once behind NAT."""
    client: Client = request.getfixturevalue(request.param)
    return client


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority, with a server's certificate and a client's."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def serve(lab: Lab, tmp_path: Path) -> Iterator[Serve]:
    """Start a server; the arguments are added to these sections of its configuration."""
    server = Server(lab, tmp_path)

    def start(ipsec: Settings | None = None, ppp: Settings | None = None) -> Server:
        server.configure(configuration(tmp_path, ipsec=ipsec or {}, ppp=ppp or {}))
        server.start()
        return server

    yield start
    try:
        server.stop()
    finally:
        print(f"--- server\n{server.log()}")


@pytest.fixture
def server(serve: Serve) -> Server:
    """A server as most tests want it."""
    return serve()

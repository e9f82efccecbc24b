"""DHCPINFORM through the whole stack: what a client learns that does not send everything here."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import IP, UDP

from l2gate.forwarder import Drop
from tests.support.client import ClientHost, ClientState
from tests.support.dhcp import EVERYBODY, answered, macos_inform, windows_inform
from tests.support.lab import Lab, configuration
from tests.support.simulation import Nat

GATEWAY = "172.16.1.1"


def logged_in(lab: Lab, name: str = "u1@sales.example.com", last: int = 11) -> ClientHost:
    client = lab.client(name, f"192.168.77.{last}", Nat(f"198.51.100.{last}"))
    assert lab.run(10, lambda: client.state is ClientState.UP), client.why
    return client


def routes_told(lab: Lab, client: ClientHost) -> object:
    """Let a client ask, and return the routes that it learns; nothing reaches the TUN device."""
    client.inner.clear()
    client.send(windows_inform(str(client.address)))
    lab.run(1)
    (told,) = client.inner
    assert lab.server.inner == []
    return answered(told).get("classless_static_routes")


@pytest.mark.parametrize("destination", [EVERYBODY, GATEWAY])
def test_windows(destination: str) -> None:
    lab = Lab()
    client = logged_in(lab)
    client.send(windows_inform(str(client.address), destination))
    lab.run(1)
    (told,) = client.inner
    packet = IP(told)
    assert (packet.src, packet.dst) == (GATEWAY, str(client.address))
    assert (packet[UDP].sport, packet[UDP].dport, packet[BOOTP].xid) == (67, 68, 0xC0FFEE01)
    assert answered(told) == {
        "message-type": 5,
        "server_id": GATEWAY,
        "subnet_mask": "255.255.255.255",
        "name_server": ["192.168.1.53", "192.168.1.54"],
        "domain": b"sales.corp.example.com",
        "classless_static_routes": [f"192.168.1.0/24:{GATEWAY}", f"10.1.0.0/16:{GATEWAY}"],
        249: bytes.fromhex("18c0a801 ac100101 100a01 ac100101"),
    }
    assert lab.server.inner == []


def test_macos_asks_again_and_is_answered_again() -> None:
    lab = Lab()
    client = logged_in(lab)
    for _ in range(4):
        client.send(macos_inform(str(client.address)))
        lab.run(3)
    assert len(client.inner) == 4
    assert len(set(client.inner)) == 1


def test_each_department_has_its_own_routes() -> None:
    lab = Lab()
    sales = logged_in(lab)
    hr = logged_in(lab, "u1@hr.example.com", 12)
    assert f"10.1.0.0/16:{GATEWAY}" in str(routes_told(lab, sales))
    assert "10.2.0.0/16:172.16.2.1" in str(routes_told(lab, hr))


def test_a_client_cannot_ask_for_its_neighbour() -> None:
    lab = Lab()
    client, neighbour = logged_in(lab), logged_in(lab, "u2@sales.example.com", 12)
    client.send(windows_inform(str(neighbour.address)))
    lab.run(1)
    assert client.inner == neighbour.inner == []
    assert lab.server.gateway.forwarder.drops[Drop.SPOOFED] == 1


def test_a_reload_holds_for_the_next_login() -> None:
    lab = Lab()
    client = logged_in(lab)
    before = routes_told(lab, client)
    directory = configuration().directory
    sales = replace(directory.departments["sales"], routes=(IPv4Network("10.99.0.0/16"),))
    changed = replace(directory, departments={**directory.departments, "sales": sales})
    assert lab.server.gateway.replace_directory(changed, lab.simulation.now) == 0
    lab.run(1)
    assert routes_told(lab, client) == before
    other = logged_in(lab, "u2@sales.example.com", 12)
    assert routes_told(lab, other) == [f"10.99.0.0/16:{GATEWAY}"]

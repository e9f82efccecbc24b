"""IPv6 through the whole stack: inside of the tunnel, around it, and both at once."""

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Address, IPv6Network

import pytest
from scapy.layers.dhcp6 import DHCP6OptDNSServers
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6ND_RA,
    ICMPv6NDOptMTU,
    ICMPv6NDOptRouteInfo,
    IPv6,
)

from aaa import Department, Directory
from l2gate.calls import IPV6_EXCESS
from l2gate.events import RouteAdded, RouteRemoved
from l2gate.forwarder import Drop
from tests.support.client import ClientHost, ClientState
from tests.support.ipv6 import SERVER as ROUTER
from tests.support.ipv6 import echo, information_request, link_local, slaac, solicitation
from tests.support.lab import Lab, assert_passes_traffic, configuration
from tests.support.native.windows import WINDOWS_10
from tests.support.simulation import Link, Nat

POOL = IPv6Network("2001:db8:1::/62")
GATEWAY = IPv6Address("2001:db8:1::1")
INSIDE = "2001:db8:ff::10"
OUTER = "2001:db8:aaaa::7"


def with_ipv6(directory: Directory, **changes: object) -> Directory:
    """Give the default department IPv6."""
    department: Department = directory.departments["default"]
    facts = {"pool6": POOL, "dns6": (IPv6Address("2001:db8:ff::53"),), **changes}
    changed = replace(department, **facts)  # type: ignore[arg-type]
    return replace(directory, departments={**directory.departments, "default": changed})


def new_lab(link: Link | None = None, **changes: object) -> Lab:
    lab = Lab(link=link)
    directory = with_ipv6(configuration().directory, **changes)
    lab.server.gateway.replace_directory(directory, lab.simulation.now)
    return lab


def logged_in(
    lab: Lab,
    name: str = "u0",
    host: str = "198.51.100.7",
    nat: Nat | None = None,
    ipv6: bool = True,
) -> ClientHost:
    client = lab.client(name, host, nat, ipv6=ipv6)
    assert lab.run(15, lambda: client.state is ClientState.UP), client.why
    lab.run(2)
    return client


def told(client: ClientHost) -> bytes:
    """Return the last Router Advertisement that a client got."""
    of_ipv6 = [octets for octets in client.inner if octets[0] >> 4 == 6]
    return [octets for octets in of_ipv6 if ICMPv6ND_RA in IPv6(octets)][-1]


def address_of(client: ClientHost) -> str:
    return slaac(told(client), client.identifier)


def assert_passes_ipv6(lab: Lab, client: ClientHost) -> None:
    address = address_of(client)
    there, back = echo(address, INSIDE), echo(INSIDE, address)
    client.send_ipv6(there)
    lab.server.receive_inner(back)
    lab.run(1)
    assert lab.server.inner[-1] == there
    assert client.inner[-1] == back


def test_a_client_forms_its_address_and_passes_traffic() -> None:
    lab = new_lab()
    client = logged_in(lab)
    assert IPv6Address(address_of(client)) in IPv6Network("2001:db8:1:1::/64")
    assert_passes_ipv6(lab, client)
    assert_passes_traffic(lab, client)
    assert (
        RouteAdded(IPv6Network("2001:db8:1:1::/64"), GATEWAY, "default", "l2gate0")
        in lab.server.events
    )
    assert lab.server.noted("IPv6 open, prefix 2001:db8:1:1::/64")


def test_the_router_answers_through_the_tunnel() -> None:
    lab = new_lab()
    client = logged_in(lab)
    own = link_local(client.identifier)
    client.inner.clear()
    client.send_ipv6(solicitation(own))
    client.send_ipv6(information_request(own))
    client.send_ipv6(echo(own, ROUTER))
    lab.run(1)
    advertisement, reply, pong = map(IPv6, client.inner)
    assert advertisement[ICMPv6ND_RA].routerlifetime > 0
    assert reply[DHCP6OptDNSServers].dnsservers == ["2001:db8:ff::53"]
    assert ICMPv6EchoReply in pong
    assert lab.server.inner == []


def test_advertisements_come_again_for_hours() -> None:
    lab = new_lab()
    client = logged_in(lab)
    client.inner.clear()
    lab.run(7200)
    assert client.state is ClientState.UP
    assert 7200 / 600 <= len(client.inner) <= 7200 / 200 + 3


def test_split_tunnelling() -> None:
    lab = new_lab(routes6=(IPv6Network("2001:db8:ff::/48"),))
    advertisement = IPv6(told(logged_in(lab)))
    assert advertisement[ICMPv6ND_RA].routerlifetime == 0
    assert advertisement[ICMPv6NDOptRouteInfo].prefix == "2001:db8:ff::"


@pytest.mark.parametrize("ipv6", [True, False])
def test_a_client_without_ipv6_gets_none(ipv6: bool) -> None:
    """Either end may be without; IPv4 is as it was."""
    lab = Lab() if ipv6 else new_lab()
    client = logged_in(lab, ipv6=ipv6)
    assert client.inner == []
    lab.server.receive_inner(echo(INSIDE, "2001:db8:1:1::5"))
    client.send_ipv6(echo("2001:db8:1:1::5", INSIDE))
    lab.run(1)
    assert client.inner == []
    assert lab.server.inner == []
    assert lab.server.gateway.forwarder.drops[Drop.NO_SESSION] == 1
    assert_passes_traffic(lab, client)


def test_a_server_that_sends_no_packets_large_enough_has_no_ipv6() -> None:
    lab = new_lab()
    lab.server.gateway.calls._routing._mtu = 1279
    client = logged_in(lab)
    assert client.inner == []
    assert client.identifier == bytes(8)
    assert_passes_traffic(lab, client)


def test_the_real_order_of_windows() -> None:
    """It asks for IPV6CP before IPCP, and takes it that we have both."""
    lab = new_lab()
    client = lab.native(WINDOWS_10)
    assert lab.run(15, lambda: client.state is ClientState.UP), client.why
    assert_passes_traffic(lab, client)


def test_nobody_sends_for_a_neighbour() -> None:
    lab = new_lab()
    client, neighbour = logged_in(lab), logged_in(lab, "u1", "198.51.100.8")
    client.send_ipv6(echo(address_of(neighbour), INSIDE))
    lab.run(1)
    assert lab.server.inner == []
    assert lab.server.gateway.forwarder.drops[Drop.SPOOFED] == 1


def test_a_pool_that_is_used_up_leaves_ipv4() -> None:
    """A /62 has the server's prefix and three others."""
    lab = new_lab()
    clients = [logged_in(lab, f"u{n}", f"198.51.100.{n + 7}") for n in range(4)]
    assert len({address_of(client) for client in clients[:3]}) == 3
    assert clients[3].inner == []
    assert_passes_traffic(lab, clients[3])
    (line,) = lab.server.noted("no IPv6: all prefixes of pool6")
    assert line.mend == "enlarge departments.default.pool6"


def test_a_hung_up_session_frees_its_prefix_for_its_user() -> None:
    lab = new_lab()
    client = logged_in(lab)
    before = address_of(client)[:13]
    client.hang_up(lab.simulation.now)
    lab.run(5)
    assert RouteRemoved(IPv6Network("2001:db8:1:1::/64"), "default") in lab.server.events
    assert lab.server.gateway.tables.prefixes == {}
    logged_in(lab, "u1", "198.51.100.8")
    again = logged_in(lab)
    assert address_of(again)[:13] == before


def test_a_device_that_comes_back_takes_its_prefix_along() -> None:
    lab = new_lab()
    client = logged_in(lab)
    lab.simulation.remove(client)
    again = logged_in(lab)
    assert address_of(again).startswith("2001:db8:1:1:")
    assert_passes_ipv6(lab, again)
    lab.run(300)
    assert_passes_ipv6(lab, again)


def test_a_reload_that_takes_ipv6_away_ends_the_session() -> None:
    lab = new_lab()
    client = logged_in(lab)
    assert lab.server.gateway.replace_directory(configuration().directory, lab.simulation.now) == 1
    lab.run(5)
    assert client.state is ClientState.CLOSED


def test_over_a_network_that_loses_a_tenth() -> None:
    lab = new_lab(Link(loss=0.1, jitter=0.05, duplication=0.1))
    client = lab.client("u0", ipv6=True)
    opened = lab.run(60, lambda: lab.server.gateway.tables.prefixes != {})
    assert opened, client.why
    lab.run(60)
    assert address_of(client).startswith("2001:db8:1:1:")


# Around the tunnel.


@pytest.mark.parametrize("nat", [None, Nat("2001:db8:bbbb::1")])
@pytest.mark.parametrize("ipv6", [False, True])
def test_a_login_over_ipv6(nat: Nat | None, ipv6: bool) -> None:
    lab = new_lab()
    client = logged_in(lab, host=OUTER, nat=nat, ipv6=ipv6)
    assert_passes_traffic(lab, client)
    if ipv6:
        assert_passes_ipv6(lab, client)
    (call,) = lab.server.gateway.calls
    assert call.peer.record.encapsulated == (nat is not None)
    shown = f"[{OUTER}]:500" if nat is None else "[2001:db8:bbbb::1]:4"
    assert str(call.peer.record.path.peer).startswith(shown)
    assert all(line.peer.startswith("[2001:db8:") for line in lab.server.noted("IPv") if line.peer)
    assert str(call.peer.identity) == OUTER
    client.hang_up(lab.simulation.now)
    lab.run(90)
    assert not len(lab.server.gateway.calls)
    assert lab.server.gateway.tables.sas == {}


def test_a_packet_leaves_room_for_the_larger_outer_header() -> None:
    lab = new_lab()
    over4, over6 = logged_in(lab), logged_in(lab, "u1", OUTER)
    mtus = [call.record.mtu for call in lab.server.gateway.calls if call.record is not None]
    assert mtus == [1400, 1400 - IPV6_EXCESS]
    assert IPv6(told(over4))[ICMPv6NDOptMTU].mtu == 1400
    assert IPv6(told(over6))[ICMPv6NDOptMTU].mtu == 1400 - IPV6_EXCESS


def test_clients_of_both_kinds_at_once_and_a_rekey_over_ipv6() -> None:
    lab = new_lab()
    over4, over6 = logged_in(lab), logged_in(lab, "u1", OUTER)
    for _ in range(3):
        lab.run(1800)
        for client in (over4, over6):
            assert_passes_traffic(lab, client)
            assert_passes_ipv6(lab, client)
    assert lab.server.noted("SA established")


def test_two_clients_behind_one_address_over_ipv6() -> None:
    lab, nat = new_lab(), Nat("2001:db8:bbbb::1")
    clients = [logged_in(lab, f"u{n}", f"fd00::{n + 1}", nat) for n in range(3)]
    assert len({address_of(client) for client in clients}) == 3
    for client in clients:
        assert_passes_ipv6(lab, client)
    nat.forget()
    lab.run(120)
    for client in clients:
        assert_passes_ipv6(lab, client)


def test_ipv4_routes_do_not_split_ipv6() -> None:
    lab = new_lab(routes=(IPv4Network("192.168.1.0/24"),))
    assert IPv6(told(logged_in(lab)))[ICMPv6ND_RA].routerlifetime > 0

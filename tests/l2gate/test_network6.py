"""IPv6 addresses, routes and sysctls of the kernel, in network namespaces of the test's own.

LAN host 2001:db8:9::5 --- veth --- server 2001:db8:9::1, TUN l2gate0 2001:db8:1::1 --- clients
"""

import asyncio
import select
import socket
from collections.abc import Callable, Coroutine, Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6TimeExceeded, IPv6

from l2gate import inner6
from l2gate.network import Network, NetworkError, own_networks
from l2gate.sysctl import Sysctls
from l2gate.tun import Tun
from tests.support.ipv6 import echo
from tests.support.namespaces import Namespace, lan_of_server, run

GATEWAY4, GATEWAY = IPv4Address("172.16.1.1"), IPv6Address("2001:db8:1::1")
PREFIX, OTHER = IPv6Network("2001:db8:1:1::/64"), IPv6Network("2001:db8:1:2::/64")
POOL = IPv6Network("2001:db8:1::/56")
CLIENT, HOST = "2001:db8:1:1::7", "2001:db8:9::5"
IPV6_MTU = 24


@pytest.fixture
def lan() -> Iterator[Namespace]:
    """The test itself runs as the server; this is the host at headquarters."""
    with lan_of_server("2001:db8:9::1/64", f"{HOST}/64") as host:
        yield host


Step = Callable[[Network], Coroutine[None, None, None]]


def with_network(step: Step) -> None:
    """Run one step with the device up, the pool and one client routed to it."""

    async def whole() -> None:
        async with Network() as network:
            await network.bring_up("l2gate0", 1400, [GATEWAY4, GATEWAY])
            network.set_pools({"l2gate0": [POOL]})
            network.add_route("l2gate0", PREFIX, GATEWAY)
            await network.settle()
            await step(network)

    asyncio.run(whole())


def next_packet(device: Tun) -> bytes:
    """The next packet that the kernel routes into the device."""
    while True:
        ready, _, _ = select.select([device.fileno()], [], [], 5)
        assert ready, "no packet came"
        if packets := unicast(device):
            (packet,) = packets
            return packet


def unicast(device: Tun) -> list[bytes]:
    """What came, without the kernel's own reports of its multicast groups (RFC 3810)."""
    return [packet for packet in device.receive() if packet[24] != 0xFF]


def sysctl(name: str) -> str:
    return run(f"sysctl -n net.ipv6.conf.{name}").strip()


def test_the_device_comes_up_and_the_machine_keeps_its_router(device: Tun) -> None:
    async def step(_: Network) -> None:
        shown = run("ip -6 addr show l2gate0")
        assert "inet6 2001:db8:1::1/128" in shown
        assert "fe80" not in shown
        assert "tentative" not in shown
        assert sysctl("all.forwarding") == "1"
        assert sysctl("inside.accept_ra") == "2"
        assert sysctl("l2gate0.accept_ra") == "0"
        packets = [IPv6(packet) for packet in device.receive()]
        assert all(packet.dst == "ff02::16" for packet in packets), "it reports its groups"

    assert (sysctl("all.forwarding"), sysctl("inside.accept_ra")) == ("0", "1")
    with_network(step)
    assert (sysctl("all.forwarding"), sysctl("inside.accept_ra")) == ("0", "1")


def test_a_machine_that_forwards_already_keeps_its_settings(device: Tun) -> None:
    async def step(_: Network) -> None:
        assert sysctl("inside.accept_ra") == "1"

    run("sysctl -w net.ipv6.conf.all.forwarding=1")
    with_network(step)
    assert sysctl("all.forwarding") == "1"


def test_without_ipv6_the_device_has_none(device: Tun) -> None:
    async def bring_up() -> None:
        async with Network() as network:
            await network.bring_up("l2gate0", 1400, [GATEWAY4])
            assert sysctl("l2gate0.disable_ipv6") == "1"
            assert sysctl("all.forwarding") == "0"

    asyncio.run(bring_up())


def test_routes_come_and_go(device: Tun) -> None:
    async def step(network: Network) -> None:
        routes = run("ip -6 route show dev l2gate0")
        assert f"{PREFIX} proto static src {GATEWAY}" in routes
        assert str(POOL) in routes
        network.add_route("l2gate0", PREFIX, GATEWAY)
        network.remove_route(PREFIX)
        network.set_pools({"l2gate0": []})
        await network.settle()
        routes = run("ip -6 route show dev l2gate0")
        assert str(PREFIX) not in routes
        assert str(POOL) not in routes

    with_network(step)


def test_gateways_follow_the_configuration(device: Tun) -> None:
    async def step(network: Network) -> None:
        network.set_gateways({"l2gate0": [GATEWAY4, IPv6Address("2001:db8:2::1")]})
        await network.settle()
        shown = run("ip -6 addr show l2gate0")
        assert "2001:db8:2::1/128" in shown
        assert "2001:db8:1::1/128" not in shown

    with_network(step)


def test_a_reload_may_bring_ipv6(device: Tun) -> None:
    async def whole() -> None:
        async with Network() as network:
            await network.bring_up("l2gate0", 1400, [GATEWAY4])
            network.set_gateways({"l2gate0": [GATEWAY4, GATEWAY]})
            network.add_route("l2gate0", PREFIX, GATEWAY)
            await network.settle()
            assert str(PREFIX) in run("ip -6 route show dev l2gate0")
            assert "fe80" not in run("ip -6 addr show l2gate0")
            assert sysctl("all.forwarding") == "1"
            device.send([echo(CLIENT, HOST)])
            assert IPv6(next_packet(device)).src == HOST

    asyncio.run(whole())


def test_own_networks(lan: Namespace) -> None:
    own = asyncio.run(own_networks())
    assert IPv6Network("2001:db8:9::/64") in own


def echo_reply(device: Tun) -> IPv6:
    """The next echo reply, whatever else the kernel has to say before."""
    while ICMPv6EchoReply not in (packet := IPv6(next_packet(device))):
        pass
    return packet


def test_packets_pass_in_both_directions(lan: Namespace, device: Tun) -> None:
    async def step(_: Network) -> None:
        device.send([echo(CLIENT, HOST)])
        reply = echo_reply(device)
        assert (reply.src, reply.dst, reply.hlim) == (HOST, CLIENT, 63)
        device.send([echo(CLIENT, str(GATEWAY))])
        assert echo_reply(device).src == str(GATEWAY)

    with_network(step)


def test_our_packet_too_big_reaches_the_lan(lan: Namespace, device: Tun) -> None:
    async def step(_: Network) -> None:
        with lan, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.connect((CLIENT, 9))
            sock.send(bytes(1300))
            error = inner6.packet_too_big(next_packet(device), 1290, int(GATEWAY))
            assert error is not None
            device.send([error])
            for _ in range(100):
                if sock.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU) == 1290:
                    break
                select.select([], [], [], 0.02)
            assert sock.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU) == 1290

    with_network(step)


def test_clients_reach_each_other_without_redirects(device: Tun) -> None:
    async def step(network: Network) -> None:
        network.add_route("l2gate0", OTHER, GATEWAY)
        await network.settle()
        for _ in range(3):
            packet = IPv6(src=CLIENT, dst="2001:db8:1:2::9", hlim=64) / UDP(sport=7, dport=9)
            device.send([bytes(packet)])
            forwarded = IPv6(next_packet(device))
            assert (forwarded.src, forwarded.dst) == (CLIENT, "2001:db8:1:2::9")
            assert forwarded.hlim == 63
        assert unicast(device) == []

    with_network(step)


def test_errors_of_the_kernel_come_from_the_gateway(device: Tun) -> None:
    async def step(_: Network) -> None:
        device.send([bytes(IPv6(src=CLIENT, dst=HOST, hlim=1) / UDP(dport=9))])
        error = IPv6(next_packet(device))
        assert (error.src, error.dst) == (str(GATEWAY), CLIENT)
        assert ICMPv6TimeExceeded in error

    with_network(step)


def test_sysctls_that_cannot_be_written(device: Tun, tmp_path: Path) -> None:
    settings = tmp_path / "ipv4"
    settings.mkdir()
    (settings / "ip_forward").write_text("1")

    async def bring_up() -> None:
        async with Network(Sysctls(tmp_path)) as network:
            await network.bring_up("l2gate0", 1400, [GATEWAY4, GATEWAY])

    with pytest.raises(NetworkError, match=r"IPv6 forwarding .* take pool6 out"):
        asyncio.run(bring_up())

"""Addresses, routes and sysctls, in network namespaces of the test's own.

LAN host 192.168.1.5 --- veth --- server 192.168.1.1, TUN l2gate0 172.16.1.1 --- clients
"""

import asyncio
import logging
import select
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, UDP

from l2gate import inner
from l2gate.network import Network, NetworkError, own_networks
from l2gate.sysctl import Sysctls
from l2gate.tun import Tun
from tests.support.namespaces import Namespace, lan_of_server, run

GATEWAY = IPv4Address("172.16.1.1")
CLIENT = IPv4Network("172.16.1.51")


@pytest.fixture
def lan() -> Iterator[Namespace]:
    """The test itself runs as the server; this is the host at headquarters."""
    with lan_of_server("192.168.1.1/24", "192.168.1.5/24") as host:
        yield host


Step = Callable[[Network], Coroutine[None, None, None]]


def with_network(step: Step) -> None:
    """Run one step with the device up, in an event loop as the server does."""

    async def whole() -> None:
        async with Network() as network:
            await network.bring_up("l2gate0", 1400, [GATEWAY, IPv4Address("172.16.9.1")])
            await step(network)

    asyncio.run(whole())


def test_the_device_comes_up(device: Tun) -> None:
    async def step(_: Network) -> None:
        shown = run("ip addr show l2gate0")
        assert "mtu 1400" in shown
        assert "qlen 1000" in shown
        assert "UP" in shown
        assert "inet 172.16.1.1/32" in shown
        assert "inet 172.16.9.1/32" in shown
        assert "inet6" not in shown
        assert run("sysctl -n net.ipv4.ip_forward") == "1\n"
        assert run("sysctl -n net.ipv4.conf.all.send_redirects") == "0\n"

    assert run("sysctl -n net.ipv4.ip_forward") == "0\n"
    with_network(step)
    assert run("sysctl -n net.ipv4.ip_forward") == "0\n"
    assert run("sysctl -n net.ipv4.conf.all.send_redirects") == "1\n"


def test_routes_come_and_go_in_order(device: Tun) -> None:
    async def step(network: Network) -> None:
        branch = IPv4Network("10.1.1.0/24")
        network.add_route("l2gate0", CLIENT, GATEWAY)
        network.add_route("l2gate0", branch, GATEWAY)
        await network.settle()
        routes = run("ip route show dev l2gate0")
        assert "172.16.1.51 proto static scope link src 172.16.1.1" in routes
        assert "10.1.1.0/24 proto static scope link src 172.16.1.1" in routes
        network.remove_route(CLIENT)
        network.add_route("l2gate0", CLIENT, GATEWAY)
        network.remove_route(branch)
        network.remove_route(CLIENT)
        network.add_route("l2gate0", CLIENT, GATEWAY)
        network.add_route("l2gate0", CLIENT, IPv4Address("172.16.9.1"))
        await network.settle()
        assert run("ip route show dev l2gate0").split() == (
            ["172.16.1.51", "proto", "static", "scope", "link", "src", "172.16.9.1"]
        )

    with_network(step)


def test_a_network_that_is_routed_elsewhere_stays(
    device: Tun, caplog: pytest.LogCaptureFixture
) -> None:
    async def step(network: Network) -> None:
        headquarters = IPv4Network("192.168.1.0/24")
        network.add_route("l2gate0", headquarters, GATEWAY)
        network.remove_route(headquarters)
        await network.settle()
        assert "192.168.1.0/24 dev inside" in run("ip route show")

    with caplog.at_level(logging.WARNING):
        with_network(step)
    assert "192.168.1.0/24 is routed elsewhere already" in caplog.text


def test_a_change_that_fails_stops_nothing(device: Tun, caplog: pytest.LogCaptureFixture) -> None:
    async def step(network: Network) -> None:
        network.add_route("l2gate0", CLIENT, IPv4Address("192.0.2.1"))  # no address of this machine
        network.add_route("l2gate0", CLIENT, GATEWAY)
        await network.settle()
        assert "172.16.1.51" in run("ip route show dev l2gate0")

    with caplog.at_level(logging.WARNING):
        with_network(step)
    assert "a change of addresses and routes failed" in caplog.text


def test_nothing_is_left_when_the_device_is_gone(lan: Namespace) -> None:
    async def step(network: Network) -> None:
        network.add_route("l2gate0", CLIENT, GATEWAY)
        await network.settle()

    with closing(Tun("l2gate0")):
        with_network(step)
        assert "172.16.1.51" in run("ip route show table all")
    assert "172.16" not in run("ip route show table all")


def test_changes_under_way_are_finished_on_leaving(device: Tun) -> None:
    async def step(network: Network) -> None:
        for n in range(2, 52):
            network.add_route("l2gate0", IPv4Network(f"172.16.1.{n}"), GATEWAY)

    with_network(step)
    assert len(run("ip route show dev l2gate0").splitlines()) == 50


def test_own_networks(device: Tun) -> None:
    async def step(_: Network) -> None:
        everything = await own_networks()
        assert IPv4Network("192.168.1.0/24") in everything
        assert IPv4Network("127.0.0.0/8") in everything
        assert IPv4Network("172.16.1.1/32") in everything
        others = await own_networks(without=["l2gate0"])
        assert sorted(set(everything) - set(others)) == [
            IPv4Network("172.16.1.1/32"),
            IPv4Network("172.16.9.1/32"),
        ]

    with_network(step)
    assert IPv4Network("192.168.1.0/24") in asyncio.run(own_networks(["no-such-device"]))


@pytest.mark.parametrize("rp_filter", [0, 1, 2])
def test_our_icmp_errors_reach_the_lan(lan: Namespace, device: Tun, rp_filter: int) -> None:
    async def step(network: Network) -> None:
        network.add_route("l2gate0", CLIENT, GATEWAY)
        await network.settle()
        with lan, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER: always DF
            sock.settimeout(5)
            sock.connect(("172.16.1.51", 9))
            sock.send(bytes(1300))
            packet = next_packet(device)
            error = inner.fragmentation_needed(packet, 1280, int(GATEWAY))
            assert error is not None
            device.send([error])
            with pytest.raises(OSError, match="Message too long"):
                sock.recv(1)
            assert sock.getsockopt(socket.IPPROTO_IP, 14) == 1280  # IP_MTU

    for name in ("all", "default", "l2gate0"):
        run(f"sysctl -w net.ipv4.conf.{name}.rp_filter={rp_filter}")
    with_network(step)


def test_clients_reach_each_other_without_redirects(device: Tun) -> None:
    async def step(network: Network) -> None:
        network.add_route("l2gate0", CLIENT, GATEWAY)
        network.add_route("l2gate0", IPv4Network("172.16.1.52"), GATEWAY)
        await network.settle()
        packet = IP(src="172.16.1.51", dst="172.16.1.52", ttl=64) / UDP(sport=7, dport=9)
        device.send([bytes(packet)] * 3)
        for _ in range(3):
            forwarded = IP(next_packet(device))
            assert (forwarded.src, forwarded.dst) == ("172.16.1.51", "172.16.1.52")
            assert forwarded.ttl == 63
        assert device.receive() == []

    with_network(step)


def test_errors_of_the_kernel_come_from_the_gateway(device: Tun) -> None:
    async def step(network: Network) -> None:
        network.add_route("l2gate0", CLIENT, GATEWAY)
        await network.settle()
        device.send([bytes(IP(src="172.16.1.51", dst="192.168.1.5", ttl=1) / UDP(dport=9))])
        error = IP(next_packet(device))
        assert (error.src, error.dst) == ("172.16.1.1", "172.16.1.51")
        assert (error[ICMP].type, error[ICMP].code) == (11, 0)

    with_network(step)


def test_proxy_arp(lan: Namespace, device: Tun) -> None:
    client = IPv4Network("192.168.1.77")

    async def step(network: Network) -> None:
        network.add_route("l2gate0", client, GATEWAY, proxy_arp=True)
        await network.settle()
        assert "192.168.1.77 dev inside proxy" in run("ip neigh show proxy")
        with lan, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"x", ("192.168.1.77", 9))
            assert IP(next_packet(device)).dst == "192.168.1.77"
        network.remove_route(client)
        await network.settle()
        assert run("ip neigh show proxy") == ""
        network.add_route("l2gate0", client, GATEWAY, proxy_arp=True)

    run("sysctl -w net.ipv4.neigh.inside.proxy_delay=0")
    with_network(step)
    assert run("ip neigh show proxy") == ""


def test_proxy_arp_of_a_killed_run_ends_with_the_next_one(lan: Namespace, device: Tun) -> None:
    client = IPv4Network("192.168.1.77")

    async def killed() -> None:
        network = Network()
        await network.__aenter__()
        await network.bring_up("l2gate0", 1400, [GATEWAY])
        network.add_route("l2gate0", client, GATEWAY, proxy_arp=True)
        await network.settle()
        network._rtnetlink.close()

    async def step(network: Network) -> None:
        assert "192.168.1.77" not in run("ip neigh show proxy")
        assert "192.168.1.78" in run("ip neigh show proxy"), "that is not ours"

    run("ip neigh add proxy 192.168.1.78 dev inside")
    asyncio.run(killed())
    assert "192.168.1.77" in run("ip neigh show proxy")
    with_network(step)


def test_proxy_arp_for_an_address_of_nowhere(device: Tun, caplog: pytest.LogCaptureFixture) -> None:
    async def step(network: Network) -> None:
        network.add_route("l2gate0", CLIENT, GATEWAY, proxy_arp=True)

    with caplog.at_level(logging.WARNING):
        with_network(step)
    assert "no interface has a network with 172.16.1.51" in caplog.text


def test_a_device_that_is_not_there(lan: Namespace) -> None:
    with pytest.raises(NetworkError, match="there is no network device l2gate0"):
        with_network(lambda _: asyncio.sleep(0))


def test_sysctls_that_cannot_be_written(device: Tun, tmp_path: Path) -> None:
    async def bring_up() -> None:
        async with Network(Sysctls(tmp_path)) as network:
            await network.bring_up("l2gate0", 1400, [GATEWAY])

    with pytest.raises(NetworkError, match="docker run --sysctl"):
        asyncio.run(bring_up())


def test_an_mtu_that_no_device_takes(device: Tun) -> None:
    async def bring_up() -> None:
        async with Network() as network:
            await network.bring_up("l2gate0", 17, [GATEWAY])

    with pytest.raises(NetworkError, match="l2gate0 cannot be set up"):
        asyncio.run(bring_up())


def test_more_gateways_later(device: Tun) -> None:
    async def step(network: Network) -> None:
        await network.bring_up("l2gate0", 1400, [GATEWAY, GATEWAY, IPv4Address("172.16.8.1")])
        assert run("ip addr show l2gate0").count("inet ") == 3

    with_network(step)


def test_gateways_and_pools_follow_the_configuration(device: Tun) -> None:
    first, second = IPv4Network("172.16.1.0/25"), IPv4Network("172.16.1.51/32")

    async def step(network: Network) -> None:
        network.set_gateways({"l2gate0": [IPv4Address("172.16.7.1")]})
        network.set_pools({"l2gate0": [first, second]})
        network.add_route("l2gate0", CLIENT, IPv4Address("172.16.7.1"))
        await network.settle()
        assert "inet 172.16.7.1/32" in run("ip addr show l2gate0")
        assert run("ip addr show l2gate0").count("inet ") == 1
        assert run("ip route show dev l2gate0").count("172.16.1.51") == 2
        network.remove_route(CLIENT)
        await network.settle()
        routes = run("ip route show dev l2gate0")
        assert "172.16.1.51" in routes, "the pool's route stays behind that of a client"
        assert "172.16.1.0/25" in routes
        network.set_gateways({"l2gate0": [IPv4Address("172.16.6.1")]})
        await network.settle()
        assert run("ip route show dev l2gate0") == routes, "pools do not go with another's address"
        network.set_pools({"l2gate0": []})
        await network.settle()
        assert "172.16.1" not in run("ip route show dev l2gate0")

    with_network(step)


def next_packet(device: Tun) -> bytes:
    """The next packet that the kernel routes into the device."""
    if not (pending := PENDING.setdefault(device.name, [])):
        ready, _, _ = select.select([device.fileno()], [], [], 5)
        assert ready, "no packet came"
        pending += device.receive()
    return pending.pop(0)


PENDING: dict[str, list[bytes]] = {}

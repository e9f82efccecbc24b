"""What a packet costs from socket to TUN and back: `python -m benchmarks.loop` (root).

Two network namespaces, one for the server and one for its client, and a second process that
sends as fast as it can. Prints the process time (user and system) of the server for each packet
that came through, and ends by itself after a few seconds.

    client 10.0.0.2 --- veth --- 10.0.0.1 server, TUN 172.16.1.1 --- session 172.16.1.51
"""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from ipaddress import IPv4Address, IPv4Network
from time import perf_counter, process_time

from benchmarks.forwarder import ipv4
from ipsec.path import Address, Path
from l2gate.forwarder import Forwarder
from l2gate.network import Network
from l2gate.records import Tables
from l2gate.sockets import Sockets, batches
from l2gate.tun import Tun
from tests.support.dataplane import Client, Upcalls
from tests.support.namespaces import Namespace, new_namespace, run

PACKETS = 30000
SIZES = (1400, 64)
SERVER, CLIENT = Address("10.0.0.1", 4500), Address("10.0.0.2", 40000)
IDLE = 0.3
"""Seconds without a packet after which a direction is over."""


class Loop:
    """The data plane as the server drives it, with one session."""

    def __init__(self, tun: Tun, sockets: Sockets) -> None:
        self.tun, self.sockets = tun, sockets
        tables = Tables()
        self.forwarder = Forwarder(tables, Upcalls())
        self.client = Client(tables, path=Path(SERVER, CLIENT))
        self.batches = 0

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_reader(self.tun.fileno(), self.on_tun)
        for bound in self.sockets:
            loop.add_reader(bound.fileno(), self.on_socket, bound.receive)

    def on_socket(self, receive: Callable[[], Sequence[tuple[bytes, Path]]]) -> None:
        for batch in batches(receive):
            for data, path in batch:
                self.forwarder.receive_esp(data, path)
            for _, packets in self.forwarder.take_tun():
                self.tun.send(packets)
            self.batches += 1

    def on_tun(self) -> None:
        for batch in batches(self.tun.receive):
            for packet in batch:
                self.forwarder.receive_inner(packet, self.tun.name)
            for peer, packets in self.forwarder.take_wire():
                self.sockets.send(packets, peer.path)
            self.batches += 1

    async def serve(self, count: Callable[[], int]) -> tuple[int, float, float]:
        """Work until nothing comes any more; return packets, process seconds and seconds."""
        began, first, last = process_time(), 0.0, 0.0
        used, seen = 0.0, 0
        while not seen or perf_counter() - last < IDLE:
            await asyncio.sleep(0.01)
            if count() != seen:
                first = first or perf_counter()
                seen, last, used = count(), perf_counter(), process_time() - began
        return seen, used, last - first


def up(loop: Loop, size: int) -> tuple[Callable[[], None], Callable[[], int]]:
    """Return what the client sends, and how to count what came through."""
    packet = ipv4("172.16.1.51", "192.168.9.9", size)
    message = loop.client.l2tp(b"\xff\x03\x00\x21" + packet)
    sealed = [loop.client.seal(message) for _ in range(PACKETS)]

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(CLIENT)
            for one in sealed:
                sock.sendto(one, SERVER)

    return send, lambda: loop.client.session.packets_in


def down(loop: Loop, size: int) -> tuple[Callable[[], None], Callable[[], int]]:
    """The same for the other direction."""
    payload = bytes(size - 28)

    def send() -> None:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        ):
            sink.bind(CLIENT)
            for _ in range(PACKETS):
                sock.sendto(payload, ("172.16.1.51", 9))

    return send, lambda: loop.client.session.packets_out


def in_child(namespace: Namespace, work: Callable[[], None]) -> int:
    """Do the work in a process of its own, inside a namespace; return its id."""
    child = os.fork()
    if child == 0:
        with suppress(OSError), namespace:
            work()
        os._exit(0)
    return child


async def measure(outside: Namespace) -> None:
    with closing(Tun("l2gate0")) as tun, closing(Sockets([SERVER.host])) as sockets:
        async with Network() as network:
            await network.bring_up(tun.name, 1400, [IPv4Address("172.16.1.1")])
            network.add_route(tun.name, IPv4Network("172.16.1.51"), IPv4Address("172.16.1.1"))
            await network.settle()
            print("AES-256-CBC, SHA1           us/packet  packets/s  Mbit/s  in a batch  through")
            for size in SIZES:
                for direction in (up, down):
                    loop = Loop(tun, sockets)
                    loop.attach(asyncio.get_running_loop())
                    send, count = direction(loop, size)
                    child = in_child(outside, send)
                    packets, used, seconds = await loop.serve(count)
                    os.waitpid(child, 0)
                    rate = packets / seconds
                    print(
                        f"{size:5} octets, {direction.__name__:5}{used / packets * 1e6:17.2f}"
                        f"{rate:11.0f}{rate * size * 8 / 1e6:8.0f}{packets / loop.batches:12.1f}"
                        f"{packets / PACKETS:9.0%}"
                    )


def main() -> None:
    """Build the two namespaces and print the table."""
    with new_namespace() as server, new_namespace() as outside, server:
        run("ip link add name inner type veth peer name outer")
        run(f"ip link set outer netns {outside.path}")
        run("ip addr add 10.0.0.1/24 dev inner")
        run("ip link set inner up")
        with outside:
            run("ip addr add 10.0.0.2/24 dev outer")
            run("ip link set outer up")
            run("ip route add default via 10.0.0.1")
        run("ip route add 192.168.9.0/24 via 10.0.0.2")
        asyncio.run(measure(outside))


if __name__ == "__main__":
    main()

"""The sockets of RADIUS on loopback."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address

import pytest

from aaa.radius.client import Datagram, Server
from l2gate.configuration.model import DynamicSettings
from l2gate.radius_sockets import DynamicListener, RadiusSockets
from l2gate.sockets import ListenError
from tests.support.namespaces import lan_of_server, run

PATIENCE = 10.0


@pytest.fixture
def far() -> Iterator[socket.socket]:
    """The other end."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        far.settimeout(PATIENCE)
        yield far


def server_at(far: socket.socket) -> Server:
    host, port = far.getsockname()
    return Server(host, port, b"secret")


def test_an_answer_comes_back_with_its_server_and_channel(far: socket.socket) -> None:
    server = server_at(far)

    async def run() -> tuple[bytes, Server, int]:
        received: asyncio.Future[tuple[bytes, Server, int]] = asyncio.Future()
        flushed = asyncio.Event()
        loop = asyncio.get_running_loop()
        sockets = RadiusSockets(loop, lambda *what: received.set_result(what), flushed.set)
        for channel in (0, 3, 3):
            sockets.send(Datagram(b"%d" % channel, server, channel))
        asked = [far.recvfrom(100) for _ in range(3)]
        assert [data for data, _ in asked] == [b"0", b"3", b"3"]
        assert asked[0][1] != asked[1][1] == asked[2][1]
        far.sendto(b"answer", asked[1][1])
        async with asyncio.timeout(PATIENCE):
            await flushed.wait()
            found = await received
        sockets.close()
        return found

    assert asyncio.run(run()) == (b"answer", server, 3)


def test_who_else_sends_to_such_a_socket_is_not_heard(far: socket.socket) -> None:
    async def run() -> list[bytes]:
        heard: list[bytes] = []
        flushed = asyncio.Event()
        loop = asyncio.get_running_loop()
        sockets = RadiusSockets(loop, lambda data, *_: heard.append(data), flushed.set)
        sockets.send(Datagram(b"question", server_at(far), 0))
        _, us = far.recvfrom(100)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"forged", us)
        far.sendto(b"answer", us)
        async with asyncio.timeout(PATIENCE):
            await flushed.wait()
        sockets.close()
        return heard

    assert asyncio.run(run()) == [b"answer"]


def test_a_server_that_is_not_there_does_no_harm(far: socket.socket) -> None:
    server = server_at(far)
    far.close()

    async def run() -> None:
        flushed = asyncio.Event()
        sockets = RadiusSockets(asyncio.get_running_loop(), lambda *_: None, flushed.set)
        sockets.send(Datagram(b"question", server, 0))
        async with asyncio.timeout(PATIENCE):
            await flushed.wait()
        sockets.send(Datagram(b"again", server, 0))
        sockets.send(Datagram(b"nowhere", Server("255.255.255.255", 1812, b""), 0))
        sockets.close()

    asyncio.run(run())


def test_a_server_is_reached_from_another_address_when_ours_has_changed() -> None:
    async def run_there(server: Server) -> None:
        loop = asyncio.get_running_loop()
        sockets = RadiusSockets(loop, lambda *_: None, lambda: None)
        sockets.send(Datagram(b"first", server, 0))
        run("ip addr add 10.9.0.3/24 dev inside")
        run("ip addr del 10.9.0.1/24 dev inside")
        run("ip addr replace 10.9.0.3/24 dev inside")
        for attempt in (b"lost", b"again"):
            sockets.send(Datagram(attempt, server, 0))
        sockets.close()

    with lan_of_server("10.9.0.1/24", "10.9.0.2/24") as host, ExitStack() as stack:
        with host:
            far = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            far.bind(("10.9.0.2", 0))
            far.settimeout(PATIENCE)
        asyncio.run(run_there(server_at(far)))
        assert far.recvfrom(100)[1][0] == "10.9.0.1"
        data, sender = far.recvfrom(100)
        assert (data, sender[0]) == (b"again", "10.9.0.3")


def test_the_listener_answers_whom_it_is_told_to(far: socket.socket) -> None:
    async def run() -> bytes:
        flushed = asyncio.Event()
        loop = asyncio.get_running_loop()
        answers = {b"question": b"answer"}
        settings = DynamicSettings(IPv4Address("127.0.0.1"), 0, ())
        listener = DynamicListener(
            loop, settings, lambda data, host: answers.get(data) and host.encode(), flushed.set
        )
        where = listener._socket.getsockname()
        far.sendto(b"rubbish", where)
        far.sendto(b"question", where)
        async with asyncio.timeout(PATIENCE):
            await flushed.wait()
        found = far.recv(100)
        listener.close()
        return found

    assert asyncio.run(run()) == b"127.0.0.1"


@pytest.mark.parametrize("address", [IPv4Address("127.0.0.1"), IPv6Address("2001:db8::99")])
def test_a_listener_that_cannot_listen_says_where(
    address: IPv4Address | IPv6Address, far: socket.socket
) -> None:
    port = far.getsockname()[1]

    async def run() -> None:
        loop = asyncio.get_running_loop()
        settings = DynamicSettings(address, port, ())
        DynamicListener(loop, settings, lambda *_: None, lambda: None)

    with pytest.raises(ListenError, match=f"{address} port {port} for RADIUS"):
        asyncio.run(run())

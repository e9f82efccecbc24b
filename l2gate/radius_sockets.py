"""The sockets of RADIUS: those of the requests, and the one of dynamic authorization.

Each server has as many sockets as `aaa.radius.client` has channels, opened when they are first
needed and connected, so that the kernel lets in nothing but what that server sends. That binds
them to the address that we had then: where it is gone, they are opened anew.
"""

import socket
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from aaa.radius.client import Datagram, Server
from l2gate.configuration.model import DynamicSettings
from l2gate.sockets import ListenError

MAX_PACKET: Final = 4096
BATCH: Final = 64
"""Packets that are read from one socket at a time."""


class RadiusSockets:
    """Sends requests, and gives what comes back to `receive`, then calls `flush`."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        receive: Callable[[bytes, Server, int], None],
        flush: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._receive = receive
        self._flush = flush
        self._sockets: dict[tuple[Server, int], socket.socket] = {}

    def send(self, datagram: Datagram) -> None:
        """Send a packet. What cannot be sent is lost, as anywhere on its way: it is sent again."""
        try:
            self._socket(datagram.server, datagram.channel).send(datagram.data)
        except (BlockingIOError, ConnectionRefusedError):
            pass
        except OSError:
            self._close(datagram.server, datagram.channel)

    def close(self) -> None:
        """Close them."""
        for server, channel in list(self._sockets):
            self._close(server, channel)

    def _close(self, server: Server, channel: int) -> None:
        opened = self._sockets.pop((server, channel), None)
        if opened is not None:
            self._loop.remove_reader(opened.fileno())
            opened.close()

    def _socket(self, server: Server, channel: int) -> socket.socket:
        opened = self._sockets.get((server, channel))
        if opened is None:
            opened = _bound(server.host)
            try:
                opened.connect((server.host, server.port))
            except OSError:
                opened.close()
                raise
            self._sockets[server, channel] = opened
            self._loop.add_reader(opened.fileno(), self._on_packets, opened, server, channel)
        return opened

    def _on_packets(self, opened: socket.socket, server: Server, channel: int) -> None:
        for _ in range(BATCH):
            try:
                data = opened.recv(MAX_PACKET)
            except OSError:  # nothing (more) there, or the port is closed over there
                break
            self._receive(data, server, channel)
        self._flush()


class DynamicListener:
    """The socket for Disconnect- and CoA-Requests; `receive` returns what is to be answered."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        settings: DynamicSettings,
        receive: Callable[[bytes, str], bytes | None],
        flush: Callable[[], None],
    ) -> None:
        """Raises ListenError."""
        self._loop = loop
        self._receive = receive
        self._flush = flush
        self._socket = _bound(str(settings.listen))
        try:
            self._socket.bind((str(settings.listen), settings.port))
        except OSError as error:
            self._socket.close()
            where = f"{settings.listen} port {settings.port}"
            raise ListenError(f"cannot listen on {where} for RADIUS: {error.strerror}") from error
        loop.add_reader(self._socket.fileno(), self._on_packets)

    def close(self) -> None:
        """Close it."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _on_packets(self) -> None:
        for _ in range(BATCH):
            try:
                data, sender = self._socket.recvfrom(MAX_PACKET)
            except OSError:
                break
            answer = self._receive(data, sender[0])
            if answer is not None:
                with suppress(OSError):
                    self._socket.sendto(answer, sender)
        self._flush()


def _bound(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.setblocking(False)
    if family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return opened

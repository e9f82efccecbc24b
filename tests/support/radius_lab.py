"""A lab whose server asks RADIUS servers: real ones on loopback, or what a test answers.

The clock of the lab stands still while a real server works, so the tests wait for nothing else.
"""

import socket
from collections.abc import Callable
from dataclasses import replace

from aaa import Directory, Source
from aaa.radius.client import Datagram, Server
from aaa.radius.constants import Code
from aaa.radius.packet import Attribute, Packet, response
from l2gate.configuration.model import DynamicClient, DynamicSettings, RadiusSettings
from ppp.config import Method
from tests.support.client import ClientHost, ClientState, ServerHost
from tests.support.freeradius import SECRET, FreeRadius
from tests.support.lab import SERVER, SERVER6, Lab, configuration
from tests.support.simulation import Wire

CLIENT = DynamicClient("192.0.2.10", SECRET)
ORDER = (Source.RADIUS,)
ACCESS = Server("192.0.2.10", 1812, SECRET)
ACCOUNTING = Server("192.0.2.10", 1813, SECRET)
SETTINGS = RadiusSettings((ACCESS,), (), 9.0, 60.0, "vpn.example.com", 600.0)

Answer = Callable[[Datagram], bytes | None]
"""What a server sends back, or None for nothing."""


def settings_for(*servers: FreeRadius, **others: object) -> RadiusSettings:
    settings = RadiusSettings(
        servers=tuple(Server("127.0.0.1", one.authentication_port, SECRET) for one in servers),
        accounting_servers=tuple(
            Server("127.0.0.1", one.accounting_port, SECRET) for one in servers
        ),
        timeout=9.0,
        dead_time=60.0,
        nas_identifier="vpn.example.com",
        interim_interval=600.0,
        dynamic=DynamicSettings(configuration().server.listen[0], 3799, (CLIENT,)),
    )
    return replace(settings, **others)  # type: ignore[arg-type]


def silent(request: Datagram) -> None:
    """Be a server that is down."""


class RadiusServerHost(ServerHost):
    """A server whose RADIUS servers answer at once or not at all."""

    sent: list[Datagram]
    answer: Answer
    clock: Callable[[], float]

    def packets_to_send(self) -> list[Wire]:
        while requests := self.gateway.radius_datagrams():
            self.sent += requests
            for request in requests:
                reply = self.answer(request)
                if reply is not None:
                    to = request.server, request.channel, self.clock()
                    self.gateway.receive_radius(reply, *to)
            self.gateway.settle(self.clock())
        return super().packets_to_send()


class RadiusLab(Lab):
    """`answer` stands for the servers where there is one; else they are on loopback."""

    def __init__(
        self,
        settings: RadiusSettings,
        order: tuple[Source, ...] = ORDER,
        answer: Answer | None = None,
    ) -> None:
        super().__init__()
        self.simulation.remove(self.server)
        before = configuration()
        directory = asking(before.directory, order)
        served = replace(before, directory=directory, radius=settings)
        self.server: RadiusServerHost
        self.server = server = RadiusServerHost(served, self.simulation.entropy())
        server.sent, server.answer = [], answer or self._ask
        server.clock = lambda: self.simulation.now
        self.sent = server.sent
        self.simulation.add(server, SERVER, also=SERVER6)
        self._sockets: dict[tuple[Server, int], socket.socket] = {}

    def log_in(self, name: str, password: str, **others: object) -> ClientHost:
        """Return a client that is in, or was told that it may not."""
        client = self.client(name, password=password, **others)  # type: ignore[arg-type]
        done = (ClientState.UP, ClientState.FAILED, ClientState.CLOSED)
        assert self.run(100, lambda: client.state in done)
        return client

    def close(self) -> None:
        for opened in self._sockets.values():
            opened.close()

    def _ask(self, request: Datagram) -> bytes | None:
        key = request.server, request.channel
        if key not in self._sockets:
            opened = self._sockets[key] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.settimeout(5.0)
            opened.connect((request.server.host, request.server.port))
        wire = self._sockets[key]
        try:
            wire.send(request.data)
            return wire.recv(4096)
        except ConnectionRefusedError:
            return None


def asking(directory: Directory, order: tuple[Source, ...] = ORDER) -> Directory:
    """Return a directory whose departments all ask in this order."""
    departments = {
        name: replace(department, authenticate=order)
        for name, department in directory.departments.items()
    }
    return replace(directory, departments=departments)


def reply(request: Datagram, code: Code, *attributes: Attribute, secret: bytes = SECRET) -> bytes:
    """Return the answer of a server that knows `secret`."""
    asked = Packet.parse(request.data)
    return response(code, asked.identifier, asked.authenticator, attributes, secret)


def accepting(*attributes: Attribute, secret: bytes = SECRET) -> Answer:
    """A server that lets everybody in."""

    def answer(request: Datagram) -> bytes:
        if Packet.parse(request.data).code == Code.ACCOUNTING_REQUEST:
            return reply(request, Code.ACCOUNTING_RESPONSE)
        return reply(request, Code.ACCESS_ACCEPT, *attributes, secret=secret)

    return answer


def with_pap(client: ClientHost) -> None:
    client._link_config = replace(client._link_config, methods=(Method.PAP,))


def lab_with(
    answer: Answer, *order: Source, settings: RadiusSettings = SETTINGS, pap: bool = True
) -> RadiusLab:
    lab = RadiusLab(settings, order or (Source.RADIUS,), answer)
    if pap:
        calls = lab.server.gateway.calls
        calls._links = replace(calls._links, methods=(Method.PAP,))
    return lab


def log_in(lab: RadiusLab, name: str = "bob", password: str = "secret") -> ClientHost:
    return lab.log_in(name, password, prepare=with_pap)

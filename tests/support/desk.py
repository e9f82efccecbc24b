"""A server with a file, sessions and a control socket, but without a network of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from l2gate.configuration import Configuration, load
from l2gate.configuration.model import StateSettings
from l2gate.control import ControlServer
from l2gate.keeper import Keeper, open_database
from l2gate.operations import Operations
from l2gate.reloading import Reloader
from tests.support.client import ClientHost, ClientState
from tests.support.lab import PASSWORD, PSK, Lab, configuration

Result = TypeVar("Result")
WALL = 1.8e9

TEXT = """\
ipsec: {{psk: {psk}}}
server: {{control_socket: {socket}}}
departments:
  sales: {{domains: [sales.example.com], pool: 172.16.1.2-172.16.1.100, gateway: 172.16.1.1}}
  hr: {{domains: [hr.example.com], pool: 172.16.2.2-172.16.2.100, gateway: 172.16.2.1}}
  default: {{pool: 172.16.9.0/24, gateway: 172.16.9.1}}
users:
  - {{name: u0, password: {password}}}   # the first
  - {{name: u1@sales.example.com, password: {password}}}
"""


class ServedLab(Lab):
    """A lab whose server has its users from a file and answers on a control socket.

    The past that it tells of is in `state`; its own sessions are not added to it.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.path, self.socket = directory / "l2gate.yaml", directory / "control.sock"
        self.state = directory / "state.db"
        self.path.write_text(TEXT.format(socket=self.socket, psk=PSK.decode(), password=PASSWORD))
        self.path.chmod(0o600)
        self.gateway = self.server.gateway
        loaded = load(self.path).configuration
        self.configuration = replace(configuration(), directory=loaded.directory)
        self.gateway.replace_directory(loaded.directory, self.simulation.now)
        self.gateway.aaa._wall = self.wall

    def now(self) -> float:
        return self.simulation.now

    def wall(self) -> float:
        return self.simulation.now + WALL

    def log_in(self, name: str, host: str, password: str = PASSWORD) -> ClientHost:
        client = self.client(name, host, password=password, host_name=host)
        assert self.run(10, lambda: client.state is ClientState.UP), client.why
        return client

    def serve(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Answer on the control socket while `work` goes on; then let the network settle."""

        async def own_networks() -> list[object]:
            return []

        async def prepare(_: Configuration) -> None:
            pass

        async def run() -> Result:
            self.reloader = Reloader(
                self.path,
                self.configuration,
                self.gateway,
                self.now,
                own_networks,  # type: ignore[arg-type]
                prepare,
                lambda: None,
                lambda _: None,
            )
            state = StateSettings(self.state, None, "one", 365)
            keeper = Keeper(
                state, open_database(state), self.gateway, self.now, self.wall, lambda: None
            )
            desk = Operations(
                self.configuration,
                self.gateway,
                self.now,
                self.wall,
                lambda: None,
                self.reloader.answer,
                keeper.history,
            )
            server = ControlServer(self.socket, desk.handle)
            async with keeper:
                await server.start()
                try:
                    return await work()
                finally:
                    await server.close()

        result = asyncio.run(run())
        self.run(5)
        return result

"""The program itself, started as an admin would, and a client on real sockets."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from ipsec.path import Path as WirePath
from l2gate.control import ControlError, Request, ask
from l2gate.sockets import BoundSocket, Sockets
from ppp.config import Credentials
from tests.support.client import ClientHost
from tests.support.prerequisites import need_program
from tests.support.simulation import Wire

ROOT: Final = Path(__file__).resolve().parents[2]
L2GATE: Final = (sys.executable, "-m", "l2gate")
SERVER, CLIENT = "127.0.0.1", "127.0.0.2"
USER, PASSWORD, PSK = "bob", "correct horse battery", "a long and random pre-shared key"
PATIENCE: Final = 30.0

_CONFIGURATION: Final = """
server: {{listen: {server}, control_socket: {directory}/control.sock{more}}}
ipsec: {{psk: {psk}}}
departments: {{default: {{pool: 172.16.9.0/24, gateway: 172.16.9.1}}}}
users: [{{name: {user}, password: {password}}}]
"""


class Dialler:
    """A client that dials the server on loopback from an address there; close it in the end."""

    def __init__(
        self,
        user: str = USER,
        password: str = PASSWORD,
        psk: str = PSK,
        address: str = CLIENT,
        ipv6: bool = False,
    ) -> None:
        self.sockets = Sockets([address])
        login = Credentials(user, password)
        self.host = ClientHost(address, SERVER, psk.encode(), login, os.urandom, user, ipv6)

    def close(self) -> None:
        self.sockets.close()

    def run(self, until: Callable[[], bool]) -> None:
        """Exchange packets until something holds."""
        run_together([self], until, lambda: str(self.host.why or self.host.state))

    def step(self) -> float | None:
        """Send what there is to send, and return when something is due."""
        due = self.host.next_timeout()
        if due is not None and due <= time.monotonic():
            self.host.handle_timeout(time.monotonic())
        for packet in self.host.packets_to_send():
            self.sockets.send([packet.data], WirePath(packet.source, packet.destination))
        return self.host.next_timeout()

    def receive(self, bound: BoundSocket) -> None:
        """Take what has come."""
        for data, way in bound.receive():
            self.host.receive(Wire(way.peer, way.local, data), time.monotonic())


def run_together(
    diallers: Sequence[Dialler], until: Callable[[], bool], why: Callable[[], str] = str
) -> None:
    """Let clients exchange packets until something holds; `why` says what they are doing."""
    end = time.monotonic() + PATIENCE
    while not until():
        now = time.monotonic()
        assert now < end, why()
        due = min((when for each in diallers if (when := each.step()) is not None), default=end)
        owners = {bound: each for each in diallers for bound in each.sockets}
        for bound in select.select(list(owners), [], [], max(0.0, min(0.2, due - now)))[0]:
            owners[bound].receive(bound)


def configure(directory: Path, more: str = "", sections: str = "") -> Path:
    """Write a configuration with its control socket in `directory`; `more` is of `server`.

    `sections` are further ones.
    """
    path = directory / "l2gate.yaml"
    path.write_text(
        _CONFIGURATION.format(
            server=SERVER, directory=directory, more=more, psk=PSK, user=USER, password=PASSWORD
        )
        + sections
    )
    path.chmod(0o600)
    return path


def start(
    *arguments: str | Path, by: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Run l2gate, perhaps by another program that goes before it."""
    need_program("nft")
    return subprocess.Popen(
        [*by, *L2GATE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
    )


def answers(control: Path) -> bool:
    """Say whether a server listens on a control socket."""
    try:
        return ask(control, Request("status")).error is None
    except ControlError:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        select.select([], [], [], 0.02)

"""What a session costs a server in memory, everything counted: print it.

The server runs in a process of its own, whose resident memory is read before the first login
and after the last; its clients are in this process and reach it through a pipe.
"""

from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address
from multiprocessing import get_context
from multiprocessing.connection import Connection
from os import sysconf, urandom
from pathlib import Path

from aaa import AddressRange, Directory, Pool, User
from tests.support.client import ClientState, ServerHost
from tests.support.lab import PASSWORD, SERVER, Lab, configuration
from tests.support.lab import up as logged_in
from tests.support.simulation import Link, Wire

WARM_UP = 50
"""Sessions that are up before the first reading: code, caches and buffers are there then."""

SESSIONS = 1000
SECONDS = 60.0
POOL = Pool((AddressRange(IPv4Address("172.20.0.2"), IPv4Address("172.20.255.254")),))


def resident() -> int:
    """Return the octets of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * sysconf("SC_PAGE_SIZE")


class RemoteServer:
    """A host whose gateway lives in another process."""

    def __init__(self) -> None:
        # A forked process would count what this one has in memory.
        spawn = get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        self._process = spawn.Process(target=serve, args=(theirs,), daemon=True)
        self._process.start()

    def receive(self, packet: Wire, now: float) -> None:
        self._ask("receive", packet, now)

    def handle_timeout(self, now: float) -> None:
        self._ask("handle_timeout", now)

    def next_timeout(self) -> float | None:
        return self._ask("next_timeout")  # type: ignore[return-value]

    def packets_to_send(self) -> list[Wire]:
        return self._ask("packets_to_send")  # type: ignore[return-value]

    def resident(self) -> int:
        return int(str(self._ask("resident")))

    def close(self) -> None:
        self._process.terminate()
        self._process.join()

    def _ask(self, *question: object) -> object:
        self._connection.send(question)
        return self._connection.recv()


def serve(connection: Connection) -> None:
    """Answer for the server until the process is ended."""
    basis = configuration()
    crowd = replace(
        basis,
        server=replace(basis.server, max_sessions=32000),
        directory=Directory(
            {"default": replace(basis.directory.departments["default"], pool=POOL)},
            {f"u{n}": User(f"u{n}", password=PASSWORD) for n in range(WARM_UP + SESSIONS)},
        ),
    )
    host = ServerHost(crowd, urandom)
    while True:
        method, *arguments = connection.recv()
        if method == "resident":
            connection.send(resident())
        else:
            connection.send(getattr(host, method)(*arguments))
        host.log.clear()
        host.events.clear()


def main() -> None:
    lab = Lab(link=Link(delay=0.001))
    server = RemoteServer()
    lab.simulation.remove(lab.server)
    lab.simulation.add(server, SERVER)
    clients = []
    before = 0
    for number in range(WARM_UP + SESSIONS):
        if number == WARM_UP:
            before = server.resident()
        client = lab.client(f"u{number}", f"198.51.{number >> 8}.{number & 255}")
        clients.append(client)
        lab.run(SECONDS, partial(logged_in, client))
        lab.simulation.remove(client)
    up = sum(client.state is ClientState.UP for client in clients)
    after = server.resident()
    server.close()
    print(f"{up - WARM_UP} sessions, each {(after - before) / SESSIONS / 1024:.1f} KiB in all")


if __name__ == "__main__":
    main()

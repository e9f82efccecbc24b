"""The program, FreeRADIUS and the database are killed by turns, and every session is accounted.

The judges are FreeRADIUS's own record of what it has heard, and the history in the database.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count, pairwise
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import pytest

from tests.support.client import ClientState
from tests.support.freeradius import SECRET, FreeRadius, running_freeradius
from tests.support.lab import ping
from tests.support.namespaces import new_namespace
from tests.support.postgresql import PostgresqlServer, running_postgresql
from tests.support.program import (
    L2GATE,
    PASSWORD,
    PATIENCE,
    PSK,
    ROOT,
    SERVER,
    Dialler,
    answers,
    run_together,
    start,
    wait_for,
)

LOCAL, REMOTE = [f"u{n}" for n in range(4)], ["r0", "r1"]
GATEWAY = "172.16.9.1"
CONFIGURATION = """
server: {{listen: {server}, control_socket: {directory}/control.sock}}
ipsec: {{psk: {psk}}}
departments:
  default: {{pool: 172.16.9.2-172.16.9.9, gateway: {gateway}, authenticate: [local, radius]}}
users: [{users}]
state: {{{state}}}
radius:
  timeout: 3
  servers:
    - address: 127.0.0.1
      port: {authentication_port}
      accounting_port: {accounting_port}
      secret: {secret}
"""
HURRY = "import l2gate.accounting\nl2gate.accounting.RETRY = 0.5\n"
"""Run by Python before the program, so that the test need not wait as an admin would."""

_hosts = count(11)


class Event(NamedTuple):
    """What tells one event of a session from another in FreeRADIUS's record."""

    session: str
    status: str
    time: int
    octets_in: int


class Site:
    """A server and its clients, any of which may be killed."""

    def __init__(self, directory: Path, radius: FreeRadius) -> None:
        self.directory = directory
        self.radius = radius
        self.clients: dict[str, Dialler] = {}
        (directory / "sitecustomize.py").write_text(HURRY)
        self.start()

    def start(self) -> None:
        path = {"PYTHONPATH": f"{ROOT}:{self.directory}"}
        config = self.directory / "l2gate.yaml"
        self.server = start("serve", "--config", config, environment=path)
        wait_for(lambda: answers(self.directory / "control.sock"))

    def kill(self) -> None:
        """End the server as a power cut does; its clients do not know yet."""
        self.server.kill()
        self.printed, _ = self.server.communicate(timeout=PATIENCE)
        self._forget()

    def stop(self) -> None:
        """Let the server end its sessions."""
        self.server.terminate()
        self._run(lambda: self.server.poll() is not None)
        self.printed, _ = self.server.communicate(timeout=PATIENCE)
        self._forget()

    def begin(self, user: str) -> Dialler:
        client = self.clients[user] = Dialler(user, address=f"127.0.0.{next(_hosts)}")
        client.host.connect(0.0)
        return client

    def dial(self, *users: str) -> None:
        begun = [self.begin(user) for user in users]
        self._run(lambda: all(client.host.state is ClientState.UP for client in begun))

    def refused(self, user: str) -> None:
        client = self.begin(user)
        self._run(lambda: client.host.state is not ClientState.CONNECTING)
        assert client.host.state is not ClientState.UP
        self.clients.pop(user).close()

    def dial_when_back(self, user: str) -> None:
        """Dial until the database is there again."""
        client = self.begin(user)
        while client.host.state is not ClientState.UP:
            if client.host.state is not ClientState.CONNECTING:
                self.clients.pop(user).close()
                # Nobody reads the server's log meanwhile, and what a pipe holds is bounded.
                again = monotonic() + 1.0
                self._run(lambda again=again: monotonic() > again)
                client = self.begin(user)
            self._run(lambda c=client: c.host.state is not ClientState.CONNECTING)

    def hang_up(self, user: str) -> None:
        client = self.clients[user]
        client.host.hang_up(0.0)
        self._run(lambda: client.host.state is ClientState.CLOSED)
        ended = count(1)
        self._run(lambda: next(ended) > 3)
        self.clients.pop(user).close()

    def works(self, user: str) -> None:
        """A packet through the tunnel, and its answer."""
        host = self.clients[user].host
        before = len(host.inner)
        host.send(ping(str(host.address), GATEWAY))
        self._run(lambda: len(host.inner) > before)

    def heard(self) -> list[Event]:
        """Return what FreeRADIUS has heard of sessions, repetitions and all."""
        return [
            Event(
                one["Acct-Session-Id"],
                one["Acct-Status-Type"],
                _seconds(one["Event-Timestamp"]),
                int(one.get("Acct-Input-Octets", "0")),
            )
            for one in self.radius.accounting()
            if "User-Name" in one
        ]

    def wait_for_reports(self, starts: int, stops: int) -> None:
        """Wait until FreeRADIUS has heard of so many different starts and stops."""

        def done() -> bool:
            found = Counter(event.status for event in set(self.heard()))
            return (found["Start"], found["Stop"]) == (starts, stops)

        self._run(done)

    def history(self) -> list[dict[str, object]]:
        done = subprocess.run(
            [*L2GATE, "history", "--json", f"--socket={self.directory}/control.sock"],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            timeout=PATIENCE,
        )
        found: list[dict[str, object]] = json.loads(done.stdout)
        return found

    def _run(self, until: Callable[[], bool]) -> None:
        run_together(list(self.clients.values()), until, self._what_they_do)

    def _what_they_do(self) -> str:
        states = {user: client.host.state for user, client in self.clients.items()}
        return f"{states} {sorted(set(self.heard()))}"

    def _forget(self) -> None:
        for client in self.clients.values():
            client.close()
        self.clients.clear()


def _seconds(text: str) -> int:
    return int(datetime.strptime(text, "%b %d %Y %H:%M:%S UTC").replace(tzinfo=UTC).timestamp())


@pytest.fixture(params=["sqlite", "postgresql"])
def postgresql(request: pytest.FixtureRequest) -> Iterator[PostgresqlServer | None]:
    if request.param == "sqlite":
        yield None
        return
    with running_postgresql() as server:
        yield server


def test_everybody_is_killed(
    tmp_path: Path, postgresql: PostgresqlServer | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    known = "".join(f'{user} Cleartext-Password := "{PASSWORD}"\n' for user in REMOTE)
    with ExitStack() as stack:
        stack.enter_context(stack.enter_context(new_namespace()))
        radius = stack.enter_context(running_freeradius(known))
        state = (
            f"file: {tmp_path}/state.db"
            if postgresql is None
            else f'postgresql: "{postgresql.conninfo}", gateway: one'
        )
        (tmp_path / "l2gate.yaml").write_text(
            CONFIGURATION.format(
                server=SERVER,
                directory=tmp_path,
                psk=PSK,
                gateway=GATEWAY,
                users=", ".join(f"{{name: {user}, password: {PASSWORD}}}" for user in LOCAL),
                state=state,
                authentication_port=radius.authentication_port,
                accounting_port=radius.accounting_port,
                secret=SECRET.decode(),
            )
        )
        (tmp_path / "l2gate.yaml").chmod(0o600)
        site = Site(tmp_path, radius)
        try:
            by_turns(site, radius, postgresql)
            judge(site)
        finally:
            site.kill()
            print(site.printed)


def by_turns(site: Site, radius: FreeRadius, postgresql: PostgresqlServer | None) -> None:
    site.dial("u0", "u1", "r0")
    site.wait_for_reports(3, 0)
    # FreeRADIUS is killed: who is up stays up, who comes and goes is told of later.
    radius.kill()
    site.hang_up("u1")
    site.dial("u2")
    site.works("u0")
    site.works("r0")
    # The server is killed while reports wait, and started while there is nobody to tell.
    site.kill()
    site.start()
    site.dial("u0", "u3")
    site.hang_up("u3")
    radius.start()
    site.wait_for_reports(6, 5)
    # Killed again and again, in the middle of whatever it does.
    for moment in range(4):
        begun = [site.begin(user) for user in ("u1", "u2", "u3", "r1")]
        up = moment % 3
        site._run(lambda up=up, begun=begun: _up(begun) >= up)
        site.kill()
        site.start()
    site.dial("u0", "u1", "r0")
    if postgresql is not None:
        postgresql.kill()
        site.works("u0")
        site.refused("u3")
        site.hang_up("u1")
        site.works("r0")
        postgresql.start()
        radius.kill()
        site.dial_when_back("u3")
        radius.start()
    site.works("u0")
    site.stop()
    site.start()


def _up(clients: list[Dialler]) -> int:
    return sum(client.host.state is ClientState.UP for client in clients)


def judge(site: Site) -> None:
    """Each session that opened has one Start and one Stop, and the history says the same."""
    sessions = {str(one["id"]): one for one in site.history()}
    opened = {key for key, one in sessions.items() if one["opened"] is not None}
    site.wait_for_reports(len(opened), len(opened))
    heard = Counter(site.heard())
    for session in opened:
        one = sessions[session]
        events = sorted((e for e in heard if e.session == session), key=lambda e: e.status)
        traffic = one["traffic"]
        assert isinstance(traffic, dict)
        assert events == [
            Event(session, "Start", int(str(one["opened"])), 0),
            Event(session, "Stop", int(str(one["ended"])), int(str(traffic["octets_in"]))),
        ], one
    order = list(dict.fromkeys((event.session, event.status) for event in site.heard()))
    for session in opened:
        assert order.index((session, "Start")) < order.index((session, "Stop"))
    accounted = {one["Acct-Session-Id"]: one for one in site.radius.accounting()}
    for session in opened:
        assert accounted[session]["User-Name"] == sessions[session]["login"]
        assert accounted[session]["Framed-IP-Address"] == sessions[session]["address"]
    print(f"{len(opened)} sessions, {heard.total() - len(heard)} reports came again")
    assert len(opened) >= 9
    by_address: dict[object, list[tuple[int, int]]] = {}
    for one in sessions.values():
        span = int(str(one["began"])), int(str(one["ended"]))
        by_address.setdefault(one["address"], []).append(span)
    for spans in by_address.values():
        for (_, before), (after, _) in pairwise(sorted(spans)):
            assert before <= after, "an address that two had"

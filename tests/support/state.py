"""Servers that keep their sessions: gateways on the fake clock, keepers in a real event loop."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

from aaa import Directory
from l2gate.configuration.model import RadiusSettings, StateSettings
from l2gate.events import NetworkUp, SessionBegun, SessionEnded, Stage
from l2gate.keeper import Keeper, open_database
from l2gate.state import HistoryFilter, PastSession, Sqlite, StateError
from l2gate.state.databases import Database, Transaction
from tests.support.client import ClientHost, ClientState
from tests.support.lab import Lab, configuration
from tests.support.radius_lab import Answer, RadiusServerHost, silent

WALL = 1_800_000_000
RETRY = 0.02
_seeds = count(1)


class Full(Sqlite):
    """A disk that is full, or not."""

    full = False

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        if self.full:
            raise StateError("database or disk is full")
        with super().transaction() as transaction:
            yield transaction


class KeptLab(Lab):
    """A lab whose server keeps its sessions; enter it in an event loop."""

    def __init__(
        self,
        settings: StateSettings,
        directory: Directory | None = None,
        database: Database | None = None,
        wall: float = WALL,
        radius: RadiusSettings | None = None,
        answer: Answer = silent,
    ) -> None:
        """`answer` is what RADIUS servers say, where `radius` names any."""
        super().__init__(seed=next(_seeds))
        self.simulation.remove(self.server)
        whole = replace(configuration(), state=settings, radius=radius)
        whole = replace(whole, directory=directory or whole.directory)
        self.began = wall - self.simulation.now
        self.server = RadiusServerHost(whole, self.simulation.entropy(), self.wall)
        self.server.sent, self.server.answer = [], answer
        self.server.clock = lambda: self.simulation.now
        self.simulation.add(self.server, "203.0.113.1")
        self.keeper = Keeper(
            settings,
            database or open_database(settings),
            self.server.gateway,
            lambda: self.simulation.now,
            self.wall,
            lambda: None,
        )
        self.keeper._worker._retry = RETRY
        self._seen = 0

    def wall(self) -> float:
        return self.began + self.simulation.now

    async def __aenter__(self) -> "KeptLab":
        await self.keeper.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.tell()
        await self.keeper.__aexit__(*exception)

    def tell(self) -> None:
        """Let the keeper have what the gateway said."""
        self.server.packets_to_send()
        events, self._seen = self.server.events[self._seen :], len(self.server.events)
        for event in events:
            if isinstance(event, SessionBegun | NetworkUp | SessionEnded):
                self.keeper.take(event)

    async def settle(self) -> None:
        """Wait until every login has its answer, and all is written where there is a database."""
        while self.keeper._answering:
            await asyncio.wait(self.keeper._answering)
        worker, reports = self.keeper._worker, self.keeper._reports
        while worker.fault is None and not (
            worker._idle.is_set() and (reports is None or reports.complete)
        ):
            await asyncio.sleep(0.001)

    async def go(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let the clients and the server go on for so long."""
        end = self.simulation.now + seconds
        while not until():
            if self.simulation.now >= end:
                return False
            self.run(0.1, until)
            self.tell()
            await self.settle()
        return True

    async def log_in(self, name: str, host: str, **more: str) -> ClientHost:
        client = self.client(name, host, host_name=host, **more)  # type: ignore[arg-type]
        assert await self.go(10, lambda: client.state is ClientState.UP), client.why
        return client

    async def refused(self, name: str, host: str) -> str:
        """Let a client try to log in; return what the log says of its refusal."""
        client = self.client(name, host, host_name=host)
        assert await self.go(10, lambda: client.state is ClientState.FAILED)
        return str([line for line in self.server.log if line.stage is Stage.LOGIN][-1])

    async def crash(self) -> None:
        """Cut the power: what is in line is lost."""
        keeper = self.keeper
        for task in (*keeper._tasks, keeper._worker._worker, *keeper._answering):
            if task is not None:
                task.cancel()
        keeper._worker._line.clear()
        keeper._worker._thread.shutdown()
        keeper._worker._database.close()

    async def past(self, wanted: HistoryFilter | None = None) -> list[PastSession]:
        return await self.keeper._worker.ask(
            lambda: self.keeper._store.history(wanted or HistoryFilter())
        )

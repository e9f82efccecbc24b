"""Keeping the gateway's sessions in the store: the program's side of the state.

The gateway says what begins, opens and ends, the keeper has it written down in that order, and
answers the logins that wait. Where the database fails:

    SQLite       only this gateway gives addresses away: logins go on, and what they do is written
                 down once the file can be written again
    PostgreSQL   another gateway might give away the same address: logins are refused until it is
                 back; sessions that are up go on, and their ends are written down then

Where sessions are reported to RADIUS servers, the reports are the store's; the keeper carries
them to where they are sent from, in rounds (see `l2gate.stored_reports`).
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Address
from typing import Final, Self

from aaa.leases import REMEMBERED
from l2gate.accounting import WINDOW
from l2gate.configuration.model import StateSettings
from l2gate.control import Request, Response
from l2gate.events import NetworkUp, SessionBegun, SessionEnded
from l2gate.gateway import Gateway
from l2gate.past import filter_of, sessions_to_json
from l2gate.reports import StateRow
from l2gate.state import (
    AddressTaken,
    Postgresql,
    Sqlite,
    StateError,
    StateWorker,
    Store,
    StoredReport,
    TooManySessions,
    Traffic,
)
from l2gate.state.databases import Database
from l2gate.stored_reports import MAX_STORED, StoredReports

UPDATE: Final = 60.0
"""Seconds between two notes of what sessions have carried: after a crash, that much is unknown."""
PATIENCE: Final = 5.0
"""Seconds that a login waits for the database."""
PAUSE: Final = 2.0
"""Seconds until the next round after one in which the database was not there."""
PORTION: Final = 200
"""Sessions that are written in one go, so that no login waits for those of many."""
DAY: Final = 86400

_log = logging.getLogger(__name__)


class Keeper:
    """Keeps the sessions of a gateway; an asynchronous context manager, around its whole run."""

    def __init__(
        self,
        settings: StateSettings,
        database: Database,
        gateway: Gateway,
        clock: Callable[[], float],
        wall: Callable[[], float],
        flush: Callable[[], None],
    ) -> None:
        """`clock` is the gateway's, `wall` that of people; `flush` sends what it has to say."""
        self._settings = settings
        self._gateway = gateway
        self._clock = clock
        self._wall = wall
        self._flush = flush
        self._store = Store(database, settings.gateway)
        self._worker = StateWorker(database)
        self._answering: set[asyncio.Task[None]] = set()
        self._beginning: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._reports = gateway.stored_reports if gateway.radius.accounting.is_on else None
        self._changed = asyncio.Event()
        self._pruned = 0

    async def __aenter__(self) -> Self:
        """End what the last run left open, and let users have the addresses that they had."""
        self._loop = asyncio.get_running_loop()
        if self._reports is not None:
            self._reports.changed = self._changed.set
        await self._worker.__aenter__()
        try:
            await self._worker.ask(self._recover)
            last = await self._worker.ask(partial(self._store.last_addresses, REMEMBERED))
            await self._learn_of_others()
        except StateError:
            self._worker.want(self._recover)
        else:
            addresses = {user: IPv4Address(address) for user, address in last.items()}
            self._gateway.aaa.remember(addresses)
        self._tasks = [asyncio.create_task(self._update_for_ever())]
        if self._reports is not None:
            self._tasks.append(asyncio.create_task(self._report_for_ever(self._reports)))
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Write down what is still to be written, if the database is there."""
        tasks = {*self._tasks, *self._answering}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._reports is not None and self._reports.acknowledged:
            numbers = tuple(self._reports.acknowledged)
            self._worker.want(partial(self._store.reported, numbers))
        await self._worker.__aexit__(*exception)

    def take(self, event: SessionBegun | NetworkUp | SessionEnded) -> None:
        """Write down what the gateway says."""
        match event:
            case SessionBegun():
                self._beginning.add(event.beginning.id)
                # In line at once: its end may be the next event.
                asked = self._worker.ask(partial(self._store.begin, event.beginning))
                answering = asyncio.create_task(self._answer(event, asked))
                self._answering.add(answering)
                answering.add_done_callback(self._answering.discard)
            case NetworkUp():
                self._worker.want(partial(self._store.open, event.id, event.time, event.facts))
                self._note_report()
            case SessionEnded():
                self._beginning.discard(event.ending.id)
                self._worker.want(partial(self._store.end, event.ending))
                self._note_report()

    async def history(self, request: Request) -> Response:
        """Answer a request for sessions of the past."""
        try:
            wanted = filter_of(request)
            found = await self._worker.ask(partial(self._store.history, wanted))
        except (StateError, ValueError) as error:
            return Response(error=str(error))
        # In a thread, so that packets go on meanwhile.
        return Response(result=await asyncio.to_thread(sessions_to_json, found))

    def status(self) -> StateRow:
        """Return what an admin is told of the database."""
        file = self._settings.file
        return StateRow("PostgreSQL" if file is None else f"SQLite, {file}", self._worker.fault)

    async def update(self) -> None:
        """Note what sessions have carried, learn which addresses others have, forget old days."""
        carried, now = self._carried(), int(self._wall())
        # The worker has said what is wrong, and the next update has what this one had.
        with suppress(StateError):
            for at in range(0, len(carried), PORTION):
                part = carried[at : at + PORTION]
                await self._worker.ask(partial(self._store.update, part, now, interim=False))
            await self._learn_of_others()
            await self._bound_reports()
            if now >= self._pruned + DAY:
                before = now - self._settings.keep * DAY
                while await self._worker.ask(partial(self._store.prune, before, PORTION)):
                    continue
                self._pruned = now

    async def _answer(
        self, event: SessionBegun, asked: "asyncio.Future[AddressTaken | TooManySessions | None]"
    ) -> None:
        answer: AddressTaken | TooManySessions | StateError | None
        try:
            answer = await asyncio.wait_for(asked, PATIENCE)
        except TimeoutError:
            answer = StateError(f"no answer within {PATIENCE:.0f} s")
        except StateError as error:
            answer = error
        if isinstance(answer, AddressTaken):
            # Without what others have, one address after the other is tried.
            with suppress(StateError):
                await self._learn_of_others()
        if isinstance(answer, StateError) and self._settings.file is not None:
            # Behind its end, a beginning would never end.
            if event.beginning.id in self._beginning:
                self._worker.want(partial(self._store.begin, event.beginning))
            answer = None
        self._beginning.discard(event.beginning.id)
        self._gateway.begun(event.session, event.beginning, answer, self._clock())
        self._flush()

    async def _learn_of_others(self) -> None:
        addresses = await self._worker.ask(self._store.addresses_elsewhere)
        self._gateway.aaa.set_foreign(map(IPv4Address, addresses))

    async def _update_for_ever(self) -> None:
        while True:
            await asyncio.sleep(UPDATE)
            await self.update()

    def _recover(self) -> None:
        """Runs in the worker's thread."""
        self._store.recover(int(self._wall()))
        if self._reports is not None:
            last = self._store.last_report()
            self._loop.call_soon_threadsafe(self._reports.begin, last)

    def _carried(self) -> list[tuple[str, Traffic]]:
        register = self._gateway.calls.register
        return [] if register is None else list(register.carried())

    # Reports

    def _note_report(self) -> None:
        if self._reports is not None:
            self._reports.note()

    async def _report_for_ever(self, reports: StoredReports) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            due, acknowledged = reports.round()
            carried = [(id_, traffic) for id_, traffic in self._carried() if id_ in due]
            try:
                oldest = await self._worker.ask(partial(self._round, carried, acknowledged))
            except StateError:
                await asyncio.sleep(PAUSE)
                reports.note()
                continue
            reports.fill(oldest, due, acknowledged)
            self._gateway.radius.accounting.filled(self._clock())
            self._flush()

    def _round(
        self, carried: list[tuple[str, Traffic]], acknowledged: tuple[int, ...]
    ) -> list[StoredReport]:
        """Runs in the worker's thread."""
        if carried:
            self._store.update(carried, int(self._wall()), interim=True)
        if acknowledged:
            self._store.reported(acknowledged)
        return self._store.reports(WINDOW)

    async def _bound_reports(self) -> None:
        if self._reports is None:
            return
        waiting, lost = await self._worker.ask(partial(self._store.bound_reports, MAX_STORED))
        self._reports.waiting = waiting
        if lost:
            _log.error("%d RADIUS reports of starts and stops are lost: too many wait", lost)


def open_database(settings: StateSettings) -> Database:
    """Return the database of the settings. Raises StateError where there is no driver for it."""
    if settings.file is None:
        return Postgresql(settings.postgresql or "")
    with suppress(OSError):
        settings.file.parent.mkdir(mode=0o700, exist_ok=True)
    return Sqlite(settings.file)

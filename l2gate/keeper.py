"""Keeping the gateway's sessions in the store: the program's side of the state.

The gateway says what begins, opens and ends, the keeper has it written down in that order, and
answers the logins that wait. Where the database fails:

    SQLite       only this gateway gives addresses away: logins go on, and what they do is written
                 down once the file can be written again
    PostgreSQL   another gateway might give away the same address: logins are refused until it is
                 back; sessions that are up go on, and their ends are written down then
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Address
from typing import Final, Self

from aaa.leases import REMEMBERED
from l2gate.configuration.model import StateSettings
from l2gate.control import Request, Response
from l2gate.events import NetworkUp, SessionBegun, SessionEnded
from l2gate.gateway import Gateway
from l2gate.past import filter_of, sessions_to_json
from l2gate.state import (
    AddressTaken,
    Postgresql,
    Sqlite,
    StateError,
    StateWorker,
    Store,
    TooManySessions,
)
from l2gate.state.databases import Database

UPDATE: Final = 60.0
"""Seconds between two notes of what sessions have carried: after a crash, that much is unknown."""
PATIENCE: Final = 5.0
"""Seconds that a login waits for the database."""
DAY: Final = 86400


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
        self._updating: asyncio.Task[None] | None = None
        self._pruned = 0

    async def __aenter__(self) -> Self:
        """End what the last run left open, and let users have the addresses that they had."""
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
        self._updating = asyncio.create_task(self._update_for_ever())
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Write down what is still to be written, if the database is there."""
        tasks = {task for task in (self._updating, *self._answering) if task is not None}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._worker.__aexit__(*exception)

    def take(self, event: SessionBegun | NetworkUp | SessionEnded) -> None:
        """Write down what the gateway says."""
        match event:
            case SessionBegun():
                # In line at once: its end may be the next event.
                asked = self._worker.ask(partial(self._store.begin, event.beginning))
                answering = asyncio.create_task(self._answer(event, asked))
                self._answering.add(answering)
                answering.add_done_callback(self._answering.discard)
            case NetworkUp():
                self._worker.want(partial(self._store.open, event.id, event.time))
            case SessionEnded():
                self._worker.want(partial(self._store.end, event.ending))

    async def history(self, request: Request) -> Response:
        """Answer a request for sessions of the past."""
        try:
            wanted = filter_of(request)
            found = await self._worker.ask(partial(self._store.history, wanted))
        except (StateError, ValueError) as error:
            return Response(error=str(error))
        return Response(result=sessions_to_json(found))

    async def update(self) -> None:
        """Note what sessions have carried, learn which addresses others have, forget old days."""
        register, now = self._gateway.calls.register, int(self._wall())
        carried = [] if register is None else list(register.carried())
        # The worker has said what is wrong, and the next update has what this one had.
        with suppress(StateError):
            await self._worker.ask(partial(self._store.update, carried, now, interim=False))
            await self._learn_of_others()
            if now >= self._pruned + DAY:
                before = now - self._settings.keep * DAY
                await self._worker.ask(partial(self._store.prune, before))
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
            self._worker.want(partial(self._store.begin, event.beginning))
            answer = None
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
        self._store.recover(int(self._wall()))


def open_database(settings: StateSettings) -> Database:
    """Return the database of the settings. Raises StateError where there is no driver for it."""
    if settings.file is None:
        return Postgresql(settings.postgresql or "")
    with suppress(OSError):
        settings.file.parent.mkdir(mode=0o700, exist_ok=True)
    return Sqlite(settings.file)

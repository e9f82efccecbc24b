"""The thread that asks the database, while that comes and goes."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from l2gate.state import (
    Beginning,
    Ending,
    HistoryFilter,
    Postgresql,
    Sqlite,
    StateError,
    StateWorker,
    Store,
)
from tests.support.postgresql import running_postgresql

BOB = Beginning("a-1", "bob", "default", "172.16.9.2", "198.51.100.7", "laptop", 0)


class Flaky:
    """A database that is there or not."""

    serial = Sqlite.serial

    def __init__(self) -> None:
        self.there = True
        self.is_new = False
        self.closed = False

    def transaction(self) -> None:
        raise NotImplementedError

    def interrupt(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True

    def operation(self, result: object = None) -> Callable[[], object]:
        def operation() -> object:
            if not self.there:
                raise StateError("not there")
            done.append(result)
            return result

        return operation


done: list[object] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    done.clear()


def test_operations_keep_their_order_and_are_all_done_at_the_end() -> None:
    async def whole() -> None:
        database = Flaky()
        async with StateWorker(database) as worker:  # type: ignore[arg-type]
            for number in range(50):
                worker.want(database.operation(number))
            assert await worker.ask(database.operation("asked")) == "asked"
            worker.want(database.operation("last"))
        assert database.closed

    asyncio.run(whole())
    assert done == [*range(50), "asked", "last"]


def test_what_must_not_be_lost_waits_and_who_asks_does_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def whole() -> None:
        database = Flaky()
        database.there = False
        async with StateWorker(database, retry=0.01) as worker:  # type: ignore[arg-type]
            with pytest.raises(StateError):
                await worker.ask(database.operation("asked"))
            worker.want(database.operation("kept"))
            await asyncio.sleep(0.05)
            assert worker.fault == "not there"
            with pytest.raises(StateError, match="not there"):
                await worker.ask(database.operation("asked again"))
            database.there = True
            while worker.fault is not None:
                await asyncio.sleep(0.01)
            assert await worker.ask(database.operation("answered")) == "answered"

    asyncio.run(whole())
    assert done == ["kept", "answered"]
    assert caplog.text.count("is not there, trying again") == 1


def test_who_asked_while_the_database_went_away_does_not_wait_for_it() -> None:
    goes_on = threading.Event()

    def fails() -> None:
        goes_on.wait()
        if not database.there:
            raise StateError("not there")

    async def whole() -> None:
        database.there = False
        async with StateWorker(database, retry=0.01) as worker:  # type: ignore[arg-type]
            worker.want(fails)
            while worker._line:
                await asyncio.sleep(0)
            answer = worker.ask(database.operation("asked"))
            worker.want(database.operation("kept"))
            goes_on.set()
            with pytest.raises(StateError):
                await answer
            database.there = True

    database = Flaky()
    asyncio.run(whole())
    assert done == ["kept"]


def test_an_operation_with_a_fault_of_its_own_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fault() -> None:
        raise ValueError("a value that no database takes")

    async def whole() -> None:
        database = Flaky()
        async with StateWorker(database, retry=0.01) as worker:  # type: ignore[arg-type]
            worker.want(fault)
            with pytest.raises(StateError, match="no database takes"):
                await worker.ask(fault)
            worker.want(database.operation("next"))

    asyncio.run(whole())
    assert done == ["next"]
    assert caplog.text.count("an operation on the state failed") == 2


def test_the_end_does_not_wait_for_a_database_that_is_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def whole() -> None:
        database = Flaky()
        database.there = False
        async with StateWorker(database, retry=0.01) as worker:  # type: ignore[arg-type]
            worker.want(database.operation(1))
            worker.want(database.operation(2))
        assert database.closed

    asyncio.run(whole())
    assert done == []
    assert caplog.text.count("a change of the state is lost") == 2


def test_postgresql_is_killed_in_mid_use() -> None:
    async def whole() -> None:
        with running_postgresql() as server:
            database = Postgresql(server.conninfo)
            store = Store(database, "one")
            async with StateWorker(database, retry=0.05) as worker:
                await worker.ask(lambda: store.recover(0))
                assert await worker.ask(lambda: store.begin(BOB)) is None
                await worker.ask(lambda: store.open("a-1", 1, "facts"))
                server.kill()
                worker.want(lambda: store.end(Ending("a-1", 9, "hung up")))
                await asyncio.sleep(0.2)
                with pytest.raises(StateError):
                    await worker.ask(lambda: store.begin(replace(BOB, id="a-2")))
                server.start()
                while worker.fault is not None:
                    await asyncio.sleep(0.05)
                (past,) = await worker.ask(lambda: store.history(HistoryFilter()))
                assert past.ended == 9
                reports = await worker.ask(lambda: store.reports(10))
                assert [report.status for report in reports] == ["Start", "Stop"]

    asyncio.run(whole())


def test_the_end_does_not_wait_for_a_database_that_hangs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("l2gate.state.worker.STUCK", 0.1)

    async def whole() -> None:
        with running_postgresql() as server:
            database = Postgresql(server.conninfo)
            store = Store(database, "one")
            worker = StateWorker(database)
            await worker.__aenter__()
            await worker.ask(lambda: store.recover(0))
            with database.transaction() as transaction:
                ((backend,),) = transaction.rows("SELECT pg_backend_pid()")
            os.kill(int(backend or 0), signal.SIGSTOP)
            try:
                worker.want(lambda: store.end(Ending("a-1", 9, "hung up")))
                async with asyncio.timeout(30):
                    await worker.__aexit__()
            finally:
                os.kill(int(backend or 0), signal.SIGCONT)

    asyncio.run(whole())
    assert "a change of the state is lost" in caplog.text

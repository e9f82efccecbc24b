"""The thread in which the database is asked, so that nothing else ever waits for it.

Operations are done in the order in which they are wanted. One that must not be lost (the end of
a session, a report) is tried again until the database is there; while that lasts, what somebody
waits for fails at once, and the rest waits in line.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, Self, TypeVar

from l2gate.state.databases import Database, StateError

Result = TypeVar("Result")

RETRY: Final = 2.0
"""Seconds between attempts while the database is not there."""
MAX_WAITING: Final = 100_000
"""Operations that may wait in line; beyond that the oldest is lost, which is logged."""

STUCK: Final = 10.0
"""Seconds that the end of the server waits for one operation."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Wanted(Generic[Result]):
    operation: Callable[[], Result]
    answer: "asyncio.Future[Result] | None"


class StateWorker:
    """Runs operations on a database; an asynchronous context manager."""

    def __init__(self, database: Database, retry: float = RETRY) -> None:
        self._database = database
        self._retry = retry
        self._line: deque[_Wanted[object]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self._done = 0
        self._worker: asyncio.Task[None] | None = None
        self.fault: str | None = None
        """What is wrong with the database at the moment, or None."""

    async def __aenter__(self) -> Self:
        """Begin to work."""
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do what is still wanted, if the database is there, and let go of it."""
        self._stopping = True
        while not self._idle.is_set():
            before = self._done
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), STUCK)
            if not self._idle.is_set() and self._done == before:
                self._database.interrupt()
        if self._worker is not None:
            self._worker.cancel()
        await self._in_thread(self._database.close)
        self._thread.shutdown()

    def ask(self, operation: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Have an operation done in its turn, and return what will have what it returns.

        Or StateError; at once while others wait for the database to come back.
        """
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        wanted = _Wanted(operation, answer)
        if self.fault is not None and self._line:
            self._lose(wanted)  # type: ignore[arg-type]
        else:
            self._put(wanted)
        return answer

    def want(self, operation: Callable[[], object]) -> None:
        """Have an operation done, sooner or later."""
        self._put(_Wanted(operation, None))

    def _put(self, wanted: "_Wanted[Result]") -> None:
        if len(self._line) >= MAX_WAITING:
            self._lose(self._line.popleft())
        self._line.append(wanted)  # type: ignore[arg-type]
        self._idle.clear()
        self._wanted.set()

    async def _in_thread(self, operation: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, operation)

    async def _work(self) -> None:
        while True:
            if not self._line:
                self._idle.set()
                self._wanted.clear()
                await self._wanted.wait()
            await self._do(self._line.popleft())
            self._done += 1

    async def _do(self, wanted: _Wanted[object]) -> None:
        try:
            result = await self._in_thread(wanted.operation)
        except StateError as error:
            self._note(str(error))
            if wanted.answer is not None:
                self._lose(wanted)
            elif self._stopping:
                for lost in (wanted, *self._line):
                    self._lose(lost)
                self._line.clear()
            else:
                self._line.appendleft(wanted)
                self._send_away()
                await asyncio.sleep(self._retry)
            return
        except Exception as error:
            _log.exception("an operation on the state failed, and is not tried again")
            if wanted.answer is not None and not wanted.answer.done():
                wanted.answer.set_exception(StateError(f"the operation failed: {error}"))
            return
        self._note(None)
        if wanted.answer is not None and not wanted.answer.done():
            wanted.answer.set_result(result)

    def _send_away(self) -> None:
        """Let nobody wait for an answer behind what is tried again."""
        waiting = [wanted for wanted in self._line if wanted.answer is not None]
        if waiting:
            self._line = deque(wanted for wanted in self._line if wanted.answer is None)
        for wanted in waiting:
            self._lose(wanted)

    def _lose(self, wanted: "_Wanted[object]") -> None:
        if wanted.answer is None:
            _log.error("a change of the state is lost: the database was away for too long")
        elif not wanted.answer.done():
            wanted.answer.set_exception(StateError(self.fault or "too many operations wait"))

    def _note(self, fault: str | None) -> None:
        if fault is not None and self.fault is None:
            _log.error("the database is not there, trying again every %g s: %s", self._retry, fault)
        if fault is None and self.fault is not None:
            _log.info("the database is there again")
        self.fault = fault

"""The event log: what happened, for programs, as one line of JSON each (docs/events.md).

A thread of its own writes, so that a slow disk or a full pipe never stops the server. What
does not fit into the queue before it is left out, and a line says how many were.
"""

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from queue import Full, Queue
from threading import Thread
from typing import Final

from l2gate.events import Fact, Happening, Noted

STANDARD_OUTPUT: Final = Path("-")

MAX_WAITING: Final = 10_000
"""Lines that wait to be written; an event is left out if there are so many."""

PATIENCE: Final = 2.0
"""Seconds that the end of the server waits for the last lines."""

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_ALWAYS: Final = ("attempt", "peer", "user", "session", "text", "mend", "windows")

_log = logging.getLogger("l2gate")


def as_line(noted: Noted, wall: float) -> str:
    """Return the line for what happened so many seconds after 1970; what is empty is left out."""
    known = {name: getattr(noted, name) for name in _ALWAYS}
    said = {name: value for name, value in known.items() if value not in ("", None)}
    return _line(noted.happening, wall, {**said, **noted.facts})


def _line(happening: Happening, wall: float, facts: Mapping[str, Fact]) -> str:
    moment = datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")
    begin = {"time": moment.replace("+00:00", "Z"), "event": happening.value}
    rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in facts.items()}
    return json.dumps({**begin, **rounded}) + "\n"


class EventLog:
    """A file that is appended to, or standard output."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises OSError."""
        self._path = path
        self._queue: Queue[str | None] = Queue(MAX_WAITING)
        self._left_out = 0
        self._reopen = False
        self._failing = self._torn = False
        self._fd = self._open()
        self._thread = Thread(target=self._run, name="event log", daemon=True)
        self._thread.start()

    def write(self, noted: Noted, wall: float) -> None:
        """Let an event be written; `wall` counts seconds since 1970."""
        try:
            if self._left_out:
                facts: dict[str, Fact] = {"text": "events were left out", "count": self._left_out}
                self._queue.put_nowait(_line(Happening.LEFT_OUT, wall, facts))
                self._left_out = 0
            self._queue.put_nowait(as_line(noted, wall))
        except Full:
            self._left_out += 1

    def reopen(self) -> None:
        """Go on in a file of the same name: the one before may have been renamed."""
        self._reopen = True

    def close(self) -> None:
        """Have what waits written, if that takes no more than a moment, and close the file."""
        try:
            self._queue.put(None, timeout=PATIENCE)
        except Full:
            return
        self._thread.join(PATIENCE)

    # The thread.

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            try:
                # What could not be opened once may be possible later.
                if self._reopen or self._fd < 0:
                    self._reopen = False
                    self._close()
                    self._torn = False
                    self._fd = self._open()
                self._write(line.encode())
            except OSError as error:
                self._say(f"cannot be written, events are lost: {error.strerror}")
            else:
                self._say("")
        self._close()

    def _write(self, octets: bytes) -> None:
        if self._torn:
            octets = b"\n" + octets
        whole = len(octets)
        try:
            while octets:
                octets = octets[os.write(self._fd, octets) :]
        finally:
            # Half a line may be there when a disk is full: the next begins on one of its own.
            self._torn = bool(octets) and (self._torn or len(octets) < whole)

    def _say(self, trouble: str) -> None:
        """Tell the other log of trouble, and of its end, once each."""
        if bool(trouble) != self._failing:
            self._failing = not self._failing
            level = logging.ERROR if trouble else logging.INFO
            _log.log(level, "server: event log %s %s", self._path, trouble or "is written again")

    def _open(self) -> int:
        if self._path == STANDARD_OUTPUT:
            return os.dup(1)
        return os.open(self._path, _FLAGS, 0o640)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

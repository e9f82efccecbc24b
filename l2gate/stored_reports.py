"""Reports to RADIUS servers that outlive the program: those of the state (see `l2gate.state`).

How this works. The store writes a report in the transaction of what it reports, so nothing is
added here; what is added only tells that something is on its way. At hand are the oldest
reports alone. The keeper refills them in rounds: it has the store write the interim updates that
are due, forget what servers have, and say which reports are the oldest then.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address
from itertools import islice
from typing import Final

from aaa.radius.access import Port
from aaa.radius.accounting import Report
from aaa.radius.constants import AcctStatusType, AcctTerminateCause
from l2gate.accounting import INTERIM, WINDOW, port_of
from l2gate.calls import Call
from l2gate.state import StoredReport

MAX_STORED: Final = 200_000
"""Reports of a gateway that wait in the database."""

STATUSES: Final = {
    "Start": AcctStatusType.START,
    "Interim-Update": INTERIM,
    "Stop": AcctStatusType.STOP,
}


class StoredReports:
    """The reports of the state; `changed` is called when a round is to be made."""

    def __init__(self) -> None:
        self.changed: Callable[[], None] = lambda: None
        self.due: set[str] = set()
        """Sessions of which an interim update is due."""
        self.acknowledged: set[int] = set()
        """Reports that a server has, and the store does not know of that yet."""
        self.waiting = 0
        self.complete = False
        self.leftover = True
        self._last_of_before: int | None = None
        self._noted = False
        self._at_hand: dict[int, Report] = {}

    def add(self, report: Report) -> None:
        """Take it that the store will have a report."""
        if report.status is INTERIM:
            self.due.add(report.port.session_id)
        self.note()

    def note(self) -> None:
        """Take it that the store has other reports than before, or will have."""
        self.complete, self._noted = False, True
        self.changed()

    def reports(self, limit: int) -> list[tuple[int, Report]]:
        """Return the oldest at hand with their numbers."""
        return list(islice(self._at_hand.items(), limit))

    def reported(self, numbers: Iterable[int]) -> None:
        """Forget those that a server has."""
        for number in numbers:
            self._at_hand.pop(number, None)
            self.acknowledged.add(number)
        self.note()

    def begin(self, last_of_before: int) -> None:
        """Take it that reports up to this number are of runs before."""
        self._last_of_before = last_of_before
        self.note()

    def round(self) -> tuple[frozenset[str], tuple[int, ...]]:
        """Return the sessions that are to be reported, and the reports that are to be forgotten."""
        self._noted = False
        return frozenset(self.due), tuple(self.acknowledged)

    def fill(
        self, oldest: Sequence[StoredReport], due: frozenset[str], forgotten: Iterable[int]
    ) -> None:
        """End a round: take the oldest reports, after so much was done."""
        self.due -= due
        self.acknowledged.difference_update(forgotten)
        left = [stored for stored in oldest if stored.number not in self.acknowledged]
        self.waiting = len(left) if len(oldest) < WINDOW else max(self.waiting, len(left))
        if self.leftover:
            last = self._last_of_before
            self.leftover = last is None or any(stored.number <= last for stored in oldest)
            if self.leftover:
                left = [stored for stored in left if last is not None and stored.number <= last]
        self._at_hand = {stored.number: report_of(stored) for stored in left}
        self.complete = not self._noted


def facts_of(call: Call) -> str:
    """Return what reports of an open call say, for the store."""
    port = port_of(call)
    classes = () if call.authorization is None else call.authorization.classes
    return json.dumps(
        {
            "port": port.number,
            "client": port.client,
            "server": port.server,
            "host_name": port.host_name,
            "by_radius": call.authorization is not None,
            "classes": [value.hex() for value in classes],
        }
    )


def report_of(stored: StoredReport) -> Report:
    """Return the report that the store has kept."""
    facts, session = json.loads(stored.facts), stored.session
    return Report(
        STATUSES[stored.status],
        stored.time,
        session.login,
        Port(facts["port"], session.id, facts["client"], facts["server"], facts["host_name"]),
        IPv4Address(session.address),
        facts["by_radius"],
        max(0, stored.time - (session.opened or stored.time)),
        session.traffic,
        None if stored.cause is None else AcctTerminateCause(stored.cause),
        tuple(map(bytes.fromhex, facts["classes"])),
    )

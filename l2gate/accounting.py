"""What sessions do, reported to RADIUS servers (RFC 2866).

How this works. What is to be reported goes into a queue, oldest first, and stays there until a
server has acknowledged it. Some WINDOW of the oldest are under way at a time, never two of one
session, so that a start comes before its stop. If no server answers all wait for RETRY seconds.
A report that is sent again is the same but for its delay; whoever gets it twice knows it by
session and status.

The queue may outlive the program (`l2gate.stored_reports`), and then begins with reports of runs
before. What is said about the program itself has its place in that order:

    reports of the runs before        each session that a server believes to be up gets its own stop
    Accounting-On                     which ends those that are left, of which nothing is known here
    reports of this run
    Accounting-Off                    when the stops are through

Each waits until what is before it has been acknowledged. Sent first, as it would have to be
without a queue that lasts, Accounting-On would close the sessions whose stops still wait, at
another time and with other traffic than those say, and a start that waits would open one again.
Sent later, it would end sessions that are. For the same reason it is repeated until a server has
taken it: none of them knows of any session of this run before.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Final, Protocol

from aaa.radius.access import Nas, Port
from aaa.radius.accounting import Report, report_attributes, server_attributes
from aaa.radius.client import Answered, Client, ClientConfig, Datagram, Event, Server
from aaa.radius.constants import AcctStatusType, AcctTerminateCause, Code
from aaa.radius.packet import Attribute
from l2gate.calls import Call
from wire import Deadlines, Entropy

INTERIM: Final = AcctStatusType.INTERIM_UPDATE
ON: Final = AcctStatusType.ACCOUNTING_ON
OFF: Final = AcctStatusType.ACCOUNTING_OFF

MAX_REPORTS: Final = 20_000
"""Reports that wait in memory; one more takes the place of the oldest between start and stop."""

WINDOW: Final = 64
"""Reports under way at one time."""

RETRY: Final = 30.0
"""Seconds until reports are sent again after no server has answered."""

ID_ENTROPY: Final = 4
"""Octets in a session id that tell servers apart which were started in the same second."""

SHORTEST_INTERVAL: Final = 60
"""The least Acct-Interim-Interval (RFC 2869 section 5.16)."""


class Reports(Protocol):
    """Reports that no server has yet, in the order in which they were added.

    Nothing here may block: what is kept elsewhere must be at hand.
    """

    @property
    def waiting(self) -> int:
        """How many there are."""

    @property
    def leftover(self) -> bool:
        """Whether some are of a run before, or nobody knows yet; `reports` then has no others."""

    @property
    def complete(self) -> bool:
        """Whether what was added is at hand."""

    def add(self, report: Report) -> None:
        """Keep a report."""

    def reports(self, limit: int) -> Sequence[tuple[int, Report]]:
        """Return the oldest at hand with their numbers, at most `limit`."""

    def reported(self, numbers: Iterable[int]) -> None:
        """Forget those that a server has."""


class ReportsInMemory:
    """Keeps up to `limit` of them."""

    leftover: Final = False
    complete: Final = True

    def __init__(self, limit: int = MAX_REPORTS) -> None:
        self._limit = limit
        self._numbers = count(1)
        self._reports: dict[int, Report] = {}

    @property
    def waiting(self) -> int:
        """How many there are."""
        return len(self._reports)

    def add(self, report: Report) -> None:
        """Keep a report, if need be in place of another."""
        if len(self._reports) >= self._limit:
            interim = (n for n, r in self._reports.items() if r.status is INTERIM)
            del self._reports[next(interim, next(iter(self._reports)))]
        self._reports[next(self._numbers)] = report

    def reports(self, limit: int) -> list[tuple[int, Report]]:
        """Return the oldest with their numbers."""
        return list(islice(self._reports.items(), limit))

    def reported(self, numbers: Iterable[int]) -> None:
        """Forget those that a server has; some may be forgotten already."""
        for number in numbers:
            self._reports.pop(number, None)


@dataclass(frozen=True, slots=True)
class _Session:
    call: Call
    began: float
    interval: float | None


class Accounting:
    """Reports what calls do, if `config` has any servers."""

    def __init__(
        self,
        config: ClientConfig,
        nas: Nas,
        interim_interval: float | None,
        entropy: Entropy,
        wall: Callable[[], float],
        tell: Callable[[str, str], None],
        queue: Reports | None = None,
    ) -> None:
        """`wall` is the clock of people, `tell` gets what is worth a line, and what to do."""
        self.is_on = bool(config.servers)
        self.client = Client(config, entropy)
        self._nas = nas
        self._interim_interval = interim_interval
        self._wall = wall
        self._tell = tell
        self.queue: Reports = ReportsInMemory() if queue is None else queue
        self._sessions: dict[str, _Session] = {}
        self._interim: Deadlines[str] = Deadlines()
        self._under_way: dict[int, Report] = {}
        self._began = not self.is_on
        self._hears = False
        self._on_asked = False
        self._silent_until: float | None = None
        self._is_silent = False
        self._stops = False
        self.finished = not self.is_on
        self._started = int(wall())
        # Where nobody else hears of a session, its id need not differ from those of other servers.
        is_shared = self.is_on or queue is not None
        self._id = f"{self._started:08X}{entropy(ID_ENTROPY).hex().upper() if is_shared else ''}"
        self._ids = count(1)

    def new_id(self) -> str:
        """Return a session id that there never was, on no other server and in no run before."""
        return f"{self._id}-{next(self._ids):X}"

    # What happens

    def opened(self, call: Call, now: float) -> None:
        """The network of a call is open; it may have been before."""
        if not self.is_on or call.accounting_id in self._sessions:
            return
        interval = self._interim_interval
        if call.authorization is not None and call.authorization.interim_interval is not None:
            interval = float(max(SHORTEST_INTERVAL, call.authorization.interim_interval))
        session = self._sessions[call.accounting_id] = _Session(call, now, interval)
        self._report(session, AcctStatusType.START, now)
        if interval is not None:
            self._interim.set(call.accounting_id, now + interval)

    def closed(self, call: Call, cause: AcctTerminateCause, now: float) -> None:
        """A call's session is over; its network need not have been open."""
        session = self._sessions.pop(call.accounting_id, None)
        if session is not None:
            self._interim.clear(call.accounting_id)
            self._report(session, AcctStatusType.STOP, now, cause)

    def filled(self, now: float) -> None:
        """Go on with reports that have come to hand."""
        self._settle(now)

    def stop(self, now: float) -> None:
        """Tell the servers that this one stops, when they know of all sessions.

        There is no time to wait for servers that were silent: they are tried now.
        """
        self._stops, self._silent_until = True, None
        self._settle(now)

    # The way to the servers

    def receive(self, data: bytes, server: Server, channel: int, now: float) -> None:
        """Take a UDP payload from a server."""
        self.client.receive(data, server, channel, now)
        self._settle(now)

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        self._began = True
        for key in self._interim.take_due(now):
            session = self._sessions[key]
            self._report(session, INTERIM, now)
            if session.interval is not None:
                self._interim.set(key, now + session.interval)
        if self._silent_until is not None and now >= self._silent_until:
            self._silent_until = None
        self.client.handle_timeout(now)
        self._settle(now)

    def next_timeout(self) -> float | None:
        """Return when something is due, or None."""
        if not self._began:
            return 0.0
        moments = (self.client.next_timeout(), self._interim.next(), self._silent_until)
        return min((moment for moment in moments if moment is not None), default=None)

    def datagrams_to_send(self) -> list[Datagram]:
        """Return what is to be sent, and forget it."""
        return self.client.datagrams_to_send()

    def _report(
        self,
        session: _Session,
        status: AcctStatusType,
        now: float,
        cause: AcctTerminateCause | None = None,
    ) -> None:
        call = session.call
        self.queue.add(
            Report(
                status,
                int(self._wall()),
                call.owner,
                port_of(call),
                None if call.lease is None else call.lease.address,
                call.authorization is not None,
                int(now - session.began),
                call.carried(),
                cause,
                () if call.authorization is None else call.authorization.classes,
            )
        )
        self._settle(now)

    def _settle(self, now: float) -> None:
        while (event := self.client.next_event()) is not None:
            self._on_event(event, now)
        if not (self.is_on and self._began) or self._silent_until is not None:
            return
        if self._hears or self.queue.leftover:
            self._send_reports(now)
        elif not self._on_asked:
            self._on_asked = True
            self._say(ON, self._started, now)
        all_is_said = self._hears and self.queue.complete and not self.queue.waiting
        if self._stops and all_is_said and not self.finished:
            self._stops = False
            self._say(OFF, int(self._wall()), now)

    def _send_reports(self, now: float) -> None:
        busy = {report.port.session_id for report in self._under_way.values()}
        for number, report in self.queue.reports(WINDOW):
            if number not in self._under_way and report.port.session_id not in busy:
                busy.add(report.port.session_id)
                self._under_way[number] = report
                attributes = report_attributes(self._nas, report, int(self._wall()))
                self._request(number, attributes, now)

    def _say(self, status: AcctStatusType, time: int, now: float) -> None:
        """Tell of the program itself, what happened at `time`."""
        late = int(self._wall()) - time
        attributes = server_attributes(self._nas, status, self._id, time, late)
        self._request(str(status), attributes, now)

    def _request(self, key: int | str, attributes: Sequence[Attribute], now: float) -> None:
        self.client.request(key, Code.ACCOUNTING_REQUEST, attributes, now)

    def _on_event(self, event: Event, now: float) -> None:
        answered = isinstance(event, Answered)
        if event.key == str(ON):
            self._hears, self._on_asked = answered, False
        elif event.key == str(OFF):
            self.finished = True
        elif isinstance(event.key, int):
            self._under_way.pop(event.key, None)
            if answered:
                self.queue.reported([event.key])
        if isinstance(event, Answered):
            if self._is_silent:
                self._is_silent = False
                self._tell(f"accounting: {event.server} answers again", "")
            return
        self._silent_until = now + RETRY
        if not self._is_silent:
            self._is_silent = True
            self._tell(
                f"accounting: {event.why}",
                "the reports wait: is it up, and is this server among its clients, with the same "
                "secret?",
            )


def port_of(call: Call) -> Port:
    """Return where a call comes in, for RADIUS servers."""
    path = call.peer.record.path
    host_name = call.host_name
    return Port(call.session, call.accounting_id, path.peer.host, path.local.host, host_name)

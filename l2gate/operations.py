"""What an admin can ask a running server, and its answers (see `control` for the protocol)."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version
from ipaddress import IPv4Address

from l2gate.calls import Call
from l2gate.capture import (
    MAX_PACKETS,
    MAX_SECONDS,
    PACKETS,
    SECONDS,
    CaptureRefused,
    Captures,
)
from l2gate.configuration import Configuration
from l2gate.control import Request, Response
from l2gate.gateway import Gateway
from l2gate.history import Attempt
from l2gate.past import no_history
from l2gate.records import SessionRecord
from l2gate.reports import (
    KeyRow,
    PoolRow,
    RadiusRow,
    SessionRow,
    StateRow,
    Status,
    rows_to_json,
    sessions_to_json,
    status_to_json,
)
from wire import LocalError

MOST_ATTEMPTS = 200
"""Records in one answer: the newest."""


class Operations:
    """Answers requests about one gateway; `clock` is its clock, `wall` that of people."""

    def __init__(
        self,
        configuration: Configuration,
        gateway: Gateway,
        clock: Callable[[], float],
        wall: Callable[[], float],
        flush: Callable[[], None],
        reload: Callable[[Request], Awaitable[Response]] | None = None,
        history: Callable[[Request], Awaitable[Response]] | None = None,
        state: Callable[[], StateRow] | None = None,
        lost: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        """`flush` is called after every change, to send what it makes the gateway say; `reload`
        answers the command of that name, where there are files, and `history`, where one is kept;
        `state` says in what. `lost` counts the packets that the kernel did not take, by reason.

        `captures` are to be shown what comes and goes as long as there are any.
        """
        self.captures = Captures(gateway)
        self._settings = configuration.server
        self._gateway = gateway
        self._state = state
        self._lost = lost
        self._clock = clock
        self._wall = wall
        self._flush = flush
        self._started = wall()
        self._commands: dict[str, Callable[[Request], Response | Awaitable[Response]]] = {
            "status": self._status,
            "sessions": self._sessions,
            "attempts": self._attempts,
            "offers": self._offers,
            "disconnect": self._disconnect,
            "locks": self._locks,
            "unlock": self._unlock,
            "capture": self._capture,
            "history": history or no_history,
        }
        if reload is not None:
            self._commands["reload"] = reload

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request."""
        command = self._commands.get(request.command)
        if command is None:
            known = ", ".join(self._commands)
            return Response(error=f"this server does not know {request.command!r}, only {known}")
        return command(request)

    def _status(self, request: Request) -> Response:
        gateway = self._gateway
        status = Status(
            name=self._settings.name,
            version=version("l2gate"),
            started=self._started,
            peers=len(gateway.peers),
            sessions=len(self._open_calls()),
            max_sessions=self._settings.max_sessions,
            pools=self._pools(),
            keys=self._keys(),
            drops={reason.value: count for reason, count in gateway.forwarder.drops.items()}
            | dict(self._lost()),
            state=None if self._state is None else self._state(),
            radius=tuple(RadiusRow(*row) for row in gateway.radius.answering()),
            waiting=gateway.radius.accounting.queue.waiting,
        )
        return Response(result=status_to_json(status))

    def _sessions(self, request: Request) -> Response:
        return Response(result=sessions_to_json([self._row(call) for call in self._open_calls()]))

    def _attempts(self, request: Request) -> Response:
        whose = request.arguments.get("whose")
        found = [
            attempt
            for attempt in self._gateway.attempts
            if whose in (None, str(attempt.id), attempt.host, attempt.user, attempt.login)
        ]
        open_calls: dict[int, list[SessionRecord]] = {}
        for call in self._open_calls():
            if call.record is not None:
                open_calls.setdefault(call.attempt.id, []).append(call.record)
        rows = [
            self._reported(attempt, open_calls.get(attempt.id, ()))
            for attempt in found[-MOST_ATTEMPTS:]
        ]
        return Response(result=rows_to_json(rows))

    def _offers(self, request: Request) -> Response:
        offset, fleet = self._wall() - self._clock(), self._gateway.attempts.fleet
        offers = [replace(offer, last=offer.last + offset) for offer in fleet]
        return Response(result=rows_to_json(offers))

    def _disconnect(self, request: Request) -> Response:
        session, user = request.arguments.get("session"), request.arguments.get("user")
        calls = [
            call
            for call in self._gateway.calls
            if call.session == session or (user and call.user == user)
        ]
        if not calls:
            what = f"session {session}" if session is not None else f"session of {user!r}"
            return Response(error=f"there is no {what}")
        self._gateway.disconnect(calls, self._clock())
        self._flush()
        return Response(result={"closed": len(calls)})

    def _locks(self, request: Request) -> Response:
        locks = self._gateway.aaa.lockout.locks(self._wall())
        return Response(result=[lock._asdict() for lock in locks])

    def _unlock(self, request: Request) -> Response:
        user = request.arguments.get("user")
        unlocked = self._gateway.aaa.lockout.unlock(str(user), self._wall())
        if not unlocked:
            return Response(error=f"{user!r} is not locked")
        return Response(result={"unlocked": [lock._asdict() for lock in unlocked]})

    def _capture(self, request: Request) -> Response:
        whose = request.arguments.get("peer")
        seconds = request.arguments.get("seconds", SECONDS)
        packets = request.arguments.get("packets", PACKETS)
        if not (isinstance(whose, str) and isinstance(seconds, int) and isinstance(packets, int)):
            return Response(error="expected a peer, seconds and packets")
        if not (0 < seconds <= MAX_SECONDS and 0 < packets <= MAX_PACKETS):
            return Response(
                error=f"a capture takes {MAX_SECONDS} seconds and {MAX_PACKETS} packets at most"
            )
        try:
            capture = self.captures.make(whose, seconds, packets)
        except CaptureRefused as error:
            return Response(error=str(error))
        return Response({"watched": ", ".join(capture.watched)}, feed=capture)

    def _open_calls(self) -> list[Call]:
        return [call for call in self._gateway.calls if call.is_open]

    def _pools(self) -> tuple[PoolRow, ...]:
        used = Counter(
            call.department.name
            for call in self._gateway.calls
            if call.lease is not None and call.department is not None
        )
        return tuple(
            PoolRow(name, len(department.pool), used[name], department.interface)
            for name, department in self._gateway.aaa.directory.departments.items()
        )

    def _keys(self) -> tuple[KeyRow, ...]:
        peers = Counter(peer.key for peer in self._gateway.peers)
        offset = self._wall() - self._clock()
        return tuple(
            KeyRow(name, peers[name], None if last is None else last + offset)
            for name, last in self._gateway.keys
        )

    def _reported(self, attempt: Attempt, records: Iterable[SessionRecord]) -> Attempt:
        """Return a record in the time of people, with what open calls have carried so far."""
        offset = self._wall() - self._clock()
        return replace(
            attempt,
            began=attempt.began + offset,
            first=attempt.first + offset,
            ended=None if attempt.ended is None else attempt.ended + offset,
            octets_in=attempt.octets_in + sum(record.octets_in for record in records),
            octets_out=attempt.octets_out + sum(record.octets_out for record in records),
        )

    def _row(self, call: Call) -> SessionRow:
        record = call.record
        if record is None or call.department is None:
            raise LocalError("an open call has a record and a department")
        return SessionRow(
            id=call.session,
            user=call.user,
            department=call.department.name,
            address=str(IPv4Address(record.address)),
            peer=str(record.peer.path.peer),
            nat=record.peer.encapsulated,
            host_name=call.host_name,
            since=self._wall() - (self._clock() - call.since),
            cipher=call.peer.algorithms,
            packets_in=record.packets_in,
            octets_in=record.octets_in,
            packets_out=record.packets_out,
            octets_out=record.octets_out,
            key=call.peer.key,
            prefix=str(call.prefix) if record.prefix is not None else "",
            interface=record.interface,
        )

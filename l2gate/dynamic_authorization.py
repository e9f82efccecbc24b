"""Who ends or changes sessions from outside (RFC 5176), and which sessions that fits."""

from collections.abc import Callable, Iterable
from typing import Protocol

from aaa.radius.access import Authorization
from aaa.radius.constants import AcctTerminateCause, ErrorCause
from aaa.radius.dynamic import Refused, Request, Requests, Target
from l2gate.calls import Call
from l2gate.configuration.model import RadiusSettings


class Calls(Protocol):
    """The calls that requests are about."""

    def open_calls(self) -> Iterable[Call]:
        """Return those whose user is logged in."""

    def terminate(self, call: Call, why: str, now: float, cause: AcctTerminateCause) -> None:
        """End a call the polite way."""

    def change(self, call: Call, granted: Authorization, now: float) -> None:
        """Let a call have other times, counted from now, or rates; None changes nothing."""


class DynamicAuthorization:
    """Answers the requests of the clients in `settings`; without any, nobody's."""

    def __init__(
        self, settings: RadiusSettings | None, calls: Calls, wall: Callable[[], float]
    ) -> None:
        dynamic = None if settings is None else settings.dynamic
        self._calls = calls
        self._wall = wall
        self._clients = (
            {}
            if settings is None or dynamic is None
            else {
                client.host: Requests(client.secret, settings.nas_identifier)
                for client in dynamic.clients
            }
        )

    def receive(self, data: bytes, host: str, now: float) -> bytes | None:
        """Take a UDP payload from an address; return the answer, or None."""
        requests = self._clients.get(host)
        if requests is None:
            return None
        wall = int(self._wall())
        request = requests.receive(data, wall)
        if not isinstance(request, Request):
            return request
        try:
            self._act(request, now)
        except Refused as refused:
            return requests.answer(request.packet, wall, refused)
        return requests.answer(request.packet, wall)

    def _act(self, request: Request, now: float) -> None:
        """Do what is asked for. Raises Refused."""
        change = request.change
        if change is not None and (
            change.session_timeout
            is change.idle_timeout
            is change.rate_up
            is change.rate_down
            is None
        ):
            raise Refused(ErrorCause.MISSING_ATTRIBUTE, "nothing is to be changed")
        found = [call for call in self._calls.open_calls() if _fits(request.target, call)]
        if not found:
            raise Refused(ErrorCause.SESSION_CONTEXT_NOT_FOUND, "no session is like that")
        for call in found:
            if change is None:
                cause = AcctTerminateCause.ADMIN_RESET
                self._calls.terminate(call, "disconnected by RADIUS", now, cause)
            else:
                self._calls.change(call, change, now)


def _fits(target: Target, call: Call) -> bool:
    address = None if call.lease is None else call.lease.address
    return (
        target.user in (None, call.user)
        and target.session_id in (None, call.accounting_id)
        and target.port in (None, call.session)
        and target.address in (None, address)
        and target.client in (None, call.peer.record.path.peer.host)
    )

"""Which calls have a session that survives: the gateway's side of the state (see `l2gate.state`).

How this works. Once AAA has leased an address, the login waits until the store has the session
too: `begin` tells the program of it, and the program answers by Gateway.begun. Whatever the
answer is, the session gets its end in the store when its call ends: where the database failed,
nobody knows whether the beginning has taken place.

Without a configured state there is no register, and a login waits for nothing.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace

from aaa import Accepted, MsChapError, Reason, Rejected
from aaa.radius.constants import AcctTerminateCause
from l2gate.calls import Call
from l2gate.events import Event, NetworkUp, SessionBegun, SessionEnded, printable
from l2gate.state import Beginning, Ending, StateError, TooManySessions, Traffic


@dataclass(slots=True)
class Login:
    """A login that waits for the store; `request` is the link's number for it."""

    request: int
    accepted: Accepted


@dataclass(slots=True)
class _Entry:
    """A session, and the login that waits for the store, if one does."""

    call: Call
    beginning: Beginning
    login: Login | None = None


class Register:
    """The sessions of calls. Bounded by the calls."""

    def __init__(
        self,
        wall: Callable[[], float],
        tell: Callable[[Event], None],
        facts: Callable[[Call], str],
    ) -> None:
        """`facts` are what reports of an open session say; where it has none, there are none."""
        self._wall = wall
        self._tell = tell
        self._facts = facts
        self._entries: dict[Hashable, _Entry] = {}

    def begin(self, call: Call, request: int, accepted: Accepted) -> None:
        """Let a login wait for the store; `call` has its lease."""
        entry = self._entries.get(call.session)
        address = "" if call.lease is None else str(call.lease.address)
        if entry is None:
            beginning = self._beginning(call, accepted, address)
            entry = self._entries[call.session] = _Entry(call, beginning)
        waits, entry.login = entry.login is not None, Login(request, accepted)
        if not waits or entry.beginning.address != address:
            entry.beginning = replace(entry.beginning, address=address)
            self._tell(SessionBegun(call.session, entry.beginning))

    def answered(self, session: int, beginning: Beginning) -> Login | None:
        """Return the login that waits for the answer to `beginning`, if it still does."""
        entry = self._entries.get(session)
        if entry is None or entry.beginning != beginning:
            return None
        login, entry.login = entry.login, None
        return login

    def opened(self, call: Call) -> None:
        """Note that the network of a call is up."""
        entry = self._entries.get(call.session)
        if entry is not None:
            self._tell(NetworkUp(entry.beginning.id, int(self._wall()), self._facts(call)))

    def ended(self, call: Call, why: str, cause: AcctTerminateCause) -> None:
        """Note the end of a call's session."""
        entry = self._entries.pop(call.session, None)
        if entry is not None:
            now, why = int(self._wall()), printable(why)
            ending = Ending(entry.beginning.id, now, why, call.carried(), int(cause))
            self._tell(SessionEnded(ending))

    def carried(self) -> Iterator[tuple[str, Traffic]]:
        """Yield what each session with an open network has carried so far."""
        for entry in self._entries.values():
            if entry.call.is_open:
                yield entry.beginning.id, entry.call.carried()

    def _beginning(self, call: Call, accepted: Accepted, address: str) -> Beginning:
        replaced = self._entries.get(accepted.replaces)
        user, department = accepted.user, accepted.department
        return Beginning(
            id=call.accounting_id,
            login=user.name,
            department=department.name,
            address=address,
            client=str(call.peer.record.path.peer),
            host_name=printable(call.host_name),
            time=int(self._wall()),
            limit=1 if user.has_one_session else department.max_sessions_per_user,
            replaces=None if replaced is None else replaced.beginning.id,
        )


def no_facts(call: Call) -> str:
    """Return what the store is to report of a call where nothing is accounted."""
    return ""


def why_not(user: str, answer: TooManySessions | StateError) -> Rejected:
    """Return how a login is refused to which the store says no, or nothing."""
    if isinstance(answer, TooManySessions):
        reason, message = Reason.TOO_MANY_SESSIONS, "too many sessions"
        hint = (
            f"{user!r} has {answer.count} already, on {', '.join(answer.gateways)}: disconnect "
            "one, or raise max_sessions_per_user of the department"
        )
    else:
        reason, message = Reason.NO_STATE, "please try again later"
        hint = f"nobody else may have the address, which it alone can tell: {answer}"
    return Rejected(reason, message, MsChapError.NO_DIALIN_PERMISSION, hint)

"""The service that decides who may in, and with which address."""

from collections import deque
from collections.abc import Hashable

from aaa.decisions import ClientFacts, Decided, Lease, Proof, Revoked
from aaa.directory import Directory


class Aaa:
    """Logins, sessions and addresses of the users of a directory.

    A session is whatever hashable key the caller has for it. It has a place here from the
    moment it is accepted until `release`, which the caller owes for every accepted session.
    Holds one entry for each such session, so it is bounded by the caller's limit on sessions.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._events: deque[Decided] = deque()

    def request(self, session: Hashable, login: str, proof: Proof, client: ClientFacts) -> None:
        """Ask whether a peer may log in; the answer comes as a `Decided` event."""
        raise NotImplementedError

    def next_event(self) -> Decided | None:
        """Return the next answer, or None."""
        return self._events.popleft() if self._events else None

    def lease(self, session: Hashable) -> Lease:
        """Give an accepted session its address; asked again, the same one.

        Raises NoAddress (PoolExhausted, AddressInUse), whose text is for the log.
        """
        raise NotImplementedError

    def release(self, session: Hashable) -> None:
        """Forget a session and free its address; the session need not be known."""
        raise NotImplementedError

    def replace(self, directory: Directory) -> list[Revoked]:
        """Serve another directory from now on; return the sessions that it does not allow.

        They stay until they are released.
        """
        raise NotImplementedError

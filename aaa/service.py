"""The service that decides who may in, and with which address."""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

from aaa.decisions import (
    Accepted,
    ChangeProof,
    ClientFacts,
    Decided,
    Lease,
    MsChapError,
    NoAddress,
    PasswordChangeRequested,
    Proof,
    Reason,
    Rejected,
    Revoked,
)
from aaa.directory import Department, Directory, User
from aaa.leases import Leases
from aaa.login import hint_for_unknown, user_name
from wire import LocalError

NEEDS_PASSWORD = "CHAP-MD5"
"""The method that an NT hash cannot serve: its digest is over the password (RFC 1994)."""

CHANGES_PASSWORDS = ("MS-CHAPv2", "EAP-MSCHAPv2")
"""The methods by which a peer can change its password (RFC 2759 section 7)."""

NEEDS_NO_PASSWORD = "EAP-TLS"
"""The method to which it does not matter whether the password has expired."""

LONGEST_PASSWORD = 255
"""Octets in UTF-8, as in a configuration."""

DECOY = "no such user"
"""What the proof of an unknown user is verified against, so that it costs what others cost."""


@dataclass(frozen=True, slots=True)
class _Place:
    """An accepted session."""

    user: str
    department: Department
    client: ClientFacts


@dataclass(frozen=True, slots=True)
class _Change:
    """A session whose peer is proven and whose new password is being stored."""

    request: int
    user: str
    reply: bytes
    client: ClientFacts


class Aaa:
    """Logins, sessions and addresses of the users of a directory.

    A session is whatever hashable key the caller has for it. It has a place here from the
    moment it is accepted until `release`, which the caller owes for every accepted session.
    Holds one entry for each such session, so it is bounded by the caller's limit on sessions.

    A new session replaces an older one of the same user whose client is the same in every
    fact: a device that lost power or network comes back before its old session is known to be
    dead, and gets its address again. Where the user's sessions reach the limit
    (`max_sessions_per_user`, or one for a user with a fixed address), the same host name is
    enough, since the device may have moved to another network. Any other is refused.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._leases = Leases(directory)
        self._places: dict[Hashable, _Place] = {}
        self._sessions_of: dict[str, list[Hashable]] = {}
        self._changes: dict[Hashable, _Change] = {}
        self._events: deque[Decided | PasswordChangeRequested] = deque()

    @property
    def directory(self) -> Directory:
        """The directory that is served."""
        return self._directory

    def request(
        self, session: Hashable, request: int, login: str, proof: Proof, client: ClientFacts
    ) -> None:
        """Ask whether a peer may log in; the answer comes as a `Decided` event.

        `request` is the caller's number for it, `login` the name as received. A session may ask
        again; accepted as another user, it loses its former place and address.

        Where the proof changes the password, PasswordChangeRequested comes first.
        """
        name = user_name(login)
        decision = self._decide(session, name, proof, client)
        if isinstance(decision, Accepted | Rejected):
            self._events.append(Decided(session, request, decision))
            return
        reply, password = decision
        self._changes[session] = _Change(request, name, reply, client)
        self._events.append(PasswordChangeRequested(session, request, name, password))

    def password_stored(self, session: Hashable, request: int, why_not: str = "") -> None:
        """Answer a PasswordChangeRequested; `why_not` is for the log if it could not be stored.

        If it was, the directory must have the new password by now: call `replace` before.
        Without effect if the session is gone or has asked again.
        """
        change = self._changes.get(session)
        if change is None or change.request != request:
            return
        del self._changes[session]
        user = self._directory.users.get(change.user)
        department = self._directory.department_of(change.user)
        decision: Accepted | Rejected
        if why_not or user is None or department is None or user.disabled:
            decision = _not_changed(change.user, why_not or "the user was removed or disabled")
        else:
            decision = self._admit(session, user, department, change.reply, change.client)
        self._events.append(Decided(session, request, decision))

    def next_event(self) -> Decided | PasswordChangeRequested | None:
        """Return the next answer, or None."""
        return self._events.popleft() if self._events else None

    def lease(self, session: Hashable) -> Lease:
        """Give an accepted session its address; asked again, the same one.

        Raises NoAddress (PoolExhausted, AddressInUse), whose text is for the log, and
        LocalError if the session was not accepted.
        """
        place = self._places.get(session)
        if place is None:
            raise LocalError(f"session {session!r} was not accepted")
        why_not = self._why_not(session, place)
        if why_not is not None:
            raise NoAddress(why_not)
        return self._leases.lease(
            session,
            self._directory.users[place.user],
            self._directory.departments[place.department.name],
        )

    def release(self, session: Hashable) -> None:
        """Forget a session and free its address; the session need not be known."""
        self._changes.pop(session, None)
        self._leases.release(session)
        place = self._places.pop(session, None)
        if place is not None:
            sessions = self._sessions_of[place.user]
            sessions.remove(session)
            if not sessions:
                del self._sessions_of[place.user]

    def replace(self, directory: Directory) -> list[Revoked]:
        """Serve another directory from now on; return the sessions that it does not allow.

        They keep their places until they are released. A new password or a lower limit revokes
        nothing.
        """
        self._directory = directory
        self._leases.replace(directory)
        return [
            Revoked(session, place.user, why)
            for session, place in self._places.items()
            if (why := self._why_not(session, place)) is not None
        ]

    def _decide(
        self, session: Hashable, name: str, proof: Proof, client: ClientFacts
    ) -> Accepted | Rejected | tuple[bytes, str]:
        """Return the decision, or reply and new password of a login that changes it."""
        self._changes.pop(session, None)
        user = self._directory.users.get(name)
        department = self._directory.department_of(name)
        if user is None or department is None:
            proof.verify(DECOY, None)
            reason = Reason.UNKNOWN_DOMAIN if department is None else Reason.UNKNOWN_USER
            return _failed(reason, hint_for_unknown(name, self._directory))
        reply = proof.verify(user.password, user.nt_hash)
        if reply is None:
            return _not_proven(user, proof)
        if user.disabled:
            return Rejected(
                Reason.DISABLED,
                "account disabled",
                MsChapError.ACCOUNT_DISABLED,
                f"{name!r} is configured as disabled: remove that, then reload",
            )
        if isinstance(proof, ChangeProof):
            password = proof.new_password(user.password, user.nt_hash) or ""
            why_not = _why_not_a_password(password)
            return _not_changed(name, why_not) if why_not else (reply, password)
        if user.must_change_password and proof.method != NEEDS_NO_PASSWORD:
            return _must_change(name, proof.method)
        return self._admit(session, user, department, reply, client)

    def _admit(
        self,
        session: Hashable,
        user: User,
        department: Department,
        reply: bytes,
        client: ClientFacts,
    ) -> Accepted | Rejected:
        """Give a session whose peer is proven to be `user` a place, if there is one."""
        place = self._places.get(session)
        if place is not None and place.user == user.name:
            return Accepted(user, department, reply)
        others = self._sessions_of.get(user.name, [])
        limit = department.max_sessions_per_user if user.address is None else 1
        full = limit is not None and len(others) >= limit
        replaced = self._same_device(others, client, moved=full)
        if full and replaced is None:
            return self._too_many(user, others)
        self.release(session)
        self._places[session] = _Place(user.name, department, client)
        self._sessions_of.setdefault(user.name, []).append(session)
        if replaced is not None:
            if self._why_not(replaced, self._places[replaced]) is None:
                self._leases.transfer(replaced, session)
            self.release(replaced)
        return Accepted(user, department, reply, replaced)

    def _same_device(
        self, sessions: list[Hashable], client: ClientFacts, moved: bool
    ) -> Hashable | None:
        """Return the oldest session of the device; `moved`: it may come from elsewhere now."""
        if not client.host_name:
            return None
        for session in sessions:
            other = self._places[session].client
            if other == client or (moved and other.host_name == client.host_name):
                return session
        return None

    def _too_many(self, user: User, sessions: list[Hashable]) -> Rejected:
        hosts = ", ".join(sorted({self._places[session].client.host for session in sessions}))
        if user.address is None:
            mend = "disconnect one, or raise max_sessions_per_user of the department"
        else:
            mend = "a user with a fixed address has one session at a time"
        return Rejected(
            Reason.TOO_MANY_SESSIONS,
            "too many sessions",
            MsChapError.NO_DIALIN_PERMISSION,
            f"{user.name!r} has {len(sessions)} already, from {hosts}: {mend}",
        )

    def _why_not(self, session: Hashable, place: _Place) -> str | None:
        """Say why the directory does not allow an accepted session, or None if it does."""
        user = self._directory.users.get(place.user)
        department = self._directory.department_of(place.user)
        if user is None or department is None:
            return "the user was removed"
        if user.disabled:
            return "the user was disabled"
        if department.name != place.department.name:
            return f"the user's department is {department.name} now"
        if department.gateway != place.department.gateway:
            return "the department's gateway was changed"
        lease = self._leases.get(session)
        if lease is None:
            return None
        if user.address is not None:
            return None if lease.address == user.address else "the user's fixed address was changed"
        if lease.address not in department.pool:
            return "the address is not in the department's pool any more"
        if int(lease.address) in self._directory.reservations:
            return "the address belongs to another user now"
        return None


def _not_proven(user: User, proof: Proof) -> Rejected:
    method = proof.method
    if isinstance(proof, ChangeProof):
        return _not_changed(user.name, "the old one was wrong, or the change was damaged")
    if method == NEEDS_PASSWORD and user.password is None:
        return _failed(
            Reason.METHOD_NOT_POSSIBLE,
            f"{user.name!r} has only an nt_hash, which {method} cannot use: "
            "configure a password, or let the client log in by MS-CHAPv2",
        )
    return _failed(
        Reason.WRONG_PASSWORD,
        f"{user.name!r} exists, but the password was wrong: type it anew on the client",
    )


def _failed(reason: Reason, hint: str) -> Rejected:
    """Refuse in the same words and with the same number, whoever exists or not."""
    return Rejected(reason, "authentication failed", MsChapError.AUTHENTICATION_FAILURE, hint)


def _must_change(name: str, method: str) -> Rejected:
    if method in CHANGES_PASSWORDS:
        mend = "if the client does not ask for a new one, set one here"
    else:
        mend = f"{method} cannot do that: log in by MS-CHAPv2, or set a new one here"
    return Rejected(
        Reason.PASSWORD_EXPIRED,
        "password expired",
        MsChapError.PASSWORD_EXPIRED,
        f"{name!r} must change the password: {mend}",
    )


def _not_changed(name: str, why: str) -> Rejected:
    return Rejected(
        Reason.PASSWORD_NOT_CHANGED,
        "the password was not changed",
        MsChapError.CHANGING_PASSWORD,
        f"the new password of {name!r} was not stored: {why}",
    )


def _why_not_a_password(password: str) -> str:
    """Say why this cannot be a password in a configuration, or return nothing."""
    if not password:
        return "it is empty"
    if len(password.encode()) > LONGEST_PASSWORD:
        return f"it has more than {LONGEST_PASSWORD} octets"
    return "" if password.isprintable() else "it has characters that cannot be printed"

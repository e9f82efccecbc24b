"""The service that decides who may in, and with which address."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from aaa.credentials import CHANGES_PASSWORDS, EAP_TLS, Verifier, why_impossible
from aaa.decisions import (
    Accepted,
    AddressInUse,
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
from aaa.directory import Department, Directory, User, prefix_number
from aaa.leases import Leases, Prefixes
from aaa.lockout import Limits, Lock, Lockout
from aaa.login import hint_for_unknown, user_name
from aaa.policy import Policy
from wire import LocalError

SET_ONE = "set one by 'l2gate user passwd'"

SAME_DEVICE = "the same device has logged in again"
HOURS_OVER = "the hours of the department are over"

NOT_CHANGED = "the password was not changed"

LONGEST_PASSWORD = 255
"""Octets in UTF-8, as in a configuration."""

DECOY = User("", password="no such user")
"""What the proof of an unknown user is verified against, so that it costs what others cost."""

GUESSES = {
    Reason.UNKNOWN_USER,
    Reason.UNKNOWN_DOMAIN,
    Reason.WRONG_PASSWORD,
    Reason.WRONG_CODE,
}
"""What counts as a wrong password."""


@dataclass(frozen=True, slots=True)
class _Place:
    """An accepted session."""

    user: str
    department: Department
    client: ClientFacts
    routes: tuple[IPv4Network, ...]


@dataclass(frozen=True, slots=True)
class _NewPassword:
    """A proof is right and changes the password; `reply` is as in Accepted."""

    reply: bytes
    password: str = field(repr=False)


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
    (`max_sessions_per_user`, or one for a user with a fixed address or routes), the same host
    name is enough, since the device may have moved to another network. Any other is refused, or
    takes the place of the user's oldest session, as the department's policy has it.
    """

    def __init__(
        self,
        directory: Directory,
        wall: Callable[[], float] = lambda: 0.0,
        limits: Limits | None = None,
    ) -> None:
        """`wall` is the clock of people: seconds since 1970; `limits` are those of `Lockout`."""
        self._wall = wall
        self.lockout = Lockout(limits)
        self._verifier = Verifier()
        self._directory = directory
        self._leases = Leases(directory)
        self._prefixes = Prefixes(directory)
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
        self._changes[session] = _Change(request, name, decision.reply, client)
        self._events.append(PasswordChangeRequested(session, request, name, decision.password))

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
        if why_not or user is None or department is None:
            decision = _not_changed(change.user, why_not or "the user was removed")
        elif user.disabled or user.has_expired(self._wall()):
            decision = _not_changed(change.user, "the user was disabled or has expired")
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
        return self._leases.lease(session, *self._who(session))

    def lease_other(self, session: Hashable) -> Lease:
        """Give an accepted session another address: another gateway has that one.

        Raises as `lease` does; AddressInUse where it was the user's fixed one.
        """
        user, department = self._who(session)
        lease = self._leases.lease(session, user, department)
        self._leases.give_up(session)
        if lease.fixed:
            raise AddressInUse(lease.address, user.name)
        return self._leases.lease(session, user, department)

    def set_foreign(self, addresses: Iterable[IPv4Address]) -> None:
        """Give nobody the addresses that other gateways have, which are these from now on."""
        self._leases.set_foreign(map(int, addresses))

    def remember(self, last: Mapping[str, IPv4Address]) -> None:
        """Take it that users had these addresses before, the latest last."""
        self._leases.remember({user: int(address) for user, address in last.items()})

    def lease_prefix(self, session: Hashable) -> IPv6Network | None:
        """Give an accepted session its IPv6 prefix; None where its department has no IPv6.

        Raises as `lease` does.
        """
        user, department = self._who(session)
        if department.pool6 is None:
            return None
        return self._prefixes.lease(session, user, department)

    def _who(self, session: Hashable) -> tuple[User, Department]:
        place = self._places.get(session)
        if place is None:
            raise LocalError(f"session {session!r} was not accepted")
        why_not = self._why_not(session, place, self._directory)
        if why_not is not None:
            raise NoAddress(why_not)
        return (
            self._directory.users[place.user],
            self._directory.departments[place.department.name],
        )

    def time_left(self, name: str) -> tuple[float, str] | None:
        """Return the seconds until a user must go, and why then, or None if there is no end."""
        user, department = self._directory.users.get(name), self._directory.department_of(name)
        now = self._wall()
        expiry = None if user is None else user.time_left(now)
        hours = None if department is None else department.policy.hours
        closing = None if hours is None else hours.time_left(now)
        ends = ((expiry, "the user has expired"), (closing, HOURS_OVER))
        return min(((left, why) for left, why in ends if left is not None), default=None)

    def policy(self, session: Hashable) -> Policy:
        """Return what the department of an accepted session allows now."""
        place = self._places.get(session)
        if place is None:
            return Policy()
        department = self._directory.departments.get(place.department.name, place.department)
        return department.policy

    def release(self, session: Hashable) -> None:
        """Forget a session and free its address and prefix; the session need not be known."""
        self._changes.pop(session, None)
        self._leases.release(session)
        self._prefixes.release(session)
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
        self._prefixes.replace(directory)
        self._verifier.keep(directory.users)
        return self.disallowed_by(directory)

    def disallowed_by(self, directory: Directory) -> list[Revoked]:
        """Return the sessions that a directory does not allow, and change nothing."""
        return [
            Revoked(session, place.user, why)
            for session, place in self._places.items()
            if (why := self._why_not(session, place, directory)) is not None
        ]

    def delay(self, login: str, client: ClientFacts) -> float:
        """Return how many seconds to wait before `request`, because of many wrong passwords."""
        department = self._directory.department_of(user_name(login))
        return self.lockout.delay(
            client.host, "" if department is None else department.name, self._wall()
        )

    def _decide(
        self, session: Hashable, name: str, proof: Proof, client: ClientFacts
    ) -> Accepted | Rejected | _NewPassword:
        self._changes.pop(session, None)
        now = self._wall()
        lock = self.lockout.locked(name, client.host, now)
        if lock is not None:
            return _locked(lock)
        decision = self._judge(session, name, proof, client, now)
        if not isinstance(decision, Rejected):
            self.lockout.succeeded(name, client.host)
        elif decision.reason in GUESSES:
            department = self._directory.department_of(name)
            place = "" if department is None else department.name
            lock = self.lockout.failed(name, client.host, place, now)
            if lock is not None:
                # The peer is told now that another try is of no use.
                hint = f"{decision.hint}; {_lock_text(lock)}"
                return replace(_locked(lock), reason=decision.reason, hint=hint)
        return decision

    def _judge(
        self, session: Hashable, name: str, proof: Proof, client: ClientFacts, now: float
    ) -> Accepted | Rejected | _NewPassword:
        """Decide about a login that is not locked."""
        user = self._directory.users.get(name)
        department = self._directory.department_of(name)
        if user is None or department is None:
            self._verifier.verify(self._directory.decoy or DECOY, proof, now)
            reason = Reason.UNKNOWN_DOMAIN if department is None else Reason.UNKNOWN_USER
            return _failed(reason, hint_for_unknown(name, self._directory), proof)
        impossible = why_impossible(user, proof.method)
        if impossible is not None:
            return _failed(Reason.METHOD_NOT_POSSIBLE, f"{name!r} {impossible}", proof)
        if isinstance(proof, ChangeProof) and user.totp is not None:
            return _not_changed(name, f"with one-time codes it cannot be: {SET_ONE}")
        reply = self._verifier.verify(user, proof, now)
        if reply is None:
            why_code = self._verifier.why_wrong(user, proof, now)
            if why_code is not None:
                return _failed(Reason.WRONG_CODE, why_code, proof)
            return _failed(
                Reason.WRONG_PASSWORD,
                f"{name!r} exists, but the password was wrong: type it anew on the client",
                proof,
            )
        if user.disabled:
            return Rejected(
                Reason.DISABLED,
                "account disabled",
                MsChapError.ACCOUNT_DISABLED,
                f"{name!r} is configured as disabled: remove that, then reload",
            )
        if user.has_expired(now):
            return Rejected(
                Reason.EXPIRED,
                "account expired",
                MsChapError.NO_DIALIN_PERMISSION,
                f"{name!r} was configured until {user.expires}: set a later 'expires', then reload",
            )
        hours = department.policy.hours
        if hours is not None and hours.time_left(now) == 0.0:
            return Rejected(
                Reason.OUTSIDE_HOURS,
                "not at this time",
                MsChapError.RESTRICTED_LOGON_HOURS,
                f"{name!r} may log in at {hours}: change departments.{department.name}.hours, "
                "then reload, if that is too short",
            )
        if isinstance(proof, ChangeProof):
            password = proof.new_password(user.password, user.nt_hash) or ""
            why_not = _why_not_a_password(password)
            return _not_changed(name, why_not) if why_not else _NewPassword(reply, password)
        if user.must_change_password and proof.method != EAP_TLS:
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
        limit = 1 if user.has_one_session else department.max_sessions_per_user
        full = limit is not None and len(others) >= limit
        replaced, why = self._same_device(others, client, moved=full), SAME_DEVICE
        if full and replaced is None:
            if not department.policy.replace_sessions:
                return self._too_many(user, others)
            replaced, why = others[0], f"the user has logged in again, from {client.host}"
        self.release(session)
        self._places[session] = _Place(user.name, department, client, user.routes)
        self._sessions_of.setdefault(user.name, []).append(session)
        if replaced is not None:
            if self._why_not(replaced, self._places[replaced], self._directory) is None:
                self._leases.transfer(replaced, session)
                self._prefixes.transfer(replaced, session)
            self.release(replaced)
            return Accepted(user, department, reply, replaced, why)
        return Accepted(user, department, reply)

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
        if not user.has_one_session:
            mend = "disconnect one, or raise max_sessions_per_user of the department"
        else:
            own = "a fixed address" if user.address is not None else "routes"
            mend = f"a user with {own} has one session at a time"
        return Rejected(
            Reason.TOO_MANY_SESSIONS,
            "too many sessions",
            MsChapError.NO_DIALIN_PERMISSION,
            f"{user.name!r} has {len(sessions)} already, from {hosts}: {mend}",
        )

    def _why_not(self, session: Hashable, place: _Place, directory: Directory) -> str | None:
        """Say why a directory does not allow an accepted session, or None if it does."""
        user = directory.users.get(place.user)
        department = directory.department_of(place.user)
        if user is None or department is None:
            return "the user was removed"
        if user.disabled:
            return "the user was disabled"
        if user.has_expired(self._wall()):
            return "the user has expired"
        hours = department.policy.hours
        if hours is not None and hours.time_left(self._wall()) == 0.0:
            return HOURS_OVER
        if department.name != place.department.name:
            return f"the user's department is {department.name} now"
        if department.gateway != place.department.gateway:
            return "the department's gateway was changed"
        if user.routes != place.routes:
            return "the networks behind the user were changed"
        lease = self._leases.get(session)
        if lease is None:
            return None
        if self._has_lost_prefix(session, user, department, directory):
            return "the department's or the user's IPv6 prefix was changed"
        if user.address is not None:
            return None if lease.address == user.address else "the user's fixed address was changed"
        if lease.address not in department.pool:
            return "the address is not in the department's pool any more"
        if int(lease.address) in directory.reservations:
            return "the address belongs to another user now"
        return None

    def _has_lost_prefix(
        self, session: Hashable, user: User, department: Department, directory: Directory
    ) -> bool:
        """Return whether a session holds a prefix that a directory does not give it."""
        prefix = self._prefixes.get(session)
        if prefix is None:
            return False
        pool = department.pool6
        if pool is None or user.prefix6 is not None:
            return pool is None or prefix != user.prefix6
        number = prefix_number(prefix.network_address)
        is_server = number == prefix_number(pool.network_address)
        is_reserved = number in directory.reservations6
        return is_server or is_reserved or not prefix.subnet_of(pool)


def _locked(lock: Lock) -> Rejected:
    """Refuse in the same way whatever the password was."""
    return Rejected(
        Reason.LOCKED,
        "account locked",
        MsChapError.ACCOUNT_DISABLED,
        f"{_lock_text(lock)}: wait, or free the user by 'l2gate user unlock'",
    )


def _lock_text(lock: Lock) -> str:
    who = repr(lock.user) if lock.user else "everybody"
    where = f" from {lock.host}" if lock.host else ""
    until = datetime.fromtimestamp(lock.until).strftime("%Y-%m-%d %H:%M:%S")
    return f"{who} is locked{where} until {until}"


def _failed(reason: Reason, hint: str, proof: Proof) -> Rejected:
    """Refuse in the same words and with the same number, whoever exists or not."""
    if isinstance(proof, ChangeProof):
        return Rejected(reason, NOT_CHANGED, MsChapError.CHANGING_PASSWORD, hint)
    return Rejected(reason, "authentication failed", MsChapError.AUTHENTICATION_FAILURE, hint)


def _must_change(name: str, method: str) -> Rejected:
    if method in CHANGES_PASSWORDS:
        mend = f"if the client does not ask for a new one, {SET_ONE}"
    else:
        mend = f"{method} cannot do that: log in by MS-CHAPv2, or {SET_ONE}"
    return Rejected(
        Reason.PASSWORD_EXPIRED,
        "password expired",
        MsChapError.PASSWORD_EXPIRED,
        f"{name!r} must change the password: {mend}",
    )


def _not_changed(name: str, why: str) -> Rejected:
    return Rejected(
        Reason.PASSWORD_NOT_CHANGED,
        NOT_CHANGED,
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

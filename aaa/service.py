"""The service that decides who may in, and with which address."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import TypeVar

from aaa.credentials import EAP_TLS, Verifier, why_impossible
from aaa.decisions import (
    Accepted,
    AddressInUse,
    ChangeProof,
    ClientFacts,
    Decided,
    EapKept,
    Lease,
    MsChapError,
    NoAddress,
    PasswordChangeRequested,
    Proof,
    RadiusAsked,
    Reason,
    Rejected,
    Relayed,
    Revoked,
)
from aaa.directory import Department, Directory, Source, User, prefix_number
from aaa.leases import Leases, Prefixes
from aaa.lockout import Limits, Lock, Lockout
from aaa.login import hint_for_unknown, user_name
from aaa.policy import Policy
from aaa.radius.access import Authorization
from aaa.refusals import (
    GUESSED,
    GUESSES,
    SET_ONE,
    failed,
    lock_text,
    locked,
    must_change,
    not_changed,
    outside_hours,
    why_not_a_password,
)
from aaa.remote import (
    MISFIT,
    NOTHING,
    Answer,
    Granted,
    Guest,
    Silent,
    Unusable,
    changed,
    guest,
    is_asked,
    is_late,
    overlapping,
    overridden,
    refusal,
    unusable,
    why_not_fitting,
)
from wire import LocalError

SAME_DEVICE = "the same device has logged in again"
HOURS_OVER = "the hours of the department are over"

DECOY = User("", password="no such user")
"""What the proof of an unknown user is verified against, so that it costs what others cost."""


@dataclass(frozen=True, slots=True)
class _Place:
    """An accepted session; `guest` is there if it was a RADIUS server that let it in.

    `granted` is what a server grants to the session, at its login or since.
    """

    user: str
    department: Department
    client: ClientFacts
    routes: tuple[IPv4Network, ...]
    guest: Guest | None = None
    granted: Authorization = NOTHING

    def user_in(self, directory: Directory) -> User | None:
        """Return the session's user as a directory has it."""
        return directory.users.get(self.user) if self.guest is None else self.guest.user

    def department_in(self, directory: Directory) -> Department | None:
        """Return the department that the session's user belongs to in a directory."""
        if self.guest is None:
            return directory.department_of(self.user)
        department = directory.departments.get(self.department.name)
        home = directory.department_of(self.user)
        asks = home is not None and Source.RADIUS in home.authenticate
        return department if asks else None


@dataclass(frozen=True, slots=True)
class _Question:
    """A login that RADIUS servers are asked about."""

    request: int
    name: str
    proof: Proof
    client: ClientFacts


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


Event = Decided | EapKept | PasswordChangeRequested | RadiusAsked

Decision = TypeVar("Decision", Accepted | Rejected, Accepted | Rejected | _NewPassword)


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
        self._questions: dict[Hashable, _Question] = {}
        self._events: deque[Event] = deque()

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

        Where the proof changes the password, PasswordChangeRequested comes first; where RADIUS
        servers are to decide, RadiusAsked; where EAP begins here, EapKept and no decision.
        """
        name = user_name(login)
        self._forget_question(session, proof)
        self._changes.pop(session, None)
        lock = self.lockout.locked(name, client.host, self._wall())
        if lock is not None:
            self._events.append(Decided(session, request, locked(lock)))
        elif not is_asked(name, proof, self._directory):
            self._decide(session, request, name, proof, client)
        elif isinstance(proof, ChangeProof):
            decision = not_changed(name, "it is changed where the RADIUS server has it from")
            self._events.append(Decided(session, request, decision))
        else:
            self._questions[session] = _Question(request, name, proof, client)
            self._events.append(RadiusAsked(session, request, name, proof, client))

    def answered(self, session: Hashable, request: int, answer: Answer) -> None:
        """Answer a RadiusAsked. Without effect if the session is gone or has asked again."""
        question = self._questions.get(session)
        if question is None or question.request != request:
            return
        del self._questions[session]
        name, client = question.name, question.client
        # Of many guesses under way together, none may be tried after the one that locks.
        lock = self.lockout.locked(name, client.host, self._wall())
        if lock is not None:
            self._events.append(Decided(session, request, locked(lock)))
            return
        silent = isinstance(answer, Silent) and not is_late(question.proof)
        if silent and self._knows_too(name):
            self._decide(session, request, name, question.proof, client)
            return
        decision: Accepted | Rejected
        if not isinstance(answer, Granted):
            decision = refusal(name, answer)
        else:
            try:
                found = guest(name, answer.authorization, self._directory)
            except Unusable as error:
                decision = unusable(str(error))
            else:
                closed = outside_hours(name, found.department, self._wall())
                place = found.user, found.department, answer.reply, client
                decision = closed or self._admit(session, *place, found)
        self._events.append(Decided(session, request, self._counted(name, client, decision)))

    def _forget_question(self, session: Hashable, proof: Proof | None = None) -> None:
        """Forget what was asked: the session is over, or has another `proof`.

        Who leaves EAP before a server refuses may know already that the password was wrong, so
        that this counts as one.
        """
        question = self._questions.pop(session, None)
        if question is not None and is_late(question.proof) and not is_late(proof):
            self._count_wrong(question.name, question.client)

    def _knows_too(self, name: str) -> bool:
        """Say whether the directory can decide about a user if no RADIUS server answers."""
        department = self._directory.department_of(name)
        asked = department is not None and Source.LOCAL in department.authenticate
        return asked and name in self._directory.users

    def _decide(
        self, session: Hashable, request: int, name: str, proof: Proof, client: ClientFacts
    ) -> None:
        """Decide by the directory, or let EAP begin."""
        if isinstance(proof, Relayed):
            self._events.append(EapKept(session, request))
            return
        judged = self._judge(session, name, proof, client, self._wall())
        decision = self._counted(name, client, judged)
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
            decision = not_changed(change.user, why_not or "the user was removed")
        elif user.disabled or user.has_expired(self._wall()):
            decision = not_changed(change.user, "the user was disabled or has expired")
        else:
            decision = self._admit(session, user, department, change.reply, change.client)
        self._events.append(Decided(session, request, decision))

    def next_event(self) -> Event | None:
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
        user = place.user_in(self._directory)
        if user is None:
            raise NoAddress("the user was removed")
        return user, self._directory.departments[place.department.name]

    def time_left(self, session: Hashable) -> tuple[float, str] | None:
        """Return the seconds until a session's user must go, and why then; None without end."""
        place = self._places.get(session)
        if place is None:
            return None
        user, department = place.user_in(self._directory), place.department_in(self._directory)
        now = self._wall()
        expiry = None if user is None else user.time_left(now)
        hours = None if department is None else department.policy.hours
        closing = None if hours is None else hours.time_left(now)
        ends = ((expiry, "the user has expired"), (closing, HOURS_OVER))
        return min(((left, why) for left, why in ends if left is not None), default=None)

    def policy(self, session: Hashable) -> Policy:
        """Return what an accepted session is allowed now.

        That is what its department allows, but for what a RADIUS server grants instead.
        """
        place = self._places.get(session)
        if place is None:
            return Policy()
        department = self._directory.departments.get(place.department.name, place.department)
        return overridden(department.policy, place.granted)

    def change(self, session: Hashable, granted: Authorization) -> None:
        """Follow a RADIUS server that grants other times or rates to an accepted session."""
        place = self._places.get(session)
        if place is not None:
            self._places[session] = replace(place, granted=changed(place.granted, granted))

    def release(self, session: Hashable) -> None:
        """Forget a session and free its address and prefix; the session need not be known."""
        self._changes.pop(session, None)
        self._forget_question(session)
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

    def _counted(self, name: str, client: ClientFacts, decision: Decision) -> Decision:
        """Count a wrong password; return the decision, or the one that locks."""
        if not isinstance(decision, Rejected):
            self.lockout.succeeded(name, client.host)
        elif decision.reason in GUESSES and decision.ms_chap_error in GUESSED:
            lock = self._count_wrong(name, client)
            if lock is not None:
                # The peer is told now that another try is of no use.
                hint = f"{decision.hint}; {lock_text(lock)}"
                return replace(locked(lock), reason=decision.reason, hint=hint)
        return decision

    def _count_wrong(self, name: str, client: ClientFacts) -> Lock | None:
        """Count a wrong password; return the lock that it caused, or None."""
        department = self._directory.department_of(name)
        place = "" if department is None else department.name
        return self.lockout.failed(name, client.host, place, self._wall())

    def _judge(
        self, session: Hashable, name: str, proof: Proof, client: ClientFacts, now: float
    ) -> Accepted | Rejected | _NewPassword:
        """Decide about a login that is not locked."""
        user = self._directory.users.get(name)
        department = self._directory.department_of(name)
        if user is None or department is None:
            self._verifier.verify(self._directory.decoy or DECOY, proof, now)
            reason = Reason.UNKNOWN_DOMAIN if department is None else Reason.UNKNOWN_USER
            return failed(reason, hint_for_unknown(name, self._directory), proof)
        impossible = why_impossible(user, proof.method)
        if impossible is not None:
            return failed(Reason.METHOD_NOT_POSSIBLE, f"{name!r} {impossible}", proof)
        if isinstance(proof, ChangeProof) and user.totp is not None:
            return not_changed(name, f"with one-time codes it cannot be: {SET_ONE}")
        reply = self._verifier.verify(user, proof, now)
        if reply is None:
            why_code = self._verifier.why_wrong(user, proof, now)
            if why_code is not None:
                return failed(Reason.WRONG_CODE, why_code, proof)
            return failed(
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
        closed = outside_hours(name, department, now)
        if closed is not None:
            return closed
        if isinstance(proof, ChangeProof):
            password = proof.new_password(user.password, user.nt_hash) or ""
            why_not = why_not_a_password(password)
            return not_changed(name, why_not) if why_not else _NewPassword(reply, password)
        if user.must_change_password and proof.method != EAP_TLS:
            return must_change(name, proof.method)
        return self._admit(session, user, department, reply, client)

    def _admit(
        self,
        session: Hashable,
        user: User,
        department: Department,
        reply: bytes,
        client: ClientFacts,
        found: Guest | None = None,
    ) -> Accepted | Rejected:
        """Give a session whose peer is proven to be `user` a place, if there is one."""
        place = self._places.get(session)
        granted = found.authorization if found is not None else None
        if place is not None and place.user == user.name and place.guest == found:
            self._places[session] = replace(place, granted=granted or NOTHING)
            return Accepted(user, department, reply, authorization=granted)
        if place is not None and place.user == user.name:
            self.release(session)
        others = self._sessions_of.get(user.name, [])
        limit = 1 if user.has_one_session else department.max_sessions_per_user
        full = limit is not None and len(others) >= limit
        replaced, why = self._same_device(others, client, moved=full), SAME_DEVICE
        if full and replaced is None:
            if not department.policy.replace_sessions:
                return self._too_many(user, others)
            replaced, why = others[0], f"the user has logged in again, from {client.host}"
        if found is not None and user.has_one_session:
            guests = (
                place.guest.user
                for other, place in self._places.items()
                if place.guest is not None and other not in (session, replaced)
            )
            why_not = overlapping(user, guests)
            if why_not is not None:
                return unusable(why_not)
        self.release(session)
        place = _Place(user.name, department, client, user.routes, found, granted or NOTHING)
        self._places[session] = place
        self._sessions_of.setdefault(user.name, []).append(session)
        if replaced is not None:
            before = self._places[replaced]
            if before.guest == found and self._why_not(replaced, before, self._directory) is None:
                self._leases.transfer(replaced, session)
                self._prefixes.transfer(replaced, session)
            self.release(replaced)
        else:
            why = ""
        return Accepted(user, department, reply, replaced, why, granted)

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
        user, department = place.user_in(directory), place.department_in(directory)
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
        if department.interface != place.department.interface:
            return "the department's interface was changed"
        if user.routes != place.routes:
            return "the networks behind the user were changed"
        if place.guest is not None and why_not_fitting(user, department, directory) is not None:
            return MISFIT
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

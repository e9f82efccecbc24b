"""The operations on leases, sessions and reports; each is one transaction.

How this works. A session begins with its lease and ends with the lease's end, each time in one
transaction, so that a crash at any moment leaves either both or none:

    recover   after a start: what the run before left open is over     report: stop
    begin     a session has its address: nobody else gets it, on any gateway
    open      its network is up                                        report: start
    update    what it has carried so far                               report: interim
    end       it is over, and its address free                         report: stop

A report (for RADIUS accounting) is written in the same transaction as what it reports, and
removed once a server has it: it is neither lost nor made twice. A session is reported from its
`open` on, if that has the facts for it, to its end. Every operation may be repeated when nobody
knows whether it took place, and then does nothing more.

The address of a session is the key of its lease, so no two sessions can have one, whichever
gateway they are on. Only the gateway that has a lease ends it. Times are in seconds since 1970.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Final

from aaa.radius.accounting import NO_TRAFFIC, Traffic
from aaa.radius.constants import AcctTerminateCause
from l2gate.state.databases import Database, Row, Transaction, Value
from l2gate.state.schema import prepare

RESTARTED: Final = "the server was restarted"
INTERIM: Final = "Interim-Update"

SESSION: Final = (
    "s.id, s.gateway, s.login, s.department, s.address, s.client, s.host_name, s.began, s.opened, "
    "s.seen, s.ended, s.why"
)
TRAFFIC: Final = "octets_in, octets_out, packets_in, packets_out"


@dataclass(frozen=True, slots=True)
class Beginning:
    """A session that is to have an address.

    `id` is unique for ever. `replaces` is the id of a session of the same device, which hands
    its place, and its address if it is the same, over to this one. `limit` is how many sessions
    the login may have on all gateways together; None: any number.
    """

    id: str
    login: str
    department: str
    address: str
    client: str
    host_name: str
    time: int
    limit: int | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a session, and why in the words of the log; `cause` is an Acct-Terminate-Cause."""

    id: str
    time: int
    why: str
    traffic: Traffic = NO_TRAFFIC
    cause: int = AcctTerminateCause.LOST_CARRIER


@dataclass(frozen=True, slots=True)
class AddressTaken:
    """Somebody has the address: `login`, on `gateway`."""

    login: str
    gateway: str


@dataclass(frozen=True, slots=True)
class TooManySessions:
    """The login has so many sessions already, on these gateways."""

    count: int
    gateways: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PastSession:
    """What is known of a session: one that is over, or not yet (`ended` is None).

    `seen` is when it was last heard of.
    """

    id: str
    gateway: str
    login: str
    department: str
    address: str
    client: str
    host_name: str
    began: int
    opened: int | None
    seen: int
    ended: int | None
    why: str | None
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class StoredReport:
    """One event of a session that a RADIUS server is to hear of.

    `status` is in RFC 2866's words: Start, Interim-Update or Stop. The traffic of `session` is
    that at the time of the event. `facts` are what `open` had last.
    """

    number: int
    status: str
    time: int
    cause: int | None
    facts: str
    session: PastSession


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which sessions of the past to show; None is any. `since` is a time."""

    login: str | None = None
    department: str | None = None
    since: int | None = None
    limit: int = 1000


class Store:
    """The operations of the gateway `gateway`, whose name no other one has.

    All methods raise StateError.
    """

    def __init__(self, database: Database, gateway: str) -> None:
        self._database = database
        self._gateway = gateway

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        """Begin a transaction, with the tables there: they may have gone with the file, too."""
        with self._database.transaction() as transaction:
            if self._database.is_new:
                prepare(transaction, self._database.serial)
            yield transaction
        self._database.is_new = False

    def recover(self, now: int) -> list[PastSession]:
        """End what the run before left open, and return it.

        Nobody knows when that was over: it ends when it was last heard of.
        """
        with self._transaction() as transaction:
            left = self._sessions(transaction, "s.gateway = ? AND s.ended IS NULL", self._gateway)
            for session in left:
                last = min(now, session.seen)
                cause = AcctTerminateCause.NAS_REBOOT
                self._end(transaction, Ending(session.id, last, RESTARTED, session.traffic, cause))
            transaction.run("DELETE FROM leases WHERE gateway = ?", self._gateway)
        return left

    def begin(self, beginning: Beginning) -> AddressTaken | TooManySessions | None:
        """Give a session its address, if nobody has it; a former one of the session is free."""
        with self._transaction() as transaction:
            transaction.lock(beginning.login)
            if self._has(transaction, beginning):
                return None
            refused = self._too_many(transaction, beginning)
            if refused is not None:
                return refused
            for former in filter(None, (beginning.id, beginning.replaces)):
                transaction.run("DELETE FROM leases WHERE session = ?", former)
            taken = transaction.run(
                "INSERT INTO leases (address, gateway, session, login) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (address) DO NOTHING",
                beginning.address,
                self._gateway,
                beginning.id,
                beginning.login,
            )
            if not taken:
                return self._owner(transaction, beginning)
            transaction.run(
                "INSERT INTO sessions (id, gateway, login, department, address, client, host_name, "
                "began, seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET address = excluded.address",
                beginning.id,
                self._gateway,
                beginning.login,
                beginning.department,
                beginning.address,
                beginning.client,
                beginning.host_name,
                beginning.time,
                beginning.time,
            )
            transaction.run(
                "INSERT INTO last_addresses (login, address, used) VALUES (?, ?, ?) ON CONFLICT "
                "(login) DO UPDATE SET address = excluded.address, used = excluded.used",
                beginning.login,
                beginning.address,
                beginning.time,
            )
        return None

    def open(self, session: str, time: int, facts: str = "") -> None:
        """Note that the session's network is up; it may have been before.

        With `facts` (what reports say of it, as text of the caller's) the session is reported.
        """
        with self._transaction() as transaction:
            transaction.run(
                "UPDATE sessions SET facts = ? WHERE id = ? AND ended IS NULL", facts, session
            )
            opened = transaction.run(
                "UPDATE sessions SET opened = ?, seen = ? "
                "WHERE id = ? AND opened IS NULL AND ended IS NULL",
                time,
                time,
                session,
            )
            if opened:
                self._report(transaction, session, "Start", time, NO_TRAFFIC)

    def update(self, carried: Iterable[tuple[str, Traffic]], time: int, interim: bool) -> None:
        """Note what sessions have carried so far; `interim`: and report it."""
        with self._transaction() as transaction:
            for session, traffic in carried:
                updated = self._carry(transaction, session, traffic, time)
                if updated and interim:
                    self._report(transaction, session, INTERIM, time, traffic)

    def end(self, ending: Ending) -> None:
        """Note that a session is over, and free its address."""
        with self._transaction() as transaction:
            self._end(transaction, ending)

    def addresses_elsewhere(self) -> list[str]:
        """Return the addresses that sessions of other gateways have."""
        with self._transaction() as transaction:
            found = transaction.rows("SELECT address FROM leases WHERE gateway <> ?", self._gateway)
        return [str(address) for (address,) in found]

    def last_addresses(self, limit: int) -> dict[str, str]:
        """Return which address each login had last, the latest of them."""
        with self._transaction() as transaction:
            found = transaction.rows(
                "SELECT login, address FROM last_addresses ORDER BY used DESC LIMIT ?", limit
            )
        return {str(login): str(address) for login, address in reversed(found)}

    def reports(self, limit: int) -> list[StoredReport]:
        """Return the oldest reports of this gateway that no server has yet."""
        with self._transaction() as transaction:
            found = transaction.rows(
                f"SELECT r.id, r.status, r.time, r.cause, s.facts, {SESSION}, r.octets_in, "
                "r.octets_out, r.packets_in, r.packets_out "
                "FROM reports r JOIN sessions s ON s.id = r.session "
                "WHERE r.gateway = ? ORDER BY r.id LIMIT ?",
                self._gateway,
                limit,
            )
        return [
            StoredReport(
                int(number or 0),
                str(status),
                int(time or 0),
                None if cause is None else int(cause),
                str(facts),
                _session(tuple(rest)),
            )
            for number, status, time, cause, facts, *rest in found
        ]

    def last_report(self) -> int:
        """Return the number of the newest report of this gateway that no server has yet, or 0."""
        with self._transaction() as transaction:
            ((number,),) = transaction.rows(
                "SELECT MAX(id) FROM reports WHERE gateway = ?", self._gateway
            )
        return int(number or 0)

    def reported(self, numbers: Iterable[int]) -> None:
        """Forget reports that a server has."""
        with self._transaction() as transaction:
            for number in numbers:
                transaction.run("DELETE FROM reports WHERE id = ?", number)

    def bound_reports(self, limit: int) -> tuple[int, int]:
        """Forget the oldest reports beyond a limit: those between start and stop before others.

        Return how many reports are left, and how many starts and stops are lost.
        """
        with self._transaction() as transaction:
            ((number,),) = transaction.rows(
                "SELECT COUNT(*) FROM reports WHERE gateway = ?", self._gateway
            )
            waiting = int(number or 0)
            excess = max(0, waiting - limit)
            interim = self._forget_oldest(transaction, "status = ?", excess)
            lost = self._forget_oldest(transaction, "status <> ?", excess - interim)
        return waiting - interim - lost, lost

    def history(self, wanted: HistoryFilter) -> list[PastSession]:
        """Return sessions of all gateways, the latest first."""
        conditions, values = ["1 = 1"], []
        for condition, value in (
            ("s.login = ?", wanted.login),
            ("s.department = ?", wanted.department),
            ("s.seen >= ?", wanted.since),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        with self._transaction() as transaction:
            return self._sessions(
                transaction,
                f"{' AND '.join(conditions)} ORDER BY s.began DESC, s.id LIMIT ?",
                *values,
                wanted.limit,
            )

    def prune(self, before: int, limit: int) -> int:
        """Forget sessions that ended before that time, and are reported; return how many.

        The oldest `limit` at most: others wait meanwhile.
        """
        with self._transaction() as transaction:
            return transaction.run(
                "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE began < ? "
                "AND ended < ? AND id NOT IN (SELECT session FROM reports) "
                "ORDER BY began LIMIT ?)",
                before,
                before,
                limit,
            )

    def _end(self, transaction: Transaction, ending: Ending) -> None:
        self._carry(transaction, ending.id, ending.traffic, ending.time)
        ended = transaction.run(
            "UPDATE sessions SET ended = ?, why = ? WHERE id = ? AND gateway = ? AND ended IS NULL",
            ending.time,
            ending.why,
            ending.id,
            self._gateway,
        )
        transaction.run("DELETE FROM leases WHERE session = ?", ending.id)
        if ended:
            self._report(
                transaction, ending.id, "Stop", ending.time, ending.traffic, int(ending.cause)
            )

    def _carry(self, transaction: Transaction, session: str, traffic: Traffic, time: int) -> bool:
        return bool(
            transaction.run(
                "UPDATE sessions SET octets_in = ?, octets_out = ?, packets_in = ?, "
                "packets_out = ?, seen = ? WHERE id = ? AND ended IS NULL",
                *astuple(traffic),
                time,
                session,
            )
        )

    def _report(
        self,
        transaction: Transaction,
        session: str,
        status: str,
        time: int,
        traffic: Traffic,
        cause: int | None = None,
    ) -> None:
        """Report a session that is reported; its network has been up then."""
        transaction.run(
            f"INSERT INTO reports (gateway, session, status, time, cause, {TRAFFIC}) "
            "SELECT gateway, id, ?, ?, ?, ?, ?, ?, ? FROM sessions WHERE id = ? AND facts <> '' "
            "ON CONFLICT (session, status, time) DO NOTHING",
            status,
            time,
            cause,
            *astuple(traffic),
            session,
        )

    def _forget_oldest(self, transaction: Transaction, which: str, count: int) -> int:
        return transaction.run(
            "DELETE FROM reports WHERE id IN (SELECT id FROM reports "
            f"WHERE gateway = ? AND {which} ORDER BY id LIMIT ?)",
            self._gateway,
            INTERIM,
            count,
        )

    @staticmethod
    def _has(transaction: Transaction, beginning: Beginning) -> bool:
        found = transaction.rows("SELECT address FROM leases WHERE session = ?", beginning.id)
        return found == [(beginning.address,)]

    @staticmethod
    def _too_many(transaction: Transaction, beginning: Beginning) -> TooManySessions | None:
        if beginning.limit is None:
            return None
        found = transaction.rows(
            "SELECT gateway FROM leases WHERE login = ? AND session <> ? AND session <> ?",
            beginning.login,
            beginning.id,
            beginning.replaces or "",
        )
        if len(found) < beginning.limit:
            return None
        return TooManySessions(len(found), tuple(sorted({str(gateway) for (gateway,) in found})))

    @staticmethod
    def _owner(transaction: Transaction, beginning: Beginning) -> AddressTaken:
        owners = transaction.rows(
            "SELECT login, gateway FROM leases WHERE address = ?", beginning.address
        )
        # On another gateway it may have become free in this moment.
        login, gateway = owners[0] if owners else ("", "")
        return AddressTaken(str(login), str(gateway))

    @staticmethod
    def _sessions(transaction: Transaction, condition: str, *values: Value) -> list[PastSession]:
        found = transaction.rows(
            f"SELECT {SESSION}, {TRAFFIC} FROM sessions s WHERE {condition}", *values
        )
        return [_session(row) for row in found]


def _session(row: Row) -> PastSession:
    session, gateway, login, department, address, client, host_name = map(str, row[:7])
    began, opened, seen, ended, why = row[7:12]
    return PastSession(
        session,
        gateway,
        login,
        department,
        address,
        client,
        host_name,
        int(began or 0),
        None if opened is None else int(opened),
        int(seen or 0),
        None if ended is None else int(ended),
        _text(why),
        Traffic(*(int(number or 0) for number in row[12:16])),
    )


def _text(value: Value) -> str | None:
    return None if value is None else str(value)

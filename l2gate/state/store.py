"""The operations on leases, sessions and reports; each is one transaction.

How this works. A session begins with its lease and ends with the lease's end, each time in one
transaction, so that a crash at any moment leaves either both or none:

    recover   after a start: what the run before left open is over
    begin     a session has its address: nobody else gets it, on any gateway
    open      its network is up                                        report: start
    update    what it has carried so far                               report: interim
    end       it is over, and its address free                         report: stop

A report (for RADIUS accounting) is written in the same transaction as what it reports, and
removed once a server has it: it is neither lost nor made twice. Every operation may be repeated
when nobody knows whether it took place, and then does nothing more.

The address of a session is the key of its lease, so no two sessions can have one, whichever
gateway they are on. Only the gateway that has a lease ends it. Times are in seconds since 1970.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Final

from l2gate.state.databases import Database, Row, Transaction, Value

RESTARTED: Final = "the server was restarted"

SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS sessions (
        id TEXT PRIMARY KEY, gateway TEXT NOT NULL, login TEXT NOT NULL, department TEXT NOT NULL,
        address TEXT NOT NULL, client TEXT NOT NULL, host_name TEXT NOT NULL,
        began BIGINT NOT NULL, opened BIGINT, seen BIGINT NOT NULL, ended BIGINT, why TEXT,
        octets_in BIGINT NOT NULL DEFAULT 0, octets_out BIGINT NOT NULL DEFAULT 0,
        packets_in BIGINT NOT NULL DEFAULT 0, packets_out BIGINT NOT NULL DEFAULT 0)""",
    "CREATE INDEX IF NOT EXISTS sessions_by_login ON sessions (login, began)",
    "CREATE INDEX IF NOT EXISTS sessions_by_time ON sessions (began)",
    "CREATE INDEX IF NOT EXISTS sessions_alive ON sessions (gateway) WHERE ended IS NULL",
    """CREATE TABLE IF NOT EXISTS leases (
        address TEXT PRIMARY KEY, gateway TEXT NOT NULL, session TEXT NOT NULL,
        login TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS leases_by_login ON leases (login)",
    """CREATE TABLE IF NOT EXISTS last_addresses (
        login TEXT PRIMARY KEY, address TEXT NOT NULL, used BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS reports (
        id {serial}, gateway TEXT NOT NULL, session TEXT NOT NULL, status TEXT NOT NULL,
        time BIGINT NOT NULL, why TEXT, octets_in BIGINT NOT NULL, octets_out BIGINT NOT NULL,
        packets_in BIGINT NOT NULL, packets_out BIGINT NOT NULL)""",
)

SESSION: Final = (
    "s.id, s.gateway, s.login, s.department, s.address, s.client, s.host_name, s.began, s.opened, "
    "s.seen, s.ended, s.why"
)
TRAFFIC: Final = "octets_in, octets_out, packets_in, packets_out"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a session has carried: from the client (in) and to it (out)."""

    octets_in: int = 0
    octets_out: int = 0
    packets_in: int = 0
    packets_out: int = 0


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
    """The end of a session, and why, in the words of the log."""

    id: str
    time: int
    why: str
    traffic: Traffic = Traffic()


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
class Report:
    """One event of a session that a RADIUS server is to hear of; `status` is in RFC 2866's words:
    Start, Interim-Update or Stop."""

    number: int
    status: str
    time: int
    why: str | None
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

    With `reports`, what happens to sessions is reported. All methods raise StateError.
    """

    def __init__(self, database: Database, gateway: str, reports: bool = False) -> None:
        self._database = database
        self._gateway = gateway
        self._reports = reports

    def recover(self, now: int) -> list[PastSession]:
        """Make the tables if there are none; end what the run before left open, and return it.

        Nobody knows when that was over: it ends when it was last heard of.
        """
        with self._database.transaction() as transaction:
            transaction.lock("schema")
            for statement in SCHEMA:
                transaction.run(statement.format(serial=self._database.serial))
            left = self._sessions(transaction, "s.gateway = ? AND s.ended IS NULL", self._gateway)
            for session in left:
                last = min(now, session.seen)
                self._end(transaction, Ending(session.id, last, RESTARTED, session.traffic))
            transaction.run("DELETE FROM leases WHERE gateway = ?", self._gateway)
        return left

    def begin(self, beginning: Beginning) -> AddressTaken | TooManySessions | None:
        """Give a session its address, if nobody has it; a former one of the session is free."""
        with self._database.transaction() as transaction:
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

    def open(self, session: str, time: int) -> None:
        """Note that the session's network is up; it may have been before."""
        with self._database.transaction() as transaction:
            opened = transaction.run(
                "UPDATE sessions SET opened = ?, seen = ? "
                "WHERE id = ? AND opened IS NULL AND ended IS NULL",
                time,
                time,
                session,
            )
            if opened:
                self._report(transaction, session, "Start", time, None, Traffic())

    def update(self, carried: Iterable[tuple[str, Traffic]], time: int, interim: bool) -> None:
        """Note what sessions have carried so far; `interim`: and report it."""
        with self._database.transaction() as transaction:
            for session, traffic in carried:
                updated = self._carry(transaction, session, traffic, time)
                if updated and interim:
                    self._report(transaction, session, "Interim-Update", time, None, traffic)

    def end(self, ending: Ending) -> None:
        """Note that a session is over, and free its address."""
        with self._database.transaction() as transaction:
            self._end(transaction, ending)

    def addresses_elsewhere(self) -> list[str]:
        """Return the addresses that sessions of other gateways have."""
        with self._database.transaction() as transaction:
            found = transaction.rows("SELECT address FROM leases WHERE gateway <> ?", self._gateway)
        return [str(address) for (address,) in found]

    def last_addresses(self, limit: int) -> dict[str, str]:
        """Return which address each login had last, the latest of them."""
        with self._database.transaction() as transaction:
            found = transaction.rows(
                "SELECT login, address FROM last_addresses ORDER BY used DESC LIMIT ?", limit
            )
        return {str(login): str(address) for login, address in reversed(found)}

    def reports(self, limit: int) -> list[Report]:
        """Return the oldest reports of this gateway that no server has yet."""
        with self._database.transaction() as transaction:
            found = transaction.rows(
                f"SELECT r.id, r.status, r.time, r.why, {SESSION}, r.octets_in, r.octets_out, "
                "r.packets_in, r.packets_out FROM reports r JOIN sessions s ON s.id = r.session "
                "WHERE r.gateway = ? ORDER BY r.id LIMIT ?",
                self._gateway,
                limit,
            )
        return [
            Report(int(number or 0), str(status), int(time or 0), _text(why), _session(tuple(rest)))
            for number, status, time, why, *rest in found
        ]

    def reported(self, numbers: Sequence[int]) -> None:
        """Forget reports that a server has."""
        with self._database.transaction() as transaction:
            for number in numbers:
                transaction.run("DELETE FROM reports WHERE id = ?", number)

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
        with self._database.transaction() as transaction:
            return self._sessions(
                transaction,
                f"{' AND '.join(conditions)} ORDER BY s.began DESC, s.id LIMIT ?",
                *values,
                wanted.limit,
            )

    def prune(self, before: int) -> int:
        """Forget sessions that ended before that time, and are reported; return how many."""
        with self._database.transaction() as transaction:
            return transaction.run(
                "DELETE FROM sessions WHERE ended < ? AND id NOT IN (SELECT session FROM reports)",
                before,
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
        opened = transaction.rows("SELECT opened FROM sessions WHERE id = ?", ending.id)
        if ended and opened and opened[0][0] is not None:
            self._report(transaction, ending.id, "Stop", ending.time, ending.why, ending.traffic)

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
        why: str | None,
        traffic: Traffic,
    ) -> None:
        if self._reports:
            transaction.run(
                f"INSERT INTO reports (gateway, session, status, time, why, {TRAFFIC}) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                self._gateway,
                session,
                status,
                time,
                why,
                *astuple(traffic),
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
        (owner,) = transaction.rows(
            "SELECT login, gateway FROM leases WHERE address = ?", beginning.address
        )
        return AddressTaken(str(owner[0]), str(owner[1]))

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

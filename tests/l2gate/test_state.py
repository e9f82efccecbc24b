"""Leases, sessions and reports that outlive the program, in both databases."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from aaa.radius.constants import AcctTerminateCause
from l2gate.state import (
    AddressTaken,
    Beginning,
    Ending,
    HistoryFilter,
    Postgresql,
    Sqlite,
    StateError,
    Store,
    TooManySessions,
    Traffic,
)
from l2gate.state.databases import Database, Transaction
from tests.support.postgresql import PostgresqlServer, running_postgresql

STATE = (Path(__file__).resolve().parents[2] / "docs" / "state.md").read_text()
NOW = 1_700_000_000
FACTS = "what a report says"
BOB = Beginning("a-1", "bob", "default", "172.16.9.2", "198.51.100.7", "laptop", NOW)
SOME = Traffic(5 << 40, 2, 3, 4)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgresqlServer]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        found: Database = Sqlite(tmp_path / "state.db")
    else:
        found = Postgresql(request.getfixturevalue("postgresql").conninfo)
        with found.transaction() as transaction:
            transaction.run("DROP SCHEMA public CASCADE")
            transaction.run("CREATE SCHEMA public")
    yield found
    found.close()


@pytest.fixture
def store(database: Database) -> Store:
    return started(database)


def started(database: Database, gateway: str = "one") -> Store:
    store = Store(database, gateway)
    store.recover(NOW)
    return store


def statuses(store: Store) -> list[str]:
    return [report.status for report in store.reports(100)]


def test_a_session_from_its_beginning_to_its_end(store: Store) -> None:
    assert store.begin(BOB) is None
    assert store.reports(10) == []
    store.open("a-1", NOW + 1, FACTS)
    store.update([("a-1", Traffic(1, 1, 1, 1))], NOW + 60, interim=False)
    store.update([("a-1", SOME)], NOW + 120, interim=True)
    store.end(Ending("a-1", NOW + 130, "hung up", SOME))
    reports = store.reports(10)
    assert [report.status for report in reports] == ["Start", "Interim-Update", "Stop"]
    assert [report.time for report in reports] == [NOW + 1, NOW + 120, NOW + 130]
    assert reports[2].session.why == "hung up"
    assert [report.cause for report in reports] == [None, None, AcctTerminateCause.LOST_CARRIER]
    assert {report.facts for report in reports} == {FACTS}
    assert reports[1].session.traffic == reports[2].session.traffic == SOME
    assert reports[2].session.login == "bob"
    store.reported([report.number for report in reports[:2]])
    assert statuses(store) == ["Stop"]
    (past,) = store.history(HistoryFilter())
    assert (past.login, past.began, past.opened, past.ended) == ("bob", NOW, NOW + 1, NOW + 130)
    assert (past.why, past.traffic, past.address) == ("hung up", SOME, "172.16.9.2")


def test_every_operation_may_be_repeated(store: Store) -> None:
    for _ in range(2):
        assert store.begin(BOB) is None
    for _ in range(2):
        store.open("a-1", NOW, FACTS)
    for _ in range(2):
        store.update([("a-1", SOME)], NOW + 5, interim=True)
    for _ in range(2):
        store.end(Ending("a-1", NOW + 9, "hung up", SOME))
    store.end(Ending("a-1", NOW + 99, "again"))
    store.update([("a-1", Traffic())], NOW + 99, interim=True)
    store.end(Ending("nobody", NOW, "never was"))
    assert statuses(store) == ["Start", "Interim-Update", "Stop"]
    assert [past.traffic for past in store.history(HistoryFilter())] == [SOME]


def test_a_session_that_never_opened_is_not_reported(store: Store) -> None:
    store.begin(BOB)
    store.end(Ending("a-1", NOW, "IPCP failed"))
    assert statuses(store) == []


def test_nobody_gets_an_address_that_somebody_has(store: Store, database: Database) -> None:
    assert store.begin(BOB) is None
    eve = replace(BOB, id="b-1", login="eve")
    assert store.begin(eve) == AddressTaken("bob", "one")
    other = started(database, "two")
    assert other.begin(eve) == AddressTaken("bob", "one")
    other.end(Ending("a-1", NOW, "not mine"))
    store.end(Ending("a-1", NOW, "hung up"))
    assert other.begin(eve) is None


def test_the_limit_counts_the_sessions_of_all_gateways(store: Store, database: Database) -> None:
    limited = replace(BOB, limit=2)
    other = started(database, "two")
    assert store.begin(limited) is None
    assert other.begin(replace(limited, id="b-1", address="172.16.9.3")) is None
    third = replace(limited, id="a-2", address="172.16.9.4")
    assert store.begin(third) == TooManySessions(2, ("one", "two"))
    assert store.begin(replace(third, login="eve")) is None


def test_a_device_that_comes_back_takes_its_place(store: Store) -> None:
    limited = replace(BOB, limit=1)
    store.begin(limited)
    back = replace(limited, id="a-2")
    assert store.begin(back) == TooManySessions(1, ("one",))
    assert store.begin(replace(back, replaces="a-1")) is None
    store.end(Ending("a-1", NOW, "the same device has logged in again"))
    assert store.begin(replace(BOB, id="a-3", login="eve")) == AddressTaken("bob", "one")


def test_a_restart_ends_what_was_left_open(store: Store, database: Database) -> None:
    store.begin(BOB)
    store.open("a-1", NOW, FACTS)
    store.update([("a-1", SOME)], NOW + 60, interim=False)
    store.begin(replace(BOB, id="a-2", login="eve", address="172.16.9.3"))
    started(database, "two").begin(replace(BOB, id="b-1", login="joe", address="172.16.9.4"))
    database.close()
    again = Store(database, "one")
    assert sorted(session.id for session in again.recover(NOW + 300)) == ["a-1", "a-2"]
    assert again.recover(NOW + 400) == []
    start, stop = again.reports(10)
    assert (start.status, stop.status) == ("Start", "Stop")
    assert (stop.time, stop.session.traffic) == (NOW + 60, SOME), "when it was last heard of"
    assert stop.cause == AcctTerminateCause.NAS_REBOOT
    assert again.last_report() == stop.number
    assert again.begin(replace(BOB, id="a-3", login="eve")) is None
    joe = replace(BOB, id="a-4", address="172.16.9.4")
    assert again.begin(joe) == AddressTaken("joe", "two"), "of a gateway that runs"
    for statement in re.findall(r"^    ((?:UPDATE|DELETE) .*);$", STATE, re.MULTILINE):
        with database.transaction() as transaction:
            assert transaction.run(statement.replace("vpn2.example.com", "two")) == 1
    assert again.begin(joe) is None, "after what docs/state.md says of one that is gone"
    (gone,) = [session for session in again.history(HistoryFilter()) if session.id == "b-1"]
    assert gone.ended == NOW


def test_addresses_are_remembered(store: Store) -> None:
    store.begin(BOB)
    store.begin(replace(BOB, id="a-2", login="eve", address="172.16.9.3", time=NOW + 1))
    assert store.last_addresses(10) == {"bob": "172.16.9.2", "eve": "172.16.9.3"}
    assert store.last_addresses(1) == {"eve": "172.16.9.3"}


def test_history(store: Store) -> None:
    for number, (login, department) in enumerate(
        [("u1@sales.example.com", "sales"), ("u1@hr.example.com", "hr"), ("bob", "default")]
    ):
        store.begin(
            Beginning(str(number), login, department, f"172.16.9.{number}", "x", "y", NOW + number)
        )
        store.end(Ending(str(number), NOW + 100 * (number + 1), "hung up"))

    def logins(**wanted: object) -> list[str]:
        found = store.history(HistoryFilter(**wanted))  # type: ignore[arg-type]
        return [session.login for session in found]

    assert logins() == ["bob", "u1@hr.example.com", "u1@sales.example.com"]
    assert logins(limit=1) == ["bob"]
    assert logins(login="bob") == ["bob"]
    assert logins(department="sales") == ["u1@sales.example.com"]
    assert logins(since=NOW + 200) == ["bob", "u1@hr.example.com"]
    assert logins(since=NOW + 200, department="sales") == []
    assert store.prune(NOW + 200, 10) == 1
    assert logins() == ["bob", "u1@hr.example.com"]


def test_what_is_not_reported_yet_is_not_forgotten(store: Store) -> None:
    store.begin(BOB)
    store.open("a-1", NOW, FACTS)
    store.end(Ending("a-1", NOW, "hung up"))
    assert store.prune(NOW + 1, 10) == 0
    store.reported([report.number for report in store.reports(10)])
    assert store.prune(NOW + 1, 10) == 1


def test_without_facts_there_are_no_reports(store: Store) -> None:
    store.begin(BOB)
    store.open("a-1", NOW)
    store.update([("a-1", SOME)], NOW + 60, interim=True)
    store.end(Ending("a-1", NOW, "hung up"))
    assert store.reports(10) == []


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    for missing in (Sqlite(tmp_path / "no" / "state.db"), Postgresql("host=/nowhere user=x")):
        with pytest.raises(StateError):
            Store(missing, "one").recover(NOW)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("a letter to a friend, and not a database at all")
    with pytest.raises(StateError, match=r"state\.db"):
        Store(Sqlite(tmp_path / "state.db"), "one").recover(NOW)


class CrashError(BaseException):
    """The power is cut."""


class CutOff:
    """A database whose power is cut at the `at`-th statement from now on."""

    serial = Sqlite.serial

    def __init__(self, database: Sqlite, at: int) -> None:
        self._database = database
        self._left = at
        self.is_new = True

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._database.transaction() as transaction:
            self._transaction = transaction
            yield self

    def run(self, statement: str, *values: object) -> int:
        self._left -= 1
        if self._left < 0:
            raise CrashError
        return self._transaction.run(statement, *values)  # type: ignore[arg-type]

    def rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        return self._transaction.rows(statement, *values)  # type: ignore[arg-type,return-value]

    def lock(self, name: str) -> None:
        self._transaction.lock(name)

    def interrupt(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._database.close()


Event = tuple[str, str, int, int]
"""Session id, status, time and octets of a report: what a server tells repetitions by."""


def told(store: Store, heard: list[Event]) -> None:
    """Let a server hear the oldest report, and then forget it."""
    for report in store.reports(1):
        octets = report.session.traffic.octets_in
        heard.append((report.session.id, report.status, report.time, octets))
        store.reported([report.number])


def whole_life(store: Store, heard: list[Event]) -> None:
    store.begin(BOB)
    store.open("a-1", NOW, FACTS)
    told(store, heard)
    store.update([("a-1", SOME)], NOW + 60, interim=True)
    store.end(Ending("a-1", NOW + 90, "hung up", SOME))
    told(store, heard)
    store.begin(replace(BOB, id="a-2"))
    store.open("a-2", NOW + 100, FACTS)


def after_a_restart(store: Store, heard: list[Event]) -> None:
    store.recover(NOW + 300)
    for _ in range(10):
        told(store, heard)


WRITES = 23
RECOVERY_WRITES = 12


@pytest.mark.parametrize("at", range(WRITES + 1))
def test_a_crash_at_every_write(tmp_path: Path, at: int) -> None:
    """After it the address is free, and each session that a server heard of began and ended once.

    Then once more, at every write of the restart.
    """
    file, heard = tmp_path / "state.db", list[Event]()
    Store(Sqlite(file), "one").recover(NOW)
    crashed = False
    try:
        whole_life(Store(CutOff(Sqlite(file), at), "one"), heard)  # type: ignore[arg-type]
    except CrashError:
        crashed = True
    assert crashed is (at < WRITES), "all writes have their turn"
    for again in range(RECOVERY_WRITES):
        copy, copied = tmp_path / f"{again}.db", heard[:]
        _copy(file, copy)
        with suppress(CrashError):
            after_a_restart(Store(CutOff(Sqlite(copy), again), "one"), copied)  # type: ignore[arg-type]
        after = Store(Sqlite(copy), "one")
        after_a_restart(after, copied)
        assert after.begin(replace(BOB, id="b-1", login="eve")) is None
        assert after.reports(1) == []
        assert len(copied) - len(set(copied)) <= 2, "one more for each crash"
        by_session: dict[str, list[str]] = {}
        for session, status, _, _ in dict.fromkeys(copied):
            by_session.setdefault(session, []).append(status)
        for session, found in by_session.items():
            assert (found[0], found[-1]) == ("Start", "Stop"), session
            assert found[1:-1] in ([], ["Interim-Update"])
        opened = {past.id for past in after.history(HistoryFilter()) if past.opened is not None}
        assert set(by_session) == opened, "the history agrees"


def _copy(source: Path, target: Path) -> None:
    """Copy a database with all that a crash has left beside it."""
    for suffix in ("", "-wal"):
        if (found := source.with_name(source.name + suffix)).exists():
            target.with_name(target.name + suffix).write_bytes(found.read_bytes())


def test_too_many_reports_are_sacrificed_by_what_they_say(store: Store, database: Database) -> None:
    store.begin(BOB)
    store.open("a-1", NOW, FACTS)
    for minute in range(1, 5):
        store.update([("a-1", SOME)], NOW + 60 * minute, interim=True)
    other = started(database, "two")
    other.begin(replace(BOB, id="b-1", address="172.16.9.3"))
    other.open("b-1", NOW, FACTS)
    store.end(Ending("a-1", NOW + 300, "hung up", SOME))
    assert store.bound_reports(6) == (6, 0)
    assert store.bound_reports(4) == (4, 0)
    assert [report.time - NOW for report in store.reports(9)] == [0, 180, 240, 300]
    assert store.bound_reports(1) == (1, 1)
    assert statuses(store) == ["Stop"]
    assert statuses(other) == ["Start"], "of its own it has few"


OLD = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, gateway TEXT NOT NULL, login TEXT NOT NULL, department TEXT NOT NULL,
    address TEXT NOT NULL, client TEXT NOT NULL, host_name TEXT NOT NULL,
    began BIGINT NOT NULL, opened BIGINT, seen BIGINT NOT NULL, ended BIGINT, why TEXT,
    octets_in BIGINT NOT NULL DEFAULT 0, octets_out BIGINT NOT NULL DEFAULT 0,
    packets_in BIGINT NOT NULL DEFAULT 0, packets_out BIGINT NOT NULL DEFAULT 0);
CREATE TABLE reports (
    id {serial}, gateway TEXT NOT NULL, session TEXT NOT NULL, status TEXT NOT NULL,
    time BIGINT NOT NULL, why TEXT, octets_in BIGINT NOT NULL, octets_out BIGINT NOT NULL,
    packets_in BIGINT NOT NULL, packets_out BIGINT NOT NULL);
INSERT INTO sessions (id, gateway, login, department, address, client, host_name, began, opened,
    seen) VALUES ('a-0', 'one', 'bob', 'default', '172.16.9.2', 'x', 'y', 1, 2, 3)
"""


def test_tables_of_before_get_what_they_lack(database: Database) -> None:
    with database.transaction() as transaction:
        for statement in OLD.split(";"):
            transaction.run(statement.format(serial=database.serial))
    store = started(database)
    (past,) = store.history(HistoryFilter())
    assert past.ended == 3
    assert statuses(store) == [], "nobody was told that it began"
    store.begin(BOB)
    store.open("a-1", NOW, FACTS)
    assert statuses(started(database)) == ["Start", "Stop"]


def test_tables_of_a_later_version_are_left_alone(store: Store, database: Database) -> None:
    with database.transaction() as transaction:
        transaction.run("UPDATE schema_version SET version = 99")
    database.close()
    with pytest.raises(StateError, match="those of a later l2gate"):
        store.recover(NOW)


def test_a_session_that_begins_again_with_another_address(store: Store, database: Database) -> None:
    """The first answer came too late, or never: nobody knows whether it took place."""
    limited = replace(BOB, limit=1)
    assert store.begin(limited) is None
    assert store.begin(replace(limited, address="172.16.9.3")) is None
    assert [session.address for session in store.history(HistoryFilter())] == ["172.16.9.3"]
    two = started(database, "two")
    assert two.addresses_elsewhere() == ["172.16.9.3"]
    assert store.addresses_elsewhere() == []
    assert two.begin(replace(BOB, id="b-1", login="eve")) is None
    taken = replace(limited, address="172.16.9.2")
    assert store.begin(taken) == AddressTaken("eve", "two")
    assert two.addresses_elsewhere() == [], "it has given up the other one"


def test_a_gateway_that_stops_in_the_middle_does_not_hold_up_the_others(
    postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("l2gate.state.databases.LOCK_TIMEOUT", 20)
    monkeypatch.setattr("l2gate.state.databases.SILENCE", 200)
    dead, alive = Postgresql(postgresql.conninfo), Postgresql(postgresql.conninfo)
    store = Store(alive, "one")
    store.recover(NOW)
    with suppress(StateError), dead.transaction() as transaction:
        transaction.lock(BOB.login)
        with pytest.raises(StateError, match="lock timeout"):
            store.begin(BOB)
        while True:
            with suppress(StateError):
                assert store.begin(replace(BOB, address="172.16.77.7")) is None
                break
    store.end(Ending(BOB.id, NOW, "over"))
    dead.close()
    alive.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_removed_while_in_use_is_made_anew(tmp_path: Path, replaced: bool) -> None:
    store = started(Sqlite(tmp_path / "state.db"))
    assert store.begin(BOB) is None
    for file in tmp_path.iterdir():
        file.unlink()
    if replaced:
        (tmp_path / "state.db").touch()
    with pytest.raises(StateError, match="removed or replaced"):
        store.begin(replace(BOB, id="a-2"))
    assert store.begin(replace(BOB, id="a-2")) is None
    again = Store(Sqlite(tmp_path / "state.db"), "two")
    assert [session.id for session in again.history(HistoryFilter())] == ["a-2"]


def test_an_address_that_becomes_free_while_somebody_is_refused_it(store: Store) -> None:
    class Late:
        """What another gateway ends between two statements of ours."""

        def rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
            return []

    late: Transaction = Late()  # type: ignore[assignment]
    assert store._owner(late, BOB) == AddressTaken("", "")


def test_only_so_many_are_forgotten_in_one_go(store: Store) -> None:
    for number in range(5):
        store.begin(replace(BOB, id=f"a-{number}", time=NOW + number))
        store.end(Ending(f"a-{number}", NOW + number, "over"))
    assert [store.prune(NOW + 4, 3) for _ in range(3)] == [3, 1, 0]
    assert [session.id for session in store.history(HistoryFilter())] == ["a-4"]


def test_a_server_that_was_restarted_between_two_operations() -> None:
    """Nobody who logs in is refused for it."""
    with running_postgresql() as server:
        database = Postgresql(server.conninfo)
        store = started(database)
        server.stop()
        server.start()
        assert store.begin(BOB) is None
        database.close()


def test_a_connection_whose_other_end_has_no_power_is_noticed(
    postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    given: dict[str, object] = {}

    def connect(conninfo: str, **parameters: object) -> object:
        given.update(parameters)
        raise psycopg.OperationalError

    monkeypatch.setattr(psycopg, "connect", connect)
    with pytest.raises(StateError):
        started(Postgresql(postgresql.conninfo))
    assert given["keepalives_idle"] == 5, "also while an answer is waited for"

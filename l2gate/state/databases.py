"""The two databases behind one interface: transactions of statements with `?` for values."""

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from select import POLLIN, poll
from typing import Final, Protocol, TypeAlias

Value: TypeAlias = str | int | None
Row: TypeAlias = tuple[Value, ...]

BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait for another process that writes the same file, such as a backup."""
CONNECT_TIMEOUT: Final = 5
"""Seconds; then the operation has failed, and the next one tries to connect again."""
LOCK_TIMEOUT: Final = 3_000
"""Milliseconds to wait for what another gateway does with the same user or address."""
SILENCE: Final = 10_000
"""Milliseconds until a connection counts as lost whose other end says nothing."""


class StateError(Exception):
    """The database cannot do what is asked; the text is its own, and names no password."""


class Transaction(Protocol):
    """Statements that take effect together, or not at all."""

    def run(self, statement: str, *values: Value) -> int:
        """Run a statement; return how many rows it changed."""

    def rows(self, statement: str, *values: Value) -> list[Row]:
        """Return what a query finds."""

    def lock(self, name: str) -> None:
        """Let no other transaction that locks the same name run beside this one."""


class Database(Protocol):
    """A database. Its methods block, and are called from one thread only."""

    serial: str
    """The type of a key that the database numbers by itself."""
    is_new: bool
    """Whether nobody knows if the tables are there: it was opened since that was last clear."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin a transaction, which the end of the context commits. Raises StateError."""

    def interrupt(self) -> None:
        """Let what is under way fail soon. Unlike the others, called from another thread."""

    def close(self) -> None:
        """Let go of the database; a later transaction opens it again."""


class Sqlite:
    """A file of this machine, for its owner alone; `:memory:` is one that nobody else has."""

    serial = "INTEGER PRIMARY KEY AUTOINCREMENT"

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self.is_new = True

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        try:
            if self._connection is not None and self._file() != self._opened:
                # What is written to a file without a name is gone at the next start.
                self.close()
                raise StateError(f"{self._path}: it was removed or replaced while in use")
            connection = self._connection or self._connect()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield _SqliteTransaction(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StateError(f"{self._path}: {error}") from error

    def interrupt(self) -> None:
        """Nothing here takes longer than BUSY_TIMEOUT but what a disk does not finish."""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _file(self) -> tuple[int, int] | None:
        """Return which file has the name now."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _connect(self) -> sqlite3.Connection:
        if isinstance(self._path, Path):
            try:
                # Who was connected from where is nobody else's business; SQLite asks the umask.
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            except OSError as error:
                raise StateError(f"{self._path}: {error.strerror}") from error
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        # Each commit is on the disk before it counts: an accounting record outlives a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        self._connection, self._opened, self.is_new = connection, self._file(), True
        return connection


class _SqliteTransaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, statement: str, *values: Value) -> int:
        return self._connection.execute(statement, values).rowcount

    def rows(self, statement: str, *values: Value) -> list[Row]:
        return self._connection.execute(statement, values).fetchall()

    def lock(self, name: str) -> None:
        """BEGIN IMMEDIATE has locked the whole file already."""


class Postgresql:
    """A server that several gateways share; `conninfo` is libpq's connection string."""

    serial = "BIGSERIAL PRIMARY KEY"

    def __init__(self, conninfo: str) -> None:
        """Raises StateError where psycopg is not installed."""
        try:
            import psycopg
        except ImportError as error:
            raise StateError(
                "PostgreSQL needs psycopg: pip install 'l2gate[postgresql]'"
            ) from error
        self._psycopg = psycopg
        self._conninfo = conninfo
        self._connection: psycopg.Connection[Row] | None = None
        self.is_new = True

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        try:
            if self._connection is not None and _has_ended(self._connection.fileno()):
                self.close()
            if self._connection is None:
                self._connection = self._psycopg.connect(
                    self._conninfo,
                    autocommit=True,
                    connect_timeout=CONNECT_TIMEOUT,
                    tcp_user_timeout=SILENCE,
                    keepalives_idle=SILENCE // 2_000,
                    keepalives_interval=1,
                )
                self.is_new = True
                # A gateway that has lost its power may not hold up the others by its locks.
                for setting, value in (
                    ("lock_timeout", LOCK_TIMEOUT),
                    ("idle_in_transaction_session_timeout", SILENCE),
                ):
                    self._connection.execute(f"SET {setting} = {value}".encode())
            with self._connection.transaction(), self._connection.cursor() as cursor:
                yield _PostgresqlTransaction(cursor)
        except self._psycopg.Error as error:
            self.close()
            raise StateError(f"PostgreSQL: {str(error).strip()}") from error

    def interrupt(self) -> None:
        connection = self._connection
        with suppress(OSError, self._psycopg.Error):
            if connection is not None:
                with socket.socket(fileno=os.dup(connection.fileno())) as sock:
                    sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _has_ended(descriptor: int) -> bool:
    """Say whether the server has spoken unasked: most likely its last words."""
    poller = poll()
    poller.register(descriptor, POLLIN)
    return bool(poller.poll(0))


class _Cursor(Protocol):
    """What of psycopg's cursor is used."""

    @property
    def rowcount(self) -> int: ...

    def execute(self, query: bytes, params: tuple[Value, ...]) -> object: ...

    def fetchall(self) -> list[Row]: ...


class _PostgresqlTransaction:
    def __init__(self, cursor: _Cursor) -> None:
        self._cursor = cursor

    def run(self, statement: str, *values: Value) -> int:
        self._cursor.execute(statement.replace("?", "%s").encode(), values)
        return self._cursor.rowcount

    def rows(self, statement: str, *values: Value) -> list[Row]:
        self.run(statement, *values)
        return self._cursor.fetchall()

    def lock(self, name: str) -> None:
        self.rows("SELECT pg_advisory_xact_lock(hashtext(?))", name)

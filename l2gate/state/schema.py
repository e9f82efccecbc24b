"""The tables, and how those of an older version become those of this one."""

from typing import Final

from l2gate.state.databases import StateError, Transaction

TABLES: Final = (
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

REPORTS: Final = (
    # What a report says of its session beyond the columns; empty where it is not reported.
    "ALTER TABLE sessions ADD COLUMN facts TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE reports ADD COLUMN cause BIGINT",
    "CREATE INDEX reports_in_line ON reports (gateway, id)",
    # A write that is repeated reports nothing twice.
    "CREATE UNIQUE INDEX reports_once ON reports (session, status, time)",
)

STEPS: Final = (TABLES, REPORTS)
"""Each makes of the version before it the next one; a new version is a further step."""


def prepare(transaction: Transaction, serial: str) -> None:
    """Make the tables, or what they lack. Raises StateError where they are of a later version."""
    transaction.lock("schema")
    transaction.run("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
    found = transaction.rows("SELECT version FROM schema_version")
    version = int(found[0][0] or 0) if found else 0
    if version > len(STEPS):
        raise StateError(
            f"its tables are those of a later l2gate (version {version}, not {len(STEPS)}): "
            "install that one, or begin anew with another database"
        )
    if version == len(STEPS):
        return
    for step in STEPS[version:]:
        for statement in step:
            transaction.run(statement.format(serial=serial))
    transaction.run("DELETE FROM schema_version")
    transaction.run("INSERT INTO schema_version (version) VALUES (?)", len(STEPS))

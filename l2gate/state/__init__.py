"""What survives a restart, and what several gateways share: leases, sessions, reports.

schema.py      the tables
store.py       the operations, each one transaction, in the SQL that both databases speak
databases.py   SQLite, which is built in, and PostgreSQL
worker.py      the thread that they run in, so that the server never waits for a disk
"""

from aaa.radius.accounting import Traffic
from l2gate.state.databases import Postgresql, Sqlite, StateError
from l2gate.state.store import (
    AddressTaken,
    Beginning,
    Ending,
    HistoryFilter,
    PastSession,
    Store,
    StoredReport,
    TooManySessions,
)
from l2gate.state.worker import StateWorker

__all__ = [
    "AddressTaken",
    "Beginning",
    "Ending",
    "HistoryFilter",
    "PastSession",
    "Postgresql",
    "Sqlite",
    "StateError",
    "StateWorker",
    "Store",
    "StoredReport",
    "TooManySessions",
    "Traffic",
]

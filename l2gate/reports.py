"""What `status` and `sessions` report: rows for JSON, and as tables for people."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from l2gate.control import Json, ProtocolError
from l2gate.events import printable

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session that has an address.

    `id` is our L2TP session id. `peer` is the outer address and port, `nat` says that a NAT is
    on the way. `host_name` is what the client calls itself. `since` counts seconds since 1970.
    `cipher` names the ESP algorithms. Packets and octets are those of inner packets; in is
    what came from the client.
    """

    id: int
    user: str
    department: str
    address: str
    peer: str
    nat: bool
    host_name: str
    since: float
    cipher: str
    packets_in: int
    octets_in: int
    packets_out: int
    octets_out: int


@dataclass(frozen=True, slots=True)
class PoolRow:
    """How full the pool of a department is."""

    department: str
    size: int
    used: int


@dataclass(frozen=True, slots=True)
class Status:
    """The server as a whole. `started` counts seconds since 1970; `drops` are packets by reason."""

    name: str
    version: str
    started: float
    peers: int
    sessions: int
    max_sessions: int
    pools: tuple[PoolRow, ...]
    drops: Mapping[str, int]


def sessions_to_json(rows: Iterable[SessionRow]) -> Json:
    """Return what a server answers to `sessions`."""
    return [asdict(row) for row in rows]


def sessions_from_json(result: Json) -> list[SessionRow]:
    """Return the rows of an answer. Raises ProtocolError if it holds something else."""
    if not isinstance(result, list):
        raise ProtocolError("the server reports sessions otherwise: is it of another version?")
    return [_row(SessionRow, row) for row in result]


def status_to_json(status: Status) -> Json:
    """Return what a server answers to `status`."""
    return asdict(status)


def status_from_json(result: Json) -> Status:
    """Return the status of an answer. Raises ProtocolError if it holds something else."""
    pools = result.get("pools") if isinstance(result, dict) else None
    if not isinstance(result, dict) or not isinstance(pools, list):
        raise ProtocolError("the server reports its status otherwise: is it of another version?")
    status = _row(Status, result)
    return replace(status, pools=tuple(_row(PoolRow, row) for row in pools))


def sessions_table(rows: Sequence[SessionRow]) -> str:
    """Return the sessions for people."""
    if not rows:
        return "no sessions"
    titles = ("ID", "USER", "DEPARTMENT", "ADDRESS", "PEER", "NAT", "SINCE", "IN", "OUT")
    return table(
        (*titles, "CIPHER", "HOST"),
        [
            (
                str(row.id),
                row.user,
                row.department,
                row.address,
                row.peer,
                "yes" if row.nat else "no",
                _moment(row.since),
                _octets(row.octets_in),
                _octets(row.octets_out),
                row.cipher,
                row.host_name,
            )
            for row in rows
        ],
        right={"ID", "IN", "OUT"},
    )


def status_text(status: Status) -> str:
    """Return the status for people."""
    lines = [
        f"{status.name}: l2gate {status.version}, running since {_moment(status.started)}",
        f"{status.sessions} of at most {status.max_sessions} sessions, {status.peers} peers",
        "",
        table(
            ("POOL", "USED", "SIZE"),
            [(pool.department, str(pool.used), str(pool.size)) for pool in status.pools],
            right={"USED", "SIZE"},
        ),
    ]
    drops = [(reason, str(count)) for reason, count in status.drops.items() if count]
    if drops:
        lines += ["", table(("DROPPED PACKETS", "COUNT"), drops, right={"COUNT"})]
    return "\n".join(lines)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = ()) -> str:
    """Return aligned columns; what peers named themselves cannot upset the terminal."""
    lines = [tuple(titles), *(tuple(map(printable, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    ends = set(right)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if title in ends else cell.ljust(width)
            for title, cell, width in zip(titles, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _octets(count: int) -> str:
    """Return a number of octets in the largest unit that leaves digits before the point."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _row(make: Callable[..., Row], value: Json) -> Row:
    if not isinstance(value, dict):
        raise ProtocolError("the server reports something else than a row")
    try:
        return make(**value)
    except TypeError as error:
        raise ProtocolError(f"the server is of another version: {error}") from None

"""What the control socket reports: rows for JSON, and as tables for people."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from ipsec.path import Address
from l2gate.configuration.model import Proposals
from l2gate.control import Json, ProtocolError
from l2gate.events import printable
from l2gate.history import Attempt, Offer, Reached

Row = TypeVar("Row")

PROPOSALS = [
    proposals.value for proposals in (Proposals.STRICT, Proposals.DEFAULT, Proposals.LEGACY)
]
"""The named proposals, the strictest first."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session that has an address.

    `id` is our L2TP session id. `peer` is the outer address and port, `nat` says that a NAT is
    on the way. `host_name` is what the client calls itself. `since` counts seconds since 1970.
    `cipher` names the ESP algorithms, `key` the pre-shared key. Packets and octets are those of
    inner packets; in is what came from the client. `prefix` is the IPv6 prefix,
    empty where no IPv6 flows. `interface` is the TUN device that they go through.
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
    key: str = ""
    prefix: str = ""
    interface: str = ""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """The use of a pre-shared key: its peers now, and when one last proved to have it, since 1970.

    `last` is None if that was never since the server started.
    """

    key: str
    peers: int
    last: float | None


@dataclass(frozen=True, slots=True)
class PoolRow:
    """How full the pool of a department is, and the TUN device that it is behind."""

    department: str
    size: int
    used: int
    interface: str = ""


@dataclass(frozen=True, slots=True)
class StateRow:
    """Where sessions are kept; `fault` says what is wrong with the database, if anything is."""

    kind: str
    fault: str | None


@dataclass(frozen=True, slots=True)
class RadiusRow:
    """A RADIUS server, what it is for, and whether it answers; None: it was not asked yet."""

    server: str
    use: str
    answers: bool | None


@dataclass(frozen=True, slots=True)
class Status:
    """The server as a whole. `started` counts seconds since 1970; `drops` are packets by reason.

    `waiting` is how many reports no RADIUS server has yet.
    """

    name: str
    version: str
    started: float
    peers: int
    sessions: int
    max_sessions: int
    pools: tuple[PoolRow, ...]
    drops: Mapping[str, int]
    keys: tuple[KeyRow, ...] = ()
    state: StateRow | None = None
    radius: tuple[RadiusRow, ...] = ()
    waiting: int = 0


def sessions_to_json(rows: Iterable[SessionRow]) -> Json:
    """Return what a server answers to `sessions`."""
    return [asdict(row) for row in rows]


def sessions_from_json(result: Json) -> list[SessionRow]:
    """Return the rows of an answer. Raises ProtocolError if it holds something else."""
    return _rows(SessionRow, result)


def rows_to_json(rows: Iterable[Attempt | Offer]) -> Json:
    """Return what a server answers to `attempts` and `offers`."""
    return [asdict(row) for row in rows]


def attempts_from_json(result: Json) -> list[Attempt]:
    """Return the records of an answer. Raises ProtocolError if it holds something else."""
    return _rows(Attempt, result)


def offers_from_json(result: Json) -> list[Offer]:
    """Return the offers of an answer. Raises ProtocolError if it holds something else."""
    return _rows(Offer, result)


def status_to_json(status: Status) -> Json:
    """Return what a server answers to `status`."""
    return asdict(status)


def status_from_json(result: Json) -> Status:
    """Return the status of an answer. Raises ProtocolError if it holds something else."""
    pools = result.get("pools") if isinstance(result, dict) else None
    keys = result.get("keys") if isinstance(result, dict) else None
    state = result.get("state") if isinstance(result, dict) else None
    radius = result.get("radius") if isinstance(result, dict) else None
    if not all(isinstance(rows, list) for rows in (pools, keys, radius)):
        raise ProtocolError("the server reports its status otherwise: is it of another version?")
    return replace(
        _row(Status, result),
        pools=tuple(_rows(PoolRow, pools)),
        keys=tuple(_rows(KeyRow, keys)),
        state=None if state is None else _row(StateRow, state),
        radius=tuple(_rows(RadiusRow, radius)),
    )


def sessions_table(rows: Sequence[SessionRow]) -> str:
    """Return the sessions for people."""
    if not rows:
        return "no sessions"
    titles = ("ID", "USER", "DEPARTMENT", "ADDRESS", "PEER", "NAT", "SINCE", "IN", "OUT")
    return table(
        (*titles, "CIPHER", "KEY", "HOST"),
        [
            (
                str(row.id),
                row.user,
                row.department,
                " ".join(filter(None, (row.address, row.prefix))),
                row.peer,
                _yes(row.nat),
                moment(row.since),
                octets(row.octets_in),
                octets(row.octets_out),
                row.cipher,
                row.key,
                row.host_name,
            )
            for row in rows
        ],
        right={"ID", "IN", "OUT"},
    )


def attempts_table(attempts: Sequence[Attempt]) -> str:
    """Return one line for each attempt, the oldest first."""
    if not attempts:
        return "no attempts"
    titles = ("ID", "BEGAN", "FROM", "CLIENT", "LOGIN", "STAGE", "WINDOWS", "TIMES", "WHY")
    return table(titles, map(_attempt_cells, attempts), right={"ID", "TIMES"})


def attempt_line(attempt: Attempt) -> str:
    """Return one attempt in one line by itself."""
    cells = [str(attempt.id), moment(attempt.began), str(Address(attempt.host, attempt.port))]
    cells += [attempt.client, attempt.login, f"{attempt.stage}:"]
    cells.append("; ".join(filter(None, (attempt.why or attempt.end, attempt.mend))) or "goes on")
    if attempt.windows is not None:
        cells.append(f"(Windows error {attempt.windows})")
    return "  ".join(printable(cell) for cell in cells if cell)


def _attempt_cells(attempt: Attempt) -> tuple[str, ...]:
    return (
        str(attempt.id),
        moment(attempt.began),
        str(Address(attempt.host, attempt.port)),
        attempt.client,
        attempt.login,
        attempt.stage,
        str(attempt.windows or ""),
        str(attempt.count),
        attempt.why or attempt.end,
    )


def attempt_text(attempt: Attempt) -> str:
    """Return all of one attempt, what is empty left out."""
    ended = "" if attempt.ended is None else moment(attempt.ended)
    alike = f"{attempt.count} alike since {moment(attempt.first)}" if attempt.count > 1 else ""
    traffic = f"{octets(attempt.octets_in)} in, {octets(attempt.octets_out)} out"
    lines = (
        ("attempt", str(attempt.id)),
        ("began", moment(attempt.began)),
        ("ended", ended),
        ("times", alike),
        ("from", str(Address(attempt.host, attempt.port))),
        ("network", attempt.nat),
        ("client", attempt.client),
        ("identity", attempt.identity),
        ("pre-shared key", attempt.key),
        ("cookie", attempt.cookie),
        ("phase 1 offered", ", ".join(attempt.ike_offered)),
        ("phase 1 chosen", attempt.ike_chosen),
        ("phase 2 offered", ", ".join(attempt.esp_offered)),
        ("phase 2 chosen", attempt.esp_chosen),
        ("host name", attempt.host_name),
        ("login", f"{attempt.login} by {attempt.method}" if attempt.method else ""),
        ("user", attempt.user),
        ("department", attempt.department),
        ("address", attempt.address),
        ("traffic", traffic if attempt.furthest == Reached.UP else ""),
        ("came as far as", attempt.furthest),
        ("is at" if attempt.ended is None else "stopped at", attempt.stage),
        ("why", attempt.why),
        ("what to do", attempt.mend),
        ("Windows error", str(attempt.windows or "")),
        ("end", attempt.end),
    )
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {printable(value)}" for name, value in lines if value)


def offers_text(offers: Sequence[Offer]) -> str:
    """Return the offers for people: a line for each, and what it is made of below."""
    if not offers:
        return "no offers"
    blocks = []
    for offer in offers:
        verdicts = [f"{name}: {_yes(name in offer.accepted)}" for name in PROPOSALS]
        whose = "" if offer.proven else ", without the pre-shared key"
        blocks.append(
            f"{printable(offer.client) or 'unknown software'}: {offer.count} times{whose}, "
            f"last {moment(offer.last)} from {offer.host}\n"
            f"  accepted by  {', '.join(verdicts)}\n"
            f"  phase 1      {', '.join(offer.ike)}\n"
            f"  phase 2      {', '.join(offer.esp) or 'not reached'}"
        )
    return "\n\n".join(blocks)


def status_text(status: Status) -> str:
    """Return the status for people."""
    lines = [
        f"{status.name}: l2gate {status.version}, running since {moment(status.started)}",
        f"{status.sessions} of at most {status.max_sessions} sessions, {status.peers} peers",
        *_elsewhere(status),
        "",
        table(
            ("POOL", "INTERFACE", "USED", "SIZE"),
            [
                (pool.department, pool.interface, str(pool.used), str(pool.size))
                for pool in status.pools
            ],
            right={"USED", "SIZE"},
        ),
    ]
    if len(status.keys) > 1:
        keys = [
            (row.key, str(row.peers), "never" if row.last is None else moment(row.last))
            for row in status.keys
        ]
        lines += ["", table(("PRE-SHARED KEY", "PEERS", "LAST LOGIN"), keys, right={"PEERS"})]
    drops = [(reason, str(count)) for reason, count in status.drops.items() if count]
    if drops:
        lines += ["", table(("DROPPED PACKETS", "COUNT"), drops, right={"COUNT"})]
    return "\n".join(lines)


def _elsewhere(status: Status) -> list[str]:
    """Return a line for each thing that the server needs and does not have in itself."""
    lines = []
    state = status.state
    if state is not None:
        answers = "answers" if state.fault is None else f"does not answer: {state.fault}"
        lines.append(f"state in {state.kind}: {answers}")
    words = {True: "answers", False: "does not answer", None: "not asked yet"}
    lines += [f"RADIUS {row.server} for {row.use}: {words[row.answers]}" for row in status.radius]
    if any(row.use == "accounting" for row in status.radius):
        lines.append(f"{status.waiting} reports wait for a RADIUS server")
    return [printable(line) for line in lines]


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


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def moment(seconds: float) -> str:
    """Return a time of people."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def octets(count: int) -> str:
    """Return a number of octets in the largest unit that leaves digits before the point."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _rows(make: Callable[..., Row], result: Json) -> list[Row]:
    if not isinstance(result, list):
        raise ProtocolError("the server reports otherwise: is it of another version?")
    return [_row(make, row) for row in result]


def _row(make: Callable[..., Row], value: Json) -> Row:
    if not isinstance(value, dict):
        raise ProtocolError("the server reports something else than a row")
    try:
        # JSON has no tuples: what was one comes as a list.
        return make(**{k: tuple(v) if isinstance(v, list) else v for k, v in value.items()})
    except TypeError as error:
        raise ProtocolError(f"the server is of another version: {error}") from None

"""`l2gate history`: who was connected when, from where, how much, and why it ended."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta

from l2gate.control import Json, ProtocolError, Request, Response
from l2gate.events import printable
from l2gate.reports import moment, octets, table
from l2gate.state import HistoryFilter, PastSession, Traffic

SHOWN = 100
"""Sessions, unless asked for more."""
MOST_SHOWN = 10_000
"""Sessions in one answer: the latest."""

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


async def no_history(request: Request) -> Response:
    """Answer where nothing is kept."""
    return Response(
        error="no history is kept: add for example 'state: {file: /var/lib/l2gate/state.db}' to "
        "the configuration, and restart the server"
    )


def request_of(options: argparse.Namespace) -> Request:
    """Return what the command line asks for."""
    wanted: dict[str, Json] = {"limit": options.limit}
    for key in ("user", "department", "since"):
        value = getattr(options, key)
        if value is not None:
            wanted[key] = value
    return Request("history", wanted)


def filter_of(request: Request) -> HistoryFilter:
    """Return what a request asks for. Raises ValueError."""
    arguments = dict(request.arguments)
    user, department = arguments.pop("user", None), arguments.pop("department", None)
    since, limit = arguments.pop("since", None), arguments.pop("limit", SHOWN)
    if not (
        isinstance(user, str | None)
        and isinstance(department, str | None)
        and isinstance(since, int | None)
        and isinstance(limit, int)
        and 0 < limit <= MOST_SHOWN
        and not arguments
    ):
        raise ValueError(f"expected at most user, department, since and a limit up to {MOST_SHOWN}")
    return HistoryFilter(user, department, since, limit)


def sessions_to_json(sessions: Sequence[PastSession]) -> Json:
    """Return what a server answers."""
    return [asdict(session) for session in sessions]


def sessions_from_json(result: Json) -> list[PastSession]:
    """Return the sessions of an answer. Raises ProtocolError if it holds something else."""
    try:
        if isinstance(result, list):
            rows = [PastSession(**row) for row in result]  # type: ignore[arg-type]
            return [replace(row, traffic=Traffic(**row.traffic)) for row in rows]  # type: ignore[arg-type]
    except TypeError:
        pass
    raise ProtocolError("the server reports otherwise: is it of another version?")


def history_table(sessions: Sequence[PastSession]) -> str:
    """Return the sessions for people, the latest first."""
    if not sessions:
        return "no sessions"
    several = len({session.gateway for session in sessions}) > 1
    titles = ["USER", "DEPARTMENT", "ADDRESS", "PEER", "HOST", "BEGAN", "LASTED", "IN", "OUT"]
    rows = [
        [
            session.login,
            session.department,
            session.address,
            session.client,
            session.host_name,
            moment(session.began),
            # Negative where the clock has been put back meanwhile.
            str(timedelta(seconds=max(0, (session.ended or session.seen) - session.began))),
            octets(session.traffic.octets_in),
            octets(session.traffic.octets_out),
            *([session.gateway] if several else []),
            "is connected" if session.ended is None else printable(session.why or ""),
        ]
        for session in sessions
    ]
    titles += ["GATEWAY", "END"] if several else ["END"]
    return table(titles, rows, right={"LASTED", "IN", "OUT"})


def since(text: str) -> int:
    """Return the time that a day (2026-11-30) or a span until now (90m, 12h, 2d, 4w) begins at."""
    now = datetime.now().astimezone()
    try:
        if span := re.fullmatch(r"(\d{1,6})([mhdw])", text, re.ASCII):
            then = now - timedelta(**{UNITS[span[2]]: int(span[1])})
        else:
            then = datetime.strptime(text, "%Y-%m-%d").astimezone()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            "expected a day, such as 2026-11-30, or a span, such as 12h, 2d or 4w"
        ) from None
    return int(then.timestamp())

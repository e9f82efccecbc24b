"""`l2gate history`: what it asks for and how it shows the answer."""

import argparse
import asyncio
import json
from collections.abc import Awaitable
from dataclasses import replace
from datetime import datetime
from unittest.mock import Mock

import pytest

from l2gate import cli, past
from l2gate.control import ProtocolError, Request, Response
from l2gate.operations import Operations
from l2gate.state import HistoryFilter, PastSession, Traffic
from tests.support.lab import configuration

OVER = PastSession(
    *("7f", "vpn1", "bob", "sales", "172.16.1.2", "198.51.100.7:4500", "PC\x1b[2J"),
    *(1_800_000_000, 1_800_000_001, 1_800_003_600, 1_800_003_661, "the user hangs up"),
    Traffic(2048, 1 << 30, 3, 4),
)
OPEN = PastSession(
    *("80", "vpn2", "eve", "default", "172.16.9.2", "198.51.100.8:500", ""),
    *(1_800_000_000, None, 1_800_000_060, None, None),
    Traffic(),
)


def test_for_people() -> None:
    titles, over, is_open = past.history_table([OVER, OPEN]).splitlines()
    assert titles.split() == (
        [
            "USER",
            "DEPARTMENT",
            "ADDRESS",
            "PEER",
            "HOST",
            "BEGAN",
            "LASTED",
            "IN",
            "OUT",
            "GATEWAY",
            "END",
        ]
    )
    assert "1:01:01  2.0 KiB  1.0 GiB  vpn1     the user hangs up" in over
    assert r"PC\x1b[2J" in over
    assert is_open.endswith("0:01:00      0 B      0 B  vpn2     is connected")
    assert "GATEWAY" not in past.history_table([OVER])
    assert past.history_table([]) == "no sessions"


def test_the_clock_was_put_back_in_the_middle_of_a_session() -> None:
    backwards = replace(OVER, ended=OVER.began - 60)
    _, line = past.history_table([backwards]).splitlines()
    assert " 0:00:00 " in line
    assert "day" not in line


def test_there_and_back() -> None:
    answer = Response(past.sessions_to_json([OVER, OPEN]))
    again = Response.parse(answer.build())
    assert past.sessions_from_json(again.result) == [OVER, OPEN]


@pytest.mark.parametrize("result", [None, {}, [1], [{}], [{"id": "x"}]])
def test_another_version_answers_otherwise(result: object) -> None:
    with pytest.raises(ProtocolError):
        past.sessions_from_json(result)  # type: ignore[arg-type]


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ask = Mock(return_value=Response(past.sessions_to_json([OVER])))
    monkeypatch.setattr(cli, "ask", ask)
    assert cli.main(["history"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("bob   sales")
    day = ["--since", "2026-11-30"]
    assert cli.main(["history", "--user", "bob", "--department", "sales", *day, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["login"] == "bob"
    first, second = (call.args[1] for call in ask.call_args_list)
    assert past.filter_of(first) == HistoryFilter(limit=past.SHOWN)
    midnight = int(datetime(2026, 11, 30).timestamp())
    assert past.filter_of(second) == HistoryFilter("bob", "sales", midnight, past.SHOWN)


@pytest.mark.parametrize(("span", "seconds"), [("90m", 5400), ("12h", 43200), ("4w", 2419200)])
def test_since_a_span(span: str, seconds: int) -> None:
    assert abs(datetime.now().timestamp() - seconds - past.since(span)) < 5


@pytest.mark.parametrize(
    "text", ["", "2", "d", "2y", "-1d", "999999w", "٣d", "2026-13-01", "yesterday"]
)
def test_since_something_else(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a day"):
        past.since(text)


def test_where_nothing_is_kept() -> None:
    desk = Operations(configuration(), Mock(), Mock(), Mock(return_value=0.0), Mock())
    answer = desk.handle(Request("history"))
    assert not isinstance(answer, Response)
    assert "add for example 'state: {file: " in str(asyncio.run(waited(answer)).error)


async def waited(answer: Awaitable[Response]) -> Response:
    return await answer

"""Rows as JSON and as tables."""

from dataclasses import replace

import pytest

from l2gate.control import Json, ProtocolError, Response
from l2gate.history import Attempt, Offer
from l2gate.reports import (
    PoolRow,
    RadiusRow,
    SessionRow,
    StateRow,
    Status,
    attempt_line,
    attempt_text,
    attempts_from_json,
    attempts_table,
    offers_from_json,
    offers_text,
    rows_to_json,
    sessions_from_json,
    sessions_table,
    sessions_to_json,
    status_from_json,
    status_text,
    status_to_json,
    table,
)

ROW = SessionRow(
    id=4711,
    user="hb@sales.example.com",
    department="sales",
    address="172.16.1.51",
    peer="198.51.100.7:61234",
    nat=True,
    host_name="LAPTOP",
    since=1_700_000_000.5,
    cipher="AES-CBC-256/HMAC-SHA1-96",
    packets_in=10,
    octets_in=1023,
    packets_out=20,
    octets_out=5 * 1024**3,
)
STATUS = Status(
    name="vpn.example.com",
    version="1.2",
    started=1_700_000_000.0,
    peers=2,
    sessions=1,
    max_sessions=4096,
    pools=(PoolRow("sales", 99, 1, "lns-sales"), PoolRow("default", 253, 0, "l2gate0")),
    drops={"replayed": 3, "spoofed": 0},
)
RICH = replace(
    STATUS,
    state=StateRow("PostgreSQL", "connection refused\nreally"),
    radius=(
        RadiusRow("192.0.2.10:1812", "logins", None),
        RadiusRow("192.0.2.10:1813", "accounting", True),
        RadiusRow("192.0.2.11:1813", "accounting", False),
    ),
    waiting=17,
)


ATTEMPT = Attempt(
    17, 1_700_000_000.0, 1_600_000_000.0, "2001:db8::1", 500, ended=1_700_000_009.0, count=3
)
OFFER = Offer("", ("A", "B"), ("C",), ("default", "legacy"), False, 2, 1_700_000_000.0, "::1")


def over_the_wire(result: Json) -> Json:
    return Response.parse(Response(result).build()).result


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("l2gate.reports.moment", lambda seconds: f"<{seconds:.0f}>")


def test_sessions_arrive_as_they_were() -> None:
    assert sessions_from_json(over_the_wire(sessions_to_json([ROW, ROW]))) == [ROW, ROW]


def test_the_status_arrives_as_it_was() -> None:
    for status in (STATUS, RICH):
        assert status_from_json(over_the_wire(status_to_json(status))) == status


@pytest.mark.parametrize(
    "result",
    [
        *(None, {}, [1], [{}], [{"id": 1}], {"pools": []}, {"pools": [1]}),
        {"pools": [], "keys": [], "radius": 1},
        {"pools": [], "keys": [], "radius": [], "state": 1},
    ],
)
def test_what_is_no_report(result: Json) -> None:
    with pytest.raises(ProtocolError):
        sessions_from_json(result or {})
    with pytest.raises(ProtocolError):
        status_from_json(result)


def test_sessions_for_people() -> None:
    other = replace(ROW, id=7, user="bob", nat=False, octets_in=2048, host_name="")
    lines = sessions_table([ROW, other]).splitlines()
    assert [line[:52] for line in lines] == [
        "  ID  USER                  DEPARTMENT  ADDRESS     ",
        "4711  hb@sales.example.com  sales       172.16.1.51 ",
        "   7  bob                   sales       172.16.1.51 ",
    ]
    assert [line[52:99] for line in lines] == [
        " PEER                NAT  SINCE              IN",
        " 198.51.100.7:61234  yes  <1700000000>   1023 B",
        " 198.51.100.7:61234  no   <1700000000>  2.0 KiB",
    ]
    assert [line[99:] for line in lines] == [
        "      OUT  CIPHER                    KEY  HOST",
        "  5.0 GiB  AES-CBC-256/HMAC-SHA1-96       LAPTOP",
        "  5.0 GiB  AES-CBC-256/HMAC-SHA1-96",
    ]
    assert sessions_table([]) == "no sessions"


def test_a_session_with_ipv6_shows_its_prefix() -> None:
    row = replace(ROW, prefix="2001:db8:1:1::/64", peer="[2001:db8:a::11]:500")
    assert sessions_from_json(over_the_wire(sessions_to_json([row]))) == [row]
    assert "172.16.1.51 2001:db8:1:1::/64  [2001:db8:a::11]:500  " in sessions_table([row])


def test_attempts_and_offers_arrive_as_they_were() -> None:
    attempt = replace(ATTEMPT, ike_offered=("A", "B"), windows=789)
    assert attempts_from_json(over_the_wire(rows_to_json([attempt]))) == [attempt]
    assert offers_from_json(over_the_wire(rows_to_json([OFFER, OFFER]))) == [OFFER, OFFER]


def test_attempts_for_people() -> None:
    other = replace(
        ATTEMPT, id=4, client="Windows 7", login="eve\n", why="wrong", windows=691, end="over"
    )
    lines = [line.split() for line in attempts_table([ATTEMPT, other]).splitlines()]
    assert lines == [
        ["ID", "BEGAN", "FROM", "CLIENT", "LOGIN", "STAGE", "WINDOWS", "TIMES", "WHY"],
        ["17", "<1700000000>", "[2001:db8::1]:500", "main", "mode", "3"],
        [
            "4",
            "<1700000000>",
            "[2001:db8::1]:500",
            "Windows",
            "7",
            "eve\\n",
            "main",
            "mode",
            "691",
            "3",
            "wrong",
        ],
    ]
    assert attempts_table([]) == "no attempts"
    assert attempt_line(other) == (
        "4  <1700000000>  [2001:db8::1]:500  Windows 7  eve\\n  main mode:  wrong  "
        "(Windows error 691)"
    )


def test_one_attempt_for_people() -> None:
    up = replace(ATTEMPT, furthest="up", octets_in=2048, login="bob", method="PAP", ended=None)
    assert attempt_text(ATTEMPT).splitlines() == [
        "attempt          17",
        "began            <1700000000>",
        "ended            <1700000009>",
        "times            3 alike since <1600000000>",
        "from             [2001:db8::1]:500",
        "came as far as   main mode",
        "stopped at       main mode",
    ]
    shown = attempt_text(up).splitlines()
    assert {line[17:] for line in shown} >= {"bob by PAP", "2.0 KiB in, 0 B out", "up"}
    assert shown[-1] == "is at            main mode"


def test_offers_for_people() -> None:
    assert offers_text([OFFER]).splitlines() == [
        "unknown software: 2 times, without the pre-shared key, last <1700000000> from ::1",
        "  accepted by  strict: no, default: yes, legacy: yes",
        "  phase 1      A, B",
        "  phase 2      C",
    ]
    assert offers_text([]) == "no offers"


def test_the_status_for_people() -> None:
    assert status_text(STATUS).splitlines() == [
        "vpn.example.com: l2gate 1.2, running since <1700000000>",
        "1 of at most 4096 sessions, 2 peers",
        "",
        "POOL     INTERFACE  USED  SIZE",
        "sales    lns-sales     1    99",
        "default  l2gate0       0   253",
        "",
        "DROPPED PACKETS  COUNT",
        "replayed             3",
    ]
    assert status_text(RICH).splitlines()[2:7] == [
        r"state in PostgreSQL: does not answer: connection refused\nreally",
        "RADIUS 192.0.2.10:1812 for logins: not asked yet",
        "RADIUS 192.0.2.10:1813 for accounting: answers",
        "RADIUS 192.0.2.11:1813 for accounting: does not answer",
        "17 reports wait for a RADIUS server",
    ]
    kept = replace(STATUS, state=StateRow("SQLite, /var/lib/l2gate/state.db", None))
    assert "\nstate in SQLite, /var/lib/l2gate/state.db: answers\n" in status_text(kept)
    assert "DROPPED" not in status_text(replace(STATUS, drops={"spoofed": 0}))


def test_names_of_peers_cannot_upset_the_terminal() -> None:
    shown = table(("HOST",), [("\x1b[2Jevil\nroot",)])
    assert shown.splitlines() == ["HOST", "\\x1b[2Jevil\\nroot"]


@pytest.mark.parametrize(
    ("octets", "shown"),
    [(0, "0 B"), (1024, "1.0 KiB"), (1024**4, "1.0 TiB"), (1024**5, "1024.0 TiB")],
)
def test_octets(octets: int, shown: str) -> None:
    assert shown in sessions_table([replace(ROW, octets_in=octets, octets_out=octets)])

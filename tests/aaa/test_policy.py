"""Hours of access, against a calendar that is walked through minute by minute."""

import time
from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_network
from zoneinfo import ZoneInfo

import pytest

from aaa import Allowed, Hours, Span

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = Hours((Span((0, 1, 2, 3, 4), 8 * 60, 18 * 60), Span((5,), 9 * 60, 12 * 60)))
NIGHT = Hours((Span((6,), 22 * 60, 6 * 60),))
"""From Sunday to Monday."""
JOINED = Hours((Span((0,), 20 * 60, 0), Span((1,), 0, 4 * 60), Span((1,), 3 * 60, 5 * 60)))


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


def is_within(hours: Hours, now: float) -> bool:
    """Say so by the letter: a span of yesterday may last until today."""
    moment = datetime.fromtimestamp(now, BERLIN)
    minute = moment.hour * 60 + moment.minute
    for span in hours.spans:
        overnight = span.end <= span.start
        today = moment.weekday() in span.days and span.start <= minute
        if today and (overnight or minute < span.end):
            return True
        if overnight and (moment.weekday() - 1) % 7 in span.days and minute < span.end:
            return True
    return False


@pytest.mark.parametrize("hours", [OFFICE, NIGHT, JOINED], ids=str)
@pytest.mark.parametrize("monday", ["2026-06-01T00:00", "2026-10-19T00:00", "2026-03-23T00:00"])
def test_a_week(hours: Hours, monday: str) -> None:
    """Two of the weeks have a change of the clocks on their Sunday."""
    moments = [at(monday) + 60 * minute for minute in range(9 * 24 * 60)]
    within = [is_within(hours, moment) for moment in moments]
    end = len(moments)
    for minute in range(len(moments) - 1, -1, -1):
        if not within[minute]:
            end = minute
            assert hours.time_left(moments[minute]) == 0.0
            assert hours.time_left(moments[minute] + 1 / (minute + 3)) == 0.0
        elif end < 8 * 24 * 60:
            assert hours.time_left(moments[minute] + 30.5) == 60 * (end - minute) - 30.5


def test_the_whole_week_has_no_end() -> None:
    always = Hours((Span(tuple(range(7)), 0, 0),))
    almost = Hours((Span(tuple(range(6)), 0, 0), Span((6,), 0, 23 * 60 + 59)))
    assert always.time_left(at("2026-06-03T12:00")) is None
    assert almost.time_left(at("2026-06-01T00:00")) == 7 * 86400 - 60
    assert almost.time_left(at("2026-06-07T23:59")) == 0.0


def test_hours_as_people_read_them() -> None:
    assert str(OFFICE) == "Mo,Tu,We,Th,Fr 08:00-18:00, Sa 09:00-12:00"


def test_a_day_when_the_clocks_change_is_longer() -> None:
    night = Hours((Span((5,), 22 * 60, 6 * 60),))
    begin = at("2026-10-24T22:00")
    assert night.time_left(begin) == 9 * 3600


def test_what_is_allowed() -> None:
    dns = Allowed(ip_network("192.168.1.0/24"), "udp", ((53, 53), (5353, 5400)))
    assert dns.admits(ip_network("192.168.1.53"), "udp", 5400)
    assert not dns.admits(ip_network("192.168.1.53"), "udp", 54)
    assert not dns.admits(ip_network("192.168.1.53"), "tcp", 53)
    assert not dns.admits(ip_network("192.168.2.1"), "udp", 53)
    assert not dns.admits(ip_network("2001:db8::53"), "udp", 53)
    assert Allowed(ip_network("::/0")).admits(ip_network("2001:db8::53"), "udp", 53)

"""The reports that wait for a RADIUS server."""

from aaa.radius.access import Port
from aaa.radius.accounting import Report
from aaa.radius.constants import AcctStatusType
from l2gate.accounting import ReportsInMemory

START, STOP = AcctStatusType.START, AcctStatusType.STOP
INTERIM = AcctStatusType.INTERIM_UPDATE


def report(status: AcctStatusType, time: int) -> Report:
    port = Port(1, "1-1", "198.51.100.7", "203.0.113.1")
    return Report(status, time, "bob", port, None, by_radius=True)


def times(queue: ReportsInMemory) -> list[int]:
    return [report.time for _, report in queue.reports(100)]


def test_they_come_out_oldest_first_until_a_server_has_them() -> None:
    queue = ReportsInMemory()
    for time in range(4):
        queue.add(report(INTERIM, time))
    (first, _), (second, _) = queue.reports(2)
    assert times(queue) == [0, 1, 2, 3]
    queue.reported([second, second, 1000])
    assert times(queue) == [0, 2, 3]
    queue.reported([first])
    assert times(queue) == [2, 3]


def test_a_full_queue_does_without_what_says_least() -> None:
    queue = ReportsInMemory(limit=4)
    for time, status in enumerate((START, INTERIM, INTERIM, STOP, START, STOP, START)):
        queue.add(report(status, time))
    assert times(queue) == [3, 4, 5, 6]

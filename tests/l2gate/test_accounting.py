"""The reports that wait for a RADIUS server."""

from random import Random

from aaa.radius.access import Nas, Port
from aaa.radius.accounting import Report
from aaa.radius.client import ClientConfig, Server
from aaa.radius.constants import AcctStatusType, AttributeType, Code
from aaa.radius.packet import Packet, response
from l2gate.accounting import Accounting, ReportsInMemory

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


def test_a_server_that_is_back_gets_the_stops_when_the_program_ends() -> None:
    """Reports in memory have no other time than that."""
    server = Server("192.0.2.1", 1813, b"secret")
    queue = ReportsInMemory()
    core = Accounting(
        ClientConfig((server,), retransmission=(2.0,)),
        Nas("vpn.example.com"),
        None,
        Random(1).randbytes,
        lambda: 0.0,
        lambda *_: None,
        queue,
    )
    queue.add(report(STOP, 0))
    core.handle_timeout(0.0)
    core.handle_timeout(2.0)
    core.datagrams_to_send()
    core.stop(5.0)
    said = []
    while sent := core.datagrams_to_send():
        for data, _, channel in sent:
            asked = Packet.parse(data)
            said.append(asked.attributes.number(AttributeType.ACCT_STATUS_TYPE))
            answer = response(
                Code.ACCOUNTING_RESPONSE, asked.identifier, asked.authenticator, (), server.secret
            )
            core.receive(answer, server, channel, 5.0)
    assert said == [AcctStatusType.ACCOUNTING_ON, STOP, AcctStatusType.ACCOUNTING_OFF]
    assert core.finished

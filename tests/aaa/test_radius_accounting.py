"""Reports of sessions to a RADIUS server."""

from ipaddress import IPv4Address

from aaa.radius.access import Nas, Port
from aaa.radius.accounting import Report, Traffic, report_attributes, server_attributes
from aaa.radius.constants import AcctStatusType, AcctTerminateCause, AttributeType
from aaa.radius.packet import Attributes

NAS = Nas("vpn.example.com")
PORT = Port(17, "2f-17", "198.51.100.7", "203.0.113.1")
BEGAN = 1_700_000_000


def report(status: AcctStatusType, **facts: object) -> Report:
    return Report(status, BEGAN, "bob", PORT, IPv4Address("172.16.1.9"), True, **facts)  # type: ignore[arg-type]


def said(report: Report, now: int = BEGAN) -> Attributes:
    return Attributes(report_attributes(NAS, report, now))


def test_start() -> None:
    start = said(report(AcctStatusType.START, classes=[b"class"]))
    assert start.number(AttributeType.ACCT_STATUS_TYPE) == AcctStatusType.START
    assert start.text(AttributeType.ACCT_SESSION_ID) == "2f-17"
    assert str(start.address(AttributeType.FRAMED_IP_ADDRESS)) == "172.16.1.9"
    assert start.all(AttributeType.CLASS) == [b"class"]
    assert start.number(AttributeType.ACCT_AUTHENTIC) == 1
    assert start.first(AttributeType.ACCT_SESSION_TIME) is None


def test_stop_counts_beyond_32_bits() -> None:
    traffic = Traffic(octets_in=5 << 32 | 7, octets_out=1, packets_in=1 << 32 | 3, packets_out=4)
    stop = said(
        report(
            AcctStatusType.STOP,
            duration=90,
            traffic=traffic,
            cause=AcctTerminateCause.IDLE_TIMEOUT,
        )
    )
    assert stop.number(AttributeType.ACCT_INPUT_OCTETS) == 7
    assert stop.number(AttributeType.ACCT_INPUT_GIGAWORDS) == 5
    assert stop.number(AttributeType.ACCT_OUTPUT_OCTETS) == 1
    assert stop.number(AttributeType.ACCT_OUTPUT_GIGAWORDS) == 0
    assert stop.number(AttributeType.ACCT_INPUT_PACKETS) == 3
    assert stop.number(AttributeType.ACCT_SESSION_TIME) == 90
    assert stop.number(AttributeType.ACCT_TERMINATE_CAUSE) == AcctTerminateCause.IDLE_TIMEOUT


def test_a_late_report_says_when_it_happened() -> None:
    late = said(report(AcctStatusType.INTERIM_UPDATE), now=BEGAN + 500)
    assert late.number(AttributeType.EVENT_TIMESTAMP) == BEGAN
    assert late.number(AttributeType.ACCT_DELAY_TIME) == 500
    early = said(report(AcctStatusType.INTERIM_UPDATE), now=BEGAN - 5)
    assert early.number(AttributeType.ACCT_DELAY_TIME) == 0, "the clock was set back"


def test_the_server_itself() -> None:
    on = Attributes(server_attributes(NAS, AcctStatusType.ACCOUNTING_ON, "boot", BEGAN, 7))
    assert on.number(AttributeType.ACCT_STATUS_TYPE) == 7
    assert on.text(AttributeType.NAS_IDENTIFIER) == "vpn.example.com"
    assert on.number(AttributeType.EVENT_TIMESTAMP) == BEGAN
    assert on.number(AttributeType.ACCT_DELAY_TIME) == 7

"""Reports of sessions to a RADIUS server."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from aaa.radius.access import MAX_CLASSES, Nas, Port, authorization
from aaa.radius.accounting import Report, Traffic, report_attributes, server_attributes
from aaa.radius.constants import AcctStatusType, AcctTerminateCause, AttributeType, Code
from aaa.radius.packet import Attribute, Attributes, signed_request
from wire import DecodeError

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


def test_the_largest_classes_that_are_taken_fit_into_the_largest_report() -> None:
    kind = AttributeType.CLASS
    sizes = [253] * (MAX_CLASSES // 255)
    sizes.append(MAX_CLASSES - 255 * len(sizes) - 2)
    granted = Attributes(Attribute(kind, bytes(size)) for size in sizes)
    classes = authorization(granted).classes
    assert list(map(len, classes)) == sizes
    port = Port(65535, "f" * 253, "2001:db8::1", "2001:db8::2", "h" * 253)
    stop = replace(
        report(AcctStatusType.STOP, classes=classes, cause=AcctTerminateCause.IDLE_TIMEOUT),
        user="u" * 253,
        port=port,
    )
    attributes = report_attributes(Nas("n" * 253), stop, BEGAN)
    assert signed_request(Code.ACCOUNTING_REQUEST, 1, attributes, b"secret")
    with pytest.raises(DecodeError, match="Class"):
        authorization(Attributes([*granted, Attribute(kind, b"")]))


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

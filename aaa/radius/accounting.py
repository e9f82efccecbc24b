"""What an Accounting-Request says (RFC 2866 section 5, RFC 2869 section 5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from aaa.radius.access import Nas, Port, session_attributes
from aaa.radius.constants import BY_RADIUS, BY_US, AcctStatusType, AcctTerminateCause, AttributeType
from aaa.radius.packet import Attribute


@dataclass(frozen=True, slots=True)
class Traffic:
    """What passed: packets and octets of IP, from the client (in) and to it (out)."""

    octets_in: int = 0
    octets_out: int = 0
    packets_in: int = 0
    packets_out: int = 0


NO_TRAFFIC: Final = Traffic()


@dataclass(frozen=True, slots=True)
class Report:
    """One event in the life of a session.

    `time` is when it happened, in seconds since 1970; `duration` how long the session then
    had been up. `cause` is there if it is the session's end.
    """

    status: AcctStatusType
    time: int
    user: str
    port: Port
    address: IPv4Address | None
    by_radius: bool
    duration: int = 0
    traffic: Traffic = NO_TRAFFIC
    cause: AcctTerminateCause | None = None
    classes: Sequence[bytes] = ()


def report_attributes(nas: Nas, report: Report, now: int) -> list[Attribute]:
    """Return the attributes of an Accounting-Request that is first sent at `now` (since 1970)."""
    kind, traffic = AttributeType, report.traffic
    attributes = [
        Attribute.number(kind.ACCT_STATUS_TYPE, report.status),
        *session_attributes(nas, report.port, report.user),
        Attribute.number(kind.ACCT_AUTHENTIC, BY_RADIUS if report.by_radius else BY_US),
        Attribute.number(kind.EVENT_TIMESTAMP, report.time),
        Attribute.number(kind.ACCT_DELAY_TIME, max(0, now - report.time)),
        *(Attribute(kind.CLASS, value) for value in report.classes),
    ]
    if report.address is not None:
        attributes.append(Attribute(kind.FRAMED_IP_ADDRESS, report.address.packed))
    if report.status != AcctStatusType.START:
        attributes += [
            Attribute.number(kind.ACCT_SESSION_TIME, report.duration),
            *_counted(kind.ACCT_INPUT_OCTETS, kind.ACCT_INPUT_GIGAWORDS, traffic.octets_in),
            *_counted(kind.ACCT_OUTPUT_OCTETS, kind.ACCT_OUTPUT_GIGAWORDS, traffic.octets_out),
            Attribute.number(kind.ACCT_INPUT_PACKETS, traffic.packets_in & 0xFFFF_FFFF),
            Attribute.number(kind.ACCT_OUTPUT_PACKETS, traffic.packets_out & 0xFFFF_FFFF),
        ]
    if report.cause is not None:
        attributes.append(Attribute.number(kind.ACCT_TERMINATE_CAUSE, report.cause))
    return attributes


def server_attributes(
    nas: Nas, status: AcctStatusType, session_id: str, time: int, late: int
) -> list[Attribute]:
    """Return Accounting-On or -Off: every session of before `time` is over (RFC 2866 section 5.1).

    `late` is how many seconds ago that was.
    """
    return [
        Attribute.number(AttributeType.ACCT_STATUS_TYPE, status),
        Attribute.text(AttributeType.NAS_IDENTIFIER, nas.identifier),
        Attribute.text(AttributeType.ACCT_SESSION_ID, session_id),
        Attribute.number(AttributeType.EVENT_TIMESTAMP, time),
        Attribute.number(AttributeType.ACCT_DELAY_TIME, max(0, late)),
    ]


def _counted(
    octets: AttributeType, gigawords: AttributeType, number: int
) -> tuple[Attribute, Attribute]:
    """Return a number of 64 bits as two attributes of 32 (RFC 2869 section 5.1)."""
    return (
        Attribute.number(octets, number & 0xFFFF_FFFF),
        Attribute.number(gigawords, number >> 32),
    )

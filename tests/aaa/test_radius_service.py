"""Logins that a RADIUS server decides, where the answer is odd or comes late."""

from ipaddress import IPv4Address

from aaa import (
    Aaa,
    Accepted,
    AddressRange,
    ClientFacts,
    Decided,
    Department,
    Directory,
    Limits,
    Policy,
    Pool,
    RadiusAsked,
    Reason,
    Rejected,
)
from aaa.directory import Source
from aaa.radius.access import Authorization
from aaa.remote import Answer, Denied, Granted

POOL = Pool((AddressRange(IPv4Address("172.16.1.2"), IPv4Address("172.16.1.100")),))
STAFF = Department(
    "default",
    (),
    POOL,
    IPv4Address("172.16.1.1"),
    authenticate=(Source.RADIUS,),
    policy=Policy(replace_sessions=True),
)
LAPTOP = ClientFacts("198.51.100.7", "LAPTOP")


class Proof:
    method = "MS-CHAPv2"

    def verify(self, password: str | None, nt_hash: bytes | None) -> bytes | None:
        raise AssertionError("the RADIUS server decides")


def service(limits: Limits | None = None) -> Aaa:
    return Aaa(Directory({"default": STAFF}, {}), lambda: 0.0, limits)


def ask(aaa: Aaa, session: str) -> None:
    aaa.request(session, 1, "bob", Proof(), LAPTOP)
    assert isinstance(aaa.next_event(), RadiusAsked)


def answer(aaa: Aaa, session: str, said: Answer) -> Accepted | Rejected:
    aaa.answered(session, 1, said)
    event = aaa.next_event()
    assert isinstance(event, Decided)
    return event.decision


def test_a_port_limit_of_0_lets_nobody_in() -> None:
    aaa = service()
    ask(aaa, "first")
    decision = answer(aaa, "first", Granted(Authorization(port_limit=0), b""))
    assert isinstance(decision, Rejected)
    assert decision.reason is Reason.RADIUS_UNUSABLE
    assert "Port-Limit is 0" in decision.hint


def test_guesses_that_are_under_way_together_are_no_more_than_the_lock_allows() -> None:
    aaa = service(Limits(attempts=3))
    sessions = [f"call {number}" for number in range(5)]
    for session in sessions:
        ask(aaa, session)
    for session in sessions[:3]:
        answer(aaa, session, Denied("192.0.2.1:1812"))
    denied = answer(aaa, sessions[3], Denied("192.0.2.1:1812"))
    granted = answer(aaa, sessions[4], Granted(Authorization(), b"S=reply"))
    assert isinstance(denied, Rejected)
    assert denied.reason is Reason.LOCKED
    assert granted == denied, "whoever guesses must not learn which guess was right"

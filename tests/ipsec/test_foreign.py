"""What is no IKEv1 of ours on its ports: who is told, of what, and how often."""

from random import Random

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.isakmp import ISAKMP

from ipsec.endpoint import Ike
from ipsec.errors import Drop
from ipsec.events import NegotiationFailed
from ipsec.foreign import IN_ALL, PER_HOST, PERIOD
from ipsec.message import Header, parse_message
from ipsec.path import Address, Path
from tests.support.caller import Caller, notified
from tests.support.foreign import ikev2
from tests.support.ike import SERVER, config
from tests.support.pcap import DATA
from wire import Reader


def send(ike: Ike, message: bytes, host: str = "198.51.100.7", now: float = 0.0) -> list[bytes]:
    ike.receive(message, Path(Address(SERVER, 500), Address(host, 500)), now)
    return [datagram.data for datagram in ike.datagrams_to_send()]


def new_ike() -> Ike:
    return Ike(config(), Random(1).randbytes)


def test_ikev2_is_told_of_the_version_that_there_is() -> None:
    """In a message of IKEv1, as RFC 7296 section 2.5 has it; scapy reads it."""
    ike, message = new_ike(), ikev2()
    (answer,) = send(ike, message)
    assert notified(answer) == 5
    header = Header.parse(Reader(answer))
    assert (header.version, header.exchange, header.cookies.initiator) == (0x10, 5, message[:8])
    read = ISAKMP(answer)
    assert (read.version, read.exch_type, read.init_cookie) == (0x10, 5, message[:8])
    assert len(answer) < len(message)
    event = ike.next_event()
    assert isinstance(event, NegotiationFailed)
    assert (event.stage, event.why) == (
        "IKEv2",
        "the client tries IKEv2, and this server has IKEv1 alone",
    )
    assert event.negotiation is not None
    assert event.negotiation.client == "Windows 8 or newer"
    assert ike.snapshot().half_open == 0
    assert ike.next_timeout() is None


@pytest.mark.parametrize(
    "message",
    [
        ikev2(flags=0x28),
        ikev2(flags=0x20),
        ikev2(flags=0),
        ikev2(exchange=35),
        ikev2(exchange=37),
        ikev2(number=1),
        ikev2(cookie=bytes(8)),
        ikev2(other=b"\x22" * 8),
        ikev2(version=0x30),
        ikev2(version=0x00),
        ikev2(version=0xFF),
    ],
    ids=[
        "response of the initiator",
        "response",
        "no initiator",
        "IKE_AUTH",
        "INFORMATIONAL",
        "message 1",
        "no cookie",
        "cookie of a responder",
        "version 3",
        "version 0",
        "version 15",
    ],
)
def test_what_is_no_first_request_of_ikev2_has_no_answer(message: bytes) -> None:
    """Two servers that answer each other's errors would never stop."""
    ike = new_ike()
    assert send(ike, message) == []
    assert ike.next_event() is None
    assert ike.snapshot().dropped == {Drop.OTHER_VERSION: 1}


def test_our_own_answer_is_never_answered() -> None:
    ike = new_ike()
    (answer,) = send(ike, ikev2())
    assert send(ike, answer) == []


def test_nobody_gets_more_than_he_sent() -> None:
    short = ikev2()[:24] + (28).to_bytes(4, "big")
    short = short[:16] + b"\0" + short[17:]
    ike = new_ike()
    assert send(ike, short) == []
    assert isinstance(ike.next_event(), NegotiationFailed)


def test_answers_are_limited() -> None:
    ike = new_ike()
    assert sum(len(send(ike, ikev2())) for _ in range(500)) == PER_HOST
    hosts = [f"10.0.{n // 250}.{n % 250}" for n in range(500)]
    assert sum(len(send(ike, ikev2(), host)) for host in hosts) == IN_ALL - PER_HOST
    assert len(send(ike, ikev2(), now=PERIOD)) == 1


def test_unreadable_payloads_leave_the_client_unnamed() -> None:
    ike = new_ike()
    message = ikev2()
    assert len(send(ike, message[:30] + b"\xff\xff" + message[32:])) == 1
    event = ike.next_event()
    assert isinstance(event, NegotiationFailed)
    assert event.negotiation is not None
    assert event.negotiation.client == "unknown software"


def test_authip_is_ignored_whatever_its_exchange() -> None:
    """What a Windows sent; without an answer it takes IKE."""
    recorded = (DATA / "libreswan" / "authip-rogue.raw").read_bytes()
    for exchange in range(243, 247):
        ike = new_ike()
        assert send(ike, recorded[:18] + bytes([exchange]) + recorded[19:]) == []
        assert ike.next_event() is None
        assert ike.snapshot().dropped == {Drop.OTHER_EXCHANGE: 1}


@pytest.mark.parametrize("exchange", [0, 1, 3, 6, 33, 34, 37, 240, 255])
def test_other_exchanges_of_version_1_are_ignored(exchange: int) -> None:
    caller = Caller()
    first = caller.first()
    assert caller.send(first[:18] + bytes([exchange]) + first[19:]) == []
    assert caller.ike.snapshot().dropped == {Drop.OTHER_EXCHANGE: 1}
    assert caller.events() == []


def test_scapy_makes_a_first_message_of_ikev2_that_is_known() -> None:
    built = IP(src="192.0.2.9", dst=SERVER) / UDP(sport=500, dport=500)
    header = ISAKMP(init_cookie=b"scapyscp", version=0x20, exch_type=34, flags=8, next_payload=0)
    message = bytes((built / header)[ISAKMP])
    assert parse_message(message)[0].length == len(message) == 28
    ike = new_ike()
    send(ike, message)
    event = ike.next_event()
    assert isinstance(event, NegotiationFailed)
    assert event.stage == "IKEv2"

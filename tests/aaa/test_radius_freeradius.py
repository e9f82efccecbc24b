"""FreeRADIUS as the judge of what we ask and of how we read its answers."""

import socket
import time
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from os import urandom

import pytest

from aaa.radius.access import (
    Authorization,
    Nas,
    Port,
    authorization,
    chap_md5,
    ms_chap_error,
    ms_chap_v2,
    ms_chap_v2_success,
    pap,
    session_attributes,
)
from aaa.radius.accounting import Report, Traffic, report_attributes
from aaa.radius.client import Answered, Client, ClientConfig, Event, Server, Unanswered
from aaa.radius.constants import AcctStatusType, AcctTerminateCause, Code
from aaa.radius.packet import Attribute
from ppp.mschapv2 import (
    generate_authenticator_response,
    generate_nt_response,
    nt_password_hash,
)
from ppp.proofs import chap_md5_response
from tests.support.freeradius import SECRET, FreeRadius, running_freeradius

NAS = Nas("vpn.example.com")
PORT = Port(17, "2f-17", "198.51.100.7", "203.0.113.1", "laptop")
USERS = """
bob Cleartext-Password := "clientPass"
    Framed-IP-Address = 172.16.1.9,
    Framed-Route = "10.9.0.0/16 0.0.0.0 1",
    Session-Timeout = 3600,
    Idle-Timeout = 600,
    Acct-Interim-Interval = 300,
    Filter-Id = "staff",
    Class = 0x00ff10,
    Framed-Pool = "sales",
    MS-Primary-DNS-Server = 192.168.1.53,
    WISPr-Bandwidth-Max-Up = 1000000,
    Mikrotik-Rate-Limit = "1M/2M"
"""
GRANTED = Authorization(
    address=IPv4Address("172.16.1.9"),
    pool="sales",
    routes=(IPv4Network("10.9.0.0/16"),),
    filter_id="staff",
    classes=(b"\x00\xff\x10",),
    session_timeout=3600,
    idle_timeout=600,
    interim_interval=300,
    dns=(IPv4Address("192.168.1.53"),),
    rate_up=1_000_000,
    rate_down=2_000_000,
)


@pytest.fixture(scope="module")
def radius() -> Iterator[FreeRadius]:
    with running_freeradius(USERS) as server:
        yield server


def ask(radius: FreeRadius, code: Code, attributes: Sequence[Attribute], secret: bytes) -> Event:
    """Carry one request to its end."""
    ports = {Code.ACCESS_REQUEST: radius.authentication_port}
    server = Server("127.0.0.1", ports.get(code, radius.accounting_port), secret)
    core = Client(ClientConfig((server,), retransmission=(0.5, 0.5)), urandom)
    core.request("key", code, attributes, time.monotonic())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.settimeout(0.1)
        while True:
            for datagram in core.datagrams_to_send():
                wire.sendto(datagram.data, (server.host, server.port))
            try:
                core.receive(wire.recv(4096), server, 0, time.monotonic())
            except TimeoutError:
                core.handle_timeout(time.monotonic())
            event = core.next_event()
            if event is not None:
                return event


def login(radius: FreeRadius, proof: list[Attribute], name: str = "bob") -> Answered:
    asked = [*session_attributes(NAS, PORT, name), *proof]
    event = ask(radius, Code.ACCESS_REQUEST, asked, SECRET)
    assert isinstance(event, Answered), event
    return event


def test_pap(radius: FreeRadius) -> None:
    answer = login(radius, pap(b"clientPass"))
    assert answer.code == Code.ACCESS_ACCEPT
    assert authorization(answer.attributes) == GRANTED
    assert login(radius, pap(b"wrong")).code == Code.ACCESS_REJECT
    assert login(radius, pap(b"clientPass"), "nobody").code == Code.ACCESS_REJECT


def test_chap(radius: FreeRadius) -> None:
    challenge = bytes(range(16))
    response = chap_md5_response(7, "clientPass", challenge)
    assert login(radius, chap_md5(7, challenge, response)).code == Code.ACCESS_ACCEPT
    assert login(radius, chap_md5(8, challenge, response)).code == Code.ACCESS_REJECT


def test_ms_chap_v2(radius: FreeRadius) -> None:
    ours, theirs = bytes(range(16)), bytes(range(16, 32))
    known = nt_password_hash("clientPass")
    response = generate_nt_response(ours, theirs, b"bob", known)
    answer = login(radius, ms_chap_v2(7, ours, theirs, response))
    assert answer.code == Code.ACCESS_ACCEPT
    assert ms_chap_v2_success(answer.attributes) == generate_authenticator_response(
        ours, theirs, b"bob", known, response
    )
    refused = login(radius, ms_chap_v2(7, ours, theirs, bytes(24)))
    assert refused.code == Code.ACCESS_REJECT
    assert ms_chap_error(refused.attributes) == 691


def test_a_wrong_secret(radius: FreeRadius) -> None:
    asked = [*session_attributes(NAS, PORT, "bob"), *pap(b"clientPass")]
    assert isinstance(ask(radius, Code.ACCESS_REQUEST, asked, b"wrong"), Unanswered)


def test_accounting(radius: FreeRadius) -> None:
    before = len(radius.accounting())
    now = int(time.time())
    traffic = Traffic(octets_in=5 << 32 | 7, octets_out=9, packets_in=3, packets_out=4)
    address = IPv4Address("172.16.1.9")
    reports = [
        Report(AcctStatusType.START, now - 90, "bob", PORT, address, True, classes=[b"\x01"]),
        Report(
            AcctStatusType.STOP,
            now,
            "bob",
            PORT,
            address,
            True,
            duration=90,
            traffic=traffic,
            cause=AcctTerminateCause.USER_REQUEST,
            classes=[b"\x01"],
        ),
    ]
    for report in reports:
        event = ask(radius, Code.ACCOUNTING_REQUEST, report_attributes(NAS, report, now), SECRET)
        assert isinstance(event, Answered)
        assert event.code == Code.ACCOUNTING_RESPONSE
    start, stop = radius.accounting()[before:]
    assert (start["Acct-Status-Type"], stop["Acct-Status-Type"]) == ("Start", "Stop")
    assert start["Acct-Session-Id"] == stop["Acct-Session-Id"] == "2f-17"
    assert start["Acct-Delay-Time"] == "90"
    assert start["Class"] == "0x01"
    assert stop["Acct-Input-Gigawords"] == "5"
    assert stop["Acct-Input-Octets"] == "7"
    assert stop["Acct-Session-Time"] == "90"
    assert stop["Acct-Terminate-Cause"] == "User-Request"
    assert stop["NAS-Identifier"] == "vpn.example.com"
    assert stop["Tunnel-Client-Endpoint:0"] == "198.51.100.7"
    assert stop["Framed-IP-Address"] == "172.16.1.9"

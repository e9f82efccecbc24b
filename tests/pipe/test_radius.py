"""Logins by RADIUS servers, some of which misbehave, and reports to them, at a whole server."""

from dataclasses import replace

import pytest

from aaa import Limits, Source
from aaa.lockout import Lockout
from aaa.radius.access import Nas
from aaa.radius.client import ClientConfig, Datagram
from aaa.radius.constants import (
    MICROSOFT,
    AcctStatusType,
    AttributeType,
    Code,
    MicrosoftType,
)
from aaa.radius.packet import Attribute, Packet
from l2gate.accounting import Accounting
from ppp.config import Method
from tests.support.client import ClientHost, ClientState
from tests.support.lab import PASSWORD
from tests.support.radius_lab import (
    ACCOUNTING,
    SETTINGS,
    accepting,
    asking,
    lab_with,
    log_in,
    reply,
    silent,
    with_pap,
)

# Who is asked


def test_a_user_in_the_file_is_nobody_else_s_where_the_file_comes_first() -> None:
    lab = lab_with(silent, Source.LOCAL, Source.RADIUS)
    assert log_in(lab, "u1", PASSWORD).state is ClientState.UP
    assert not lab.sent


def test_whom_the_file_does_not_know_radius_is_asked_for() -> None:
    lab = lab_with(accepting(), Source.LOCAL, Source.RADIUS)
    assert log_in(lab).state is ClientState.UP
    assert len(lab.sent) == 1


def test_a_refusal_by_radius_is_not_asked_of_the_file() -> None:
    lab = lab_with(lambda r: reply(r, Code.ACCESS_REJECT), Source.RADIUS, Source.LOCAL)
    assert log_in(lab, "u1", PASSWORD).state is ClientState.FAILED
    assert lab.server.noted("the RADIUS server refused")


def test_an_unknown_domain_is_refused_without_a_question() -> None:
    lab = lab_with(accepting())
    assert log_in(lab, "bob@elsewhere.example.com").state is ClientState.FAILED
    assert not lab.sent


def test_a_user_whom_only_radius_may_know_is_no_stranger_while_it_is_silent() -> None:
    """It would count as a guess, and send the admin to the wrong place."""
    lab = lab_with(silent, Source.LOCAL, Source.RADIUS)
    assert log_in(lab).state is ClientState.FAILED
    assert lab.server.noted("no RADIUS server answers")
    assert not lab.server.noted("no such user")


def test_without_any_server_the_file_is_asked_at_once() -> None:
    nobody = replace(SETTINGS, servers=())
    lab = lab_with(silent, Source.RADIUS, Source.LOCAL, settings=nobody)
    client = log_in(lab, "u1", PASSWORD)
    assert client.state is ClientState.UP
    assert client.opened - client.started < 2


# Answers that are late, forged or wrong


def test_no_answer_is_the_end_of_the_login() -> None:
    lab = lab_with(silent)
    client = log_in(lab)
    assert client.state is ClientState.FAILED
    assert "please try later" in client.why
    (line, *_) = lab.server.noted("no RADIUS server answers")
    assert line.mend.startswith("192.0.2.10:1812: is it up")
    assert line.windows == 646


def test_a_user_who_confirms_a_push_has_a_minute() -> None:
    """The client repeats its request all the time; the server is asked once and again."""
    began: list[float] = []

    def after_50_seconds(request: Datagram) -> bytes | None:
        began[:] = began or [lab.simulation.now]
        late = lab.simulation.now - began[0] >= 50
        return accepting()(request) if late else None

    lab = lab_with(after_50_seconds, settings=replace(SETTINGS, timeout=60.0))
    client = lab.client("bob", password="secret", prepare=with_pap)
    assert lab.run(80, lambda: client.state is not ClientState.CONNECTING)
    assert client.state is ClientState.UP, client.why
    assert len({request.data for request in lab.sent}) == 1


def test_the_wrong_secret_is_named() -> None:
    lab = lab_with(accepting(secret=b"another"))
    assert log_in(lab).state is ClientState.FAILED
    (line, *_) = lab.server.noted("no RADIUS server answers")
    assert "the secret differs" in line.mend


@pytest.mark.parametrize("method", Method)
def test_a_response_is_asked_once_however_often_it_comes(method: Method) -> None:
    """Clients repeat what is not answered each 3 s, while the server thinks."""
    began: list[float] = []

    def after_35_seconds(request: Datagram) -> bytes | None:
        began[:] = began or [lab.simulation.now]
        late = lab.simulation.now - began[0] >= 35
        return reply(request, Code.ACCESS_REJECT) if late else None

    lab = lab_with(after_35_seconds, settings=replace(SETTINGS, timeout=60.0), pap=False)
    calls = lab.server.gateway.calls
    calls._links = replace(calls._links, methods=(method,), authentication_attempts=1)

    def prepare(client: ClientHost) -> None:
        client._link_config = replace(client._link_config, methods=(method,))

    client = lab.log_in("bob", "secret", prepare=prepare)
    assert client.state is ClientState.FAILED
    assert lab.server.noted("the RADIUS server refused")
    assert len({request.data for request in lab.sent}) == 1


def test_an_answer_for_a_call_that_is_gone_does_nothing() -> None:
    lab = lab_with(silent)
    client = lab.client("bob", password="secret", prepare=with_pap)
    assert lab.run(20, lambda: bool(lab.sent))
    client.hang_up(lab.simulation.now)
    assert lab.run(60, lambda: not len(lab.server.gateway.calls))
    gateway, now = lab.server.gateway, lab.simulation.now
    request = lab.sent[0]
    gateway.receive_radius(accepting()(request) or b"", request.server, request.channel, now)
    gateway.settle(now)
    assert not gateway.aaa._places
    assert not gateway.aaa._questions
    assert not gateway.radius._asked


@pytest.mark.parametrize(
    "attribute",
    [
        Attribute(AttributeType.FRAMED_IP_ADDRESS, b"\x0a"),
        Attribute(AttributeType.SESSION_TIMEOUT, b"\x0a"),
        Attribute(AttributeType.FRAMED_ROUTE, b"elsewhere"),
        Attribute.of_vendor(MICROSOFT, MicrosoftType.PRIMARY_DNS_SERVER, b"\x01"),
        Attribute(AttributeType.VENDOR_SPECIFIC, b"\x00"),
    ],
)
def test_a_malformed_accept_lets_nobody_in(attribute: Attribute) -> None:
    lab = lab_with(accepting(attribute))
    assert log_in(lab).state is ClientState.FAILED
    (line, *_) = lab.server.noted("the RADIUS server's answer cannot be used")
    assert "192.0.2.10:1812 sends a malformed attribute" in line.mend
    assert not lab.server.gateway.aaa._places


@pytest.mark.parametrize(
    "address", ["224.0.0.1", "127.0.0.1", "0.0.0.0", "172.16.1.9", "172.16.2.1", "250.1.1.1"]
)
def test_an_address_that_no_user_may_have_lets_nobody_in(address: str) -> None:
    packed = bytes(map(int, address.split(".")))
    lab = lab_with(accepting(Attribute(AttributeType.FRAMED_IP_ADDRESS, packed)))
    assert log_in(lab).state is ClientState.FAILED
    assert lab.server.noted(f"Framed-IP-Address {address}")


def test_an_accept_of_ms_chap_without_the_servers_proof_is_named() -> None:
    lab = lab_with(accepting(), pap=False)
    assert lab.log_in("bob", "secret").state is ClientState.FAILED
    assert lab.server.noted("MS-CHAP2-Success is missing")


def test_the_number_of_an_ms_chap_refusal_reaches_the_client() -> None:
    error = Attribute.of_vendor(MICROSOFT, MicrosoftType.CHAP_ERROR, b"\0E=647 R=0 C=0 V=3 M=off")
    lab = lab_with(lambda r: reply(r, Code.ACCESS_REJECT, error), pap=False)
    client = lab.log_in("bob", "secret")
    assert client.why.startswith("E=647 R=0")


def test_a_challenge_cannot_be_asked_in_ppp() -> None:
    lab = lab_with(lambda r: reply(r, Code.ACCESS_CHALLENGE))
    assert log_in(lab).state is ClientState.FAILED
    assert lab.server.noted("a second answer, which PPP cannot ask for")


@pytest.mark.parametrize(("name", "password"), [("b" * 254, "p"), ("bob", "p" * 129)])
def test_what_does_not_fit_into_an_attribute_is_not_asked(name: str, password: str) -> None:
    """Cut, it would be another user or password."""
    lab = lab_with(accepting())
    assert log_in(lab, name, password).state is ClientState.FAILED
    assert not lab.sent
    assert lab.server.noted("does not fit into a RADIUS attribute")


def test_guessing_at_radius_locks_too() -> None:
    lab = lab_with(lambda r: reply(r, Code.ACCESS_REJECT))
    lab.server.gateway.aaa.lockout = Lockout(Limits(attempts=2))
    for _ in range(3):
        client = log_in(lab)
        lab.simulation.remove(client)
        lab.run(30)
    assert len(lab.sent) == 2
    assert lab.server.noted("locked after wrong passwords")


# Sessions of users that only RADIUS knows


def test_a_reload_ends_them_only_where_radius_is_no_longer_asked() -> None:
    lab = lab_with(accepting())
    client = log_in(lab)
    gateway, now = lab.server.gateway, lab.simulation.now
    directory = gateway.aaa.directory
    assert gateway.replace_directory(directory, now) == 0
    assert gateway.replace_directory(asking(directory, (Source.LOCAL,)), now) == 1
    assert lab.run(10, lambda: client.state is not ClientState.UP)


def test_port_limit_bounds_the_sessions_of_a_user() -> None:
    lab = lab_with(accepting(Attribute.number(AttributeType.PORT_LIMIT, 1)))
    assert log_in(lab).state is ClientState.UP
    options = {"host": "198.51.100.8", "host_name": "another"}
    second = lab.log_in("bob", "secret", prepare=with_pap, **options)
    assert second.state is ClientState.FAILED
    assert lab.server.noted("'bob' has 1 already")


def test_a_device_that_comes_back_gets_its_fixed_address_again() -> None:
    lab = lab_with(accepting(Attribute(AttributeType.FRAMED_IP_ADDRESS, b"\xac\x10\x09\x63")))
    first = log_in(lab)
    lab.simulation.remove(first)
    second = log_in(lab)
    assert second.state is ClientState.UP, second.why
    assert str(second.address) == "172.16.9.99" == str(first.address)


def test_a_device_that_comes_back_gets_the_address_that_radius_gives_now() -> None:
    lab = lab_with(accepting())
    first = log_in(lab)
    lab.simulation.remove(first)
    fixed = Attribute(AttributeType.FRAMED_IP_ADDRESS, b"\xac\x10\x09\x63")
    lab.server.answer = accepting(fixed)
    second = log_in(lab)
    assert second.state is ClientState.UP, second.why
    assert str(second.address) == "172.16.9.99" != str(first.address)
    assert len(lab.server.gateway.calls) == 1


# What a server grants instead of the department's policy


# Accounting


def test_reports_wait_in_order_and_no_session_has_two_under_way() -> None:
    up = False
    settings = replace(SETTINGS, accounting_servers=(ACCOUNTING,))
    seen: list[tuple[str | None, int | None]] = []

    def answer(request: Datagram) -> bytes | None:
        if request.server == ACCOUNTING:
            if not up:
                return None
            attributes = Packet.parse(request.data).attributes
            status = attributes.number(AttributeType.ACCT_STATUS_TYPE)
            seen.append((attributes.text(AttributeType.ACCT_SESSION_ID), status))
        return accepting()(request)

    lab = lab_with(answer, settings=settings)
    client = log_in(lab)
    (call,) = lab.server.gateway.calls
    client.hang_up(lab.simulation.now)
    lab.run(100)
    up = True
    lab.run(60)
    start_and_stop = [int(AcctStatusType.START), int(AcctStatusType.STOP)]
    assert seen[0][1] == AcctStatusType.ACCOUNTING_ON, "first, however late"
    assert seen[1:] == [(call.accounting_id, status) for status in start_and_stop]
    assert not lab.server.gateway.radius.accounting.queue.reports(1)
    assert len(lab.server.noted("accounting: no RADIUS server answers")) == 1
    assert len(lab.server.noted("answers again")) == 1


def test_session_ids_differ_across_restarts() -> None:
    """Both where the clock went on, and where it was set back."""
    starts = [(1000.0, bytes(2)), (1001.0, bytes(2)), (1000.0, b"\x01\x02")]
    ids = [
        Accounting(
            ClientConfig((ACCOUNTING,)), Nas("vpn"), None, lambda _, e=e: e, lambda w=w: w, print
        ).new_id()
        for w, e in starts
        for _ in range(2)
    ]
    assert len(set(ids)) == len(starts)

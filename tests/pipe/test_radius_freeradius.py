"""Logins and accounting with a real FreeRADIUS, from the client's first packet to the Stop."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from textwrap import dedent

import pytest

from aaa import Source
from ppp.config import EapMethod, Method
from tests.support.client import ClientHost, ClientState
from tests.support.freeradius import FreeRadius, running_freeradius
from tests.support.lab import INNER_SERVER, PASSWORD, assert_passes_traffic, ping
from tests.support.radius_lab import RadiusLab, settings_for

USERS = """
bob Cleartext-Password := "clientPass"
    Framed-IP-Address = 172.16.9.77,
    Session-Timeout = 3600,
    Acct-Interim-Interval = 120,
    Class = 0x00ff10,
    MS-Primary-DNS-Server = 192.168.1.99,
    Framed-Route = "10.9.0.0/16 0.0.0.0 1"

alice Cleartext-Password := "alicePass"
    Framed-IP-Address = 255.255.255.254,
    Framed-Pool = "hr"

"carol@sales.example.com" Cleartext-Password := "carolPass"
    Framed-IP-Address = 172.16.1.200

lost Cleartext-Password := "lostPass"
    Framed-Pool = "nowhere"

twin Cleartext-Password := "twinPass"
    Framed-IP-Address = 172.16.9.77

stray Cleartext-Password := "strayPass"
    Framed-IP-Address = 172.16.9.1

quick Cleartext-Password := "quickPass"
    Session-Timeout = 120,
    Idle-Timeout = 40
"""
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "radius.md"
BOTH = (Source.RADIUS, Source.LOCAL)


@pytest.fixture(scope="module")
def radius() -> Iterator[FreeRadius]:
    with running_freeradius(USERS) as server:
        yield server


@pytest.fixture
def lab(radius: FreeRadius) -> Iterator[RadiusLab]:
    with closing(RadiusLab(settings_for(radius))) as lab:
        yield lab


def by(method: Method, lab: RadiusLab) -> dict[str, object]:
    """Let the server ask for, and the client have, one method alone."""
    calls = lab.server.gateway.calls
    eap = (EapMethod.MS_CHAP_V2,)
    calls._links = replace(calls._links, methods=(method,), eap_methods=eap)

    def prepare(client: ClientHost) -> None:
        client._link_config = replace(client._link_config, methods=(method,), eap_methods=eap)

    return {"prepare": prepare}


def ended(lab: RadiusLab, client: ClientHost) -> None:
    client.hang_up(lab.simulation.now)
    assert lab.run(60, lambda: not len(lab.server.gateway.calls))


def statuses(radius: FreeRadius, name: str) -> list[dict[str, str]]:
    return [entry for entry in radius.accounting() if entry.get("User-Name") == name]


@pytest.mark.parametrize("method", Method)
def test_a_user_that_radius_knows_gets_in_by_every_method(method: Method, lab: RadiusLab) -> None:
    client = lab.log_in("bob", "clientPass", **by(method, lab))
    assert client.state is ClientState.UP, client.why
    assert client.address == IPv4Address("172.16.9.77")
    assert client.dns[0] == IPv4Address("192.168.1.99")
    assert_passes_traffic(lab, client)
    there, back = ping("10.9.0.7", INNER_SERVER), ping(INNER_SERVER, "10.9.0.7")
    client.send(there)
    lab.server.receive_inner(back)
    lab.run(1)
    assert (lab.server.inner[-1], client.inner[-1]) == (there, back)


@pytest.mark.parametrize("method", Method)
def test_a_wrong_password_is_refused_by_every_method(method: Method, lab: RadiusLab) -> None:
    client = lab.log_in("bob", "wrong", **by(method, lab))
    assert client.state is ClientState.FAILED
    (line, *_) = lab.server.noted("login refused: the RADIUS server refused")
    assert line.windows == 691
    assert "does not let 'bob' in" in line.mend


def test_the_windows_domain_is_no_part_of_what_radius_is_asked(lab: RadiusLab) -> None:
    assert lab.log_in("LAPTOP\\bob", "clientPass").state is ClientState.UP


def test_a_pool_is_that_of_the_department_with_this_name(lab: RadiusLab) -> None:
    client = lab.log_in("alice", "alicePass")
    assert client.address == IPv4Address("172.16.2.2")
    (call,) = lab.server.gateway.calls
    assert call.department is not None
    assert call.department.name == "hr"


def test_the_department_is_that_of_the_suffix(lab: RadiusLab) -> None:
    client = lab.log_in("carol@sales.example.com", "carolPass")
    assert client.address == IPv4Address("172.16.1.200")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("lost", "Framed-Pool is 'nowhere', which is no department"),
        ("stray", "Framed-IP-Address 172.16.9.1 is the gateway of department 'default'"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_cause(name: str, why: str, lab: RadiusLab) -> None:
    assert lab.log_in(name, f"{name}Pass").state is ClientState.FAILED
    (line, *_) = lab.server.noted("the RADIUS server's answer cannot be used")
    assert line.mend.startswith(why)
    assert line.windows == 649


def test_an_address_that_is_taken_is_refused(lab: RadiusLab) -> None:
    assert lab.log_in("bob", "clientPass").state is ClientState.UP
    client = lab.log_in("twin", "twinPass", host="198.51.100.8", host_name="another")
    assert client.state is ClientState.FAILED
    assert lab.server.noted("172.16.9.77 of 'twin' is still held by another session")


def test_a_released_fixed_address_is_not_given_to_two(lab: RadiusLab) -> None:
    """It lies in the pool: who has it next by RADIUS keeps it from being handed out."""
    first = lab.log_in("bob", "clientPass")
    ended(lab, first)
    lab.simulation.remove(first)
    second = lab.log_in("twin", "twinPass")
    assert second.address == IPv4Address("172.16.9.77")
    pool = lab.server.gateway.aaa._leases._pools["default"]
    assert int(IPv4Address("172.16.9.77")) not in pool.released


def test_timeouts_end_the_session(lab: RadiusLab, radius: FreeRadius) -> None:
    client = lab.log_in("quick", "quickPass")
    assert lab.run(60, lambda: client.state is not ClientState.UP)
    assert lab.server.noted("no traffic for 40 s")
    assert statuses(radius, "quick")[-1]["Acct-Terminate-Cause"] == "Idle-Timeout"
    lab.simulation.remove(client)
    client = lab.log_in("quick", "quickPass")
    began = lab.simulation.now
    while client.state is ClientState.UP and lab.simulation.now < began + 200:
        client.send(ping(str(client.address), INNER_SERVER))
        lab.run(10, lambda: client.state is not ClientState.UP)
    assert lab.server.noted("the session has lasted 120 s")
    assert lab.simulation.now == pytest.approx(began + 120, abs=2)
    lab.run(5)
    assert statuses(radius, "quick")[-1]["Acct-Terminate-Cause"] == "Session-Timeout"


def test_a_session_is_accounted_from_start_to_stop(radius: FreeRadius, lab: RadiusLab) -> None:
    before = len(radius.accounting())
    client = lab.log_in("bob", "clientPass")
    assert_passes_traffic(lab, client)
    (call,) = lab.server.gateway.calls
    assert call.record is not None
    call.record.octets_out += 5 << 32
    lab.run(130)
    ended(lab, client)
    lab.run(5)
    on, start, interim, stop = radius.accounting()[before:]
    assert on["Acct-Status-Type"] == "Accounting-On"
    assert [entry["Acct-Status-Type"] for entry in (start, interim, stop)] == [
        "Start",
        "Interim-Update",
        "Stop",
    ]
    assert {entry["Acct-Session-Id"] for entry in (start, interim, stop)} == {call.accounting_id}
    assert stop["Acct-Terminate-Cause"] == "User-Request"
    assert stop["Acct-Output-Gigawords"] == "5"
    assert int(stop["Acct-Output-Octets"]) > 0
    assert int(stop["Acct-Session-Time"]) == pytest.approx(131, abs=2)
    assert stop["Class"] == "0x00ff10"
    assert stop["Framed-IP-Address"] == "172.16.9.77"
    assert stop["Acct-Authentic"] == "RADIUS"
    assert stop["Calling-Station-Id"] == "198.51.100.7"


def test_a_shutdown_waits_for_the_last_reports(radius: FreeRadius, lab: RadiusLab) -> None:
    lab.log_in("bob", "clientPass")
    before = len(radius.accounting())
    lab.server.gateway.shut_down(lab.simulation.now)
    assert lab.run(10, lambda: lab.server.finished)
    stop, off = radius.accounting()[before:]
    assert stop["Acct-Terminate-Cause"] == "Admin-Reboot"
    assert off["Acct-Status-Type"] == "Accounting-Off"


def test_sessions_outlive_the_server_and_are_accounted_when_it_is_back() -> None:
    with (
        running_freeradius(USERS) as radius,
        closing(RadiusLab(settings_for(radius), BOTH)) as lab,
    ):
        first = lab.log_in("bob", "clientPass")
        assert first.state is ClientState.UP, first.why
        radius.kill()
        assert_passes_traffic(lab, first)
        second = lab.log_in("u1", PASSWORD, host="198.51.100.8", host_name="another")
        assert second.state is ClientState.UP, second.why
        third = lab.log_in("alice", "alicePass", host="198.51.100.9", host_name="third")
        assert third.state is ClientState.FAILED
        ended_id = next(c.accounting_id for c in lab.server.gateway.calls if c.user == "bob")
        first.hang_up(lab.simulation.now)
        lab.run(60)
        assert lab.server.noted("accounting: no RADIUS server answers")
        assert statuses(radius, "bob")[-1]["Acct-Status-Type"] == "Start"
        radius.start()
        assert lab.run(120, lambda: bool(lab.server.noted("answers again")))
        lab.run(60)
        stops = [e for e in statuses(radius, "bob") if e["Acct-Status-Type"] == "Stop"]
        assert [entry["Acct-Session-Id"] for entry in stops] == [ended_id]
        assert int(stops[0]["Acct-Session-Time"]) < 60
        (start,) = statuses(radius, "u1")
        assert start["Acct-Authentic"] == "Local"


def test_the_users_of_the_documentation() -> None:
    text = DOCUMENT.read_text().split("`mods-config/files/authorize`:")[1].split("\nVersions")[0]
    with (
        running_freeradius(dedent(text)) as radius,
        closing(RadiusLab(settings_for(radius))) as lab,
    ):
        bob = lab.log_in("bob@sales.example.com", "correct horse")
        assert bob.address == IPv4Address("172.16.1.150")
        ann = lab.log_in("ann@sales.example.com", "password", host="198.51.100.8", host_name="b")
        assert ann.address == IPv4Address("172.16.1.2"), ann.why


def test_the_second_server_is_asked_where_the_first_is_down() -> None:
    with running_freeradius(USERS) as one, running_freeradius(USERS) as two:
        one.kill()
        with closing(RadiusLab(settings_for(one, two))) as lab:
            client = lab.log_in("bob", "clientPass")
            assert client.state is ClientState.UP, client.why
            lab.run(5)
        assert [e["Acct-Status-Type"] for e in two.accounting()] == ["Accounting-On", "Start"]

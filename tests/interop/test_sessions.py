"""What an admin sees of sessions, and what becomes of them: reload, power cut, the server's end."""

import dataclasses
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.interop import tshark
from tests.interop.conftest import Serve
from tests.interop.lab import SERVER, Client, Lab, Login, LoginFailed, wait_for
from tests.interop.server import BOB, HR, PSK, SALES, Server, configuration

pytestmark = pytest.mark.interop


def test_status_and_sessions(server: Server, behind_nat: Client) -> None:
    connection = behind_nat.connect(SALES)
    behind_nat.ping(count=20)
    (session,) = json.loads(server.command("sessions", "--json"))
    assert session["user"] == SALES.user
    assert session["department"] == "sales"
    assert session["address"] == connection.address
    assert session["nat"] is True
    assert session["packets_in"] >= 20
    assert session["packets_out"] >= 20
    table = server.command("sessions")
    assert SALES.user in table
    assert connection.address in table
    assert json.loads(server.command("status", "--json"))["sessions"] == 1
    assert "vpn.example.com" in server.command("status")


def test_attempts_and_offers(server: Server, direct: Client) -> None:
    with pytest.raises(LoginFailed):
        direct.connect(dataclasses.replace(SALES, password="not the password"))
    connection = direct.connect(SALES)
    attempts = json.loads(server.command("attempts", "--json"))
    by_stage = {attempt["stage"]: attempt for attempt in attempts}
    assert "wrong password" in by_stage["authentication"]["why"]
    assert by_stage["authentication"]["windows"] == 691
    assert by_stage["up"]["address"] == connection.address
    assert by_stage["up"]["user"] in server.command("attempts")
    (offer,) = json.loads(server.command("offers", "--json"))
    assert offer["accepted"] == ["default", "legacy"]
    assert "AES_CBC-256/SHA2_256/MODP_2048" in server.command("offers")


def test_reload_adds_a_user_and_leaves_sessions_alone(
    server: Server, direct: Client, behind_nat: Client
) -> None:
    direct.connect(SALES)
    newcomer = Login("carol@hr.example.com", "a new password", PSK)
    with pytest.raises(LoginFailed):
        behind_nat.connect(newcomer)
    server.configure(configuration(server.directory, users=(SALES, newcomer)))
    server.reload()
    server.wait_for_log("reloaded")
    assert behind_nat.connect(newcomer).address.startswith("172.16.2.")
    assert " 0% packet loss" in direct.ping()
    assert "Connection terminated" not in direct.log("pppd.log")


def test_reload_ends_the_session_of_a_user_who_is_gone(
    server: Server, direct: Client, behind_nat: Client
) -> None:
    direct.connect(SALES)
    behind_nat.connect(HR)
    server.configure(configuration(server.directory, users=(HR, BOB)))
    server.reload()
    wait_for(lambda: "Connection terminated" in direct.log("pppd.log"), 10, "pppd's end")
    assert "rcvd [LCP TermReq" in direct.log("pppd.log")
    server.wait_for_log(SALES.user, "the user was removed")
    assert " 0% packet loss" in behind_nat.ping()
    with pytest.raises(LoginFailed):
        direct.connect(SALES)


def test_reload_of_a_broken_configuration_changes_nothing(server: Server, direct: Client) -> None:
    direct.connect(SALES)
    server.configure({**configuration(server.directory), "departments": {}})
    server.reload()
    server.wait_for_log("reload refused")
    assert " 0% packet loss" in direct.ping()
    assert direct.connect(HR).address.startswith("172.16.2.")


def test_server_ends_politely_and_leaves_no_trace(lab: Lab, serve: Serve, direct: Client) -> None:
    def kernel() -> tuple[str, ...]:
        return (
            lab.run("server", "sysctl", "net.ipv4.ip_forward"),
            lab.run("server", "ip", "route"),
            lab.run("server", "ip", "-brief", "link"),
            lab.run("server", "ip", "rule"),
        )

    before = kernel()
    server = serve()
    direct.connect(SALES)
    assert kernel() != before
    assert server.stop(seconds=5) == 0
    assert kernel() == before
    assert "rcvd [LCP TermReq" in direct.log("pppd.log")
    ike_log = direct.log("ike.log")
    assert "received DELETE for ESP CHILD_SA" in ike_log
    assert "received DELETE for IKE_SA" in ike_log


@pytest.fixture(params=["d3", "n3"])
def doomed(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client that is to lose power, direct or behind NAT."""
    client = Client(lab, request.param)
    client.machine.boot()
    yield client
    client.machine.cut_power()


def test_power_cut(server: Server, doomed: Client, behind_nat: Client) -> None:
    """The client comes back from the same address while its old session still stands.

    Another client, which has the same address where `doomed` is behind NAT, notices nothing.
    """
    behind_nat.connect(HR)
    first = doomed.connect(SALES)
    with ThreadPoolExecutor(1) as beside:
        pings = beside.submit(behind_nat.ping, count=100)
        doomed.machine.cut_power()
        doomed.machine.boot()
        assert doomed.connect(SALES).address == first.address
        assert " 0% packet loss" in doomed.ping()
        assert " 0% packet loss" in pings.result()
    assert len(json.loads(server.command("sessions", "--json"))) == 2
    assert "Connection terminated" not in behind_nat.log("pppd.log")


def test_l2tp_in_clear_text_is_never_answered(server: Server, lab: Lab, direct: Client) -> None:
    in_clear = Login(SALES.user, SALES.password, PSK, {"IPSEC": "no", "PATIENCE": "6"})
    with lab.capture("clear") as capture, pytest.raises(LoginFailed):
        direct.connect(in_clear)
    sent = tshark.fields(capture, "l2tp", ["ip.src"])
    assert len(sent) >= 2
    assert [SERVER] not in sent

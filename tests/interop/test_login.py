"""A client connects, works and hangs up: the client's own logs and pings are the proof."""

import dataclasses

import pytest

from tests.interop.conftest import Serve
from tests.interop.lab import Client, Lab, Login, LoginFailed, wait_for
from tests.interop.server import BOB, HR, SALES, Server

pytestmark = pytest.mark.interop

MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    ("login", "network", "gateway", "dns"),
    [
        (SALES, "172.16.1.", "172.16.1.1", ("192.168.1.53", "192.168.1.54")),
        (HR, "172.16.2.", "172.16.2.1", ("192.168.1.55", "192.168.1.56")),
        (BOB, "172.16.9.", "172.16.9.1", ()),
    ],
    ids=["sales", "hr", "no suffix"],
)
def test_department_decides_the_address(
    server: Server,
    anywhere: Client,
    login: Login,
    network: str,
    gateway: str,
    dns: tuple[str, ...],
) -> None:
    connection = anywhere.connect(login)
    assert connection.address.startswith(network)
    assert connection.gateway == gateway
    assert connection.dns == dns
    log = anywhere.log("pppd.log")
    for name, address in zip(("primary", "secondary"), dns, strict=False):
        assert f"{name:9} DNS address {address}" in log


def test_packets_and_octets_arrive(server: Server, anywhere: Client) -> None:
    anywhere.connect(SALES)
    assert " 0% packet loss" in anywhere.ping()
    anywhere.transfer("put", 20 * MEGABYTE)
    anywhere.transfer("get", 20 * MEGABYTE)


def test_headquarters_reaches_the_client(server: Server, lab: Lab, direct: Client) -> None:
    connection = direct.connect(SALES)
    assert " 0% packet loss" in lab.run("hq", "ping", "-c", "5", "-i", "0.2", connection.address)


@pytest.mark.parametrize(
    ("configured", "client"), [("ms-chapv2", "mschapv2"), ("chap-md5", "chap"), ("pap", "pap")]
)
def test_authentication_methods(serve: Serve, direct: Client, configured: str, client: str) -> None:
    serve(ppp={"authentication": [configured]})
    login = dataclasses.replace(SALES, settings={"AUTHENTICATION": client})
    assert direct.connect(login).address.startswith("172.16.1.")


def test_client_hangs_up_and_is_back_at_once(server: Server, anywhere: Client) -> None:
    first = anywhere.connect(SALES)
    assert SALES.user in server.command("sessions")
    anywhere.hang_up()
    server.wait_for_log("session:", SALES.user, "ended")
    assert SALES.user not in server.command("sessions")
    assert anywhere.connect(SALES).address == first.address


def test_server_hangs_up(server: Server, anywhere: Client) -> None:
    anywhere.connect(SALES)
    server.command("disconnect", SALES.user)
    wait_for(lambda: "Connection terminated" in anywhere.log("pppd.log"), 10, "pppd's end")
    assert "rcvd [LCP TermReq" in anywhere.log("pppd.log")
    assert SALES.user not in server.command("sessions")


def test_another_user_after_the_first(server: Server, direct: Client) -> None:
    direct.connect(SALES)
    assert direct.connect(HR).address.startswith("172.16.2.")


WRONG = {
    "psk": (dataclasses.replace(SALES, psk="another key"), "ike", ("pre-shared key",)),
    "password": (
        dataclasses.replace(SALES, password="wrong"),
        "authentication",
        (SALES.user, "password"),
    ),
    "domain": (
        dataclasses.replace(SALES, user="u1@marketing.example.com"),
        "authentication",
        ("u1@marketing.example.com", "no department has the domain"),
    ),
    "suffix forgotten": (
        dataclasses.replace(SALES, user="u1"),
        "authentication",
        ("log in with the suffix",),
    ),
    "suffix too much": (
        dataclasses.replace(BOB, user="bob@sales.example.com"),
        "authentication",
        ("log in without a suffix",),
    ),
    "proposals": (
        dataclasses.replace(SALES, settings={"IKE": "aes128-md5-modp1024"}),
        "ike",
        ("AES_CBC-128/MD5/MODP_1024", "legacy"),
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_mistakes_are_refused_and_named(server: Server, direct: Client, mistake: str) -> None:
    login, stage, words = WRONG[mistake]
    patient = dataclasses.replace(login, settings={**login.settings, "PATIENCE": "6"})
    with pytest.raises(LoginFailed) as failed:
        direct.connect(patient)
    assert failed.value.stage == stage
    server.wait_for_log(*words)
    if stage == "authentication":
        assert "authentication failed" in direct.log("pppd.log")
    assert direct.connect(SALES).address.startswith("172.16.1.")

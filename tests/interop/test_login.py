"""A client connects, works and hangs up: the client's own logs and pings are the proof."""

import dataclasses
import re
from pathlib import Path

import pytest

from tests.interop.conftest import Serve
from tests.interop.lab import SERVER, Client, Lab, Login, LoginFailed, run, wait_for
from tests.interop.server import BOB, HR, L2GATE, SALES, Server

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


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A login that must fail: where, what the server's log says, and what the client's."""

    login: Login
    stage: str
    server_says: tuple[str, ...]
    client_reads: tuple[str, str]


CHAP_FAILURE = ("pppd.log", "E=691")

MISTAKES = {
    "psk": Mistake(
        dataclasses.replace(SALES, psk="another key"),
        "ike",
        ("the pre-shared key differs",),
        ("ike.log", "N(PLD_MAL)"),
    ),
    "proposals": Mistake(
        dataclasses.replace(SALES, settings={"IKE": "aes128-md5-modp1024"}),
        "ike",
        ("AES_CBC-128/MD5/MODP_1024", "legacy"),
        ("ike.log", "NO_PROPOSAL_CHOSEN"),
    ),
    "password": Mistake(
        dataclasses.replace(SALES, password="wrong"),
        "authentication",
        (SALES.user, "the password was wrong"),
        CHAP_FAILURE,
    ),
    "domain": Mistake(
        dataclasses.replace(SALES, user="u1@marketing.example.com"),
        "authentication",
        ("u1@marketing.example.com", "no department has the domain"),
        CHAP_FAILURE,
    ),
    "suffix forgotten": Mistake(
        dataclasses.replace(SALES, user="u1"),
        "authentication",
        ("log in with the suffix",),
        CHAP_FAILURE,
    ),
    "suffix too much": Mistake(
        dataclasses.replace(BOB, user="bob@sales.example.com"),
        "authentication",
        ("log in without a suffix",),
        CHAP_FAILURE,
    ),
    "method": Mistake(
        dataclasses.replace(SALES, settings={"AUTHENTICATION": "pap"}),
        "ppp",
        ("wants PAP",),
        ("pppd.log", "refuses all that we allow"),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_refused_and_named(server: Server, direct: Client, mistake: Mistake) -> None:
    settings = {"PATIENCE": "6", **mistake.login.settings}
    with pytest.raises(LoginFailed) as failed:
        direct.connect(dataclasses.replace(mistake.login, settings=settings))
    assert failed.value.stage == mistake.stage
    server.wait_for_log(*mistake.server_says)
    log, words = mistake.client_reads
    assert words in direct.log(log)
    assert direct.connect(SALES).address.startswith("172.16.1.")


def test_the_first_configuration_lets_its_first_user_in(
    lab: Lab, tmp_path: Path, direct: Client
) -> None:
    """What `make run` does, and what a newcomer then types into the client."""
    server = Server(lab, tmp_path)
    path = tmp_path / "l2gate.yaml"
    run(L2GATE, "init", "--config", str(path), "--name", SERVER)
    path.write_text(
        path.read_text().replace(
            f"name: {SERVER}", f"name: {SERVER}\n  control_socket: {tmp_path}/control.sock"
        )
    )
    (user,) = re.findall(r"\{name: (\w+), password: (\w+)\}", path.read_text())
    server.start()
    try:
        login = Login(*user, (tmp_path / "psk").read_text().strip())
        assert direct.connect(login).address.startswith("172.16.9.")
        assert " 0% packet loss" in direct.ping()
        direct.hang_up()
    finally:
        server.stop()

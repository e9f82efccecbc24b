"""Clients behind one address: told apart by their SAs, whatever their addresses and ports are."""

import json

import pytest

from tests.interop import tshark
from tests.interop.conftest import Serve
from tests.interop.lab import ROUTER, Client, Lab
from tests.interop.server import HR, SALES, Server

pytestmark = pytest.mark.interop


def test_two_clients_behind_one_address(
    server: Server, lab: Lab, behind_nat: Client, neighbour: Client
) -> None:
    with lab.capture("neighbours") as capture:
        behind_nat.connect(SALES)
        neighbour.connect(HR)
        keys = behind_nat.ipsec_keys() + neighbour.ipsec_keys()
    inner_ports = tshark.fields(
        capture, f"l2tp.type == 1 && ip.src == {ROUTER}", ["udp.srcport"], keys
    )
    assert len(inner_ports) >= 2
    assert all(ports[0].endswith(",1701") for ports in inner_ports)

    sessions = json.loads(server.command("sessions", "--json"))
    assert {session["peer"].rpartition(":")[0] for session in sessions} == {ROUTER}
    for client in (behind_nat, neighbour):
        assert " 0% packet loss" in client.ping()
        client.transfer("put", 2_000_000)
        client.transfer("get", 2_000_000)

    neighbour.hang_up()
    server.wait_for_log("session:", HR.user, "ended")
    assert " 0% packet loss" in behind_nat.ping()
    behind_nat.transfer("get", 2_000_000)
    assert "Connection terminated" not in behind_nat.log("pppd.log")
    assert neighbour.connect(HR).address.startswith("172.16.2.")
    assert " 0% packet loss" in behind_nat.ping()


def test_forced_encapsulation(serve: Serve, direct: Client) -> None:
    serve(ipsec={"force_encapsulation": True})
    direct.connect(SALES)
    assert "encap type espinudp" in direct.ipsec_keys()
    assert " 0% packet loss" in direct.ping()


def test_without_nat_there_is_no_encapsulation(server: Server, direct: Client) -> None:
    direct.connect(SALES)
    assert "proto esp" in direct.ipsec_keys()
    assert "encap" not in direct.ipsec_keys()

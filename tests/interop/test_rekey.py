"""Renewal of both phases, again and again, by clients that are busy all the time."""

import dataclasses
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.interop.lab import Client
from tests.interop.server import SALES, Server

pytestmark = pytest.mark.interop

RENEWALS = 5
PATIENCE = 120.0
"""Seconds that so many renewals of both phases may take; 60 are enough for the lifetimes."""

HASTY = {"IKE_LIFETIME": "18s", "SA_LIFETIME": "16s", "REKEY_MARGIN": "8s"}

ESTABLISHED = {
    "strongswan": (r"IKE_SA vpn\[\d+\] established", r"CHILD_SA vpn\{\d+\} established"),
    "libreswan": (r"IKE SA established", r"IPsec SA established transport mode"),
}
"""What a client's log says of each ISAKMP SA, and of each pair of IPsec SAs."""


def established(client: Client) -> tuple[int, int]:
    """Return how many ISAKMP SAs and pairs of IPsec SAs the client has had."""
    log = client.log("ike.log")
    isakmp_sa, pair = ESTABLISHED[client.software]
    return len(re.findall(isakmp_sa, log)), len(re.findall(pair, log))


def load(client: Client) -> list[str]:
    """Ping ten times a second and carry files both ways until all is renewed; return the pings."""
    pings = []
    end = time.monotonic() + PATIENCE
    while min(established(client)) <= RENEWALS and time.monotonic() < end:
        with ThreadPoolExecutor(1) as beside:
            pinging = beside.submit(client.ping, count=50)
            for direction in ("put", "get"):
                client.transfer(direction, 1_000_000)
            pings.append(pinging.result())
    return pings


def test_renewals_under_load(
    server: Server,
    direct: Client,
    behind_nat: Client,
    libreswan: Client,
    libreswan_behind_nat: Client,
) -> None:
    clients = direct, behind_nat, libreswan, libreswan_behind_nat
    for client in clients:
        client.connect(dataclasses.replace(SALES, settings=HASTY))
    with ThreadPoolExecutor(len(clients)) as side_by_side:
        pings = list(side_by_side.map(load, clients))
    for client, statistics in zip(clients, pings, strict=True):
        assert min(established(client)) > RENEWALS, client.machine.name
        assert all(" 0% packet loss" in line for line in statistics), client.machine.name
        assert "Connection terminated" not in client.log("pppd.log")
    assert len(json.loads(server.command("sessions", "--json"))) == len(clients)
    assert server.log().count("tunnel of") == len(clients)

"""Renewal of both phases, again and again, by clients that are busy all the time."""

import dataclasses
import json
import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.interop.authority import Authority
from tests.interop.conftest import Serve
from tests.interop.lab import Client
from tests.interop.server import SALES, Server

pytestmark = pytest.mark.interop

RENEWALS = 5
PATIENCE = 180.0
"""Seconds that so many renewals of both phases may take; 60 are enough for the lifetimes."""

HASTY = {"IKE_LIFETIME": "31s", "SA_LIFETIME": "28s", "REKEY_MARGIN": "20s"}
"""Every 11 and every 8 seconds, so that the two do not meet: strongSwan puts the one off while the
other is under way, for longer than lifetimes like these allow."""

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


def dropped(server: Server, clients: Iterable[Client]) -> list[str]:
    """Return what either end has counted of packets that it had no SA for, or could not use."""
    drops = json.loads(server.command("status", "--json"))["drops"]
    print(f"packets that the server has dropped: {drops}")
    # What the kernel has no room for says nothing of SAs.
    counted = [str({why: n for why, n in drops.items() if not why.startswith("not ")})]
    return counted + [client.machine.run("cat /proc/net/xfrm_stat") for client in clients]


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


def lost(statistics: list[str]) -> int:
    """How many pings had no answer.

    What a renewal lost, each of them would lose, and either end would count it. Fewer are lost in
    the queues of a computer that has more to do than it can.
    """
    total = 0
    for one in statistics:
        count = re.match(r"(\d+) packets transmitted, (\d+) received", one)
        assert count is not None, one
        total += int(count[1]) - int(count[2])
    return total


@pytest.mark.parametrize("by", ["pre-shared key", "certificate"])
def test_renewals_under_load(
    serve: Serve,
    authority: Authority,
    by: str,
    direct: Client,
    behind_nat: Client,
    libreswan: Client,
    libreswan_behind_nat: Client,
) -> None:
    server = serve(ipsec=authority.of_the_server())
    settings = HASTY if by == "pre-shared key" else HASTY | authority.of_a_client()
    clients = direct, behind_nat, libreswan, libreswan_behind_nat
    for client in clients:
        client.connect(dataclasses.replace(SALES, settings=settings))
    before = dropped(server, clients)
    with ThreadPoolExecutor(len(clients)) as side_by_side:
        pings = list(side_by_side.map(load, clients))
    assert dropped(server, clients) == before
    for client, statistics in zip(clients, pings, strict=True):
        assert min(established(client)) > RENEWALS, client.machine.name
        assert lost(statistics) < RENEWALS, (client.machine.name, statistics)
        assert "Connection terminated" not in client.log("pppd.log")
    assert len(json.loads(server.command("sessions", "--json"))) == len(clients)
    assert server.log().count("tunnel of") == len(clients)
    if by == "certificate":
        assert server.log().count("with certificate, ") == len(clients)

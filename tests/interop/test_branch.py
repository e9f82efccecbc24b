"""A branch router dials in: the hosts behind it and those of the headquarters reach each other."""

import sys
from collections.abc import Iterator
from subprocess import CalledProcessError

import pytest

from tests.interop.lab import BRANCH, HEADQUARTERS, HERE, Client, Lab, wait_for
from tests.interop.server import HR, SALES, Server, configuration

pytestmark = pytest.mark.interop

NETWORK = "10.9.0.0/24"


@pytest.fixture
def router(lab: Lab) -> Iterator[Client]:
    """A client with a host behind it."""
    client = Client(lab, "n5", is_router=True)
    client.machine.boot()
    yield client
    print(client.logs())
    client.machine.cut_power()


def reaches(lab: Lab, namespace: str, host: str, *, octets: int = 56) -> bool:
    options = ("-q", "-c", "3", "-i", "0.2", "-W", "3", "-s", str(octets))
    try:
        return " 0% packet loss" in lab.run(namespace, "ping", *options, host)
    except CalledProcessError:
        return False


def test_a_network_behind_a_router(
    lab: Lab, server: Server, router: Client, direct: Client
) -> None:
    settings = configuration(server.directory)
    settings["users"] = [
        {"name": SALES.user, "password": SALES.password, "routes": [NETWORK]},
        {"name": HR.user, "password": HR.password},
    ]
    server.configure(settings)
    server.reload()
    server.wait_for_log("reloaded")
    router.connect(SALES)
    other = direct.connect(HR)

    def is_routed() -> bool:
        """To the client, and not just into the device as all that belongs there."""
        return f"{NETWORK} proto static scope link src 172.16.1.1" in lab.run(
            "server", "ip", "route", "show", "dev", "l2gate0"
        )

    def is_in_the_firewall() -> bool:
        table = lab.run("server", "nft", "list", "ruleset")
        return NETWORK in table and other.address in table

    wait_for(is_routed, 10, "the route")
    wait_for(is_in_the_firewall, 10, "the network in the firewall")
    assert reaches(lab, "branch", HEADQUARTERS)
    assert reaches(lab, "hq", BRANCH)
    assert reaches(lab, "branch", HEADQUARTERS, octets=4000), "in fragments"
    assert reaches(lab, "hq", BRANCH, octets=4000), "in fragments"
    for direction in ("put", "get"):
        script = str(HERE / "transfer.py")
        lab.run("branch", sys.executable, script, direction, HEADQUARTERS, "1000000")

    direct.machine.run(f"ip address replace {BRANCH}/32 dev lo")
    try:
        pretended = f"ping -q -c 3 -i 0.2 -W 2 -I {BRANCH} {HEADQUARTERS}"
        assert " 100% packet loss" in direct.machine.run(pretended, check=False)
    finally:
        direct.machine.run(f"ip address delete {BRANCH}/32 dev lo")
    assert reaches(lab, "hq", BRANCH)

    router.hang_up()
    wait_for(lambda: not is_routed(), 10, "the end of the route")
    assert not reaches(lab, "hq", BRANCH)
    router.connect(SALES)
    wait_for(is_routed, 10, "the route again")
    assert reaches(lab, "hq", BRANCH)

"""Everything that keeps records is killed while real clients are connected."""

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.interop.lab import Client, Lab, wait_for
from tests.interop.server import HR, SALES, Server, configuration
from tests.support.freeradius import SECRET, FreeRadius, running_freeradius
from tests.support.namespaces import inside
from tests.support.postgresql import PostgresqlServer, running_postgresql

pytestmark = pytest.mark.interop


@pytest.fixture
def radius(lab: Lab) -> Iterator[FreeRadius]:
    """FreeRADIUS on the server's own machine; it knows the user of HR alone."""
    known = f'{HR.user} Cleartext-Password := "{HR.password}"\n'
    with inside(lab.namespace("server")), running_freeradius(known) as server:
        yield server


@pytest.fixture
def postgresql() -> Iterator[PostgresqlServer]:
    with running_postgresql() as server:
        yield server


@pytest.fixture
def server(lab: Lab, server: Server, radius: FreeRadius, postgresql: PostgresqlServer) -> Server:
    """The server with both."""
    settings = configuration(
        server.directory,
        users=(SALES,),
        state={"postgresql": postgresql.conninfo, "gateway": "one"},
        radius={
            "timeout": 3,
            "servers": [
                {
                    "address": "127.0.0.1",
                    "port": radius.authentication_port,
                    "accounting_port": radius.accounting_port,
                    "secret": SECRET.decode(),
                }
            ],
        },
    )
    departments = settings["departments"]
    assert isinstance(departments, dict)
    departments["hr"]["authenticate"] = ["radius"]
    server.stop()
    server.configure(settings)
    server.start()
    return server


def heard(radius: FreeRadius) -> Counter[tuple[str, str]]:
    """Return how often FreeRADIUS has heard of which user's start and stop, each once a session."""
    said = {
        (one["Acct-Session-Id"], one["User-Name"], one["Acct-Status-Type"])
        for one in radius.accounting()
        if "User-Name" in one
    }
    return Counter((user, status) for _, user, status in said)


def test_everybody_is_killed(
    lab: Lab,
    server: Server,
    radius: FreeRadius,
    postgresql: PostgresqlServer,
    direct: Client,
    behind_nat: Client,
) -> None:
    """No session ends that could go on; addresses stay; each session is told of once."""
    sales, hr = direct.connect(SALES), behind_nat.connect(HR)
    wait_for(lambda: heard(radius).total() == 2, 10, "two starts")

    radius.kill()
    postgresql.kill()
    for client in (direct, behind_nat):
        assert " 0% packet loss" in client.ping()
    direct.hang_up()
    server.wait_for_log("session:", SALES.user, "ended")
    server.kill()
    with inside(lab.namespace("server")):
        radius.start()
    postgresql.start()

    server.start()
    assert direct.connect(SALES).address == sales.address
    assert behind_nat.connect(HR).address == hr.address
    radius.kill()
    for client in (direct, behind_nat):
        assert " 0% packet loss" in client.ping()
        client.hang_up()
    with inside(lab.namespace("server")):
        radius.start()

    once_each = {
        (user, status): 2 for user in (SALES.user, HR.user) for status in ("Start", "Stop")
    }
    wait_for(lambda: heard(radius) == once_each, 60, "the start and stop of each session")
    past = json.loads(server.command("history", "--json"))
    told = [one for one in radius.accounting() if one["Acct-Status-Type"] == "Stop"]
    stopped = {one["Acct-Session-Id"]: one for one in told}
    assert stopped.keys() == {one["id"] for one in past}
    for one in past:
        stop = stopped[one["id"]]
        assert (stop["User-Name"], stop["Framed-IP-Address"]) == (one["login"], one["address"])
        assert int(stop["Acct-Input-Octets"]) == one["traffic"]["octets_in"]

"""Departments with real clients: who gets which address and name servers, and reaches what."""

import subprocess

import pytest

from tests.interop.lab import HEADQUARTERS, Client, Lab, wait_for
from tests.interop.server import BOB, HR, SALES, Server, Settings, configuration
from tests.interop.transfer import PORT

pytestmark = pytest.mark.interop

OTHER = "192.168.1.81"
"""Another server at the headquarters."""

WEB = {"to": HEADQUARTERS, "proto": "tcp", "ports": [PORT]}


def with_policies(server: Server, **policies: Settings) -> None:
    """Let departments allow this from a reload on."""
    settings = configuration(server.directory)
    departments = settings["departments"]
    assert isinstance(departments, dict)
    for name, policy in policies.items():
        departments[name] |= policy
    before = server.log().count("reloaded")
    server.configure(settings)
    server.reload()
    wait_for(lambda: server.log().count("reloaded") > before, 10, "the reload")


def wait_for_table(lab: Lab, *words: str) -> None:
    def there() -> bool:
        table = lab.run("server", "nft", "list", "ruleset")
        return all(word in table for word in words)

    wait_for(there, 10, f"{words} in the firewall")


def reaches(client: Client, host: str) -> bool:
    """Whether a transfer by TCP works."""
    try:
        client.transfer("get", 100_000, host)
    except subprocess.CalledProcessError:
        return False
    return True


def pings(client: Client, host: str) -> bool:
    return " 0% packet loss" in client.ping(host, count=3)


def test_departments_have_their_own_pools_and_reach(
    lab: Lab, server: Server, direct: Client, behind_nat: Client, libreswan: Client
) -> None:
    lab.run("hq", "ip", "address", "replace", f"{OTHER}/24", "dev", "hq0")
    with_policies(server, sales={"allow": [WEB], "interface": "lns-sales"})
    sales, hr, bob = direct.connect(SALES), behind_nat.connect(HR), libreswan.connect(BOB)
    assert (sales.gateway, sales.dns) == ("172.16.1.1", ("192.168.1.53", "192.168.1.54"))
    assert (hr.gateway, hr.dns) == ("172.16.2.1", ("192.168.1.55", "192.168.1.56"))
    assert (bob.gateway, bob.dns) == ("172.16.9.1", ())
    assert sales.address.startswith("172.16.1.")
    assert hr.address.startswith("172.16.2.")
    assert bob.address.startswith("172.16.9.")
    wait_for_table(lab, sales.address, hr.address, bob.address)
    for client, connection in ((direct, sales), (behind_nat, hr), (libreswan, bob)):
        client.machine.run(f"ip route add 172.16.0.0/12 dev {connection.interface}")

    assert reaches(direct, HEADQUARTERS)
    assert not reaches(direct, OTHER)
    assert not pings(direct, HEADQUARTERS)
    for client in (behind_nat, libreswan):
        assert reaches(client, OTHER)
        assert pings(client, HEADQUARTERS)
        assert not pings(client, sales.address)
    assert not pings(direct, hr.address)
    assert not pings(libreswan, hr.address)

    for device, address in (("lns-sales", sales.address), ("l2gate0", hr.address)):
        assert f"{address} proto static" in lab.run("server", "ip", "route", "show", "dev", device)

    with_policies(
        server,
        sales={"interface": "lns-sales"},
        hr={"allow": [WEB, {"to": "172.16.1.0/24", "proto": "icmp"}]},
    )
    wait_for_table(lab, "172.16.1.0/24")
    assert pings(behind_nat, sales.address)
    assert not pings(behind_nat, bob.address)
    assert not pings(direct, hr.address), "what one may open the other may not"
    assert reaches(direct, OTHER), "nothing is said of sales any more"


ZONES = """\
table inet zones {
  chain forward {
    type filter hook forward priority filter + 10; policy accept;
    ct state established,related accept
    iifname "lns-sales" oifname "l2gate0" accept
    iifname "lns-sales" counter reject
    oifname "lns-sales" counter reject
  }
}
"""


def test_a_department_is_a_zone(
    lab: Lab, server: Server, direct: Client, behind_nat: Client
) -> None:
    """An admin's own firewall tells it by its device, which comes and goes at a reload."""
    hr = behind_nat.connect(HR)
    icmp = [{"to": network, "proto": "icmp"} for network in ("172.16.0.0/12", HEADQUARTERS)]
    with_policies(server, sales={"allow": icmp, "interface": "lns-sales"}, hr={"allow": icmp})
    rules = server.directory / "zones.nft"
    rules.write_text(ZONES)
    lab.run("server", "nft", "-f", str(rules))
    try:
        sales = direct.connect(SALES)
        wait_for_table(lab, sales.address, hr.address, "lns-sales")
        for client, connection in ((direct, sales), (behind_nat, hr)):
            client.machine.run(f"ip route add 172.16.0.0/12 dev {connection.interface}")
        assert pings(direct, hr.address)
        assert pings(behind_nat, HEADQUARTERS)
        assert not pings(direct, HEADQUARTERS)
        assert not pings(behind_nat, sales.address)
    finally:
        lab.run("server", "nft", "delete", "table", "inet", "zones")
    assert pings(direct, HEADQUARTERS)
    with_policies(server, sales={"allow": icmp})
    server.wait_for_log("ended", SALES.user, "the department's interface was changed")
    assert "lns-sales" not in lab.run("server", "ip", "link", "show")
    assert pings(behind_nat, HEADQUARTERS), "who is in another department lost nothing"


def test_clients_of_one_department(
    lab: Lab, server: Server, direct: Client, behind_nat: Client
) -> None:
    one, other = direct.connect(SALES), behind_nat.connect(SALES)
    wait_for_table(lab, one.address, other.address)
    direct.machine.run(f"ip route add {other.address} dev {one.interface}")
    behind_nat.machine.run(f"ip route add {one.address} dev {other.interface}")
    assert not pings(direct, other.address)
    with_policies(server, sales={"client_to_client": True})
    wait_for_table(lab, "ip daddr @hosts_sales accept")
    assert pings(direct, other.address)

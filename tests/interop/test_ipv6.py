"""IPv6 with the real client: pppd and its kernel inside of the tunnel, strongSwan around it.

hq 2001:db8:9::80 --- 2001:db8:9::1 server 2001:db8:a::1 --- wan --- client 2001:db8:a::11
"""

import dataclasses
import shlex
import sys
from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path

import pytest

from tests.interop.lab import HERE, Client, Lab, LoginFailed, wait_for
from tests.interop.server import SALES, Server, configuration

pytestmark = pytest.mark.interop

HEADQUARTERS = "2001:db8:9::80"
SERVER, CLIENT = "2001:db8:a::1", "2001:db8:a::11"
POOL = IPv6Network("2001:db8:1::/56")
WITH_IPV6 = dataclasses.replace(SALES, settings={"IPV6": "yes"})


@pytest.fixture
def ipv6(lab: Lab, direct: Client) -> Iterator[None]:
    """IPv6 on the interfaces that these tests use, and on no other."""
    addresses = (
        ("server", "hq0", "2001:db8:9::1/64"),
        ("server", "wan0", f"{SERVER}/64"),
        ("hq", "hq0", f"{HEADQUARTERS}/64"),
    )
    for name in ("server", "hq"):
        lab.run(name, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=0")
    for name, interface, address in addresses:
        lab.run(name, "sysctl", "-qw", f"net.ipv6.conf.{interface}.disable_ipv6=0")
        lab.run(name, "ip", "address", "add", address, "dev", interface, "nodad")
    lab.run("hq", "ip", "route", "add", "default", "via", "2001:db8:9::1")
    direct.machine.run(
        "sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0;"
        f"ip address replace {CLIENT}/64 dev vec0 nodad; modprobe -a esp6"
    )
    yield
    direct.machine.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
    for name, interface, _ in addresses:
        lab.run(name, "sysctl", "-qw", f"net.ipv6.conf.{interface}.disable_ipv6=1")
    for name in ("server", "hq"):
        lab.run(name, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")


@pytest.fixture
def server(lab: Lab, ipv6: None, tmp_path: Path) -> Iterator[Server]:
    one = Server(lab, tmp_path)
    settings = configuration(tmp_path, server={"listen": ["0.0.0.0", "::"]})
    departments = settings["departments"]
    assert isinstance(departments, dict)
    departments["sales"] |= {"pool6": str(POOL), "dns": ["192.168.1.53", "2001:db8:9::53"]}
    one.configure(settings)
    one.start()
    yield one
    try:
        one.stop()
    finally:
        print(f"--- server\n{one.log()}")


def global_address(client: Client, interface: str) -> str:
    """Wait for the address that the client's kernel forms from the advertised prefix."""
    command = f"ip -6 -o addr show dev {interface} scope global -tentative"

    def found() -> list[str]:
        return client.machine.run(command).split()

    wait_for(found, 10, "an address by SLAAC")
    words = found()
    return words[words.index("inet6") + 1]


def test_pppd_and_its_kernel(server: Server, lab: Lab, direct: Client) -> None:
    connection = direct.connect(WITH_IPV6)
    interface = connection.interface
    address, _, length = global_address(direct, interface).partition("/")
    assert length == "64"
    assert IPv6Address(address) in IPv6Network("2001:db8:1:1::/64")
    routes = direct.machine.run(f"ip -6 route show default dev {interface}")
    assert "via fe80::1" in routes
    assert "mtu 1400" in direct.machine.run(f"ip link show dev {interface}")
    assert "rcvd [IPV6CP ConfAck" in direct.log("pppd.log")
    assert " 0% packet loss" in direct.ping(HEADQUARTERS)
    assert " 0% packet loss" in direct.ping()
    assert " 0% packet loss" in direct.ping(f"fe80::1%{interface}", 3)
    assert " 0% packet loss" in lab.run("hq", "ping", "-c", "3", "-i", "0.2", address)
    assert "2001:db8:1:1::/64" in server.command("sessions")
    large = direct.machine.run(f"ping -q -c 2 -s 1352 -M do -W 2 {HEADQUARTERS}", check=False)
    assert " 0% packet loss" in large
    # To the client a packet of 1500 octets is too big, and its sender must hear so.
    lab.run("hq", "ping", "-q", "-c", "3", "-s", "1452", "-W", "2", address)
    assert "mtu 1400" in lab.run("hq", "ip", "-6", "route", "get", address)
    direct.hang_up()
    server.wait_for_log("session:", SALES.user, "ended")
    assert "2001:db8:1:1::" not in lab.run("server", "ip", "-6", "route")


def test_a_client_that_wants_no_ipv6(server: Server, direct: Client) -> None:
    connection = direct.connect(SALES)
    assert connection.address.startswith("172.16.1.")
    assert " 0% packet loss" in direct.ping()
    assert "IPv6 open" not in server.log()
    assert "Protocol-Reject" in direct.log("pppd.log") or "ProtRej" in direct.log("pppd.log")


@pytest.mark.parametrize("encapsulated", [False, True], ids=["direct", "encapsulated"])
def test_strongswan_over_ipv6(server: Server, direct: Client, encapsulated: bool) -> None:
    """The client's kernel opens our ESP, and verifies the UDP checksum beneath (RFC 8200)."""
    settings = {
        "CLIENT": "strongswan",
        "ADDRESS": CLIENT,
        "SERVER": SERVER,
        "PSK": SALES.psk,
        "FORCE_ENCAPSULATION": "yes" if encapsulated else "no",
    }
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
    script = HERE / "uml" / "client.sh"
    output = direct.machine.run(f"export {exports}; . {script} ike", timeout=60)
    if "stage=" in output:
        raise LoginFailed("ike")
    words = (sys.executable, HERE / "lac6.py", CLIENT, SERVER, SALES.user, SALES.password)
    command = " ".join(shlex.quote(str(word)) for word in words)
    output = direct.machine.run(f"PYTHONPATH={HERE.parent.parent} {command}", timeout=60)
    facts = dict(line.split("=", 1) for line in output.splitlines())
    assert facts["address"].startswith("172.16.1.")
    assert facts["prefix"] == "2001:db8:1:1::"
    assert f"peer=[{CLIENT}]:{4500 if encapsulated else 500}" in server.log()
    assert ("encap type espinudp" in direct.ipsec_keys()) == encapsulated
    errors = direct.machine.run("grep -E 'Udp6(InErrors|InCsumErrors)' /proc/net/snmp6")
    assert [line.split()[1] for line in errors.splitlines()] == ["0", "0"]

"""Departments behind devices of their own: the kernel routes, and tells them apart.

host 192.168.1.5 --- veth "inside" --- server 192.168.1.1 --- TUN devices --- clients
"""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.packet import Packet

from l2gate.control import Request, ask
from tests.support.client import ClientState
from tests.support.namespaces import Namespace, lan_of_server, run
from tests.support.program import (
    PASSWORD,
    PATIENCE,
    PSK,
    ROOT,
    SERVER,
    Dialler,
    answers,
    run_together,
    start,
    wait_for,
)

HOST = "192.168.1.5"
SALES, HR, BOB = "s@sales", "h@hr", "bob"
DEPARTMENTS = {
    "sales": {
        "domains": ["sales"],
        "pool": ["172.16.1.2", "172.16.1.8-172.16.1.9"],
        "gateway": "172.16.1.1",
        "interface": "lns-sales",
    },
    "hr": {
        "domains": ["hr"],
        "pool": "172.16.2.2-172.16.2.9",
        "gateway": "172.16.2.1",
        "interface": "lns-hr",
    },
    "default": {"pool": "172.16.9.2-172.16.9.9", "gateway": "172.16.9.1"},
}

Settings = dict[str, object]


class Office:
    """A server and its clients."""

    def __init__(self, directory: Path, **departments: Settings) -> None:
        self.path, self.socket = directory / "l2gate.yaml", directory / "control.sock"
        self._stack = ExitStack()
        self.clients: list[Dialler] = []
        self.settings: dict[str, Settings] = {
            "server": {"listen": SERVER, "control_socket": str(self.socket)},
            "ipsec": {"psk": PSK},
        }
        self.departments: dict[str, Settings] = {
            name: {**basis, **departments.get(name, {})} for name, basis in DEPARTMENTS.items()
        }
        self.users: list[Settings] = [{"name": n, "password": PASSWORD} for n in (SALES, HR, BOB)]

    def write(self) -> None:
        known = {suffix for one in self.departments.values() for suffix in one.get("domains", [])}  # type: ignore[attr-defined]
        users = [u for u in self.users if str(u["name"]).partition("@")[2] in {"", *known}]
        parts = {"departments": self.departments, "users": users}
        self.path.write_text(json.dumps({**self.settings, **parts}))
        self.path.chmod(0o600)

    def __enter__(self) -> "Office":
        self.write()
        self.process = start("serve", "--config", self.path)
        self._stack.callback(self.stop)
        wait_for(lambda: self.process.poll() is not None or answers(self.socket))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        if self.process.poll() is None:
            self.process.send_signal(number)
        printed, _ = self.process.communicate(timeout=PATIENCE)
        return printed or ""

    def log_in(self, user: str, ipv6: bool = False) -> Dialler:
        client = Dialler(user, address=f"127.0.0.{len(self.clients) + 2}", ipv6=ipv6)
        self._stack.enter_context(closing(client))
        self.clients.append(client)
        client.host.connect(0.0)
        self.run(lambda: client.host.state is ClientState.UP)
        self.run(lambda: address_of(client) in run("ip route"))
        if self.settings["server"].get("firewall", True):
            self.run(lambda: address_of(client) in run("nft list ruleset"))
        return client

    def run(self, until: Callable[[], bool]) -> None:
        run_together(self.clients, until)

    def ask(self, command: str, **arguments: object) -> object:
        response = ask(self.socket, Request(command, arguments))  # type: ignore[arg-type]
        return response.error or response.result

    def reload(self) -> object:
        self.write()
        return self.ask("reload")


@pytest.fixture(autouse=True)
def lan() -> Iterator[Namespace]:
    """The host at headquarters; the test runs as the server, which filters sources strictly."""
    with lan_of_server("192.168.1.1/24", f"{HOST}/24") as host:
        for name in ("all", "default"):
            run(f"sysctl -w net.ipv4.conf.{name}.rp_filter=1")
        yield host


def address_of(client: Dialler) -> str:
    return str(client.host.address)


def ping(client: Dialler, to: str, number: int = 1) -> None:
    client.host.send(bytes(IP(src=address_of(client), dst=to) / ICMP(id=7, seq=number)))


def received(client: Dialler) -> list[Packet]:
    return [IP(packet) for packet in client.host.inner if packet[0] >> 4 == 4]


def replies(client: Dialler) -> list[int]:
    """The numbers of the pings that were answered."""
    found = [packet[ICMP] for packet in received(client) if ICMP in packet]
    return [icmp.seq for icmp in found if icmp.type == 0]


def requests(client: Dialler, source: Dialler) -> bool:
    """Whether a ping of another client's has come."""
    return any(
        ICMP in packet and packet[ICMP].type == 8 and packet.src == address_of(source)
        for packet in received(client)
    )


def prohibited(client: Dialler, to: str) -> bool:
    """Whether a packet was refused in the way of a firewall."""
    return any(
        ICMP in packet
        and (packet[ICMP].type, packet[ICMP].code) == (3, 13)
        and IP(bytes(packet[ICMP].payload)).dst == to
        for packet in received(client)
    )


def devices() -> set[str]:
    """The TUN devices that there are."""
    return {line.split(": ")[1] for line in run("ip -o link show type tun").splitlines()}


def send_from_host(lan: Namespace, to: str, text: bytes) -> None:
    with lan, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(text, (to, 9))


def got(client: Dialler, text: bytes) -> bool:
    return any(UDP in packet and bytes(packet[UDP].payload) == text for packet in received(client))


COUNTERS = """\
table inet count {
  counter sales_to_hr {}
  counter sales_out {}
  counter bob_out {}
  counter to_bob {}
  chain forward {
    type filter hook forward priority filter - 10;
    iifname "lns-sales" oifname "lns-hr" counter name sales_to_hr
    iifname "lns-sales" oifname "inside" counter name sales_out
    iifname "l2gate0" oifname "inside" counter name bob_out
    iifname "inside" oifname "l2gate0" counter name to_bob
  }
}
"""


def load_table(script: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=script, text=True, check=True)


def counted(name: str) -> int:
    (shown,) = json.loads(run(f"nft -j list counter inet count {name}"))["nftables"][1:]
    return int(shown["counter"]["packets"])


def test_each_department_is_behind_its_device(tmp_path: Path, lan: Namespace) -> None:
    """The kernel sees which one a packet comes from and goes to, and so can its firewalls."""
    with Office(tmp_path, sales={"allow": [{"to": "172.16.2.0/24"}, {"to": HOST}]}) as office:
        assert devices() == {"lns-sales", "lns-hr", "l2gate0"}
        load_table(COUNTERS)
        sales, hr, bob = map(office.log_in, (SALES, HR, BOB))
        for client in office.clients:
            ping(client, HOST)
        office.run(lambda: all(replies(client) for client in office.clients))
        assert (counted("sales_out"), counted("bob_out"), counted("to_bob")) == (1, 1, 1)

        ping(sales, address_of(hr))
        office.run(lambda: requests(hr, sales))
        assert counted("sales_to_hr") == 1
        for client in (hr, bob):
            ping(client, address_of(sales))
        office.run(lambda: all(prohibited(each, address_of(sales)) for each in (hr, bob)))
        assert not requests(sales, hr)
        assert not requests(sales, bob)

        shown = {row["user"]: row["interface"] for row in office.ask("sessions")}  # type: ignore[attr-defined]
        assert shown == {SALES: "lns-sales", HR: "lns-hr", BOB: "l2gate0"}
        status = office.ask("status")
        assert isinstance(status, dict)
        assert {pool["department"]: pool["interface"] for pool in status["pools"]} == {
            name: basis.get("interface", "l2gate0") for name, basis in DEPARTMENTS.items()
        }
        for name in devices():
            assert "mtu 1400" in run(f"ip link show {name}")
            assert run(f"sysctl -n net.ipv4.conf.{name}.accept_local") == "1\n"
            assert run(f"sysctl -n net.ipv4.conf.{name}.send_redirects") == "0\n"
    assert office.process.returncode == 0
    assert devices() == set()
    assert "172.16" not in run("ip route show table all")
    assert run("sysctl -n net.ipv4.ip_forward") == "0\n"


def test_the_recipe_for_zones(tmp_path: Path, lan: Namespace) -> None:
    recipe = re.findall(r"```nft\n(.*?)```", (ROOT / "docs" / "admin.md").read_text(), re.DOTALL)[0]
    for named, here in (("eth1", "inside"), ("192.168.1.80", HOST)):
        assert named in recipe
        recipe = recipe.replace(named, here)
    load_table(recipe)
    office = Office(tmp_path)
    office.settings["server"]["firewall"] = False
    with office:
        sales, hr = office.log_in(SALES), office.log_in(HR)
        web = IP(src=address_of(sales), dst=HOST) / TCP(sport=7, dport=443, flags="S")
        sales.host.send(bytes(web))
        office.run(lambda: any(TCP in packet for packet in received(sales)))
        for to in (HOST, address_of(hr), "172.16.1.9"):
            ping(sales, to)
            office.run(lambda to=to: prohibited(sales, to))
        for to in (HOST, address_of(sales)):
            ping(hr, to)
        office.run(lambda: replies(hr) == [1] and requests(sales, hr))
        send_from_host(lan, address_of(sales), b"unasked")
        send_from_host(lan, address_of(hr), b"welcome")
        office.run(lambda: got(hr, b"welcome"))
        office.run(lambda: "counter packets 1 " in run("nft list chain inet zones forward"))
        assert not got(sales, b"unasked")
        assert not requests(hr, sales)


def test_all_that_belongs_to_a_department_is_on_its_device(tmp_path: Path, lan: Namespace) -> None:
    """Its gateway and pools, the networks behind its users, fixed addresses, proxy ARP."""
    office = Office(tmp_path, hr={"pool": "192.168.1.200-192.168.1.209", "proxy_arp": True})
    office.users[0] |= {"routes": ["10.9.0.0/24"], "address": "10.8.8.8"}
    with office:
        sales, hr = office.log_in(SALES), office.log_in(HR)
        assert address_of(sales) == "10.8.8.8"
        routes = run("ip route show dev lns-sales")
        for network in ("172.16.1.2", "172.16.1.8/31", "10.9.0.0/24"):
            assert f"{network} proto static scope link metric 65536" in routes
        office.run(lambda: "10.9.0.0/24 proto static" in run("ip route show dev lns-sales"))
        assert "10.8.8.8 proto static" in run("ip route show dev lns-sales")
        assert "inet 172.16.1.1/32" in run("ip addr show dev lns-sales")
        assert run("ip addr show dev l2gate0").count("inet ") == 1
        for to in ("10.8.8.8", "10.9.0.77"):
            send_from_host(lan, to, to.encode())
            office.run(lambda to=to: got(sales, to.encode()))
        run("sysctl -w net.ipv4.neigh.inside.proxy_delay=0")
        send_from_host(lan, address_of(hr), b"by ARP")
        office.run(lambda: got(hr, b"by ARP"))
        sales.host.hang_up(0.0)
        office.run(lambda: "src 172.16.1.1" not in run("ip route show dev lns-sales"))


def test_a_packet_in_the_wrong_device_goes_to_nobody(tmp_path: Path, lan: Namespace) -> None:
    """Whoever routes a client's address elsewhere does not get around the firewall by it."""
    with Office(tmp_path) as office:
        sales, hr = office.log_in(SALES), office.log_in(HR)
        run(f"ip rule add to {address_of(sales)} lookup 77")
        run(f"ip route add {address_of(sales)} dev lns-hr table 77")
        run("sysctl -w net.ipv4.conf.all.rp_filter=0")
        send_from_host(lan, address_of(sales), b"strays")

        def dropped() -> bool:
            status = office.ask("status")
            assert isinstance(status, dict)
            return bool(status["drops"].get("inner destination is behind another interface"))

        office.run(dropped)
        run(f"ip rule del to {address_of(sales)}")
        send_from_host(lan, address_of(sales), b"arrives")
        office.run(lambda: got(sales, b"arrives"))
        assert not got(sales, b"strays")
        assert not got(hr, b"strays")


def test_ipv6(tmp_path: Path, lan: Namespace) -> None:
    run("ip addr add 2001:db8:9::1/64 dev inside nodad")
    with lan:
        run("ip addr add 2001:db8:9::5/64 dev host nodad")
        run("ip route add default via 2001:db8:9::1")
    with Office(tmp_path, sales={"pool6": "2001:db8:1::/56"}) as office:
        assert "inet6 2001:db8:1::1/128" in run("ip addr show dev lns-sales")
        assert "inet6" not in run("ip addr show dev lns-hr")
        client = office.log_in(SALES, ipv6=True)
        office.run(lambda: "2001:db8:1:1::/64" in run("ip -6 route show dev lns-sales"))
        own = IPv6Address("2001:db8:1:1::7")
        header = IPv6(src=str(own), dst="2001:db8:9::5")
        client.host.send_ipv6(bytes(header / ICMPv6EchoRequest(id=7, seq=1)))

        def answered() -> bool:
            packets = [IPv6(packet) for packet in client.host.inner if packet[0] >> 4 == 6]
            return any(ICMPv6EchoReply in packet for packet in packets)

        office.run(answered)


def test_devices_come_and_go_at_a_reload_under_traffic(tmp_path: Path, lan: Namespace) -> None:
    office = Office(tmp_path)
    hr = office.departments.pop("hr")
    sent: list[int] = []
    with office:
        sales, bob = office.log_in(SALES), office.log_in(BOB)

        def go_on(*clients: Dialler) -> None:
            """Each sends what must be answered at once."""
            sent.append(len(sent) + 1)
            for client in clients:
                ping(client, HOST, sent[-1])
            office.run(lambda: all(replies(each)[-1:] == sent[-1:] for each in clients))

        def reload(*clients: Dialler) -> object:
            with ThreadPoolExecutor() as pool:
                reloaded = pool.submit(office.reload)
                while not reloaded.done():
                    go_on(*clients)
            return reloaded.result()

        go_on(sales, bob)
        office.departments["hr"] = hr
        added = reload(sales, bob)
        assert isinstance(added, dict)
        assert added["interfaces_added"] == ["lns-hr"]
        assert added["ended"] == []
        assert devices() == {"lns-sales", "lns-hr", "l2gate0"}
        go_on(sales, bob, office.log_in(HR))

        office.departments["sales"]["interface"] = "lns-new"
        office.write()
        rehearsed = office.ask("reload", dry_run=True)
        assert isinstance(rehearsed, dict)
        assert rehearsed["interfaces_added"] == ["lns-new"]
        assert rehearsed["interfaces_removed"] == ["lns-sales"]
        (ended,) = rehearsed["ended"]
        assert (ended["user"], ended["why"]) == (SALES, "the department's interface was changed")
        assert devices() == {"lns-sales", "lns-hr", "l2gate0"}, "nothing has happened"
        assert reload(bob, office.clients[2]) == rehearsed
        assert devices() == {"lns-new", "lns-hr", "l2gate0"}
        office.run(lambda: sales.host.state is ClientState.CLOSED)
        go_on(bob, office.clients[2], office.log_in(SALES))
        wait_for(lambda: "lns-sales" not in run("nft list set inet l2gate our_devices"))
        assert "lns-new" in run("nft list set inet l2gate our_devices")
        assert "172.16.1.1/32" in run("ip addr show dev lns-new")

        office.departments = {"default": office.departments["default"]}
        reload(bob)
        assert devices() == {"l2gate0"}
        go_on(bob)
    assert replies(bob) == sent, "it lost nothing"
    printed = office.stop()
    assert "failed" not in printed


def test_the_shared_device_is_one_of_them(tmp_path: Path) -> None:
    """It is not there if nobody needs it; another name is taken at a reload; one may be shared."""
    office = Office(tmp_path, default={"interface": "lns-hr"})
    with office:
        assert devices() == {"lns-sales", "lns-hr"}
        hr = office.log_in(HR)
        del office.departments["default"]["interface"]
        office.settings["server"]["tun"] = "lns-hr"
        assert office.reload() is not None
        assert devices() == {"lns-sales", "lns-hr"}
        office.settings["server"]["tun"] = "vpn1"
        changed = office.reload()
        assert isinstance(changed, dict)
        assert (changed["interfaces_added"], changed["sections"]) == (["vpn1"], [])
        assert devices() == {"lns-sales", "lns-hr", "vpn1"}
        ping(hr, HOST)
        office.run(lambda: replies(hr) == [1])


def test_a_reload_that_cannot_have_its_device(tmp_path: Path) -> None:
    with Office(tmp_path) as office:
        sales = office.log_in(SALES)
        office.departments["hr"]["interface"] = "new"
        office.departments["sales"]["interface"] = "inside"
        refused = str(office.reload())
        assert "the reload is refused, all stays as it was:" in refused
        assert "TUN device inside: Invalid argument (a device of another kind has this" in refused
        assert devices() == {"lns-sales", "lns-hr", "l2gate0"}
        ping(sales, HOST)
        office.run(lambda: replies(sales) == [1])
        office.departments["sales"]["interface"] = "lns-sales"
        assert "interfaces_added" in str(office.reload())
        assert devices() == {"lns-sales", "new", "l2gate0"}
        office.stop()
    assert devices() == set()


def test_a_start_that_cannot_have_its_device(tmp_path: Path) -> None:
    with Office(tmp_path, hr={"interface": "inside"}) as office:
        printed = office.stop()
    assert office.process.returncode == 1
    assert "TUN device inside: Invalid argument" in printed
    assert devices() == set()


def test_a_killed_server_leaves_no_device(tmp_path: Path) -> None:
    with Office(tmp_path) as office:
        office.stop(signal.SIGKILL)
        assert devices() == set()
        with Office(tmp_path) as again:
            assert devices() == {"lns-sales", "lns-hr", "l2gate0"}
            again.log_in(HR)

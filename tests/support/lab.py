"""A server, clients and the network between them, in one process on a fake clock."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from scapy.layers.inet import ICMP, IP

from aaa import AddressRange, Department, Directory, Pool, User
from l2gate.configuration import (
    AuthenticationMethod,
    Configuration,
    IpsecSettings,
    L2tpSettings,
    PppSettings,
    Proposals,
    ServerSettings,
)
from ppp.config import Credentials
from tests.support.client import ClientHost, ClientState, ServerHost
from tests.support.native.client import NativeClient
from tests.support.native.profile import Profile
from tests.support.simulation import Link, Nat, Simulation

SERVER = "203.0.113.1"
SERVER6 = "2001:db8:ffff::1"
PSK = b"a long and random pre-shared key"
PASSWORD = "correct horse"
INNER_SERVER = "192.168.1.10"


def department(name: str, domain: str | None, third: int, last: int = 254) -> Department:
    return Department(
        name=name,
        domains=(domain,) if domain else (),
        pool=Pool(
            (AddressRange(IPv4Address(f"172.16.{third}.2"), IPv4Address(f"172.16.{third}.{last}")),)
        ),
        gateway=IPv4Address(f"172.16.{third}.1"),
        dns=(IPv4Address("192.168.1.53"), IPv4Address("192.168.1.54")),
        routes=(IPv4Network("192.168.1.0/24"), IPv4Network(f"10.{third}.0.0/16")),
        search_domains=(f"{name}.corp.example.com",),
    )


def configuration(
    tmp_path: Path = Path("/nowhere"), proposals: Proposals = Proposals.DEFAULT
) -> Configuration:
    departments = [
        department("sales", "sales.example.com", 1),
        department("hr", "hr.example.com", 2),
        department("tiny", "tiny.example.com", 3, last=2),
        department("default", None, 9),
    ]
    names = [
        *(f"u{n}" for n in range(60)),
        *(f"u{n}@{d}.example.com" for n in range(3) for d in ("sales", "hr", "tiny")),
    ]
    return Configuration(
        server=ServerSettings(
            name="vpn.example.com",
            listen=(IPv4Address("0.0.0.0"),),
            tun="l2gate0",
            control_socket=tmp_path / "control.sock",
            max_sessions=1000,
        ),
        ipsec=IpsecSettings(
            psk=PSK,
            proposals=proposals,
            identity=None,
            force_encapsulation=False,
            dpd_interval=30.0,
            max_half_open=1000,
        ),
        l2tp=L2tpSettings(tunnel_name="LNS", secret=None, hello_interval=60.0),
        ppp=PppSettings(tuple(AuthenticationMethod), mru=1400, mtu=1400),
        directory=Directory(
            {entry.name: entry for entry in departments},
            {name: User(name, password=PASSWORD) for name in names},
        ),
    )


def with_ipsec(**settings: object) -> Configuration:
    """The configuration with other settings of `ipsec`."""
    before = configuration()
    return replace(before, ipsec=replace(before.ipsec, **settings))  # type: ignore[arg-type]


class Lab:
    """One server and any number of clients."""

    def __init__(
        self,
        seed: int = 1,
        link: Link | None = None,
        proposals: Proposals = Proposals.DEFAULT,
    ) -> None:
        self.simulation = Simulation(seed, link)
        settings = configuration(proposals=proposals)
        self.server = ServerHost(settings, self.simulation.entropy())
        self.simulation.add(self.server, SERVER, also=SERVER6)

    def client(
        self,
        name: str = "u0",
        host: str = "198.51.100.7",
        nat: Nat | None = None,
        psk: bytes = PSK,
        password: str = PASSWORD,
        host_name: str = "laptop",
        prepare: Callable[[ClientHost], None] = lambda client: None,
        ipv6: bool = False,
    ) -> ClientHost:
        """Put a client that wants to log in at an address, `prepare` it, and let it begin.

        One with an IPv6 address dials that of the server; `ipv6` is for inside of the tunnel.
        """
        client = ClientHost(
            host,
            SERVER6 if ":" in host else SERVER,
            psk,
            Credentials(name, password),
            self.simulation.entropy(),
            host_name=host_name,
            ipv6=ipv6,
        )
        prepare(client)
        self.simulation.add(client, host, nat)
        client.connect(self.simulation.now)
        return client

    def native(
        self,
        profile: Profile,
        name: str = "u0",
        host: str = "198.51.100.7",
        nat: Nat | None = None,
        host_name: str = "RWB-LAPTOP-DELL",
        psk: bytes = PSK,
    ) -> NativeClient:
        """Put a client that systems carry built in at an address, and let it begin."""
        client = NativeClient(
            profile,
            host,
            SERVER,
            psk,
            Credentials(name, PASSWORD),
            self.simulation.entropy(),
            host_name,
        )
        self.simulation.add(client, host, nat)
        client.connect(self.simulation.now)
        return client

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        return self.simulation.run(seconds, until)


def up(*clients: ClientHost | NativeClient) -> bool:
    return all(client.state is ClientState.UP for client in clients)


def ping(source: str, destination: str, number: int = 1) -> bytes:
    return bytes(IP(src=source, dst=destination) / ICMP(seq=number) / b"ping")


def assert_passes_traffic(lab: Lab, client: ClientHost | NativeClient, number: int = 1) -> None:
    """Send a packet up and one down, and see that both arrive as they were."""
    there = ping(str(client.address), INNER_SERVER, number)
    back = ping(INNER_SERVER, str(client.address), number)
    client.send(there)
    lab.server.receive_inner(back)
    lab.run(1)
    assert lab.server.inner[-1] == there
    assert client.inner[-1] == back

"""Many native clients behind one public address, and an account of what each sent and got.

Each is at home, behind a router of its own, where it has the same private address as all others;
and all routers are behind one carrier's NAT (RFC 6598). So they have in common: the outer address,
the identity, and the UDP port inside ESP.
"""

from collections import Counter
from dataclasses import replace
from itertools import cycle, islice

from scapy.layers.inet import ICMP, IP

from l2gate.configuration import Proposals
from l2gate.records import SessionRecord
from tests.support.lab import INNER_SERVER, Lab, up
from tests.support.native.client import NativeClient
from tests.support.native.profile import Profile
from tests.support.native.profiles import PROFILES
from tests.support.simulation import Nat

PRIVATE = "192.168.1.2"
PUBLIC = "198.51.100.1"
PATIENCE = 16.0


def on_port_1701(profile: Profile) -> Profile:
    return replace(profile, l2tp=replace(profile.l2tp, port=1701))


class Crowd:
    """The clients, the first of which has the profile `first`, and their routers."""

    def __init__(self, first: Profile, size: int = 50) -> None:
        self.lab = Lab(proposals=Proposals.LEGACY)
        self.carrier = Nat(PUBLIC)
        self.homes = [
            Nat(f"100.64.0.{number + 1}", keep_ports=True, behind=self.carrier)
            for number in range(size)
        ]
        kinds = [first, *islice(cycle(PROFILES), size - 1)]
        self.clients = [self.come(number, profile) for number, profile in enumerate(kinds)]
        assert self.lab.run(PATIENCE, lambda: up(*self.clients))
        self.lab.run(2)

    def come(self, number: int, profile: Profile) -> NativeClient:
        """Let the client of a user dial."""
        home = self.homes[number]
        return self.lab.native(on_port_1701(profile), f"u{number}", PRIVATE, home, f"pc-{number}")

    def record(self, client: NativeClient) -> SessionRecord:
        """Return what the server knows of the session of a client."""
        assert client.address is not None
        return self.lab.server.gateway.tables.addresses[int(client.address)]

    def talk(self, seconds: int, but: tuple[NativeClient, ...] = ()) -> None:
        """Send a packet each way each second, and see that nobody loses one, `but` for some."""
        talkers = [client for client in self.clients if client not in but]
        for client in talkers:
            client.inner.clear()
        self.lab.server.inner.clear()
        for _ in range(seconds):
            for client in talkers:
                client.send(bytes(IP(src=str(client.address), dst=INNER_SERVER) / ICMP()))
                back = IP(src=INNER_SERVER, dst=str(client.address)) / ICMP(type=0)
                self.lab.server.receive_inner(bytes(back))
            self.lab.run(1)
        came = Counter(packet[12:16] for packet in self.lab.server.inner)
        for client in talkers:
            assert client.address is not None
            assert client.state.value == "up", client.why
            assert came[client.address.packed] == seconds
            assert len(client.inner) == seconds
            assert {packet[16:20] for packet in client.inner} == {client.address.packed}

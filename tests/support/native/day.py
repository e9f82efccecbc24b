"""A day of one native client: traffic both ways, and an account of every packet.

What is lost by renewals shows only if something is under way while they happen. So there is
traffic at all times, a little, and much whenever the client's SAs are unsettled.
"""

from scapy.layers.inet import ICMP, IP

from ipsec.constants import IKE_PORT
from ipsec.udpencap import NON_ESP_MARKER
from l2gate.configuration import Proposals
from l2gate.events import Noted, Stage
from ppp.constants import Code
from tests.support.client import ClientState
from tests.support.lab import INNER_SERVER, SERVER, Lab, up
from tests.support.native.client import NativeClient
from tests.support.native.groups import admit, group_of, key_of
from tests.support.native.profile import OldSas, Profile
from tests.support.simulation import Link, Nat, Wire

PATIENCE = 90.0
"""Seconds that a login over a bad network may take."""

QUIET, BUSY = 45.0, 0.25
"""Seconds between packets, without a renewal and in the midst of one."""

SIZE = 700
"""Octets of a packet; in ESP nothing but these is longer than that."""


class Day:
    """One client, which is logged in, and what became of the packets that it and we sent.

    `logins` counts how often it had to log in.
    """

    def __init__(
        self, profile: Profile, behind_nat: bool, old_sas: OldSas, loss: float, seed: int = 1
    ) -> None:
        proposals = Proposals.LEGACY if profile.legacy else Proposals.DEFAULT
        self.lab = Lab(seed, Link(delay=0.02, loss=loss), proposals)
        if group := group_of(profile):
            admit(self.lab, group)
        self.logins = 0
        self._counted_modes: dict[NativeClient, tuple[int, int]] = {}
        self.sent_up = self.sent_down = self.came_up = self.came_down = self.late = 0
        self._profile = profile
        self._nat = Nat("198.51.100.1") if behind_nat else None
        self._old_sas = old_sas
        self._began = self.lab.simulation.now
        self.client = self.log_in()
        address = str(self.client.address)
        self._there = bytes(IP(src=address, dst=INNER_SERVER) / ICMP() / bytes(SIZE - 28))
        self._back = bytes(IP(src=INNER_SERVER, dst=address) / ICMP(type=0) / bytes(SIZE - 28))

    def log_in(self) -> NativeClient:
        """Let the client log in, and what follows upon it come to an end."""
        host = "192.168.77.11" if self._nat else "198.51.100.7"
        client = self.lab.native(self._profile, "u1", host, self._nat, psk=key_of(self._profile))
        client.ike.old_sas = self._old_sas
        assert self.lab.run(PATIENCE, lambda: up(client)), (client.why, client.refusals)
        self.logins += 1
        self.lab.run(60 if self.logins > 1 else 20)  # that of before may have to be closed
        client.refusals.clear()
        self.talk = self.words(client)
        self.lines = len(self.lab.server.log)
        return client

    def run(self, hours: float) -> None:
        """Let hours pass, with traffic. A client that ends by its own rules logs in again."""
        simulation = self.lab.simulation
        end = simulation.now + hours * 3600
        due = simulation.now
        while simulation.now < end:
            if simulation.now >= due:
                self.ping()
                due = simulation.now + QUIET
            ike = self.client.ike
            if ike.unsettled:
                self.ping()
                self.lab.run(BUSY)
            else:
                self.lab.run(due - simulation.now, lambda ike=ike: ike.unsettled)  # type: ignore[misc]
            if self.client.why == "phase 1 is over":
                self.count()
                simulation.remove(self.client)
                self.client = self.log_in()
        self.lab.run(5)
        self.count()

    @property
    def seconds(self) -> float:
        """How long it lasts already."""
        return self.lab.simulation.now - self._began

    @property
    def main_modes(self) -> int:
        """How many main modes all its clients have done."""
        return sum(main for main, _ in self._counted_modes.values())

    @property
    def quick_modes(self) -> int:
        """How many quick modes all its clients have done."""
        return sum(quick for _, quick in self._counted_modes.values())

    def ping(self) -> None:
        if self.client.state is ClientState.UP:
            self.client.send(self._there)
            self.lab.server.receive_inner(self._back)
            self.sent_up += 1
            self.sent_down += 1

    def count(self) -> None:
        """Take account of what the client did and got."""
        client, server = self.client, self.lab.server
        assert set(server.inner) <= {self._there}
        assert set(client.inner) <= {self._back}
        self.came_up += len(server.inner)
        self.came_down += len(client.inner)
        self.late += sum(len(packet) > SIZE for packet in client.late)
        client.late.clear()
        self._counted_modes[client] = client.ike.main_modes, client.ike.quick_modes
        server.inner.clear()
        client.inner.clear()

    def lost(self, up: bool) -> int:
        """Return how many of the packets in one direction the network lost."""
        return sum(
            len(packet.data) > SIZE
            for packet in self.lab.simulation.lost
            if (packet.destination.host == SERVER) is up and is_esp(packet)
        )

    def words(self, client: NativeClient) -> list[object]:
        """Return what PPP and L2TP of the client have said and heard, probes left out."""
        echoes = (Code.ECHO_REQUEST, Code.ECHO_REPLY)
        said = [entry for entry in client.ppp.log if entry[1] not in echoes]
        return [client.lac.sent.copy(), said]

    def new_lines(self) -> list[Noted]:
        """Return log lines of the server since the last login that are not of IPsec alone."""
        return [
            line
            for line in self.lab.server.log[self.lines :]
            if line.trouble or line.stage not in (Stage.IKE, Stage.IPSEC)
        ]


def is_esp(packet: Wire) -> bool:
    """Say whether a packet is ESP, in UDP or not."""
    ports = packet.source.port, packet.destination.port
    return IKE_PORT not in ports and packet.data[:4] != NON_ESP_MARKER

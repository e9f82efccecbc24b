"""Hosts on a simulated network with loss, reordering, duplication and NAT, on a fake clock.

A host is anything with the four methods of `Host`. The simulation carries what hosts send to
the host that owns the destination address, after the link has done its worst, and moves the
clock to whatever comes next: an arrival or a host's deadline. Nothing sleeps.
"""

import heapq
from collections.abc import Callable
from random import Random
from typing import NamedTuple, Protocol

from ipsec.path import Address

ESP_PORT = 0
"""The port that stands for IP protocol 50, which has none."""


class Wire(NamedTuple):
    """One packet on the way: UDP, or ESP as IP protocol 50 where both ports are ESP_PORT."""

    source: Address
    destination: Address
    data: bytes


class Host(Protocol):
    def receive(self, packet: Wire, now: float) -> None: ...
    def handle_timeout(self, now: float) -> None: ...
    def next_timeout(self) -> float | None: ...
    def packets_to_send(self) -> list[Wire]: ...


class Link(NamedTuple):
    """What the network does to each packet; delays in seconds, the others as probabilities."""

    delay: float = 0.01
    jitter: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0


class Nat:
    """A router that gives each inner address and port a port of its one public address.

    It may itself be `behind` another, as at home behind a carrier's.
    """

    def __init__(
        self,
        public: str,
        first_port: int = 40000,
        keep_ports: bool = False,
        behind: "Nat | None" = None,
    ) -> None:
        self.public = public
        self.keep_ports = keep_ports
        self.behind = behind
        self._next_port = first_port
        self._outer: dict[Address, Address] = {}
        self._inner: dict[Address, Address] = {}

    def outbound(self, packet: Wire) -> Wire:
        outer = self._outer.get(packet.source)
        if outer is None:
            port = packet.source.port
            if not self.keep_ports or Address(self.public, port) in self._inner:
                port, self._next_port = self._next_port, self._next_port + 1
            outer = Address(self.public, port)
            self._outer[packet.source] = outer
            self._inner[outer] = packet.source
        return packet._replace(source=outer)

    def inbound(self, packet: Wire) -> Wire | None:
        inner = self._inner.get(packet.destination)
        return None if inner is None else packet._replace(destination=inner)

    def forward(self, host: str, *ports: int) -> None:
        """Give all that comes for these ports of the public address to a host on the inner side."""
        for port in ports:
            outer, inner = Address(self.public, port), Address(host, port)
            self._outer[inner], self._inner[outer] = outer, inner

    def forget(self, host: str | None = None) -> None:
        """Lose the mappings of a host, or all of them as when the router was switched off."""
        lost = [inner for inner in self._outer if host in (None, inner.host)]
        for inner in lost:
            del self._inner[self._outer.pop(inner)]


class Simulation:
    """The clock, the hosts and what is under way between them."""

    def __init__(self, seed: int = 1, link: Link | None = None) -> None:
        self.now = 1000.0
        self.link = link or Link()
        self.random = Random(seed)
        self.blocks: Callable[[Wire], bool] = lambda packet: False
        self.carried = 0
        self.lost: list[Wire] = []
        self._hosts: list[Host] = []
        self._due: dict[Host, float | None] = {}
        self._public: dict[str, Host | Nat] = {}
        self._behind: dict[tuple[Nat, str], Host | Nat] = {}
        self._nat_of: dict[Host, Nat] = {}
        self._queue: list[tuple[float, int, Wire]] = []
        self._turn = 0

    def add(self, host: Host, address: str, nat: Nat | None = None, also: str = "") -> None:
        """Put a host at `address`: on the public network, or on the inner side of `nat`.

        On the public network it may have an address of the other kind `also`.
        """
        self._hosts.append(host)
        if also:
            self._public[also] = host
        self._due[host] = None
        self._place(host, address, nat)

    def move(self, host: Host, address: str, nat: Nat) -> None:
        """Put a host behind another NAT, as a phone that leaves the house."""
        self._displace(host)
        self._place(host, address, nat)

    def _place(self, host: Host, address: str, nat: Nat | None) -> None:
        place: Host | Nat = host
        if nat is not None:
            self._nat_of[host] = nat
        while nat is not None:
            self._behind[nat, address] = place
            place, address, nat = nat, nat.public, nat.behind
        self._public[address] = place

    def remove(self, host: Host) -> None:
        """Cut the power of a host: it neither sends nor hears any more."""
        self._hosts.remove(host)
        del self._due[host]
        self._displace(host)

    def _displace(self, host: Host) -> None:
        self._nat_of.pop(host, None)
        self._public = {a: h for a, h in self._public.items() if h is not host}
        self._behind = {key: h for key, h in self._behind.items() if h is not host}

    def entropy(self) -> Callable[[int], bytes]:
        """A source of reproducible octets for one core."""
        return Random(self.random.getrandbits(64)).randbytes

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass until `until()` holds or `seconds` are over; return whether it held."""
        end = self.now + seconds
        self._settle(self._hosts)
        while not until():
            moments = [due for due in self._due.values() if due is not None]
            if self._queue:
                moments.append(self._queue[0][0])
            moment = max(min(moments, default=end), self.now)
            if moment > end or not moments:
                self.now = end
                return until()
            self.now = moment
            busy = []
            while self._queue and self._queue[0][0] <= self.now:
                host = self._deliver(heapq.heappop(self._queue)[2])
                if host is not None:
                    busy.append(host)
            for host, due in self._due.items():
                if due is not None and due <= self.now:
                    host.handle_timeout(self.now)
                    busy.append(host)
            self._settle(busy)
        return True

    def _settle(self, busy: list[Host]) -> None:
        """Take what hosts send, and note when each wants to be called again."""
        for host in busy:
            for packet in host.packets_to_send():
                nat = self._nat_of.get(host)
                while nat is not None:
                    packet, nat = nat.outbound(packet), nat.behind
                self._send(packet)
            self._due[host] = host.next_timeout()

    def _send(self, packet: Wire) -> None:
        if self.blocks(packet):
            return
        copies = 2 if self.random.random() < self.link.duplication else 1
        for _ in range(copies):
            if self.random.random() < self.link.loss:
                self.lost.append(packet)
                continue
            delay = self.link.delay + self.random.random() * self.link.jitter
            self._turn += 1
            heapq.heappush(self._queue, (self.now + delay, self._turn, packet))

    def _deliver(self, packet: Wire) -> Host | None:
        """Give a packet to the host it is for; return that, or None where there is none."""
        target = self._public.get(packet.destination.host)
        while isinstance(target, Nat):
            inner = target.inbound(packet)
            if inner is None:
                return None
            packet = inner
            target = self._behind.get((target, packet.destination.host))
        if target is not None:
            self.carried += 1
            target.receive(packet, self.now)
        return target

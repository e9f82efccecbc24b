"""An Ike as a host of the simulated network, and what tests ask of it."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from ipsec.config import IkeConfig, PresharedKey
from ipsec.endpoint import Ike
from ipsec.esp import EspError
from ipsec.events import (
    Event,
    PathChanged,
    PeerAuthenticated,
    SaConfirmed,
    SaDeleted,
    SaInstalled,
)
from ipsec.path import Address, Path
from ipsec.udpencap import Kind, classify
from tests.support.simulation import ESP_PORT, Link, Nat, Simulation, Wire
from wire import Entropy

PSK = b"golden-psk"
SERVER = "192.0.2.1"
CLIENT = "198.51.100.7"

E = TypeVar("E", bound=Event)


class IkeHost:
    """One end: its Ike, the ESP payloads that reached it, and all that Ike told."""

    def __init__(self, config: IkeConfig, entropy: Entropy, address: str) -> None:
        self.ike = Ike(config, entropy)
        self.address = address
        self.events: list[Event] = []
        self.payloads: list[bytes] = []
        self.pairs: dict[int, SaInstalled] = {}
        self.sending: SaInstalled | None = None
        self.path: Path | None = None
        self.corrupt: Callable[[bytes], bytes] = bytes
        self._confirmed: set[int] = set()
        self._packets: list[Wire] = []

    # What the simulation asks of a host.

    def receive(self, packet: Wire, now: float) -> None:
        packet = packet._replace(data=self.corrupt(packet.data))
        path = Path(packet.destination, packet.source)
        if packet.destination.port == ESP_PORT:
            self._receive_esp(packet.data, None, now)
            return
        kind = classify(packet.data, packet.destination.port)
        if kind is Kind.IKE:
            self.ike.receive(packet.data, path, now)
        elif kind is Kind.ESP:
            self._receive_esp(packet.data, path, now)
        self.collect()

    def handle_timeout(self, now: float) -> None:
        self.ike.handle_timeout(now)
        self.collect()

    def next_timeout(self) -> float | None:
        return self.ike.next_timeout()

    def packets_to_send(self) -> list[Wire]:
        self.collect()
        packets, self._packets = self._packets, []
        return packets + [
            Wire(path.local, path.peer, data) for data, path in self.ike.datagrams_to_send()
        ]

    # What a test asks.

    def told(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def send(self, payload: bytes) -> None:
        """Send a payload over the newest confirmed pair."""
        assert self.sending is not None
        assert self.path is not None
        local, peer = self.path
        if not self.sending.encapsulated:
            local, peer = Address(local.host, ESP_PORT), Address(peer.host, ESP_PORT)
        self._packets.append(Wire(local, peer, self.sending.outbound.seal(payload)))

    def collect(self) -> None:
        while (event := self.ike.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, PeerAuthenticated | PathChanged):
                self.path = event.path
            elif isinstance(event, SaInstalled):
                self.pairs[event.inbound.spi] = event
            elif isinstance(event, SaConfirmed):
                self.sending = self.pairs[event.inbound_spi]
                self._confirmed.add(event.inbound_spi)
            elif isinstance(event, SaDeleted):
                deleted = self.pairs.pop(event.inbound_spi)
                self._confirmed.discard(event.inbound_spi)
                if self.sending is deleted:
                    left = [one for spi, one in self.pairs.items() if spi in self._confirmed]
                    self.sending = left[-1] if left else None

    def _receive_esp(self, packet: bytes, path: Path | None, now: float) -> None:
        spi = int.from_bytes(packet[:4], "big")
        if spi in self.pairs:
            with suppress(EspError):
                self.payloads.append(self.pairs[spi].inbound.open(packet))
                self.ike.packet_authenticated(spi, path, now)


def config(**settings: object) -> IkeConfig:
    """Return settings with the pre-shared key of the tests."""
    return IkeConfig(**{"preshared_keys": lambda host: (PresharedKey(PSK),), **settings})  # type: ignore[arg-type]


class Pair:
    """A client and a server, and what is between them."""

    def __init__(
        self,
        client: IkeConfig | None = None,
        server: IkeConfig | None = None,
        nat: Nat | None = None,
        link: Link | None = None,
        seed: int = 1,
    ) -> None:
        self.simulation = Simulation(seed, link)
        entropy = self.simulation.entropy
        address = "10.0.0.2" if nat else CLIENT
        self.client = IkeHost(client or config(), entropy(), address)
        self.server = IkeHost(server or config(), entropy(), SERVER)
        self.simulation.add(self.client, address, nat)
        self.simulation.add(self.server, SERVER)

    def connect(self, port: int = 500) -> int:
        """Let the client call the server; return the server's number at the client."""
        path = Path(Address(self.client.address, port), Address(SERVER, port))
        return self.client.ike.connect(path, self.simulation.now)

    def established(self) -> bool:
        return self.client.sending is not None and self.server.sending is not None

    def establish(self, seconds: float = 60.0) -> None:
        """Connect, and wait until both sides can send."""
        self.connect()
        assert self.simulation.run(seconds, self.established)

    def exchange(self, text: bytes = b"there and back") -> None:
        """Send a payload each way, and see that it arrives."""
        for sender, receiver in ((self.client, self.server), (self.server, self.client)):
            sender.send(text)
            assert self.simulation.run(5.0, lambda to=receiver: to.payloads[-1:] == [text])
            receiver.payloads.clear()

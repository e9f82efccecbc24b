"""A server host that shows its captures what comes and goes, and what they tell."""

from typing import Final

from ipsec.path import Path
from l2gate.capture import Captures
from l2gate.configuration import Configuration, Proposals
from l2gate.control import Json
from tests.support.client import ServerHost
from tests.support.lab import SERVER, Lab, configuration
from tests.support.simulation import ESP_PORT, Wire
from wire import Entropy

WALL: Final = 1_700_000_000.0
"""What the clock of people is ahead of that of the simulation."""


class Sink:
    """Keeps what a capture tells; refuses to as long as `slow`."""

    def __init__(self) -> None:
        self.told: list[dict[str, Json]] = []
        self.slow = False
        self.closed = False

    def offer(self, message: dict[str, Json]) -> bool:
        if self.slow:
            return False
        self.put(message)
        return True

    def put(self, message: dict[str, Json]) -> None:
        self.told.append(message)

    def close(self) -> None:
        self.closed = True

    def of(self, kind: str) -> list[dict[str, Json]]:
        """Return the messages of a kind: packet, table or end."""
        return [message for message in self.told if kind in message]

    def lines(self, table: str) -> list[str]:
        """Return the lines of a table."""
        return [str(message["line"]) for message in self.of("table") if message["table"] == table]


class RecordedHost(ServerHost):
    """As the program does: what came in is shown when the gateway has had it."""

    def __init__(self, configuration: Configuration, entropy: Entropy) -> None:
        super().__init__(configuration, entropy)
        self.captures = Captures(self.gateway)
        self._now = 0.0

    def record(self, whose: str, seconds: float = 300, packets: int = 10_000) -> Sink:
        """Start a capture."""
        sink = Sink()
        self.captures.make(whose, seconds, packets).start(sink)
        return sink

    def receive(self, packet: Wire, now: float) -> None:
        self._now = now
        super().receive(packet, now)
        path = Path(packet.destination, packet.source)
        if packet.destination.port in (ESP_PORT, 500, 4500):
            self.captures.received([(packet.data, path)], WALL + now)

    def handle_timeout(self, now: float) -> None:
        self._now = now
        super().handle_timeout(now)

    def packets_to_send(self) -> list[Wire]:
        packets = super().packets_to_send()
        for packet in packets:
            path = Path(packet.source, packet.destination)
            self.captures.sent([packet.data], path, WALL + self._now)
        return packets


class RecordedLab(Lab):
    """A lab whose server can record."""

    def __init__(self, proposals: Proposals = Proposals.DEFAULT) -> None:
        super().__init__(proposals=proposals)
        self.simulation.remove(self.server)
        settings = configuration(proposals=proposals)
        self.host = RecordedHost(settings, self.simulation.entropy())
        self.server = self.host
        self.simulation.add(self.host, SERVER)

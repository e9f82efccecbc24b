"""The rest of a client, for tests of a single layer: it writes down what the layer wants."""

from ipaddress import IPv4Address

from tests.support.ppp import Sent, read


class Program:
    """What L2TP and PPP sent, how many calls came up, and why the last one ended."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.frames: list[Sent] = []
        self.calls = 0
        self.why = ""

    def send_l2tp(self, data: bytes) -> None:
        self.sent.append(data)

    def send_frame(self, frame: bytes) -> None:
        self.frames.append(read(frame))

    def call_up(self) -> None:
        self.calls += 1

    def network_up(self, address: IPv4Address, dns: tuple[IPv4Address, ...]) -> None:
        pass

    def lost(self, why: str) -> None:
        self.why = why

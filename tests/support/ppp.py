"""PPP links in tests: building and reading frames, a scripted peer, and two links on a pipe."""

import heapq
from collections.abc import Callable
from ipaddress import IPv4Address
from random import Random
from typing import NamedTuple

from ppp import Assignment, Credentials, Link, LinkConfig
from ppp.constants import Code, LcpOption, Protocol
from ppp.events import Authenticated, AuthenticationRequested, Event
from ppp.frame import Frame
from ppp.packet import Option, Packet, build_options, parse_options
from wire import Reader

NAME, PASSWORD = "alice", "wonderland"
CREDENTIALS = Credentials(NAME, PASSWORD)
ASSIGNMENT = Assignment(
    IPv4Address("10.9.0.10"), IPv4Address("10.9.0.1"), (IPv4Address("10.9.0.53"),)
)


class Sent(NamedTuple):
    """A control packet as a test reads and writes it."""

    protocol: Protocol
    code: int
    identifier: int
    data: bytes = b""

    @property
    def options(self) -> dict[int, bytes]:
        return {option.type: option.data for option in parse_options(self.data)}

    def build(self) -> bytes:
        packet = Packet(self.code, self.identifier, self.data)
        return Frame(self.protocol, packet.build()).build()


def read(frame: bytes) -> Sent:
    """Return the control packet in a frame."""
    parsed = Frame.parse(Reader(frame))
    packet = Packet.parse(Reader(parsed.information))
    return Sent(parsed.protocol, packet.code, packet.identifier, packet.data)


def configure(protocol: Protocol, code: Code, identifier: int, *options: tuple[int, str]) -> Sent:
    """Return a Configure packet; the options' data are hex."""
    data = build_options(Option(kind, bytes.fromhex(text)) for kind, text in options)
    return Sent(protocol, code, identifier, data)


def entropy(seed: int = 1) -> Callable[[int], bytes]:
    return Random(seed).randbytes


def drain(link: Link) -> list[Event]:
    """Return all events of a link."""
    events = []
    while (event := link.next_event()) is not None:
        events.append(event)
    return events


class Server:
    """A server link with its AAA, driven by hand: `now` is moved by the test.

    Proofs are verified at once against PASSWORD, unless `aaa` is False; then they wait in
    `events` with everything else. `magic` is the link's magic number.
    """

    def __init__(self, config: LinkConfig | None = None, aaa: bool = True, seed: int = 1) -> None:
        self.link = Link(config or LinkConfig(), entropy(seed))
        self.now = 0.0
        self.events: list[Event] = []
        self.magic = bytes(4)
        self._aaa = aaa

    def give(self, *packets: Sent) -> list[Sent]:
        """Let the link receive packets; return what it sends."""
        for packet in packets:
            self.link.receive(packet.build(), self.now)
            self.decide()
        return self.take()

    def wait(self, seconds: float) -> list[Sent]:
        """Let time pass, from deadline to deadline; return what the link sends."""
        sent = []
        end = self.now + seconds
        while (due := self.link.next_timeout()) is not None and due <= end:
            self.now = max(self.now, due)
            self.link.handle_timeout(self.now)
            self.decide()
            sent += self.take()
        self.now = end
        return sent

    def take(self) -> list[Sent]:
        return [read(frame) for frame in self.link.frames_to_send()]

    def decide(self) -> None:
        while (event := self.link.next_event()) is not None:
            self.events.append(event)
            if self._aaa:
                answer(self.link, event, self.now)

    def start(self) -> Sent:
        """Start the link; return its Configure-Request."""
        self.link.start(self.now)
        (request,) = self.take()
        self.magic = request.options[LcpOption.MAGIC_NUMBER]
        return request

    def open_lcp(self, *options: tuple[int, str]) -> list[Sent]:
        """Bring LCP up with a peer that agrees to everything; return what follows."""
        request = self.start()
        self.give(configure(Protocol.LCP, Code.CONFIGURE_REQUEST, 1, *options))
        return self.give(request._replace(code=Code.CONFIGURE_ACK))


def answer(link: Link, event: Event, now: float) -> None:
    """Be the AAA of a server: one user, one address."""
    if isinstance(event, AuthenticationRequested):
        reply = event.proof.verify(PASSWORD, None)
        if reply is None or event.proof.name.rpartition("\\")[2] != NAME:
            link.rejected(event.request, 691, "authentication failed", now)
        else:
            link.authenticated(event.request, reply, now)
    elif isinstance(event, Authenticated):
        link.assign(ASSIGNMENT, now)


class Fate(NamedTuple):
    """What becomes of a frame: how many copies arrive, and after what time each."""

    delays: tuple[float, ...] = (0.01,)


class Pair:
    """A server and a client on a pipe whose `fate` decides over each frame; a fake clock."""

    def __init__(
        self,
        fate: Callable[[], Fate] = Fate,
        server: LinkConfig | None = None,
        client: LinkConfig | None = None,
    ) -> None:
        self.now = 0.0
        self.server = Link(server or LinkConfig(), entropy(1))
        self.client = Link(client or LinkConfig(credentials=CREDENTIALS), entropy(2))
        self.events: dict[Link, list[Event]] = {self.server: [], self.client: []}
        self.carried: list[tuple[float, Link, bytes]] = []
        self._fate = fate
        self._queue: list[tuple[float, int, Link, bytes]] = []
        self._turn = 0

    def start(self) -> None:
        self.server.start(self.now)
        self.client.start(self.now)
        self._flush()

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass until `until()` or `seconds` are over; return whether it held."""
        end = self.now + seconds
        while not until():
            moments = [due for link in self.events if (due := link.next_timeout()) is not None]
            moments += [self._queue[0][0]] if self._queue else []
            if not moments or min(moments) > end:
                self.now = end
                return until()
            self.now = max(self.now, min(moments))
            while self._queue and self._queue[0][0] <= self.now:
                _, _, link, frame = heapq.heappop(self._queue)
                self.carried.append((self.now, link, frame))
                link.receive(frame, self.now)
                self._flush()
            for link in self.events:
                due = link.next_timeout()
                if due is not None and due <= self.now:
                    link.handle_timeout(self.now)
            self._flush()
        return True

    def _flush(self) -> None:
        for link, other in ((self.server, self.client), (self.client, self.server)):
            while (event := link.next_event()) is not None:
                self.events[link].append(event)
                if link is self.server:
                    answer(link, event, self.now)
            for frame in link.frames_to_send():
                for delay in self._fate().delays:
                    self._turn += 1
                    heapq.heappush(self._queue, (self.now + delay, self._turn, other, frame))

"""What the parts of Ike share: settings, timers, what is to be sent and told.

The timers, and what each does when it is due:

HALF_OPEN   a stranger's main mode did not come to its end: it is forgotten
REASSEMBLY  fragments of a message are still missing: it is forgotten (fragmentation.py)
RESEND      a request of ours was not answered: it is sent again, or its exchange has failed
IKE_END     an ISAKMP SA has lived long enough: it is deleted
IKE_RENEWAL ... soon, and we began it: a new main mode is begun (renewals.py)
ESP_END     a pair of ESP SAs has lived long enough: it is deleted
ESP_RENEWAL ... soon, and whose part it is has not renewed it: a new quick mode is begun
LIVENESS    a peer may be dead: look whether it sent anything, else ask it (dpd.py)
KEEPALIVE   our NAT may forget us: send the octet that keeps its mapping (RFC 3948 section 4)
VOLUME      now and then: renew or end the pairs that have carried all that they may
"""

from collections import Counter, deque
from collections.abc import Hashable, Sequence
from enum import Enum, auto

from ipsec.config import IkeConfig
from ipsec.errors import Drop
from ipsec.events import Event
from ipsec.path import Datagram, Path
from ipsec.udpencap import add_marker
from wire import Deadlines, Entropy


class Timer(Enum):
    """See above."""

    HALF_OPEN = auto()
    REASSEMBLY = auto()
    RESEND = auto()
    IKE_END = auto()
    IKE_RENEWAL = auto()
    ESP_END = auto()
    ESP_RENEWAL = auto()
    LIVENESS = auto()
    KEEPALIVE = auto()
    VOLUME = auto()


class Context:
    """Shared by all parts of one Ike. `counters` counts what was dropped, by reason."""

    __slots__ = ("config", "counters", "deadlines", "entropy", "events", "outbox", "requests")

    def __init__(self, config: IkeConfig, entropy: Entropy) -> None:
        self.config = config
        self.entropy = entropy
        self.deadlines: Deadlines[tuple[Timer, Hashable]] = Deadlines()
        self.outbox: list[Datagram] = []
        self.events: deque[Event] = deque()
        self.counters: Counter[Drop] = Counter()
        self.requests: dict[Hashable, Request] = {}

    def send(self, message: bytes, path: Path) -> None:
        """Send an IKE message."""
        self.outbox.append(Datagram(add_marker(message, path.local.port), path))

    def tell(self, event: Event) -> None:
        """Raise an event."""
        self.events.append(event)

    def drop(self, reason: Drop) -> None:
        """Count a message that was dropped."""
        self.counters[reason] += 1

    # Requests: messages that are sent again until they are answered.

    def request(
        self,
        exchange: Hashable,
        message: bytes,
        path: Path,
        now: float,
        pauses: Sequence[float] = (),
    ) -> None:
        """Send a message of `exchange`, in place of the one before it, until it is answered.

        `pauses` are those before each resending, where they are not the usual ones.
        """
        self.send(message, path)
        request = Request(message, path, pauses or self.config.retransmission)
        self.requests[exchange] = request
        self.deadlines.set((Timer.RESEND, exchange), now + request.pauses[0])

    def answered(self, exchange: Hashable) -> None:
        """Stop sending the last message of `exchange`."""
        self.requests.pop(exchange, None)
        self.deadlines.clear((Timer.RESEND, exchange))

    def resend(self, exchange: Hashable, now: float) -> bool:
        """Send the last message of `exchange` again; False once that was done often enough."""
        request = self.requests.get(exchange)
        if request is None:
            return True
        request.attempts += 1
        if request.attempts >= len(request.pauses):
            self.answered(exchange)
            return False
        self.send(request.message, request.path)
        self.deadlines.set((Timer.RESEND, exchange), now + request.pauses[request.attempts])
        return True


class Request:
    """A message that waits for its answer."""

    __slots__ = ("attempts", "message", "path", "pauses")

    def __init__(self, message: bytes, path: Path, pauses: Sequence[float]) -> None:
        self.message = message
        self.path = path
        self.pauses = pauses
        self.attempts = 0

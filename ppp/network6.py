"""IPv6 on one end of a link: IPV6CP and, on a server, the router that it opens."""

from ppp.automaton import Surroundings
from ppp.config import Assignment, LinkConfig
from ppp.ipv6cp import Ipv6cp
from ppp.packet import Packet
from ppp.router import MINIMUM_MTU, Router
from wire import Entropy, Reader


class Network6:
    """IPv6 of a link whose IPV6CP begins now; `assignment` is None on a client.

    `cp` is the automaton. What is to be sent is returned, as whole IPv6 packets.
    """

    __slots__ = ("_assignment", "_entropy", "_mtu", "_router", "cp")

    def __init__(
        self,
        config: LinkConfig,
        link: Surroundings,
        assignment: Assignment | None,
        entropy: Entropy,
        now: float,
    ) -> None:
        self._assignment = assignment
        self._mtu = min(link.peer_mru, config.mru)
        self._entropy = entropy
        self._router: Router | None = None
        self.cp = Ipv6cp(config, link, entropy)
        self.cp.open(now)
        self.cp.up(now)

    def opened(self, now: float) -> None:
        """IPV6CP is open: begin to be the peer's router."""
        if self._assignment is not None:
            self._router = Router(self.cp.local, self._assignment, self._mtu, self._entropy, now)

    def closed(self) -> None:
        """IPV6CP is not open any more."""
        self._router = None

    def receive_control(self, information: bytes, now: float) -> None:
        """Take a packet of IPV6CP. Raises DecodeError."""
        self.cp.receive(Packet.parse(Reader(information)), now)

    def receive(self, packet: bytes) -> bytes | None:
        """Return the answer to an IPv6 packet that is for the router. Raises DecodeError."""
        return self._router.receive(packet) if self._router is not None else None

    def handle_timeout(self, now: float) -> bytes | None:
        """Do what is due."""
        self.cp.handle_timeout(now)
        return self._router.handle_timeout(now) if self._router is not None else None

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due, or None."""
        timers = [self.cp.next_timeout()]
        timers += [self._router.next_timeout()] if self._router is not None else []
        return min((timer for timer in timers if timer is not None), default=None)


def is_possible(config: LinkConfig, link: Surroundings) -> bool:
    """Return whether the link carries packets as large as IPv6 needs (RFC 8200 section 5)."""
    return min(link.peer_mru, config.mru) >= MINIMUM_MTU

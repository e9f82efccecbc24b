"""What all tunnels of one LNS or LAC share: tables, timers, and the way out."""

from __future__ import annotations

from collections import Counter, deque
from enum import Enum, auto
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from l2tp.config import L2tpConfig
from l2tp.events import Datagram, Event, Flow, Result, SessionId, TunnelId
from l2tp.ids import IdTable
from l2tp.messages import Hiding, Message
from l2tp.role import Role
from wire import Deadlines, Entropy

if TYPE_CHECKING:
    from l2tp.session import Session
    from l2tp.tunnel import ControlConnection


class DropReason(Enum):
    """Why a datagram was dropped without an answer."""

    MALFORMED_HEADER = "malformed header"
    UNKNOWN_TUNNEL = "unknown tunnel"
    OTHER_FLOW = "tunnel of another flow"
    UNKNOWN_SESSION = "unknown session"
    NOT_ESTABLISHED = "data before the session is established"
    NEVER_SENT = "acknowledges what was never sent"
    STRAY = "belongs to no tunnel"
    LOST_TIE = "lost the tie"


class Timer(Enum):
    """The timers, by what they belong to; those of one thing never run at the same time.

    * RETRANSMISSION of a tunnel's oldest unacknowledged message (section 5.8)
    * TUNNEL: until it is established, the limit for that; then the next HELLO (5.5); after
      its end, the time for which it still acknowledges (5.7)
    * CALL: until the session is established, the limit for that
    """

    RETRANSMISSION = auto()
    TUNNEL = auto()
    CALL = auto()


class TimerKey(NamedTuple):
    """Which timer of which tunnel or session."""

    timer: Timer
    number: TunnelId | SessionId


class Ending(NamedTuple):
    """Why something ends: the line for the log, and what went or came in the Result Code AVP."""

    why: str
    by_peer: bool = False
    result: Result | None = None


class Shared:
    """The tables and queues of one LNS or LAC."""

    __slots__ = (
        "config",
        "datagrams",
        "dropped",
        "entropy",
        "events",
        "role",
        "sessions",
        "timers",
        "tunnels",
    )

    def __init__(self, role: Role, config: L2tpConfig, entropy: Entropy) -> None:
        self.role = role
        self.config = config
        self.entropy = entropy
        self.tunnels = TunnelTable(config, entropy)
        self.sessions: IdTable[Session] = IdTable(config.max_sessions, entropy)
        self.timers: Deadlines[TimerKey] = Deadlines()
        self.datagrams: list[Datagram] = []
        self.events: deque[Event] = deque()
        self.dropped: Counter[DropReason] = Counter()

    def drop(self, reason: DropReason) -> None:
        """Count a datagram that is not answered."""
        self.dropped[reason] += 1

    def avps(self, message: Message) -> bytes:
        """Return a message's AVPs, hidden if so configured."""
        if self.config.hide_avps and self.config.secret is not None:
            return message.build(Hiding(self.config.secret, self.entropy))
        return message.build()


class TunnelTable(IdTable["ControlConnection"]):
    """All tunnels, by our id and by flow, and how many more there may be.

    A tunnel that has stopped stays for a retransmission cycle, but does not keep others out:
    where room is short, the one that stopped first goes.
    """

    __slots__ = ("_config", "_flows", "_half_open", "_stopped")

    def __init__(self, config: L2tpConfig, entropy: Entropy) -> None:
        super().__init__(config.max_tunnels, entropy)
        self._config = config
        self._flows: dict[Flow, list[ControlConnection]] = {}
        self._half_open: set[TunnelId] = set()
        self._stopped: dict[TunnelId, ControlConnection] = {}

    def of_flow(self, flow: Flow) -> list[ControlConnection]:
        """Return the tunnels of a flow, oldest first."""
        return list(self._flows.get(flow, ()))

    def of_peer(self, flow: Flow, peer_id: int) -> ControlConnection | None:
        """Return the newest tunnel of a flow to which the peer gave this id."""
        for tunnel in reversed(self._flows.get(flow, ())):
            if tunnel.peer_id == peer_id:
                return tunnel
        return None

    def why_no_more(self, flow: Flow) -> str | None:
        """Return why this flow can have no further tunnel, or None if it can."""
        config = self._config
        living = [tunnel for tunnel in self._flows.get(flow, ()) if tunnel.id not in self._stopped]
        if len(living) >= config.max_tunnels_per_flow:
            return f"this client has {len(living)} tunnels open, the limit for one client"
        if len(self._half_open) >= config.max_half_open:
            return f"{len(self._half_open)} tunnels are half open, the limit"
        if self.full and not self._stopped:
            return f"{len(self)} tunnels are open, the limit"
        return None

    def in_the_way(self, flow: Flow) -> list[ControlConnection]:
        """Return the stopped tunnels that have to go before this flow can have another one."""
        stopped = [tunnel for tunnel in self._flows.get(flow, ()) if tunnel.id in self._stopped]
        excess = stopped[: max(len(stopped) + 1 - self._config.max_tunnels_per_flow, 0)]
        return excess or list(islice(self._stopped.values(), 1 if self.full else 0))

    def add(self, tunnel: ControlConnection) -> None:
        """Enter a new tunnel."""
        self.put(tunnel.id, tunnel)
        self._flows.setdefault(tunnel.flow, []).append(tunnel)
        self._half_open.add(tunnel.id)

    def established(self, tunnel: ControlConnection) -> None:
        """Note that a tunnel is no longer half open."""
        self._half_open.discard(tunnel.id)

    def stopped(self, tunnel: ControlConnection) -> None:
        """Note that a tunnel only stays to acknowledge."""
        self._half_open.discard(tunnel.id)
        self._stopped[tunnel.id] = tunnel

    def discard(self, tunnel: ControlConnection) -> None:
        """Forget a tunnel."""
        self.remove(tunnel.id)
        self._half_open.discard(tunnel.id)
        self._stopped.pop(tunnel.id, None)
        siblings = self._flows.get(tunnel.flow, [])
        if tunnel in siblings:
            siblings.remove(tunnel)
        if not siblings:
            self._flows.pop(tunnel.flow, None)

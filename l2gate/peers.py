"""The IPsec peers: which SAs they have, and what of that the data plane needs to know."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ipsec.endpoint import Path
from ipsec.esp import OutboundSa
from ipsec.events import PeerAuthenticated, SaInstalled
from l2gate.records import PeerRecord, SaRecord, Tables

MAX_DRAINING = 16
"""SAs of one peer that are let in on after their end; a client that renews has one at a time."""


class Flow(NamedTuple):
    """What an L2TP tunnel belongs to (RFC 3193 section 3.3).

    The peer stands for the addresses: its SAs carry nothing but the packets between the two
    hosts that negotiated them. `port` is its UDP port inside ESP; ours is always 1701.
    """

    peer: int
    port: int


class _Outbound(NamedTuple):
    """The outbound half of a pair, kept under the SPI of the inbound half."""

    sa: OutboundSa
    encapsulated: bool


@dataclass(slots=True, eq=False)
class Peer:
    """One IPsec peer. `tunnels` are the L2TP tunnels that came through it.

    `draining` are inbound SAs that it has deleted a moment ago.
    """

    record: PeerRecord
    identity: str
    client: str
    algorithms: str
    key: str
    tunnels: set[int] = field(default_factory=set)
    pairs: dict[int, _Outbound] = field(default_factory=dict)
    confirmed: set[int] = field(default_factory=set)
    draining: set[int] = field(default_factory=set)


class Peers:
    """All peers, and the part of the tables that follows from their SAs."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._peers: dict[int, Peer] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._peers.values())

    def get(self, peer: int) -> Peer | None:
        """Return a peer, or None if it is gone."""
        return self._peers.get(peer)

    def add(self, event: PeerAuthenticated) -> Peer:
        """Note a peer that has just proven who it is; it has no SAs yet."""
        record = PeerRecord(event.peer, event.path, encapsulated=False)
        peer = Peer(record, str(event.identity), event.client, event.algorithms, event.key)
        self._peers[event.peer] = peer
        return peer

    def install(self, event: SaInstalled) -> None:
        """Let the peer's packets in on a new pair; ours go out on it once it is confirmed."""
        peer = self._peers.get(event.peer)
        if peer is None:
            return
        self._tables.sas[event.inbound.spi] = SaRecord(event.inbound, peer.record)
        peer.pairs[event.inbound.spi] = _Outbound(event.outbound, event.encapsulated)
        peer.draining.discard(event.inbound.spi)
        peer.algorithms = event.algorithms

    def confirm(self, number: int, spi: int) -> None:
        """Send on the pair of the inbound SA `spi` from now on, unless there is a newer one."""
        peer = self._peers.get(number)
        if peer is not None and spi in peer.pairs:
            peer.confirmed.add(spi)
            _choose_outbound(peer)

    def uninstall(self, number: int, spi: int) -> None:
        """Forget a pair; another confirmed one takes over, the newest there is."""
        self._tables.sas.pop(spi, None)
        self._stop_sending(number, spi)

    def drain(self, number: int, spi: int) -> None:
        """Forget a pair, but let in what is under way on it until `drained`."""
        peer = self._stop_sending(number, spi)
        if peer is not None and len(peer.draining) < MAX_DRAINING:
            peer.draining.add(spi)
        else:
            self._tables.sas.pop(spi, None)

    def drained(self, spi: int) -> None:
        """Let nothing more in on an SA that was drained."""
        record = self._tables.sas.get(spi)
        peer = self._peers.get(record.peer.peer) if record is not None else None
        if peer is not None and spi in peer.draining:
            peer.draining.remove(spi)
            del self._tables.sas[spi]

    def move(self, number: int, path: Path) -> None:
        """Send to where the peer has moved."""
        peer = self._peers.get(number)
        if peer is not None:
            peer.record.path = path

    def remove(self, number: int) -> Peer | None:
        """Forget a peer and whatever SAs it still has; return it, or None if unknown."""
        peer = self._peers.pop(number, None)
        if peer is not None:
            for spi in peer.draining.union(peer.pairs):
                self._tables.sas.pop(spi, None)
            peer.record.outbound = None
        return peer

    def _stop_sending(self, number: int, spi: int) -> Peer | None:
        peer = self._peers.get(number)
        if peer is not None and peer.pairs.pop(spi, None) is not None:
            peer.confirmed.discard(spi)
            _choose_outbound(peer)
            return peer
        return None


def _choose_outbound(peer: Peer) -> None:
    newest = next((spi for spi in reversed(peer.pairs) if spi in peer.confirmed), None)
    if newest is None:
        peer.record.outbound = None
        return
    outbound = peer.pairs[newest]
    peer.record.outbound = outbound.sa
    peer.record.encapsulated = outbound.encapsulated

"""Renewal: before an SA ends, another takes its place.

How this works. It is for who called the other to renew all SAs. Once one is due, that is tried
again and again until another SA is there, so that no message that is lost, refused or made
void by the end of an ISAKMP SA can stop it:

ISAKMP SA   by a new main mode. The old one stays for what is under way under it.
pair        by a quick mode under the newest ISAKMP SA; without any, a main mode is begun first.
            An ISAKMP SA under which nobody answered is no longer counted on.

If it is a client that should have done so and has not, as time, kilobytes or sequence numbers
run out, we renew the pair in its place, by a quick mode with what was agreed on before, and
again each time that half of the rest is over. But no client expects a main mode: if there is no
ISAKMP SA, or the client does not answer, the pair lives to its end.

When both begin at once, there are two new pairs, which does no harm. Both ends keep the old pair
until its lifetime is over and send on the newest that the other one is known to have, so that
nothing is lost in between. If the last pair is gone all the same, who called the other calls
anew, and gives the peer up when that fails, too.
"""

from typing import Final

from ipsec.context import Context, Timer
from ipsec.events import Why
from ipsec.isakmp_sa import IsakmpSa
from ipsec.main_modes import MainModes
from ipsec.peer import Peer
from ipsec.peers import LATE_RENEWAL, RENEWAL, VOLUME_INTERVAL, Peers
from ipsec.quick_modes import QuickModes
from ipsec.sa_pair import SaPair

RETRY: Final = 15.0
"""Seconds between looks whether a renewal has led to something, else it is begun again."""


class Renewals:
    """Renews SAs in time, and ends pairs whose time is over."""

    __slots__ = ("_context", "_main_modes", "_peers", "_quick_modes")

    def __init__(
        self, context: Context, peers: Peers, main_modes: MainModes, quick_modes: QuickModes
    ) -> None:
        self._context = context
        self._peers = peers
        self._main_modes = main_modes
        self._quick_modes = quick_modes

    def renew_isakmp_sa(self, sa: IsakmpSa, now: float) -> None:
        """See that another ISAKMP SA takes the place of this one."""
        self._context.deadlines.set((Timer.IKE_RENEWAL, sa), now + RETRY)
        self._call(sa.peer, now)

    def renew_pair(self, pair: SaPair, now: float) -> None:
        """See that there is another pair for the traffic of this one, which may be gone."""
        peer = pair.sa.peer
        if peer.id not in self._peers.by_id:
            return
        if not peer.dialled:
            self._renew_for_client(pair, peer, now)
            return
        if pair.spi in peer.pairs:
            self._context.deadlines.set((Timer.ESP_RENEWAL, pair), now + RETRY)
        if peer.sending not in (pair, None):
            return
        if peer.newest is None:
            self._call(peer, now)
        elif not self._quick_modes.is_under_way(peer):
            self._quick_modes.start(peer.newest, now, pair)

    def end_pair(self, pair: SaPair, now: float) -> None:
        """Delete a pair whose time is over; the peer goes with its last one, or is called anew."""
        peer = self._peers.by_spi[pair.spi][1]
        self._peers.delete_pair(pair, Why.EXPIRED)
        if peer.dialled and not peer.pairs:
            self._call_anew(peer, now)
            return
        self._peers.close_if_empty(peer, Why.EXPIRED)

    def check_volumes(self, now: float) -> None:
        """Renew pairs that have carried nearly all they may, and limit the time of the others."""
        for pair, peer in list(self._peers.by_spi.values()):
            used_up = pair.volume >= 1
            if pair.volume >= RENEWAL and peer.dialled:
                self.renew_pair(pair, now)
                used_up |= peer.sending is not pair
            elif pair.volume >= LATE_RENEWAL and not pair.tries:
                self._peers.hasten(pair, now)
            if used_up:
                self._peers.limit(pair, now)
        if self._peers.by_spi:
            self._context.deadlines.set((Timer.VOLUME, None), now + VOLUME_INTERVAL)

    def _renew_for_client(self, pair: SaPair, peer: Peer, now: float) -> None:
        end = self._context.deadlines.get((Timer.ESP_END, pair))
        if end is None or peer.sending is not pair:
            return
        self._context.deadlines.set((Timer.ESP_RENEWAL, pair), now + max(RETRY, (end - now) / 2))
        if peer.newest is not None and not self._quick_modes.is_under_way(peer):
            pair.tries += 1
            self._quick_modes.start(peer.newest, now, pair)

    def _call_anew(self, peer: Peer, now: float) -> None:
        """Count on nothing that there was, and leave the peer to find out what it has lost."""
        self._main_modes.forget_peer(peer.id)
        for sa in list(peer.isakmp_sas):
            self._peers.remove_isakmp_sa(sa)
        self._main_modes.start(peer.path, peer.id, now)

    def _call(self, peer: Peer, now: float) -> None:
        if not self._main_modes.is_calling(peer.id):
            self._main_modes.start(peer.path, peer.id, now)

"""Peers: who has which SAs, where it is, and when all of it ends.

A peer is one client. All ISAKMP SAs and pairs of ESP SAs that it negotiates belong to it, so
that renewing any of them goes unnoticed above. A new ISAKMP SA is taken for a known peer's if
it came from the same address and port under the same identity: one client behind a NAT has the
port for itself. With INITIAL-CONTACT the client says that it has forgotten everything: then it
is a new peer, and the old one, and only that, is closed (RFC 3947 section 6 would go by the
identity alone; but behind NAT that is a private address, and the neighbours have it too).

If NAT has given a client another port just before it renews its ISAKMP SA, the new one comes from
where nobody is known. It gets a peer of its own, until a packet under an SA of the old peer comes
from there, too: by the rule above they are then one, whichever came first, and all that the
new peer has becomes the old one's. To hear such a packet soon, we ask there under the old SAs
(RFC 3706), which nobody can answer who does not have them.
"""

from typing import Final

from ipsec.checks import known
from ipsec.constants import IKE_PORT, PayloadType, ProtocolId
from ipsec.context import Context, Timer
from ipsec.dpd import Liveness
from ipsec.events import (
    Negotiation,
    PathChanged,
    PeerAuthenticated,
    PeerClosed,
    SaConfirmed,
    SaDeleted,
    SaInstalled,
    Why,
)
from ipsec.isakmp_sa import IsakmpSa
from ipsec.main_mode import MainMode
from ipsec.message import Cookies, Payload
from ipsec.offers import describe
from ipsec.path import Path
from ipsec.payloads import Delete, Identification
from ipsec.peer import Peer
from ipsec.policy import SPI_LENGTH
from ipsec.sa_pair import SaPair

MAX_ISAKMP_SAS: Final = 4
MAX_PAIRS: Final = 16
"""Of one peer. A client that renews its SAs has two of each for a while."""

RENEWAL: Final = 0.85
"""The part of its lifetime after which an SA is renewed by who called the other."""

LATE_RENEWAL: Final = 0.95
LATE_MARGIN: Final = 300.0
SPREAD: Final = 0.4
"""The same for the pairs of a client that has not done so by then, though no more seconds before
the end than this: clients that count back from the end, as libreswan and strongSwan, begin 9
minutes before it at the latest. By this part of what is left it may become later, at random, lest
all do it at once that have logged in at once."""

MAX_QUESTIONS: Final = 4
"""Old peers that a new one is asked for whether it is one of them."""

VOLUME_INTERVAL: Final = 10.0
"""Seconds between looks at how much the SAs have carried."""

LINGER: Final = 5.0
"""Seconds for which an ISAKMP SA that the peer deleted still takes its deletes: on the way the
one of the ESP SAs may have been overtaken."""

GRACE: Final = 60.0
"""Seconds that SAs have after their time is over, longer than any exchange that goes on for want
of answers: those that the peer began, whose clock started later and who is the one to end them;
ISAKMP SAs that were renewed; and pairs that have carried all that they may."""

_ENDS: Final = (Why.EXPIRED, Why.DELETED_BY_PEER)

LOWEST_SPI: Final = 256
"""RFC 4303 section 2.1: those below are reserved."""


class Peers:
    """All peers, found by number, by cookies, and by the SPIs of their inbound SAs."""

    __slots__ = ("_context", "_last_id", "_places", "by_cookies", "by_id", "by_spi")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._last_id = 0
        self._places: dict[Path, list[Peer]] = {}
        self.by_id: dict[int, Peer] = {}
        self.by_cookies: dict[Cookies, IsakmpSa] = {}
        self.by_spi: dict[int, tuple[SaPair, Peer]] = {}

    def __len__(self) -> int:
        return len(self.by_id)

    def new_id(self) -> int:
        """Return the number for a new peer."""
        self._last_id += 1
        return self._last_id

    def new_spi(self) -> int:
        """Return an SPI that no inbound SA has."""
        spi = 0
        while spi < LOWEST_SPI or spi in self.by_spi:
            spi = int.from_bytes(self._context.entropy(SPI_LENGTH), "big")
        return spi

    def is_known(self, path: Path) -> bool:
        """Say whether there is a peer at this place."""
        return path in self._places

    # Peers and ISAKMP SAs.

    def authenticated(self, mode: MainMode, number: int | None, now: float) -> IsakmpSa:
        """Make an ISAKMP SA of a main mode that came to its end, and find or make its peer.

        `number` is the peer's where it was us who called it.
        """
        same = self._same_client(mode.path, known(mode.identity))
        peer = same[-1] if same else None
        if number is not None:
            peer = self.by_id.get(number)
        elif mode.initial_contact:
            peer = None
            for forgotten in same:
                self.close(forgotten, Why.INITIAL_CONTACT)
        longest = self._context.config.ike_lifetime
        seconds = min(known(mode.offer).seconds or longest, longest)
        sa = IsakmpSa(mode, now + seconds + (0.0 if mode.initiator else GRACE))
        self.by_cookies[sa.cookies] = sa
        self._context.deadlines.set((Timer.IKE_END, sa), sa.expires)
        if sa.initiator:
            self._context.deadlines.set((Timer.IKE_RENEWAL, sa), now + RENEWAL * seconds)
        if peer is None:
            negotiation = None if mode.initiator else mode.negotiation
            self._create(sa, number or self.new_id(), mode.path, negotiation, now)
            sa.peer.anew = mode.initial_contact
            if not (mode.initiator or mode.initial_contact):
                self._ask_for_others(sa.peer)
        else:
            self._attach(sa, peer, now)
        return sa

    def started_anew(self, sa: IsakmpSa, now: float) -> None:
        """Take INITIAL-CONTACT that came after Main Mode, in an exchange of its own.

        By then the SA may have been taken for a known peer's, which it is not.
        """
        peer = sa.peer
        for other in self._same_client(peer.path, peer.identity):
            if other is not peer:
                self.close(other, Why.INITIAL_CONTACT)
        origins = [pair.sa for pair in peer.pairs.values()]
        has_older = any(origin not in peer.isakmp_sas for origin in origins)
        if sa in origins or (peer.isakmp_sas[0] is sa and not has_older):
            for older in [other for other in peer.isakmp_sas if other is not sa]:
                self.remove_isakmp_sa(older)
            for pair in [pair for pair in peer.pairs.values() if pair.sa is not sa]:
                self.remove_pair(pair, Why.INITIAL_CONTACT)
        else:
            peer.isakmp_sas.remove(sa)
            self.close(peer, Why.INITIAL_CONTACT)
            self._create(sa, self.new_id(), peer.path, None, now)
        sa.peer.anew = True

    def remove_isakmp_sa(self, sa: IsakmpSa) -> None:
        """Forget an ISAKMP SA; the pairs negotiated under it live on."""
        self.by_cookies.pop(sa.cookies, None)
        self._context.deadlines.clear((Timer.IKE_END, sa))
        self._context.deadlines.clear((Timer.IKE_RENEWAL, sa))
        for quick_mode in sa.quick_modes.values():
            self._context.answered(quick_mode)
        holder = sa.peer.lingering if sa in sa.peer.lingering else sa.peer.isakmp_sas
        holder.remove(sa)

    def deleted_by_peer(self, sa: IsakmpSa, now: float) -> None:
        """Use an ISAKMP SA no more, and forget it soon."""
        peer = sa.peer
        self.remove_isakmp_sa(sa)
        if len(peer.lingering) == MAX_ISAKMP_SAS:
            self.remove_isakmp_sa(peer.lingering[0])
        peer.lingering.append(sa)
        self.by_cookies[sa.cookies] = sa
        self._context.deadlines.set((Timer.IKE_END, sa), now + LINGER)

    def shorten(self, sa: IsakmpSa, seconds: int, now: float) -> None:
        """Let an ISAKMP SA of ours end when the peer ends it, and be renewed before."""
        deadlines = self._context.deadlines
        if (Timer.IKE_RENEWAL, sa) in deadlines and now + seconds < sa.expires:
            sa.expires = now + seconds
            deadlines.set((Timer.IKE_END, sa), sa.expires)
            deadlines.set((Timer.IKE_RENEWAL, sa), now + RENEWAL * seconds)

    def retire(self, sa: IsakmpSa, now: float) -> None:
        """Keep an ISAKMP SA that another has replaced only for what is under way under it."""
        self._context.deadlines.clear((Timer.IKE_RENEWAL, sa))
        self._context.deadlines.set((Timer.IKE_END, sa), min(sa.expires, now + GRACE))

    def end_isakmp_sa(self, sa: IsakmpSa, now: float) -> None:
        """End an ISAKMP SA whose time is over, or that was retired and has become idle."""
        if sa in sa.peer.lingering:
            self.remove_isakmp_sa(sa)
        elif now < sa.expires and any(
            mode in self._context.requests for mode in sa.quick_modes.values()
        ):
            self.retire(sa, now)
        else:
            self.delete_isakmp_sa(sa)
            self.close_if_empty(sa.peer, Why.EXPIRED)

    def delete_isakmp_sa(self, sa: IsakmpSa) -> None:
        """Tell the peer of the end of an ISAKMP SA, under its own protection, and forget it."""
        self._send_delete(sa, ProtocolId.ISAKMP, [sa.spi])
        self.remove_isakmp_sa(sa)

    def close_if_empty(self, peer: Peer, why: Why) -> None:
        """Close a peer that has no SA left; one that is closed already stays so."""
        if peer.id in self.by_id and not peer.isakmp_sas and not peer.pairs:
            self.close(peer, why)

    def close(self, peer: Peer, why: Why, tell_peer: bool = False) -> None:
        """Forget a peer and all its SAs. With `tell_peer`, delete them there too: ESP first."""
        if tell_peer and peer.newest is not None:
            if peer.pairs:
                self._send_delete(peer.newest, ProtocolId.ESP, [_octets(spi) for spi in peer.pairs])
            for sa in peer.isakmp_sas:
                self._send_delete(sa, ProtocolId.ISAKMP, [sa.spi])
        for pair in list(peer.pairs.values()):
            self.remove_pair(pair, why)
        for sa in peer.isakmp_sas + peer.lingering:
            self.remove_isakmp_sa(sa)
        self._context.deadlines.clear((Timer.LIVENESS, peer))
        self._context.deadlines.clear((Timer.KEEPALIVE, peer))
        self._leave(peer)
        del self.by_id[peer.id]
        self._context.tell(PeerClosed(peer.id, why))

    # Pairs of ESP SAs.

    def install(self, pair: SaPair, peer: Peer, now: float) -> None:
        """Take in what a quick mode agreed on."""
        icv_length = peer.icv_lengths.get(pair.inbound.algorithms)
        if icv_length is not None:
            pair.inbound.truncate(icv_length)
            pair.outbound.truncate(icv_length)
        peer.pairs[pair.spi] = pair
        self.by_spi[pair.spi] = pair, peer
        grace = 0.0 if pair.initiator else GRACE
        self._context.deadlines.set((Timer.ESP_END, pair), now + pair.seconds + grace)
        due = RENEWAL * pair.seconds if peer.dialled else self._late_renewal(pair.seconds)
        self._context.deadlines.set((Timer.ESP_RENEWAL, pair), now + due)
        if (Timer.VOLUME, None) not in self._context.deadlines:
            self._context.deadlines.set((Timer.VOLUME, None), now + VOLUME_INTERVAL)
        self._tell_installed(pair, peer)
        if len(peer.pairs) > MAX_PAIRS:
            self.delete_pair(next(iter(peer.pairs.values())), Why.SURPLUS)

    def _late_renewal(self, seconds: int) -> float:
        """Return after how many seconds a pair is renewed in a client's place."""
        margin = min((1 - LATE_RENEWAL) * seconds, LATE_MARGIN)
        return seconds - margin * (1 - SPREAD * self._context.entropy(1)[0] / 256)

    def _tell_installed(self, pair: SaPair, peer: Peer) -> None:
        self._context.tell(
            SaInstalled(
                peer.id,
                pair.inbound,
                pair.outbound,
                peer.path,
                pair.encapsulated,
                pair.ours,
                pair.theirs,
                pair.original_address,
                describe(pair.inbound.algorithms),
                pair.seconds,
                pair.kilobytes,
            )
        )

    def used(self, pair: SaPair) -> None:
        """Take note of how the peer truncates, which its first packet on the pair has shown."""
        algorithms, icv_length = pair.inbound.algorithms, pair.inbound.icv_length
        if pair.outbound.icv_length != icv_length:
            pair.outbound.truncate(icv_length)
        if pair.spi in self.by_spi and len(algorithms.icv_lengths) > 1:
            pair.sa.peer.icv_lengths[algorithms] = icv_length

    def confirm(self, pair: SaPair) -> None:
        """Take note that the peer has both SAs of a pair, if that is news."""
        if pair.spi in self.by_spi and not pair.confirmed:
            pair.confirmed = True
            self._context.tell(SaConfirmed(pair.sa.peer.id, pair.spi))

    def limit(self, pair: SaPair, now: float) -> None:
        """Let a pair that is used up live no longer than another needs to take its place."""
        end = self._context.deadlines.get((Timer.ESP_END, pair))
        if end is not None and end > now + GRACE:
            self._context.deadlines.set((Timer.ESP_END, pair), now + GRACE)
            self.hasten(pair, now)

    def hasten(self, pair: SaPair, now: float) -> None:
        """Renew a pair soon, if it is not renewed by then."""
        soon = now + VOLUME_INTERVAL
        due = self._context.deadlines.get((Timer.ESP_RENEWAL, pair))
        if due is not None and due > soon:
            self._context.deadlines.set((Timer.ESP_RENEWAL, pair), soon)

    def remove_pair(self, pair: SaPair, why: Why) -> None:
        """Forget a pair."""
        _, peer = self.by_spi.pop(pair.spi)
        del peer.pairs[pair.spi]
        self._context.deadlines.clear((Timer.ESP_END, pair))
        self._context.deadlines.clear((Timer.ESP_RENEWAL, pair))
        if not self.by_spi:
            self._context.deadlines.clear((Timer.VOLUME, None))
        unrenewed = ""
        if not (peer.pairs or peer.dialled) and pair.confirmed and why in _ENDS:
            if pair.tries:
                unrenewed = peer.refusal or "no answer yet"
            elif why is Why.EXPIRED:
                unrenewed = "there was no ISAKMP SA to do so"
        self._context.tell(SaDeleted(peer.id, pair.spi, why, unrenewed))

    def delete_pair(self, pair: SaPair, why: Why) -> None:
        """Tell the peer of the end of a pair, if it can be told, and forget it."""
        _, peer = self.by_spi[pair.spi]
        if peer.newest is not None:
            self._send_delete(peer.newest, ProtocolId.ESP, [_octets(pair.spi)])
        self.remove_pair(pair, why)

    # Places.

    def heard(self, peer: Peer, path: Path, now: float) -> None:
        """Take note of an authenticated IKE message: the peer lives, and is where it came from."""
        peer.liveness.unanswered = 0
        interval = self._context.config.dpd_interval
        if (Timer.LIVENESS, peer) in self._context.deadlines and interval is not None:
            self._context.deadlines.set((Timer.LIVENESS, peer), now + interval)
        self.follow(peer, path)

    def follow(self, peer: Peer, path: Path) -> None:
        """Go where an authenticated packet of the peer came from (RFC 3947 sections 4 and 7).

        Only on ports that NAT traversal uses: on port 500 the peer's address is its own, and
        what comes there after the move to 4500 is old.
        """
        if path == peer.path or path.local.port == IKE_PORT:
            return
        self._leave(peer)
        peer.path = path
        self._places.setdefault(path, []).append(peer)
        self._context.tell(PathChanged(peer.id, path))
        there = sorted(self._same_client(path, peer.identity), key=lambda one: one.id)
        for newer in there[1:]:
            if not (newer.anew or newer.dialled):
                self._join(there[0], newer)

    def _join(self, older: Peer, newer: Peer) -> None:
        """Give all that a peer has to another that it turned out to be."""
        sas, pairs = newer.isakmp_sas, newer.pairs
        newer.isakmp_sas, newer.pairs = [], {}
        for spi in pairs:
            self._context.tell(SaDeleted(newer.id, spi, Why.JOINED))
        self.close(newer, Why.JOINED)
        for sa in sas:
            sa.peer = older
            older.isakmp_sas.append(sa)
        while len(older.isakmp_sas) > MAX_ISAKMP_SAS:
            self.delete_isakmp_sa(older.isakmp_sas[0])
        for pair in pairs.values():
            pair.sa.peer = older
            older.pairs[pair.spi] = pair
            self.by_spi[pair.spi] = pair, older
            self._tell_installed(pair, older)
            if pair.confirmed:
                self._context.tell(SaConfirmed(older.id, pair.spi))

    def _ask_for_others(self, peer: Peer) -> None:
        """Ask a peer that has just come whether it is one that was behind the same NAT before."""
        host, identity = peer.path.peer.host, peer.identity
        others = [
            other
            for other in self.by_id.values()
            if other.path.peer.host == host and other.identity == identity and other is not peer
        ]
        for other in others[-MAX_QUESTIONS:]:
            sa = other.newest
            if sa is not None and sa.extensions.dpd and not other.dialled:
                question = other.liveness.question(sa.spi)
                message = sa.seal_informational([question], self._context.entropy)
                self._context.send(message, peer.path)

    def _leave(self, peer: Peer) -> None:
        there = self._places[peer.path]
        there.remove(peer)
        if not there:
            del self._places[peer.path]

    def _same_client(self, path: Path, identity: Identification) -> list[Peer]:
        return [peer for peer in self._places.get(path, ()) if peer.identity == identity]

    # Making and telling.

    def _create(
        self, sa: IsakmpSa, number: int, path: Path, negotiation: Negotiation | None, now: float
    ) -> None:
        context = self._context
        liveness = Liveness(int.from_bytes(context.entropy(4), "big"))
        peer = Peer(number, path, sa, liveness)
        self.by_id[number] = peer
        self._places.setdefault(path, []).append(peer)
        context.tell(
            PeerAuthenticated(
                number, path, peer.identity, peer.algorithms, peer.client, negotiation, sa.key
            )
        )
        self._attach(sa, peer, now)

    def _attach(self, sa: IsakmpSa, peer: Peer, now: float) -> None:
        config, deadlines = self._context.config, self._context.deadlines
        sa.peer = peer
        peer.isakmp_sas.append(sa)
        if len(peer.isakmp_sas) > MAX_ISAKMP_SAS:
            self.delete_isakmp_sa(peer.isakmp_sas[0])
        if sa.extensions.dpd and config.dpd_interval is not None:
            deadlines.set((Timer.LIVENESS, peer), now + config.dpd_interval)
        if sa.initiator and sa.nat.ours:
            deadlines.set((Timer.KEEPALIVE, peer), now + config.keepalive_interval)

    def _send_delete(self, sa: IsakmpSa, protocol: ProtocolId, spis: list[bytes]) -> None:
        payload = Payload(PayloadType.DELETE, Delete(protocol, tuple(spis)).build())
        self._context.send(sa.seal_informational([payload], self._context.entropy), sa.peer.path)


def _octets(spi: int) -> bytes:
    return spi.to_bytes(SPI_LENGTH, "big")

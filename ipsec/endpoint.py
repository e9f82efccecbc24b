"""Ike: many peers, both roles. The public surface of the package.

What arrives is IKE alone; ESP and keepalives are told apart before (udpencap.classify). Each
message goes by its exchange type and cookies to where it belongs. What cannot be read, is not
genuine or belongs to nothing is counted and dropped, whoever sent it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ipsec.checks import known
from ipsec.config import IkeConfig
from ipsec.constants import ExchangeType, Flags, PayloadType
from ipsec.context import Context, Timer
from ipsec.errors import Drop, DropError
from ipsec.events import Event, Why
from ipsec.exchange import Incoming
from ipsec.foreign import Foreign
from ipsec.fragmentation import Reassemblies, split
from ipsec.informational import Informational
from ipsec.isakmp_sa import IsakmpSa
from ipsec.keys import IsakmpKey, PeerKeys
from ipsec.main_mode import MainMode
from ipsec.main_modes import MainModes
from ipsec.message import NO_COOKIE, Cookies, parse_message
from ipsec.path import Address, Datagram, Path
from ipsec.peer import Peer
from ipsec.peers import Peers
from ipsec.quick_mode import QuickMode
from ipsec.quick_modes import QuickModes
from ipsec.renewals import Renewals
from ipsec.sa_pair import SaPair
from ipsec.udpencap import KEEPALIVE, add_marker, strip_marker
from ipsec.vendor import Extensions
from wire import DecodeError, Entropy, LocalError

__all__ = ["Address", "Datagram", "Ike", "IkeConfig", "IkeStatus", "Path", "PeerStatus"]

MAJOR_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """One peer as it is now; `pairs` are the inbound and outbound SPIs of its ESP SAs."""

    peer: int
    path: Path
    identity: str
    client: str
    algorithms: str
    isakmp_sas: int
    pairs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class IkeStatus:
    """Everything as it is now; `half_open` counts main modes that strangers have begun.

    `dropped` counts messages that were dropped, by reason.
    """

    peers: tuple[PeerStatus, ...]
    half_open: int
    dropped: Mapping[Drop, int]


class Ike:
    """IKEv1 for all peers of one program, as responder and as initiator.

    Times are seconds of any clock that does not go back. After each call there may be
    datagrams to send, events to take, and another `next_timeout()`.
    """

    __slots__ = (
        "_context",
        "_foreign",
        "_informational",
        "_main_modes",
        "_peers",
        "_quick_modes",
        "_reassemblies",
        "_renewals",
    )

    def __init__(self, config: IkeConfig, entropy: Entropy) -> None:
        self._context = Context(config, entropy)
        self._peers = Peers(self._context)
        self._reassemblies = Reassemblies(self._context)
        self._quick_modes = QuickModes(self._context, self._peers)
        self._foreign = Foreign(self._context)
        self._main_modes = MainModes(self._context, self._peers, self._quick_modes, self._foreign)
        self._informational = Informational(self._context, self._peers, self._quick_modes)
        self._renewals = Renewals(self._context, self._peers, self._main_modes, self._quick_modes)

    # What comes in.

    def receive(self, data: bytes, path: Path, now: float) -> None:
        """Take one UDP payload, with the non-ESP marker where the port has it. Never raises."""
        try:
            self._receive(data, path, now)
        except DecodeError as error:
            self._context.drop(error.reason if isinstance(error, DropError) else Drop.UNREADABLE)

    def packet_authenticated(self, spi: int, path: Path | None, now: float) -> None:
        """Take note that a genuine ESP packet came in on the SA `spi`.

        To be called for the first packet of each SA, and when one comes from a new path. The
        peer is followed to `path`; None means that ESP came as IP protocol 50.
        """
        pair, peer = self._peers.by_spi.get(spi, (None, None))
        if pair is None or peer is None:
            return
        self._quick_modes.used(pair)
        if path is not None and pair.encapsulated:
            self._peers.follow(peer, path)

    # What we begin.

    def connect(self, path: Path, now: float) -> int:
        """Call the peer at `path.peer` and agree on a pair of SAs; return the peer's number.

        PeerAuthenticated, SaInstalled and SaConfirmed follow, or NegotiationFailed and
        PeerClosed. Raises LocalError without a pre-shared key for the peer or a certificate.
        """
        config = self._context.config
        if config.credentials is None and not config.preshared_keys(path.peer.host):
            raise LocalError(f"no pre-shared key for {path.peer.host}")
        number = self._peers.new_id()
        self._main_modes.start(path, number, now)
        return number

    def rekey_ike(self, peer: int, now: float) -> None:
        """Renew the ISAKMP SA of a peer by a new main mode. Raises LocalError if not there."""
        found = self._peer(peer)
        self._main_modes.start(found.path, found.id, now)

    def rekey_esp(self, peer: int, now: float) -> None:
        """Renew the newest pair of a peer. Raises LocalError if it has none, or no ISAKMP SA."""
        found = self._peer(peer)
        if found.newest is None or not found.pairs:
            raise LocalError(f"peer {peer} has nothing to renew, or nothing to do it with")
        self._quick_modes.start(found.newest, now, found.pairs[next(reversed(found.pairs))])

    def probe(self, peer: int, now: float) -> bool:
        """Ask a peer whether it lives (RFC 3706); False if it cannot be asked."""
        return self._informational.probe(self._peer(peer), now)

    def close_peer(self, peer: int, now: float) -> None:
        """Delete all SAs of a peer, here and there. A peer that is gone already is no error."""
        self._main_modes.forget_peer(peer)
        found = self._peers.by_id.get(peer)
        if found is not None:
            self._peers.close(found, Why.CLOSED, tell_peer=True)

    def close_all(self, now: float) -> None:
        """Delete all SAs of all peers."""
        for peer in list(self._peers.by_id):
            self.close_peer(peer, now)

    def replace_credentials(self, config: IkeConfig) -> None:
        """Authenticate by the keys and certificates of `config` from the next handshake on."""
        self._context.config = replace(
            self._context.config,
            preshared_keys=config.preshared_keys,
            groups=config.groups,
            credentials=config.credentials,
        )

    # Time, and what goes out.

    def next_timeout(self) -> float | None:
        """Return when handle_timeout() is due, or None."""
        return self._context.deadlines.next()

    def handle_timeout(self, now: float) -> None:
        """Do what is due; context.py has the list of timers."""
        for due in self._context.deadlines.take_due(now):
            match due:
                case Timer.HALF_OPEN, MainMode() as mode:
                    self._main_modes.expired(mode)
                case Timer.REASSEMBLY, Cookies() as cookies:
                    self._reassemblies.forget(cookies)
                case Timer.RESEND, MainMode() as mode:
                    if not self._context.resend(mode, now):
                        self._main_modes.unanswered(mode)
                case Timer.RESEND, QuickMode() as mode:
                    if not self._context.resend(mode, now):
                        self._quick_modes.unanswered(mode)
                case Timer.IKE_END, IsakmpSa() as sa:
                    self._peers.end_isakmp_sa(sa, now)
                case Timer.IKE_RENEWAL, IsakmpSa() as sa:
                    self._renewals.renew_isakmp_sa(sa, now)
                case Timer.ESP_END, SaPair() as pair:
                    self._renewals.end_pair(pair, now)
                case Timer.ESP_RENEWAL, SaPair() as pair:
                    self._renewals.renew_pair(pair, now)
                case Timer.VOLUME, _:
                    self._renewals.check_volumes(now)
                case Timer.LIVENESS, Peer() as peer:
                    self._informational.check_liveness(peer, now)
                case Timer.KEEPALIVE, Peer() as peer:
                    self._keep_alive(peer, now)

    def datagrams_to_send(self) -> list[Datagram]:
        """Return the UDP payloads to be sent, and forget them."""
        outbox, self._context.outbox = self._context.outbox, []
        return [part for datagram in outbox for part in self._parts(datagram)]

    def next_event(self) -> Event | None:
        """Return the oldest event that was not taken yet, or None."""
        events = self._context.events
        return events.popleft() if events else None

    def snapshot(self) -> IkeStatus:
        """Return everything as it is now."""
        return IkeStatus(
            tuple(_status(peer) for peer in self._peers.by_id.values()),
            len(self._main_modes.half_open),
            dict(self._context.counters),
        )

    def keys(self, of: Callable[[Address], bool]) -> Iterator[PeerKeys]:
        """Return the keys of all SAs of the peers `of` these addresses, to read captures by."""
        return (_keys(peer) for peer in self._peers.by_id.values() if of(peer.path.peer))

    # How it is done.

    def _receive(self, data: bytes, path: Path, now: float) -> None:
        raw = strip_marker(data, path.local.port)
        if raw is None:
            raise DropError(Drop.NOT_IKE)
        header, body = parse_message(raw)
        if header.first == PayloadType.FRAGMENT:
            whole = self._reassemble(Incoming(header, body, path), now)
            if whole is None:
                return
            raw = whole
            header, body = parse_message(raw)
        message = Incoming(header, body, path)
        if header.version >> 4 != MAJOR_VERSION:
            self._foreign.refuse_version(message, now)
        elif header.exchange in (ExchangeType.IDENTITY_PROTECTION, ExchangeType.AGGRESSIVE):
            self._main_modes.receive(raw, message, now)
        elif header.exchange == ExchangeType.QUICK_MODE:
            self._quick_modes.receive(raw, self._sa(message), message, now)
        elif header.exchange == ExchangeType.INFORMATIONAL:
            if header.flags & Flags.ENCRYPTION:
                self._informational.receive(self._sa(message), message, now)
            else:
                self._main_modes.listen(message)
        else:
            raise DropError(Drop.OTHER_EXCHANGE)

    def _reassemble(self, fragment: Incoming, now: float) -> bytes | None:
        """Take a fragment of a message; return the message if it is whole now."""
        if self._extensions(fragment.header.cookies, fragment.path) is None:
            raise DropError(Drop.UNKNOWN_SA)
        return self._reassemblies.receive(fragment, now)

    def _parts(self, datagram: Datagram) -> list[Datagram]:
        """Return what is to be sent in place of a datagram: fragments, where the peer wants."""
        data, path = datagram
        limit, port = self._context.config.fragment_limit, path.local.port
        if len(data) <= limit:
            return [datagram]
        message = known(strip_marker(data, port))
        header, _ = parse_message(message)
        if header.exchange == ExchangeType.AGGRESSIVE and not header.flags & Flags.ENCRYPTION:
            # Message 2, by which the peer learns that we do this: it could not put it together.
            return [datagram]
        extensions = self._extensions(header.cookies, path)
        if extensions is None or extensions.fragmentation is None:
            return [datagram]
        parts = split(message, limit - len(add_marker(b"", port)))
        return [Datagram(add_marker(part, port), path) for part in parts]

    def _extensions(self, cookies: Cookies, path: Path) -> Extensions | None:
        """Return what the peer can do with whom we share these two cookies, or None."""
        if cookies.responder == NO_COOKIE:
            return None
        sharing = self._peers.by_cookies.get(cookies) or self._main_modes.find(cookies, path)
        return None if sharing is None else sharing.extensions

    def _sa(self, message: Incoming) -> IsakmpSa:
        sa = self._peers.by_cookies.get(message.header.cookies)
        if sa is None or not message.header.message_id:
            self._main_modes.remind(message)
            raise DropError(Drop.UNKNOWN_SA)
        return sa

    def _peer(self, number: int) -> Peer:
        peer = self._peers.by_id.get(number)
        if peer is None:
            raise LocalError(f"there is no peer {number}")
        return peer

    def _keep_alive(self, peer: Peer, now: float) -> None:
        """Send a NAT keepalive, which is never answered and proves nothing (RFC 3948 section 4)."""
        self._context.outbox.append(Datagram(KEEPALIVE, peer.path))
        interval = self._context.config.keepalive_interval
        self._context.deadlines.set((Timer.KEEPALIVE, peer), now + interval)


def _keys(peer: Peer) -> PeerKeys:
    sas = peer.isakmp_sas + peer.lingering
    return PeerKeys(
        peer.path,
        tuple(IsakmpKey(sa.cookies.initiator, sa.protection.encryption_key) for sa in sas),
        tuple(
            replace(keys, icv_length=pair.inbound.icv_length)
            for pair in peer.pairs.values()
            if peer.knows_icv_length(pair.inbound.algorithms)
            for keys in pair.keys
        ),
    )


def _status(peer: Peer) -> PeerStatus:
    return PeerStatus(
        peer.id,
        peer.path,
        str(peer.identity),
        peer.client,
        peer.algorithms,
        len(peer.isakmp_sas),
        tuple((pair.spi, pair.outbound.spi) for pair in peer.pairs.values()),
    )

"""Informational exchanges: one message each way is an exchange of its own.

RFC 2408 section 4.8, RFC 2409 section 5.7. Under an ISAKMP SA, peers delete SAs, ask whether
the other one lives (dpd.py) and say that they have started anew. What is not genuine, and what
comes a second time, has no effect.
"""

from collections.abc import Callable
from typing import Final

from ipsec import dpd, responder_lifetime
from ipsec.constants import LifeType, NotifyType, PayloadType, ProtocolId
from ipsec.context import Context, Timer
from ipsec.errors import Drop, DropError
from ipsec.events import Why
from ipsec.exchange import Incoming
from ipsec.isakmp_sa import IsakmpSa
from ipsec.message import Payload, Payloads
from ipsec.payloads import Delete, Notification, read_notifications
from ipsec.peer import Peer
from ipsec.peers import Peers
from ipsec.quick_modes import QuickModes
from wire import Reader

RECALL: Final = 2.0
"""Seconds after the peer has deleted a pair of ours until we ask for another if there is none: who
hangs up deletes the ISAKMP SA next."""


class Informational:
    """Takes what peers tell us, and asks them whether they live."""

    __slots__ = ("_context", "_peers", "_quick_modes")

    def __init__(self, context: Context, peers: Peers, quick_modes: QuickModes) -> None:
        self._context = context
        self._peers = peers
        self._quick_modes = quick_modes

    def receive(self, sa: IsakmpSa, message: Incoming, now: float) -> None:
        """Take an encrypted message. Raises DecodeError."""
        if sa.was_used(message.header.message_id):
            raise DropError(Drop.REPEATED)
        payloads = sa.open_informational(message)
        sa.remember(message.header.message_id)
        self._peers.heard(sa.peer, message.path, now)
        if sa not in sa.peer.lingering:
            self._take_notifications(sa, payloads, now)
        for body in payloads.all(PayloadType.DELETE):
            self._take_delete(sa.peer, Delete.parse(Reader(body)), now)
        self._peers.close_if_empty(sa.peer, Why.DELETED_BY_PEER)

    # Notifications.

    def _take_notifications(self, sa: IsakmpSa, payloads: Payloads, now: float) -> None:
        for notification in read_notifications(payloads.all(PayloadType.NOTIFY)):
            if sa.cookies in self._peers.by_cookies:
                handle = NOTIFICATIONS.get(notification.type, Informational._take_refusal)
                handle(self, sa, notification, now)

    def _answer_question(self, sa: IsakmpSa, notification: Notification, now: float) -> None:
        if notification.spi == sa.spi:
            self._send(sa, dpd.answer(sa.spi, notification))

    def _take_answer(self, sa: IsakmpSa, notification: Notification, now: float) -> None:
        if notification.spi != sa.spi or not sa.peer.liveness.accept(notification):
            self._context.drop(Drop.NO_QUESTION)

    def _take_initial_contact(self, sa: IsakmpSa, notification: Notification, now: float) -> None:
        self._peers.started_anew(sa, now)

    def _take_lifetime(self, sa: IsakmpSa, notification: Notification, now: float) -> None:
        seconds = responder_lifetime.read(notification, ProtocolId.ISAKMP).get(LifeType.SECONDS)
        if seconds:
            self._peers.shorten(sa, seconds, now)

    def _take_refusal(self, sa: IsakmpSa, notification: Notification, now: float) -> None:
        self._quick_modes.refused(sa, notification)

    # Deletes, RFC 2408 section 3.15.

    def _take_delete(self, peer: Peer, delete: Delete, now: float) -> None:
        """Forget SAs that the peer has deleted: pairs by the SPI of its inbound SA."""
        spis = set(delete.spis)
        if delete.protocol == ProtocolId.ESP:
            numbers = {int.from_bytes(spi, "big") for spi in spis}
            for pair in [pair for pair in peer.pairs.values() if pair.outbound.spi in numbers]:
                self._peers.remove_pair(pair, Why.DELETED_BY_PEER)
                if peer.dialled:
                    self._context.deadlines.set((Timer.ESP_RENEWAL, pair), now + RECALL)
            if peer.pairs and peer.sending is None:  # message 3, which would confirm it, was lost
                self._quick_modes.used(next(reversed(peer.pairs.values())))
        elif delete.protocol == ProtocolId.ISAKMP:
            for sa in [sa for sa in peer.isakmp_sas if sa.spi in spis]:
                self._peers.deleted_by_peer(sa, now)

    # Dead peer detection, RFC 3706.

    def probe(self, peer: Peer, now: float) -> bool:
        """Ask a peer whether it lives; False if it cannot be asked.

        Of its ISAKMP SAs it may have lost one that we still have, so that they take turns.
        """
        able = [sa for sa in reversed(peer.isakmp_sas) if sa.extensions.dpd]
        if not able:
            return False
        sa = able[peer.liveness.unanswered % len(able)]
        self._send(sa, peer.liveness.ask(sa.spi))
        self._context.deadlines.set((Timer.LIVENESS, peer), now + dpd.RETRY)
        return True

    def check_liveness(self, peer: Peer, now: float) -> None:
        """Look whether a peer sent anything of late; if not, ask, or give it up."""
        liveness, interval = peer.liveness, self._context.config.dpd_interval
        if liveness.has_moved(peer.packets):
            liveness.unanswered = 0
        elif liveness.unanswered >= dpd.TRIES:
            self._peers.close(peer, Why.DEAD)
            return
        elif self.probe(peer, now):
            return
        if interval is not None:
            self._context.deadlines.set((Timer.LIVENESS, peer), now + interval)

    def _send(self, sa: IsakmpSa, payload: Payload) -> None:
        message = sa.seal_informational([payload], self._context.entropy)
        self._context.send(message, sa.peer.path)


Handler = Callable[[Informational, IsakmpSa, Notification, float], None]

NOTIFICATIONS: Final[dict[NotifyType, Handler]] = {
    NotifyType.R_U_THERE: Informational._answer_question,
    NotifyType.R_U_THERE_ACK: Informational._take_answer,
    NotifyType.INITIAL_CONTACT: Informational._take_initial_contact,
    NotifyType.RESPONDER_LIFETIME: Informational._take_lifetime,
}
"""What is done on which notification. All others are errors, or nothing to us."""

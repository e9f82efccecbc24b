"""All quick modes under way, and what becomes of them."""

from typing import Final

from ipsec.constants import L2TP_PORT, PROTOCOL_UDP, NotifyType, PayloadType, ProtocolId
from ipsec.context import Context
from ipsec.errors import Drop, DropError, NotifyError
from ipsec.events import EspOffered, NegotiationFailed, Why
from ipsec.exchange import Incoming
from ipsec.isakmp_sa import IsakmpSa
from ipsec.message import Payload
from ipsec.offers import EspOffer
from ipsec.path import Path
from ipsec.payloads import Identification, Notification
from ipsec.peer import Peer
from ipsec.peers import Peers
from ipsec.quick_mode import QuickMode, State
from ipsec.sa_pair import SaPair

QUICK_MODE: Final = "quick mode"
"""The stage that events name."""

ANSWER_PAUSES: Final = (4.0, 4.0, 8.0, 8.0, 8.0)
"""Seconds before each resending of message 2. It is for the initiator to ask again, which gets
the answer again; ours is for a message 3 that was lost, and must not outrun a slow client."""

_ERRORS: Final = range(1, NotifyType.CONNECTED)
"""Notify types that are errors (RFC 2408 section 3.14.1)."""


class QuickModes:
    """Drives quick modes, and gives the pairs of SAs that they agree on to the peers."""

    __slots__ = ("_context", "_peers")

    def __init__(self, context: Context, peers: Peers) -> None:
        self._context = context
        self._peers = peers

    def start(self, sa: IsakmpSa, now: float, renewed: SaPair | None = None) -> None:
        """Begin a quick mode: for L2TP, or for another pair like the one to be renewed."""
        context, path = self._context, sa.peer.path
        if renewed is None:
            port = context.config.l2tp_port
            ours = Identification.of_address(path.local.host, PROTOCOL_UDP, port)
            theirs = Identification.of_address(path.peer.host, PROTOCOL_UDP, L2TP_PORT)
            offers: tuple[EspOffer, ...] = ()
        else:
            ours, theirs, offers = renewed.ours, renewed.theirs, (renewed.offer,)
        message_id = sa.new_message_id(context.entropy)
        mode = self._make(sa, message_id)
        first = mode.start(path, ours, theirs, offers)
        self._keep(sa, mode)
        context.request(mode, first, path, now)

    def receive(self, raw: bytes, sa: IsakmpSa, message: Incoming, now: float) -> None:
        """Take a message of a quick mode; `raw` is all of it. Raises DecodeError."""
        message_id = message.header.message_id
        mode = sa.quick_modes.get(message_id)
        if mode is None:
            if sa in sa.peer.lingering:
                raise DropError(Drop.UNKNOWN_SA)
            if sa.was_used(message_id):
                raise DropError(Drop.REPEATED)
            mode = self._make(sa, message_id)
        elif mode.last.is_repeated(raw):
            answer = mode.last.answer_again()
            if answer is not None:
                self._context.send(answer, message.path)
            return
        try:
            answer = mode.receive(message)
        except NotifyError as error:
            self._keep(sa, mode)
            self._peers.heard(sa.peer, message.path, now)
            self._tell_offer(mode)
            self._refuse(mode, raw, message.path, error)
            return
        mode.last.remember(raw, answer)
        self._keep(sa, mode)
        self._peers.heard(sa.peer, message.path, now)
        self._tell_offer(mode)
        self._go_on(mode, answer, message.path, now)

    def used(self, pair: SaPair) -> None:
        """Take note that a packet came in on a pair: the peer has message 2."""
        self._peers.used(pair)
        if pair.confirmed:
            return
        for mode in pair.sa.quick_modes.values():
            if mode.pair is pair:
                self._context.answered(mode)
        self._peers.confirm(pair)

    def is_under_way(self, peer: Peer) -> bool:
        """Say whether a quick mode waits for an answer of a peer, whoever began it."""
        modes = (mode for sa in peer.isakmp_sas for mode in sa.quick_modes.values())
        return any(mode in self._context.requests for mode in modes)

    def unanswered(self, mode: QuickMode) -> None:
        """Give up sending a message that gets no answer.

        An initiator's quick mode is over, and with it the ISAKMP SA: the peer may have deleted
        that. Not so with a client, which may just not want to be asked. A responder cannot know
        whether the initiator has got message 2 and message 3 was lost, so the pair stays, and is
        confirmed when it is used.
        """
        why = f"no answer to {mode.state.value}"
        if not mode.initiator:
            self._tell_failure(mode, why, "", timed_out=True)
            return
        self._fail(mode, why, "")
        if mode.sa.peer.dialled and mode.sa in mode.sa.peer.isakmp_sas:
            self._peers.delete_isakmp_sa(mode.sa)

    def refused(self, sa: IsakmpSa, notification: Notification) -> None:
        """Take a notification of the peer, by which it may have refused what we offered."""
        for mode in reversed(sa.quick_modes.values()):
            if mode.state is State.OFFERED and notification.type in _ERRORS:
                self._fail(mode, f"the peer says {notification.type}", "")
                return

    def _make(self, sa: IsakmpSa, message_id: int) -> QuickMode:
        context = self._context
        spi = self._peers.new_spi()
        return QuickMode(sa, context.config, context.entropy, message_id, spi)

    def _keep(self, sa: IsakmpSa, mode: QuickMode) -> None:
        forgotten = sa.keep(mode)
        if forgotten is not None:
            self._context.answered(forgotten)

    def _go_on(self, mode: QuickMode, answer: bytes | None, path: Path, now: float) -> None:
        peer, pair = mode.sa.peer, mode.pair
        if mode.state is State.ANSWERED and answer is not None:
            self._context.request(mode, answer, path, now, ANSWER_PAUSES)
        else:
            self._context.answered(mode)
            if answer is not None:
                self._context.send(answer, path)
        if pair is None:
            return
        if mode.state is State.ANSWERED or mode.initiator:
            self._peers.install(pair, peer, now)
        if mode.state is State.ESTABLISHED:
            self._peers.confirm(pair)

    def _refuse(self, mode: QuickMode, raw: bytes, path: Path, error: NotifyError) -> None:
        notification = Notification(NotifyType(error.code), ProtocolId.ESP)
        payload = Payload(PayloadType.NOTIFY, notification.build())
        answer = mode.sa.seal_informational([payload], self._context.entropy)
        mode.last.remember(raw, answer)
        self._context.send(answer, path)
        self._fail(mode, error.why, error.hint)

    def _tell_offer(self, mode: QuickMode) -> None:
        """Report what message 1 offered, once; a quick mode that is over keeps little."""
        if mode.offered:
            self._context.tell(EspOffered(mode.sa.peer.id, mode.offered, mode.chosen))
            mode.offered = ()

    def _fail(self, mode: QuickMode, why: str, hint: str) -> None:
        mode.state = State.FAILED
        peer = mode.sa.peer
        self._context.answered(mode)
        if mode.initiator and not peer.dialled:
            peer.refusal = why
            return
        self._tell_failure(mode, why, hint)
        if mode.initiator and not peer.pairs:
            self._peers.close(peer, Why.NEGOTIATION_FAILED, tell_peer=True)

    def _tell_failure(self, mode: QuickMode, why: str, hint: str, timed_out: bool = False) -> None:
        peer = mode.sa.peer
        self._context.tell(
            NegotiationFailed(peer.path, peer.id, QUICK_MODE, why, hint, timed_out=timed_out)
        )

"""All main modes under way: those that strangers begin, and our own.

What a stranger sends wrong is answered with a notification in clear, once for each message: it
is no longer than the message was. What comes in clear to us proves nothing, so that nobody can
end a main mode of ours by saying so; at most it explains later why the main mode failed.
"""

from typing import Final

from ipsec import responder_lifetime
from ipsec.checks import known
from ipsec.constants import ExchangeType, LifeType, NotifyType, PayloadType, ProtocolId
from ipsec.context import Context
from ipsec.errors import Drop, DropError, NotifyError
from ipsec.events import NegotiationFailed, PeerClosed, Why
from ipsec.exchange import Incoming
from ipsec.half_open import HalfOpen
from ipsec.isakmp_sa import IsakmpSa
from ipsec.main_mode import MAX_FAILURES, MainMode, State
from ipsec.message import COOKIE_LENGTH, NO_COOKIE, Cookies, Payload, Payloads, build_message
from ipsec.path import Path
from ipsec.payloads import Notification, read_notifications
from ipsec.peers import Peers
from ipsec.quick_modes import QuickModes

MAX_FIRST_MESSAGE: Final = 8192
"""Octets of message 1, of which the SA payload is kept until message 5. macOS sends 788."""

MAIN_MODE: Final = "main mode"
"""The stage that events name."""


class MainModes:
    """Drives main modes, and turns those that come to their end into ISAKMP SAs."""

    __slots__ = ("_context", "_numbers", "_ours", "_peers", "_quick_modes", "half_open")

    def __init__(self, context: Context, peers: Peers, quick_modes: QuickModes) -> None:
        self._context = context
        self._peers = peers
        self._quick_modes = quick_modes
        self._ours: dict[bytes, MainMode] = {}
        self._numbers: dict[MainMode, int] = {}
        self.half_open = HalfOpen(context)

    def start(self, path: Path, number: int, now: float) -> None:
        """Begin a main mode with peer `number`; one without ESP SAs gets a quick mode after it."""
        context = self._context
        cookie = context.entropy(COOKIE_LENGTH)
        mode = MainMode(context.config, context.entropy, True, cookie, path)
        self._ours[cookie] = mode
        self._numbers[mode] = number
        first = mode.start(initial_contact=number not in self._peers.by_id)
        context.request(mode, first, path, now)

    def is_calling(self, number: int) -> bool:
        """Say whether a main mode of ours with peer `number` is under way."""
        return number in self._numbers.values()

    def receive(self, raw: bytes, message: Incoming, now: float) -> None:
        """Take a message of a main mode; `raw` is all of it. Raises DecodeError."""
        cookies = message.header.cookies
        if cookies.initiator == NO_COOKIE or message.header.message_id != 0:
            raise DropError(Drop.UNREADABLE)
        sa = self._peers.by_cookies.get(cookies)
        mode = self.find(cookies, message.path)
        for known_exchange in (sa, mode):
            if known_exchange is not None and known_exchange.last.is_repeated(raw):
                answer = known_exchange.last.answer_again()
                if answer is not None:
                    self._context.send(answer, message.path)
                return
        if mode is None:
            if sa is not None or cookies.responder != NO_COOKIE:
                raise DropError(Drop.UNKNOWN_SA if sa is None else Drop.REPEATED)
            mode = self._begin(raw, message, now)
        if mode.initiator:
            self._go_on(mode, raw, message, now)
        else:
            self._answer(mode, raw, message, now)

    def listen(self, message: Incoming) -> None:
        """Take a notification in clear. Raises DecodeError."""
        mode = self._ours.get(message.header.cookies.initiator)
        if mode is None:
            raise DropError(Drop.IN_CLEAR)
        payloads = Payloads.parse(message.header.first, message.body)
        for notification in read_notifications(payloads.all(PayloadType.NOTIFY)):
            mode.rumour = f"somebody answered {notification.type}"

    def refuse_aggressive(self, message: Incoming) -> None:
        """Tell a stranger that wants Aggressive Mode, which gives a hash of the key away."""
        if message.header.cookies.responder != NO_COOKIE:
            raise DropError(Drop.OTHER_EXCHANGE)
        answer = self._notification(message.header.cookies, NotifyType.UNSUPPORTED_EXCHANGE_TYPE)
        self._context.send(answer, message.path)
        hint = "leave the group name (IPsec identifier) empty on the client"
        self._tell_failure(message.path, None, "the client wants aggressive mode", hint)

    def expired(self, mode: MainMode) -> None:
        """Forget a stranger's main mode that did not go on."""
        self.half_open.remove(mode)
        if mode.state is State.SA_ANSWERED:
            hint = "do our answers from UDP port 500 reach the client?"
            self._tell_refusal(mode, mode.path, "message 3 never came", hint, timed_out=True)
        elif mode.state is State.KE_ANSWERED and not mode.failures:
            hint = "is UDP port 4500 open?" if mode.nat.found else ""
            self._tell_refusal(mode, mode.path, "message 5 never came", hint, timed_out=True)

    def unanswered(self, mode: MainMode) -> None:
        """Give up a main mode of ours that gets no answer."""
        number = self._forget(mode)
        why = f"no answer to {mode.state.value}" + (f"; {mode.rumour}" if mode.rumour else "")
        self._tell_failure(mode.path, number, why, "")
        peer = self._peers.by_id.get(number)
        if mode.initial_contact:
            self._context.tell(PeerClosed(number, Why.NEGOTIATION_FAILED))
        elif peer is not None and not peer.pairs:
            self._peers.close(peer, Why.NEGOTIATION_FAILED, tell_peer=True)

    def forget_peer(self, number: int) -> None:
        """Drop the main modes of ours with a peer that is being closed."""
        for mode in [mode for mode, whose in self._numbers.items() if whose == number]:
            self._forget(mode)

    def find(self, cookies: Cookies, path: Path) -> MainMode | None:
        """Return the main mode under way that a message on `path` belongs to."""
        mode = self._ours.get(cookies.initiator)
        if mode is not None and mode.cookies.responder in (NO_COOKIE, cookies.responder):
            return mode
        return self.half_open.find(cookies, path.peer)

    def _begin(self, raw: bytes, message: Incoming, now: float) -> MainMode:
        """Return a main mode for a stranger's first message. Raises DecodeError for no room."""
        context, path = self._context, message.path
        if len(raw) > MAX_FIRST_MESSAGE:
            raise DropError(Drop.NO_ROOM)
        if len(self._peers) >= context.config.peer_limit and not self._peers.is_known(path):
            raise DropError(Drop.NO_ROOM)
        cookie = message.header.cookies.initiator
        mode = MainMode(context.config, context.entropy, False, cookie, path)
        mode.began = now
        return mode

    def _answer(self, mode: MainMode, raw: bytes, message: Incoming, now: float) -> None:
        """Take a step as responder."""
        before = mode.state
        try:
            answer = known(mode.receive(message))
        except NotifyError as error:
            self._refuse(mode, raw, message, error, now)
            return
        mode.last.remember(raw, answer)
        if mode.state is State.ESTABLISHED:
            self.half_open.remove(mode)
            self._context.send(answer, message.path)
            self._tell_lifetime(mode, self._peers.authenticated(mode, None, now))
        elif before is not State.START:
            self.half_open.went_on(mode, now)
            self._context.send(answer, message.path)
        elif self.half_open.add(mode, now):
            self._context.send(answer, message.path)
        else:
            raise DropError(Drop.NO_ROOM)

    def _refuse(
        self, mode: MainMode, raw: bytes, message: Incoming, error: NotifyError, now: float
    ) -> None:
        """Tell a stranger what is wrong; a refused message is remembered like any other."""
        context = self._context
        answer = self._notification(mode.cookies, NotifyType(error.code))
        mode.last.remember(raw, answer)
        if mode.state is State.START and not self.half_open.add(mode, now):
            raise DropError(Drop.NO_ROOM)
        context.send(answer, message.path)
        self._tell_refusal(mode, message.path, error.why, error.hint)
        if mode.failures >= MAX_FAILURES:
            self.half_open.remove(mode)

    def _go_on(self, mode: MainMode, raw: bytes, message: Incoming, now: float) -> None:
        """Take a step as initiator."""
        try:
            answer = mode.receive(message)
        except NotifyError as error:
            mode.rumour = error.why
            raise DropError(Drop.UNEXPECTED) from error
        mode.last.remember(raw, answer)
        if answer is not None:
            self._context.request(mode, answer, mode.path, now)
            return
        number = self._forget(mode)
        if not mode.initial_contact and number not in self._peers.by_id:
            return
        sa = self._peers.authenticated(mode, number, now)
        for older in sa.peer.isakmp_sas[:-1]:
            self._peers.retire(older, now)
        if not sa.peer.pairs:
            self._quick_modes.start(sa, now)

    def _tell_lifetime(self, mode: MainMode, sa: IsakmpSa) -> None:
        """Tell the initiator of an ISAKMP SA if we end it sooner than it offered."""
        ours = self._context.config.ike_lifetime
        seconds = LifeType.SECONDS, known(mode.offer).seconds or ours, ours
        told = responder_lifetime.tell(ProtocolId.ISAKMP, sa.spi, [seconds])
        if told:
            self._context.send(sa.seal_informational(told, self._context.entropy), mode.path)

    def _notification(self, cookies: Cookies, kind: NotifyType) -> bytes:
        """Return a notification in clear (RFC 2408 section 4.8)."""
        payloads = Payloads.of([Payload(PayloadType.NOTIFY, Notification(kind).build())])
        message_id = int.from_bytes(self._context.entropy(4), "big")
        return build_message(cookies, ExchangeType.INFORMATIONAL, payloads, message_id)

    def _forget(self, mode: MainMode) -> int:
        self._context.answered(mode)
        del self._ours[mode.cookies.initiator]
        return self._numbers.pop(mode)

    def _tell_refusal(
        self, mode: MainMode, path: Path, why: str, hint: str, timed_out: bool = False
    ) -> None:
        negotiation = mode.negotiation
        self._context.tell(
            NegotiationFailed(path, None, MAIN_MODE, why, hint, negotiation, timed_out)
        )

    def _tell_failure(self, path: Path, number: int | None, why: str, hint: str) -> None:
        self._context.tell(NegotiationFailed(path, number, MAIN_MODE, why, hint))

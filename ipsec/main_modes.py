"""All phases 1 under way, main modes for the most part: those that strangers begin, and our own.

What a stranger sends wrong is answered with a notification in clear, once for each message: it
is no longer than the message was. What comes in clear to us proves nothing, so that nobody can
end a main mode of ours by saying so; at most it explains later why the main mode failed.
"""

from dataclasses import replace
from typing import Final

from ipsec import responder_lifetime
from ipsec.aggressive_mode import AGGRESSIVE_MODE, GROUP_ID_TYPES, AggressiveMode
from ipsec.checks import known
from ipsec.constants import ExchangeType, LifeType, NotifyType, PayloadType, ProtocolId
from ipsec.context import Context
from ipsec.errors import Drop, DropError, NotifyError
from ipsec.events import NegotiationFailed, PeerClosed, Why
from ipsec.exchange import Incoming
from ipsec.foreign import Foreign, Refusal, notification_in_clear, unheard
from ipsec.half_open import HalfOpen
from ipsec.isakmp_sa import IsakmpSa
from ipsec.main_mode import MAX_FAILURES, MainMode, State
from ipsec.message import COOKIE_LENGTH, NO_COOKIE, Cookies, Payloads
from ipsec.path import Path
from ipsec.payloads import Identification, read_notifications
from ipsec.peers import Peers
from ipsec.quick_modes import QuickModes
from wire import RateLimit, Reader

MAX_FIRST_MESSAGE: Final = 8192
"""Octets of message 1, of which the SA payload is kept until message 5. macOS sends 788."""

KEY_AGREEMENTS_PER_HOST: Final = 10
KEY_AGREEMENTS: Final = 100
KEY_AGREEMENTS_PERIOD: Final = 10.0
"""Aggressive modes that one host and all may make us compute for, in so many seconds."""

MAIN_MODE: Final = "main mode"
"""The stage that events name."""

AGGRESSIVE_HINT: Final = (
    "leave the group name (IPsec identifier) empty on the client; a group in ipsec.keys would "
    "allow it, and anybody to search for that group's key"
)


class MainModes:
    """Drives main modes, and turns those that come to their end into ISAKMP SAs."""

    __slots__ = (
        "_context",
        "_foreign",
        "_key_agreements",
        "_numbers",
        "_ours",
        "_peers",
        "_quick_modes",
        "half_open",
    )

    def __init__(
        self, context: Context, peers: Peers, quick_modes: QuickModes, foreign: Foreign
    ) -> None:
        self._context = context
        self._foreign = foreign
        self._key_agreements = RateLimit(
            KEY_AGREEMENTS_PER_HOST, KEY_AGREEMENTS, KEY_AGREEMENTS_PERIOD
        )
        self._peers = peers
        self._quick_modes = quick_modes
        self._ours: dict[bytes, MainMode] = {}
        self._numbers: dict[MainMode, int] = {}
        self.half_open = HalfOpen(context)

    def start(self, path: Path, number: int, now: float) -> None:
        """Begin phase 1 with peer `number`; one without ESP SAs gets a quick mode after it."""
        context = self._context
        cookie = context.entropy(COOKIE_LENGTH)
        kind = AggressiveMode if context.config.aggressive else MainMode
        mode = kind(context.config, context.entropy, True, cookie, path)
        self._ours[cookie] = mode
        self._numbers[mode] = number
        first = mode.start(initial_contact=number not in self._peers.by_id)
        context.request(mode, first, path, now)

    def is_calling(self, number: int) -> bool:
        """Say whether a main mode of ours with peer `number` is under way."""
        return number in self._numbers.values()

    def receive(self, raw: bytes, message: Incoming, now: float) -> None:
        """Take a message of a main or aggressive mode; `raw` is all of it. Raises DecodeError."""
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
            if mode is None:
                return
        if mode.exchange != message.header.exchange:
            raise DropError(Drop.UNEXPECTED)
        if mode.initiator:
            self._go_on(mode, raw, message, now)
        else:
            self._answer(mode, raw, message, now)

    def listen(self, message: Incoming) -> None:
        """Take a notification in clear. Raises DecodeError."""
        mode = self.find(message.header.cookies, message.path)
        if mode is None:
            raise DropError(Drop.IN_CLEAR)
        payloads = Payloads.parse(message.header.first, message.body)
        for notification in read_notifications(payloads.all(PayloadType.NOTIFY)):
            mode.rumour = f"somebody answered {notification.type}"

    def remind(self, message: Incoming) -> None:
        """Take what came under an ISAKMP SA that is not there, for all that we know.

        To who has finished an aggressive mode, but for its message 3, message 2 is sent again: the
        address is that of message 1, so that nobody else can make us do this.
        """
        mode = self.half_open.find(message.header.cookies, message.path.peer)
        if isinstance(mode, AggressiveMode) and mode.first[1].host == message.path.peer.host:
            answer = mode.last.answer_again()
            if answer is not None:
                self._context.send(answer, message.path)

    def expired(self, mode: MainMode) -> None:
        """Forget a stranger's main mode that did not go on."""
        self.half_open.remove(mode)
        if mode.exchange == ExchangeType.AGGRESSIVE and mode.state is State.SA_ANSWERED:
            if not mode.failures:
                why = "message 3 never came" + (f"; {mode.rumour}" if mode.rumour else "")
                hint = "is the key of this group on the client? is UDP port 4500 open?"
                self._tell_refusal(mode, mode.path, why, hint, timed_out=True)
        elif mode.state is State.SA_ANSWERED:
            hint = "do our answers from UDP port 500 reach the client?"
            self._tell_refusal(mode, mode.path, "message 3 never came", hint, timed_out=True)
        elif mode.state is State.KE_ANSWERED and not mode.failures:
            hint = "is UDP port 4500 open?" if mode.nat.found else ""
            self._tell_refusal(mode, mode.path, "message 5 never came", hint, timed_out=True)

    def unanswered(self, mode: MainMode) -> None:
        """Give up a main mode of ours that gets no answer; a client's has a time of its own."""
        if not mode.initiator:
            return
        number = self._forget(mode)
        why = f"no answer to {mode.state.value}" + (f"; {mode.rumour}" if mode.rumour else "")
        self._context.tell(NegotiationFailed(mode.path, number, _stage(mode), why, ""))
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

    def _begin(self, raw: bytes, message: Incoming, now: float) -> MainMode | None:
        """Return what a stranger's first message begins; None if it is refused at once.

        Raises DecodeError for no room.
        """
        context, path = self._context, message.path
        if len(raw) > MAX_FIRST_MESSAGE:
            raise DropError(Drop.NO_ROOM)
        if len(self._peers) >= context.config.peer_limit and not self._peers.is_known(path):
            raise DropError(Drop.NO_ROOM)
        cookie, kind = message.header.cookies.initiator, MainMode
        if message.header.exchange == ExchangeType.AGGRESSIVE:
            if self._is_refused(message, now):
                return None
            if not self._key_agreements.admits(path.peer.host, now):
                raise DropError(Drop.NO_ROOM)
            kind = AggressiveMode
        mode = kind(context.config, context.entropy, False, cookie, path)
        mode.began = now
        return mode

    def _is_refused(self, message: Incoming, now: float) -> bool:
        """Refuse an aggressive mode for no group of ours, as all are where there are no groups.

        Raises DecodeError.
        """
        groups = self._context.config.groups
        payloads = Payloads.parse(message.header.first, message.body)
        why, hint = "the client asks for it, and it is off", AGGRESSIVE_HINT
        if groups:
            identity = Identification.parse(Reader(payloads.the(PayloadType.ID)))
            if identity.type in GROUP_ID_TYPES and identity.data in groups:
                return False
            name = replace(identity, protocol=0, port=0)
            why = f"no group is called '{name}', as the client says"
            hint = "set the name of a group in ipsec.keys on the client, or leave it empty there"
        about = unheard(message.header.cookies, payloads.all(PayloadType.VENDOR), now)
        kind = NotifyType.UNSUPPORTED_EXCHANGE_TYPE
        self._foreign.refuse(message, Refusal(kind, AGGRESSIVE_MODE, why, hint, about), now)
        return True

    def _answer(self, mode: MainMode, raw: bytes, message: Incoming, now: float) -> None:
        """Take a step as responder."""
        before = mode.state
        try:
            answer = mode.receive(message)
        except NotifyError as error:
            self._refuse(mode, raw, message, error, now)
            return
        mode.last.remember(raw, answer)
        if mode.state is State.ESTABLISHED:
            self.half_open.remove(mode)
        elif before is not State.START:
            self.half_open.went_on(mode, now)
        elif not self.half_open.add(mode, now):
            raise DropError(Drop.NO_ROOM)
        aggressive = mode.exchange == ExchangeType.AGGRESSIVE
        if answer is not None and aggressive and self._peers.is_known(message.path):
            self._context.request(mode, answer, message.path, now)
        elif answer is not None:
            self._context.send(answer, message.path)
        if mode.state is State.ESTABLISHED:
            self._tell_lifetime(mode, self._peers.authenticated(mode, None, now))

    def _refuse(
        self, mode: MainMode, raw: bytes, message: Incoming, error: NotifyError, now: float
    ) -> None:
        """Tell a stranger what is wrong; a refused message is remembered like any other.

        But not that of an aggressive mode: each of these has to be admitted.
        """
        context = self._context
        if mode.state is State.START and mode.exchange == ExchangeType.AGGRESSIVE:
            kind, about = NotifyType(error.code), mode.negotiation
            refusal = Refusal(kind, AGGRESSIVE_MODE, error.why, error.hint, about)
            self._foreign.refuse(message, refusal, now)
            return
        answer = notification_in_clear(mode.cookies, NotifyType(error.code), context.entropy)
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
        if answer is not None and mode.state is not State.ESTABLISHED:
            self._context.request(mode, answer, mode.path, now)
            return
        if answer is not None:
            self._context.send(answer, mode.path)
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

    def _forget(self, mode: MainMode) -> int:
        self._context.answered(mode)
        del self._ours[mode.cookies.initiator]
        return self._numbers.pop(mode)

    def _tell_refusal(
        self, mode: MainMode, path: Path, why: str, hint: str, timed_out: bool = False
    ) -> None:
        about = mode.negotiation
        stage = _stage(mode)
        self._context.tell(NegotiationFailed(path, None, stage, why, hint, about, timed_out))


def _stage(mode: MainMode) -> str:
    return AGGRESSIVE_MODE if mode.exchange == ExchangeType.AGGRESSIVE else MAIN_MODE

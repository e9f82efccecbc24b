"""The Link Control Protocol: RFC 1661 sections 5 and 6, RFC 1570 section 1.

We ask for an MRU, the authentication of the peer (as a server) and a magic number. Of the peer
we also take an ACCM, PFC and ACFC, which mean nothing here: frames are not asynchronous, and we
never compress. All else (callback, multilink, ...) is rejected, in one Configure-Reject.

Timers: besides the Restart timer, `_echo_deadline`, when the next Echo-Request is due.
"""

from collections.abc import Sequence

from ppp.authentication import method_of, option_data
from ppp.automaton import Automaton, Surroundings
from ppp.config import LinkConfig, Method
from ppp.constants import DEFAULT_MRU, MINIMUM_MRU, Code, LcpOption, Protocol
from ppp.events import Reason
from ppp.packet import Option, Packet
from ppp.transitions import Event, State
from wire import Entropy, Reader

HEARD_RESTART = 1.0
"""The least Restart time, in seconds, once the peer is known to listen."""

NO_MAGIC = bytes(4)

NEEDED = (Protocol.LCP, Protocol.IPCP, Protocol.CHAP, Protocol.PAP, Protocol.EAP)
"""The protocols without which there is no link."""


class Lcp(Automaton):
    """LCP of one end; `peer_mru` and `method` (of authentication) are what is in force."""

    __slots__ = (
        "_echo_deadline",
        "_entropy",
        "_is_server",
        "_magic",
        "_methods",
        "_mru",
        "_unanswered",
        "method",
        "peer_mru",
    )

    protocol = Protocol.LCP

    def __init__(self, config: LinkConfig, link: Surroundings, entropy: Entropy) -> None:
        super().__init__(config, link, config.restart)
        self._entropy = entropy
        self._is_server = config.credentials is None
        self._methods = config.methods
        """What may still be asked for, or consented to."""
        self._mru: int | None = config.mru if config.mru != DEFAULT_MRU else None
        self._magic = self._new_magic()
        self.method: Method | None = self._methods[0] if self._is_server else None
        self.peer_mru = DEFAULT_MRU
        self._echo_deadline: float | None = None
        self._unanswered = 0

    # Our options.

    def request_options(self) -> list[Option]:
        """Ask for what differs from the defaults (section 5.1)."""
        options = []
        if self._mru is not None:
            options.append(Option(LcpOption.MAXIMUM_RECEIVE_UNIT, self._mru.to_bytes(2, "big")))
        if self._is_server and self.method is not None:
            options.append(Option(LcpOption.AUTHENTICATION_PROTOCOL, option_data(self.method)))
        if self._magic != NO_MAGIC:
            options.append(Option(LcpOption.MAGIC_NUMBER, self._magic))
        return options

    def take_nak(self, options: Sequence[Option], now: float) -> None:
        """Follow the peer's suggestions as far as we can."""
        for option in options:
            match option.type:
                case LcpOption.MAXIMUM_RECEIVE_UNIT if len(option.data) == 2:
                    wanted = int.from_bytes(option.data, "big")
                    if MINIMUM_MRU <= wanted <= DEFAULT_MRU:
                        self._mru = wanted
                case LcpOption.MAGIC_NUMBER:
                    self._magic = self._new_magic()
                case LcpOption.AUTHENTICATION_PROTOCOL if self._is_server:
                    self._try_another_method(method_of(option.data), now)

    def take_reject(self, options: Sequence[Option], now: float) -> None:
        """Do without; except that a server does not do without authentication."""
        for option in options:
            match option.type:
                case LcpOption.MAXIMUM_RECEIVE_UNIT:
                    self._mru = None
                case LcpOption.MAGIC_NUMBER:
                    self._magic = NO_MAGIC
                case LcpOption.AUTHENTICATION_PROTOCOL:
                    why = "the peer refuses to authenticate at all"
                    self._link.give_up(Reason.METHODS_REFUSED, why, now)

    def _try_another_method(self, wanted: Method | None, now: float) -> None:
        """Ask for the method that the peer wants, or else our next one (section 6.2)."""
        self._methods = tuple(method for method in self._methods if method is not self.method)
        if wanted in self._methods:
            self.method = wanted
        elif self._methods:
            self.method = self._methods[0]
        else:
            allowed = ", ".join(method.value for method in self._config.methods)
            instead = f" and wants {wanted.value}" if wanted else ""
            why = f"the peer refuses all that we allow ({allowed}){instead}"
            self._link.give_up(Reason.METHODS_REFUSED, why, now)

    # The peer's options.

    def judge(self, option: Option) -> Option | None:
        """Say what we think of an option of the peer's request."""
        match option.type:
            case LcpOption.MAXIMUM_RECEIVE_UNIT:
                if len(option.data) != 2:
                    return Option(option.type, self._config.mru.to_bytes(2, "big"))
                if int.from_bytes(option.data, "big") < MINIMUM_MRU:
                    return Option(option.type, MINIMUM_MRU.to_bytes(2, "big"))
                return option
            case LcpOption.ASYNC_CONTROL_CHARACTER_MAP:
                return option if len(option.data) == 4 else Option(option.type, bytes(4))
            case LcpOption.AUTHENTICATION_PROTOCOL if not self._is_server and self._methods:
                is_known = method_of(option.data) in self._methods
                return option if is_known else Option(option.type, option_data(self._methods[0]))
            case LcpOption.MAGIC_NUMBER:
                # Our own number may be our own request, looped back (section 6.4).
                is_good = len(option.data) == 4 and option.data not in (NO_MAGIC, self._magic)
                return option if is_good else Option(option.type, self._new_magic())
            case (
                LcpOption.PROTOCOL_FIELD_COMPRESSION
                | LcpOption.ADDRESS_AND_CONTROL_FIELD_COMPRESSION
            ):
                return option if not option.data else None
        return None

    def accept(self, options: Sequence[Option]) -> None:
        """Let the peer's options be in force; what is not listed has its default."""
        values = {option.type: option.data for option in options}
        mru = values.get(LcpOption.MAXIMUM_RECEIVE_UNIT)
        self.peer_mru = DEFAULT_MRU if mru is None else int.from_bytes(mru, "big")
        if not self._is_server:
            method = values.get(LcpOption.AUTHENTICATION_PROTOCOL)
            self.method = None if method is None else method_of(method)

    def _receive_request(self, packet: Packet, now: float) -> None:
        """Before the first answer repeat our own request, if it is still unanswered.

        A pppd that is started for a call does not hear what was sent before, and would wait for
        the Restart timer. Being sent before the answer, a repetition that was not necessary
        finds the peer not yet open. From now on the peer listens, and what is lost is repeated
        sooner; but not too soon: a request that reaches an open peer makes it begin anew.
        """
        if not self.heard and self.state is State.REQ_SENT:
            self.first_restart = self._period = HEARD_RESTART
            self.send_configure_request(now)
        super()._receive_request(packet, now)

    def up(self, now: float) -> None:
        """The lower layer is up: nobody knows whether the peer listens."""
        self.first_restart = self._config.restart
        super().up(now)

    # Link maintenance: sections 5.7 to 5.9, RFC 1570.

    def receive_other(self, packet: Packet, now: float) -> Event | None:
        """Take the packets that only LCP has."""
        reader = Reader(packet.data)
        match packet.code:
            case Code.PROTOCOL_REJECT:
                return self._receive_protocol_reject(Protocol(reader.u16()), now)
            case Code.ECHO_REPLY:
                # A reply with our own number is our own, looped back.
                if reader.take(4) != self._magic or self._magic == NO_MAGIC:
                    self._unanswered = 0
                return Event.RXR
            case Code.ECHO_REQUEST | Code.DISCARD_REQUEST:
                reader.skip(4)
                return Event.RXR
            case Code.IDENTIFICATION | Code.TIME_REMAINING:
                return Event.RXR
        return Event.RUC

    def _receive_protocol_reject(self, rejected: Protocol, now: float) -> Event | None:
        """Without LCP, IPCP or authentication the link is of no use; without others it is."""
        if self.state is not State.OPENED:
            return None
        if rejected not in NEEDED:
            self._link.protocol_rejected(rejected, now)
            return Event.RXJ_PLUS
        self._note(Reason.PROTOCOL_REJECTED, f"the peer rejects {rejected}")
        return Event.RXJ_MINUS

    def send_echo_reply(self, packet: Packet) -> None:
        """Answer an Echo-Request with our own magic number."""
        if packet.code == Code.ECHO_REQUEST:
            self.send(Code.ECHO_REPLY, packet.identifier, self._magic + packet.data[4:])

    def reject_protocol(self, protocol: Protocol, information: bytes) -> None:
        """Tell the peer that we do not speak a protocol."""
        data = protocol.to_bytes(2, "big") + information
        self.send(Code.PROTOCOL_REJECT, self.next_identifier(), data)

    def this_layer_up(self, now: float) -> None:
        """Begin to watch whether the peer is alive."""
        self._unanswered = 0
        interval = self._config.echo_interval
        self._echo_deadline = now + interval if interval else None
        super().this_layer_up(now)

    def this_layer_down(self, now: float) -> None:
        """Stop watching: Echo-Requests belong to the Opened state."""
        self._echo_deadline = None
        super().this_layer_down(now)

    def peer_is_alive(self) -> None:
        """Take it that the peer is alive, whatever became of its Echo-Replies."""
        self._unanswered = 0

    def next_timeout(self) -> float | None:
        """Return the earlier of the two timers; they never run at once."""
        return self._echo_deadline if self.deadline is None else self.deadline

    def handle_timeout(self, now: float) -> None:
        """Let either timer expire if it is due."""
        super().handle_timeout(now)
        if self._echo_deadline is None or now < self._echo_deadline:
            return
        if self._unanswered >= self._config.echo_failures:
            why = f"{self._unanswered} Echo-Requests stayed unanswered"
            self._link.give_up(Reason.ECHO_TIMED_OUT, why, now)
            return
        self._unanswered += 1
        self._echo_deadline = now + self._config.echo_interval
        self.send(Code.ECHO_REQUEST, self.next_identifier(), self._magic)

    def _new_magic(self) -> bytes:
        """Return a number other than zero, which is illegal (section 6.4)."""
        while (magic := self._entropy(4)) == NO_MAGIC:
            continue
        return magic

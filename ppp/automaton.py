"""The automaton that brings up, keeps and ends one control protocol: RFC 1661 sections 4 and 5.

How this works: `receive` turns a packet into an event, `TRANSITIONS` says which actions follow
and which state is next, `_perform` does them. LCP and IPCP derive from this class and say which
options they ask for, what they think of the peer's, and what their other codes mean.

Timer: `deadline`, the Restart timer of section 4.6. It starts with every Configure-Request and
Terminate-Request sent, and runs only in the states that have a Timeout in the table.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar
from typing import Protocol as Interface

from ppp.config import LinkConfig
from ppp.constants import Code, Protocol
from ppp.events import Reason
from ppp.packet import HEADER_LENGTH, Option, Packet, build_options, parse_options
from ppp.transitions import TIMED, TRANSITIONS, Action, Event, State
from wire import LocalError, Reader

REFUSALS = 10
"""After so many Naks and Rejects in a row the peer will never be content (section 4.5)."""

SHOWN = 64
"""So many octets of the peer's reason for ending are for the log."""


class Surroundings(Interface):
    """What the link does for its automatons."""

    @property
    def peer_mru(self) -> int:
        """The most octets that a packet may have."""

    def send(self, protocol: Protocol, packet: Packet) -> None:
        """Send a packet."""

    def layer_up(self, layer: "Automaton", now: float) -> None:
        """This-Layer-Up."""

    def layer_down(self, layer: "Automaton", now: float) -> None:
        """This-Layer-Down."""

    def layer_finished(self, layer: "Automaton", now: float) -> None:
        """This-Layer-Finished; `layer.ending` says why."""

    def give_up(self, reason: Reason, why: str, now: float) -> None:
        """End the link, because the layer can never open."""

    def protocol_rejected(self, protocol: Protocol, now: float) -> None:
        """Take note that the peer does not know a protocol that the link can do without."""


class Automaton(ABC):
    """One end of a control protocol."""

    __slots__ = (
        "_config",
        "_identifier",
        "_link",
        "_naks_sent",
        "_outstanding",
        "_period",
        "_refusals",
        "_request",
        "_request_identifier",
        "_restart_count",
        "deadline",
        "ending",
        "first_restart",
        "heard",
        "state",
    )

    protocol: ClassVar[Protocol]

    def __init__(self, config: LinkConfig, link: Surroundings, first_restart: float) -> None:
        self._config = config
        self._link = link
        self.state = State.INITIAL
        self.deadline: float | None = None
        self.heard = False
        """Whether the peer has sent a packet of this protocol since the lower layer is up."""
        self.ending: tuple[Reason, str] | None = None
        """Why the layer finished, or will."""
        self.first_restart = first_restart
        self._period = first_restart
        self._restart_count = 0
        self._identifier = 0
        self._request = b""
        self._request_identifier = 0
        self._outstanding = False
        self._naks_sent = 0
        self._refusals = 0

    # What a protocol adds.

    @abstractmethod
    def request_options(self) -> list[Option]:
        """Return the options to ask for."""

    @abstractmethod
    def judge(self, option: Option) -> Option | None:
        """Return the peer's option if it is acceptable, another to Nak it, None to Reject it."""

    def missing(self, options: Sequence[Option]) -> list[Option]:
        """Return what a Nak shall prompt the peer to ask for (section 5.3)."""
        return []

    @abstractmethod
    def accept(self, options: Sequence[Option]) -> None:
        """Take note of the peer's options, which are being acknowledged."""

    @abstractmethod
    def take_nak(self, options: Sequence[Option], now: float) -> None:
        """Change `request_options` according to the peer's Nak."""

    @abstractmethod
    def take_reject(self, options: Sequence[Option], now: float) -> None:
        """Take out of `request_options` what the peer rejects."""

    def give_up(self, reason: Reason, why: str, now: float) -> None:
        """Take note that this layer can never open: what is to end, is up to the protocol."""
        self._link.give_up(reason, why, now)

    def receive_other(self, packet: Packet, now: float) -> Event | None:
        """Return the event that a packet with a code above 7 is; None: none. May DecodeError."""
        return Event.RUC

    # What happens to the layer.

    def open(self, now: float) -> None:
        """Administrative Open."""
        self._handle(Event.OPEN, now)

    def close(self, reason: Reason, why: str, now: float) -> None:
        """Administrative Close; the peer is told `why`."""
        self.ending = (reason, why)
        self._handle(Event.CLOSE, now)

    def up(self, now: float) -> None:
        """The lower layer is up."""
        self.heard = False
        self._naks_sent = self._refusals = 0
        self._handle(Event.UP, now)

    def down(self, now: float) -> None:
        """The lower layer is down; without effect where it is not up."""
        if self.is_lower_layer_up:
            self._handle(Event.DOWN, now)

    @property
    def is_lower_layer_up(self) -> bool:
        """Whether packets can be exchanged."""
        return self.state not in (State.INITIAL, State.STARTING)

    def receive(self, packet: Packet, now: float) -> None:
        """Take a packet of this protocol. Raises DecodeError if its Data makes no sense."""
        if not self.is_lower_layer_up:
            return
        match packet.code:
            case Code.CONFIGURE_REQUEST:
                self._receive_request(packet, now)
            case Code.CONFIGURE_ACK | Code.CONFIGURE_NAK | Code.CONFIGURE_REJECT:
                self._receive_answer(packet, now)
            case Code.TERMINATE_REQUEST:
                text = packet.data[:SHOWN].decode("ascii", "backslashreplace")
                self._note(Reason.PEER_TERMINATED, f"the peer ended {self.protocol}: {text!r}")
                self._handle(Event.RTR, now, packet)
            case Code.TERMINATE_ACK:
                self._handle(Event.RTA, now, packet)
            case Code.CODE_REJECT:
                self._receive_code_reject(Reader(packet.data).u8(), now)
            case _:
                event = self.receive_other(packet, now)
                if event is not None:
                    self._handle(event, now, packet)
        self.heard = True

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due."""
        return self.deadline

    def is_due(self, now: float) -> bool:
        """Return whether the Restart timer expires."""
        return self.deadline is not None and now >= self.deadline

    def handle_timeout(self, now: float) -> None:
        """Let the Restart timer expire if it is due."""
        if not self.is_due(now):
            return
        if self._restart_count > 0:
            self._handle(Event.TO_PLUS, now)
        else:
            self._note(Reason.NO_ANSWER, f"no answer from the peer to {self.protocol}")
            self._handle(Event.TO_MINUS, now)

    # Packets become events.

    def _receive_request(self, packet: Packet, now: float) -> None:
        options = parse_options(packet.data)
        code, answer = self._answer(options)
        event = Event.RCR_PLUS if code is Code.CONFIGURE_ACK else Event.RCR_MINUS
        reply = Packet(code, packet.identifier, build_options(answer))
        self._handle(event, now, packet, reply)

    def _answer(self, options: Sequence[Option]) -> tuple[Code, Sequence[Option]]:
        """Judge the peer's request: sections 5.2, 5.3, 5.4 and Max-Failure of 4.6.

        No option that we know may be listed twice; all but the first are rejected.
        """
        may_nak = self._naks_sent < self._config.max_failure
        naks: list[Option] = []
        rejects: list[Option] = []
        seen = set()
        for option in options:
            verdict = None if option.type in seen else self.judge(option)
            seen.add(option.type)
            if verdict is None or (verdict != option and not may_nak):
                rejects.append(option)
            elif verdict != option:
                naks.append(verdict)
        if may_nak:
            naks += self.missing(options)
        if rejects:
            return Code.CONFIGURE_REJECT, rejects
        if naks:
            return Code.CONFIGURE_NAK, naks
        return Code.CONFIGURE_ACK, options

    def _receive_answer(self, packet: Packet, now: float) -> None:
        """Take the answer to our outstanding request; any other is silently discarded."""
        if not self._outstanding or packet.identifier != self._request_identifier:
            return
        if packet.code == Code.CONFIGURE_ACK:
            if packet.data == self._request:
                self._outstanding = False
                self._handle(Event.RCA, now, packet)
            return
        options = parse_options(packet.data)
        if packet.code == Code.CONFIGURE_NAK:
            self.take_nak(options, now)
        elif set(options) <= set(parse_options(self._request)):
            self.take_reject(options, now)
        else:
            return
        self._outstanding = False
        self._refusals += 1
        if self._refusals > REFUSALS:
            why = f"the peer refuses our {self.protocol} options again and again"
            self.give_up(Reason.NOT_CONVERGED, why, now)
        if self.is_lower_layer_up:
            self._handle(Event.RCN, now, packet)

    def _receive_code_reject(self, code: int, now: float) -> None:
        """Take a Code-Reject: without the codes up to 7 there is no protocol (section 5.6)."""
        if code > Code.CODE_REJECT:
            self._handle(Event.RXJ_PLUS, now)
            return
        self._note(Reason.PROTOCOL_REJECTED, f"the peer rejects {Code(code)} of {self.protocol}")
        self._handle(Event.RXJ_MINUS, now)

    # Events become actions.

    def _handle(
        self, event: Event, now: float, packet: Packet | None = None, reply: Packet | None = None
    ) -> None:
        transition = TRANSITIONS.get((event, self.state))
        if transition is None:
            raise LocalError(f"{self.protocol}: {event.name} in state {self.state.name}")
        actions, self.state = transition
        for action in actions:
            match action:
                case Action.TLU:
                    self.this_layer_up(now)
                case Action.TLD:
                    self.this_layer_down(now)
                case Action.TLF:
                    self._link.layer_finished(self, now)
                case Action.IRC:
                    self._initialize_restart_count(Action.STR in actions)
                case Action.ZRC:
                    self._zero_restart_count(now)
                case Action.SCR:
                    self.send_configure_request(now)
                case Action.STR:
                    self._send_terminate_request(now)
                case Action.STA if packet is not None:
                    self.send(Code.TERMINATE_ACK, packet.identifier)
                case Action.SCA | Action.SCN if packet is not None and reply is not None:
                    self._reply(packet, reply)
                case Action.SCJ if packet is not None:
                    self._send_code_reject(packet)
                case Action.SER if packet is not None:
                    self.send_echo_reply(packet)
        if self.state not in TIMED:
            self.deadline = None

    def this_layer_up(self, now: float) -> None:
        """Tell the link that this layer is open."""
        self.ending = None
        self._refusals = 0
        self._link.layer_up(self, now)

    def this_layer_down(self, now: float) -> None:
        """Tell the link that this layer is no longer open."""
        self._link.layer_down(self, now)

    def _note(self, reason: Reason, why: str) -> None:
        """Remember why the layer may end, if nothing else is the reason yet."""
        if self.ending is None:
            self.ending = (reason, why)

    def _initialize_restart_count(self, for_terminate: bool) -> None:
        config = self._config
        self._restart_count = config.max_terminate if for_terminate else config.max_configure
        self._period = self.first_restart

    def _zero_restart_count(self, now: float) -> None:
        """Stay for one Restart time, so that the peer can repeat its request (section 3.7)."""
        self._restart_count = 0
        self.deadline = now + self._config.restart

    def _start_restart_timer(self, now: float) -> None:
        self._restart_count -= 1
        self.deadline = now + self._period
        self._period = min(2 * self._period, self._config.restart)

    # Actions become packets.

    def next_identifier(self) -> int:
        """Return an Identifier other than the last."""
        self._identifier = (self._identifier + 1) % 256
        return self._identifier

    def send(self, code: Code, identifier: int, data: bytes = b"") -> None:
        """Send a packet, cut to what the peer receives."""
        data = data[: self._link.peer_mru - HEADER_LENGTH]
        self._link.send(self.protocol, Packet(code, identifier, data))

    def send_configure_request(self, now: float) -> None:
        """Send a request; with the old Identifier if it is the same and not answered yet."""
        request = build_options(self.request_options())
        if not self._outstanding or request != self._request:
            self._request_identifier = self.next_identifier()
        self._request = request
        self._outstanding = True
        self._start_restart_timer(now)
        self.send(Code.CONFIGURE_REQUEST, self._request_identifier, request)

    def _reply(self, request: Packet, reply: Packet) -> None:
        if reply.code == Code.CONFIGURE_ACK:
            self._naks_sent = 0
            self.accept(parse_options(request.data))
        elif reply.code == Code.CONFIGURE_NAK:
            self._naks_sent += 1
        self._link.send(self.protocol, reply)

    def _send_terminate_request(self, now: float) -> None:
        self._outstanding = False
        self._start_restart_timer(now)
        text = self.ending[1] if self.ending else ""
        self.send(Code.TERMINATE_REQUEST, self.next_identifier(), text.encode())

    def _send_code_reject(self, packet: Packet) -> None:
        self.send(Code.CODE_REJECT, self.next_identifier(), packet.build())

    def send_echo_reply(self, packet: Packet) -> None:
        """Answer an Echo-Request; only LCP has it."""
        raise LocalError(f"{self.protocol} has no Echo-Reply")

"""L2TP of a native client: what it sends in which order, and which answers it takes."""

from enum import Enum
from typing import Final, Protocol

from l2tp.header import DataHeader
from tests.support.l2tp import (
    CDN,
    HELLO,
    ICCN,
    ICRP,
    ICRQ,
    SCCCN,
    SCCRP,
    SCCRQ,
    STOPCCN,
    RawControl,
    avp,
    control,
    message,
    parse_control,
    raw_avps,
    u16,
)
from tests.support.native.agenda import Agenda, Stray, require
from tests.support.native.profile import L2tp, Pace
from wire import Entropy, Reader

REQUIRED: Final = {SCCRP: {0, 2, 3, 7, 9}, ICRP: {0, 14}}
KNOWN: Final = {SCCRP: {0, 2, 3, 4, 6, 7, 8, 9, 10}, ICRP: {0, 14}}
"""What macOS wants in an answer, and what it takes with the M bit without giving up [S]. No
Challenge: neither Windows [D] nor macOS [S] would answer it."""

TRIES: Final = 9


class State(Enum):
    """What was sent last, and then that the call is up or over."""

    SCCRQ = "SCCRQ"
    SCCCN = "SCCCN"
    ICRQ = "ICRQ"
    ICCN = "ICCN"
    UP = "up"
    OVER = "over"


class Surroundings(Protocol):
    """What the client does for its LAC."""

    def send_l2tp(self, data: bytes) -> None: ...
    def call_up(self) -> None: ...
    def lost(self, why: str) -> None: ...


class Lac:
    """One tunnel with one call. `sent` are the messages that it sent, ZLBs left out."""

    def __init__(
        self, l2tp: L2tp, host_name: bytes, entropy: Entropy, agenda: Agenda, client: Surroundings
    ) -> None:
        self.state = State.SCCRQ
        self.sent: list[bytes] = []
        self.tunnel_id = l2tp.first_id or int.from_bytes(entropy(2)) or 1
        self.session_id = l2tp.first_id or int.from_bytes(entropy(2)) or 1
        self._l2tp = l2tp
        self._host_name = host_name
        self._agenda = agenda
        self._client = client
        self._tunnel = self._session = 0
        self._ns = self._nr = 0
        self._acknowledged = 0

    def connect(self) -> None:
        if self._l2tp.hello_before:
            self._client.send_l2tp(control(0, 0, 0, 0, message(HELLO)))
        self._send(SCCRQ, *self._l2tp.sccrq(self.tunnel_id, self._host_name))

    def receive(self, data: bytes) -> None:
        """Take a control message."""
        answer = parse_control(data)
        if answer.tunnel_id != self.tunnel_id:
            raise Stray
        self._acknowledged = max(self._acknowledged, answer.nr)
        is_old = bool(answer.kind) and (answer.ns - self._nr) % 0x10000 >= 0x8000
        if self._l2tp.pace is Pace.ZLB and not is_old:
            is_awaited = answer.ns == self._nr and self._acknowledged == self._ns
            can_wait = self.state in (State.UP, State.OVER)
            require(is_awaited or can_wait, "mtpd takes only what it awaits")
            if not is_awaited:
                return
        if answer.kind:
            if answer.ns != self._nr:
                self._acknowledge()
                return
            self._nr += 1
        sent = self._ns
        self._go_on(answer, data)
        ends = answer.kind in (CDN, STOPCCN)
        if answer.kind and self._ns == sent and (self._l2tp.acknowledges_end or not ends):
            self._acknowledge()

    def frame(self, frame: bytes) -> None:
        """Send a PPP frame."""
        header = DataHeader(self._tunnel, self._session, length=self._l2tp.data_length)
        self._client.send_l2tp(header.build(frame))

    def read_frame(self, data: bytes) -> bytes:
        """Return the PPP frame in a data message."""
        header, frame = DataHeader.parse(Reader(data))
        if (header.tunnel_id, header.session_id) != (self.tunnel_id, self.session_id):
            raise Stray
        return frame

    def disconnect(self) -> None:
        """Send a CDN."""
        self.state = State.OVER
        result, number = avp(1, self._l2tp.cdn_result), avp(14, u16(self.session_id))
        self._send(CDN, result, number, session=self._session)

    def stop(self) -> None:
        """Send a StopCCN."""
        self.state = State.OVER
        self._send(STOPCCN, avp(9, u16(self.tunnel_id)), avp(1, self._l2tp.stop_result))

    def _go_on(self, answer: RawControl, data: bytes) -> None:
        """Do what follows from a message, given what was sent last."""
        pace = self._l2tp.pace
        if answer.kind in (SCCRP, ICRP):
            _check(answer, data)
        if answer.kind == SCCRP and self.state is State.SCCRQ:
            require(answer.avps[2] == b"\1\0", "another version")
            self._tunnel = int.from_bytes(answer.avps[9])
            require(self._tunnel != 0, "tunnel id 0")
            self._enter(State.SCCCN, SCCCN)
            if pace is Pace.EAGER:
                self._call()
        elif answer.kind == ICRP and self.state is State.ICRQ:
            require(answer.session_id == self.session_id, "the header of ICRP has another session")
            self._session = int.from_bytes(answer.avps[14])
            require(self._session != 0, "session id 0")
            self._enter(State.ICCN, ICCN, *self._l2tp.iccn, session=self._session)
            if pace is not Pace.ZLB:
                self._up()
        elif answer.kind in (CDN, STOPCCN):
            if self.state is not State.OVER:
                self.state = State.OVER
                self._client.lost("the server ended the call")
        elif pace is not Pace.ZLB or answer.kind in (0, HELLO):
            is_acknowledged = self._acknowledged == self._ns
            if self.state is State.SCCCN and is_acknowledged:
                self._call()
            elif self.state is State.ICCN and is_acknowledged:
                self._up()

    def _call(self) -> None:
        self._enter(State.ICRQ, ICRQ, *self._l2tp.icrq(self.session_id))

    def _up(self) -> None:
        self.state = State.UP
        self._client.call_up()

    def _enter(self, state: State, kind: int, *avps: bytes, session: int = 0) -> None:
        self.state = state
        self._send(kind, *avps, session=session)

    def _send(self, kind: int, *avps: bytes, session: int = 0) -> None:
        """Send a message, and again until it is acknowledged."""
        number, body = self._ns, message(kind, *avps)
        self._ns += 1
        self.sent.append(control(self._tunnel, session, number, self._nr, body))

        def send(tries: int) -> None:
            if self._acknowledged > number:
                return
            if tries == 0 and self.state is not State.OVER:
                self._client.lost(f"no acknowledgement of L2TP message {kind}")
            elif tries:
                self._client.send_l2tp(control(self._tunnel, session, number, self._nr, body))
                self._agenda.after(self._l2tp.resend, lambda: send(tries - 1))

        send(TRIES)

    def _acknowledge(self) -> None:
        self._client.send_l2tp(control(self._tunnel, 0, self._ns, self._nr))


def _check(answer: RawControl, data: bytes) -> None:
    require(REQUIRED[answer.kind] <= set(answer.avps), f"AVPs are missing: {answer}")
    for one in raw_avps(data[12:]):
        is_known = one.vendor == 0 and one.type in KNOWN[answer.kind]
        require(is_known or not one.flags & 0x8000, f"{one} is unknown and mandatory")
        require(not one.flags & 0x4000, f"{one} is hidden")

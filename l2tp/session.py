"""One session: an incoming call, as LNS or as LAC (RFC 2661 sections 5.2 to 5.6 and 7.4).

Which message means what in which state is in l2tp.session_states; here is what is done then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from l2tp.calls import call_of, connected_of, proxy_of, request_of
from l2tp.constants import CallResult, ErrorCode
from l2tp.events import Call, Proxy, Result, SessionClosed, SessionOpened, SessionRefused
from l2tp.header import DataHeader
from l2tp.messages import Cdn, Iccn, Icrp, Icrq, Message, Ocrp, Ocrq
from l2tp.session_states import ANY_OTHER, EVENTS, TRANSITIONS, Action, CallEvent, State
from l2tp.shared import Ending, Timer, TimerKey
from l2tp.text import printable, received_result, result_code
from l2tp.values import DisconnectCause

if TYPE_CHECKING:
    from l2tp.tunnel import ControlConnection


UNKNOWN_CALL = Call(serial_number=0, tx_speed=0, rx_speed=0, framing_type=0)


class Session:
    """One session of a control connection.

    `id` is ours, `peer_id` the peer's, 0 until it has told us. `sequencing` says whether the
    data that we send has sequence numbers, `ns` is the next one (section 5.4).
    """

    __slots__ = (
        "_call",
        "_proxy",
        "_request",
        "_sequencing_required",
        "id",
        "ns",
        "peer_id",
        "sequencing",
        "state",
        "tunnel",
    )

    def __init__(self, tunnel: ControlConnection, number: int) -> None:
        self.tunnel = tunnel
        self.id = number
        self.peer_id = 0
        self.state = State.IDLE
        self.sequencing = False
        self.ns = 0
        self._sequencing_required = False
        self._request: Icrq | None = None
        self._call = UNKNOWN_CALL
        self._proxy: Proxy | None = None

    @property
    def established(self) -> bool:
        """Whether PPP frames may flow."""
        return self.state is State.ESTABLISHED

    def begin(self, call: Call, proxy: Proxy | None, sequencing: bool, now: float) -> None:
        """Take in a call, as LAC; its ICRQ goes out as soon as the tunnel is open."""
        self._call, self._proxy = call, proxy
        self.sequencing = self._sequencing_required = sequencing
        self._step(CallEvent.INCOMING_CALL, now)

    def tunnel_opened(self, now: float) -> None:
        """Go on with a call that waits for its tunnel."""
        if self.state is State.WAIT_TUNNEL:
            self._step(CallEvent.TUNNEL_OPEN, now)

    def receive(self, message: Message, now: float) -> None:
        """Take in a call management message."""
        event = EVENTS.get(message.TYPE)
        if event is None:
            return
        if isinstance(message, Icrq | Icrp | Ocrq | Ocrp):
            self.peer_id = self.peer_id or message.assigned_session_id
        match message:
            case Icrq() if self.state is State.IDLE:
                self._request = message
            case Iccn() if self.state is State.WAIT_CONNECT and self._request:
                self._call = call_of(self._request, message)
                self._proxy = proxy_of(message)
                self.sequencing = message.sequencing_required
        self._step(event, now, self._ending(message))

    def refuse(self, ending: Ending, now: float) -> None:
        """Answer a message that is not acceptable."""
        self._step(CallEvent.NOT_ACCEPTABLE, now, ending)

    def close(self, ending: Ending, now: float, cause: DisconnectCause | None = None) -> None:
        """Disconnect the call from our side; `cause` goes into the CDN (RFC 3145)."""
        self._step(CallEvent.CLOSE, now, ending, cause)

    def disconnected(self, ending: Ending, now: float) -> None:
        """Take in a CDN."""
        self._step(CallEvent.CDN, now, ending)

    def drop(self, ending: Ending) -> None:
        """End without a CDN: the tunnel has ended, and all its sessions with it (5.7)."""
        was, self.state = self.state, State.IDLE
        self._clean_up(was, ending)

    def data(self, frame: bytes, ns: int | None = None) -> bytes:
        """Return the data message that carries a PPP frame; `ns` where the caller counts."""
        if ns is None and self.sequencing:
            ns, self.ns = self.ns, (self.ns + 1) & 0xFFFF
        return DataHeader(self.tunnel.peer_id, self.peer_id, ns, length=True).build(frame)

    def follow(self, header: DataHeader) -> None:
        """Send sequence numbers just as the LNS does, as LAC (section 5.4)."""
        self.sequencing = self._sequencing_required or header.ns is not None

    def _step(
        self,
        event: CallEvent,
        now: float,
        ending: Ending | None = None,
        cause: DisconnectCause | None = None,
    ) -> None:
        was = self.state
        action, self.state = TRANSITIONS[self.tunnel.shared.role].get((was, event), ANY_OTHER)
        ending = ending or Ending(str(event.value))
        match action:
            case Action.AWAIT_TUNNEL:
                self._limit(now)
            case Action.SEND_ICRQ:
                self._send_icrq()
            case Action.SEND_ICRP:
                self.tunnel.send(Icrp(assigned_session_id=self.id), self.peer_id)
                self._limit(now)
            case Action.SEND_ICCN:
                self._send_iccn()
                self._prepare_for_data()
            case Action.PREPARE_FOR_DATA:
                self._prepare_for_data()
            case Action.SEND_CDN:
                self._send_cdn(ending, cause)
                self._clean_up(was, ending)
            case Action.CLEAN_UP if was is not State.IDLE:
                self._clean_up(was, ending)

    def _ending(self, message: Message) -> Ending:
        """Return what to say if this message ends the call."""
        if isinstance(message, Cdn):
            return disconnection(message)
        if isinstance(message, Ocrq):
            why = "the peer asks for an outgoing call, and nothing here can place it"
            return Ending(why, result=Result(CallResult.NO_FACILITIES, message=why))
        why = f"the peer sent {message.TYPE} to a call in state {self.state.value}"
        return Ending(
            why, result=Result(CallResult.GENERAL_ERROR, ErrorCode.INVALID_SESSION_ID, why)
        )

    def _limit(self, now: float) -> None:
        shared = self.tunnel.shared
        shared.timers.set(TimerKey(Timer.CALL, self.id), now + shared.config.establish_timeout)

    def _send_icrq(self) -> None:
        self.tunnel.send(request_of(self._call, self.id), 0)

    def _send_iccn(self) -> None:
        message = connected_of(self._call, self._proxy, self._sequencing_required)
        self.tunnel.send(message, self.peer_id)

    def _prepare_for_data(self) -> None:
        tunnel = self.tunnel
        tunnel.shared.timers.clear(TimerKey(Timer.CALL, self.id))
        tunnel.shared.events.append(
            SessionOpened(
                self.id,
                tunnel.id,
                tunnel.flow,
                tunnel.peer_id,
                self.peer_id,
                self.sequencing,
                self._call,
                self._proxy,
            )
        )
        self._request = self._proxy = None

    def _send_cdn(self, ending: Ending, cause: DisconnectCause | None) -> None:
        message = Cdn(
            result_code=result_code(ending.result or Result(CallResult.ADMINISTRATIVE)),
            assigned_session_id=self.id,
            ppp_disconnect_cause=cause,
        )
        self.tunnel.send(message, self.peer_id)

    def _clean_up(self, was: State, ending: Ending) -> None:
        tunnel = self.tunnel
        tunnel.forget(self)
        why, by_peer, result = ending
        event: SessionClosed | SessionRefused
        if was is State.ESTABLISHED:
            event = SessionClosed(self.id, tunnel.id, tunnel.flow, why, by_peer, result)
        else:
            number = None if was is State.IDLE else self.id
            event = SessionRefused(number, tunnel.id, tunnel.flow, why, by_peer, result)
        tunnel.shared.events.append(event)


def disconnection(message: Cdn) -> Ending:
    """Return why the peer disconnects a call."""
    result = received_result(message.result_code, CallResult)
    why = f"the peer disconnected the call: {result}"
    if message.ppp_disconnect_cause is not None:
        code, protocol, _, text = message.ppp_disconnect_cause
        why += f"; PPP disconnect cause {code}, protocol {protocol:#06x}"
        why += f" ({printable(text.encode())})" if text else ""
    return Ending(why, by_peer=True, result=result)

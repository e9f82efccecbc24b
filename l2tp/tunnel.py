"""One tunnel: its control connection (RFC 2661 sections 5.1, 5.5, 5.7 and 7.2).

Which message means what in which state is in l2tp.tunnel_states; here is what is done then.
"""

from l2tp.constants import AttributeType, CallResult, ErrorCode, MessageType, StopResult
from l2tp.errors import MessageError, RefusedError
from l2tp.events import (
    Datagram,
    Flow,
    Result,
    SessionId,
    TunnelClosed,
    TunnelId,
    TunnelOpened,
    TunnelRefused,
)
from l2tp.handshake import Handshake
from l2tp.header import ControlHeader
from l2tp.messages import (
    CALL_MESSAGES,
    Hello,
    Icrq,
    Message,
    Scccn,
    Sccrp,
    Sccrq,
    StopCcn,
    parse_message,
)
from l2tp.reliable import Payload, ReliableChannel
from l2tp.session import Session
from l2tp.session_states import State as CallState
from l2tp.shared import DropReason, Ending, Shared, Timer, TimerKey
from l2tp.text import printable, received_result, result_code
from l2tp.tunnel_states import EVENTS, TRANSITIONS, Action, State, TunnelEvent
from l2tp.values import DisconnectCause


class ControlConnection:
    """One tunnel.

    `id` is ours, `peer_id` the peer's, 0 until it has told us. Datagrams, events and timers go
    into `shared`, where the endpoint finds them.
    """

    __slots__ = (
        "_channel",
        "_established_at",
        "_handshake",
        "_peers",
        "_sessions",
        "flow",
        "id",
        "peer_id",
        "shared",
        "state",
    )

    def __init__(self, shared: Shared, flow: Flow, number: TunnelId) -> None:
        self.shared = shared
        self.flow = flow
        self.id = number
        self.peer_id = 0
        self.state = State.IDLE
        self._established_at = 0.0
        self._channel = ReliableChannel(shared.config)
        self._handshake = Handshake(shared.config, number, shared.entropy)
        self._sessions: dict[SessionId, Session] = {}
        self._peers: dict[int, Session] = {}  # by the peer's session id

    @property
    def host_name(self) -> str:
        """The peer's Host Name, or "" before it is known."""
        return self._handshake.host_name

    @property
    def vendor_name(self) -> str:
        """The peer's Vendor Name, or ""."""
        return self._handshake.vendor_name

    @property
    def sessions(self) -> list[Session]:
        """The sessions in all states, oldest first."""
        return list(self._sessions.values())

    @property
    def drained(self) -> bool:
        """Whether the peer has acknowledged all that we sent."""
        return self._channel.drained

    def session(self, number: SessionId) -> Session | None:
        """Return the session of this id, if it is one of this tunnel."""
        return self._sessions.get(number)

    def lost_by_peer(self, now: float) -> bool:
        """Tell whether an SCCRQ that looks like this tunnel's begins another one.

        It does if this one is over, or established for longer than a retransmission may be
        under way: then the peer has been started anew and counts its ids from the beginning.
        """
        if self.state is State.STOPPED:
            return self.drained
        age = now - self._established_at
        return self.state is State.ESTABLISHED and age > self.shared.config.retransmit_cap

    # What the program asks for

    def open(self, now: float, tie_breaker: int | None = None) -> None:
        """Originate the tunnel; once it is established, let waiting calls go on."""
        if self.state is State.IDLE:
            self._handshake.tie_breaker = tie_breaker
        self._step(TunnelEvent.OPEN, now)
        self._flush(now)

    def close(self, ending: Ending, now: float) -> None:
        """Send StopCCN."""
        self._step(TunnelEvent.CLOSE, now, ending)
        self._flush(now)

    def close_session(
        self, session: Session, ending: Ending, now: float, cause: DisconnectCause | None
    ) -> None:
        """Send CDN."""
        session.close(ending, now, cause)
        self._flush(now)

    def vanish(self, why: str) -> None:
        """End without a word, because nobody would hear it."""
        if self.state is not State.STOPPED:
            self._clean_up(self.state, Ending(why))
        self._leave()

    def has_tie(self, theirs: int | None) -> bool:
        """Tell whether an SCCRQ from the other end collides with ours; two without tie breaker
        make two tunnels."""
        ours = self._handshake.tie_breaker
        return self.state is State.WAIT_CTL_REPLY and (ours is not None or theirs is not None)

    def resolve_tie(self, theirs: int | None, now: float) -> bool:
        """Settle that both ends sent SCCRQ; return whether the peer's is to be answered.

        The lower tie breaker wins, one that is there wins over none, and equal ones both lose
        (section 4.4.3). A tunnel that loses begins anew, as the recipient of the peer's SCCRQ.
        """
        ours = self._handshake.tie_breaker
        if ours is not None and (theirs is None or ours < theirs):
            return False
        if ours == theirs:
            why = "both ends sent SCCRQ with the same tie breaker"
            self._step(TunnelEvent.EQUAL_TIE, now, Ending(why))
            self._flush(now)
            return False
        self._step(TunnelEvent.LOSE_TIE, now)
        return True

    # What the peer sends, and what is due

    def receive(self, header: ControlHeader, avps: bytes, now: float) -> None:
        """Take in a control message."""
        payload = Payload(header.session_id, avps)
        delivered = self._channel.receive(header.ns, header.nr, payload, now)
        if delivered is None:
            self.shared.drop(DropReason.NEVER_SENT)
            return
        if self.state is State.ESTABLISHED:
            self._await_hello(now)
        for due in delivered:
            if self.state is not State.STOPPED:
                self._receive(due, now)
        self._flush(now)

    def handle_timeout(self, timer: Timer, now: float) -> None:
        """Do what is due."""
        if timer is Timer.RETRANSMISSION:
            self._channel.handle_timeout(now)
        elif self.state is State.STOPPED:
            self._leave()
            return
        elif self.state is State.ESTABLISHED:
            if self.drained:
                self.send(Hello())
            self._await_hello(now)
        else:
            limit = self.shared.config.establish_timeout
            why = f"not established within {limit:g} s: the peer left it at {self.state.value}"
            result = Result(StopResult.GENERAL_REQUEST, message=why)
            self._step(TunnelEvent.CLOSE, now, Ending(why, result=result))
        self._flush(now)

    # What the sessions ask for

    def enter(self, session: Session) -> None:
        """Put a session into the tables."""
        self._sessions[session.id] = session
        self.shared.sessions.put(session.id, session)

    def forget(self, session: Session) -> None:
        """Take a session that has ended out of the tables, if it is in them."""
        if self._sessions.pop(session.id, None) is not None:
            self.shared.sessions.remove(session.id)
            self.shared.timers.clear(TimerKey(Timer.CALL, session.id))
        if self._peers.get(session.peer_id) is session:
            del self._peers[session.peer_id]

    def send(self, message: Message, session_id: int = 0) -> None:
        """Queue a control message."""
        self._channel.send(Payload(session_id, self.shared.avps(message)))

    # Inside: messages

    def _receive(self, payload: Payload, now: float) -> None:
        try:
            message = parse_message(payload.avps, self.shared.config.secret)
        except MessageError as error:
            self._receive_faulty(payload, error, now)
            return
        if message is None or isinstance(message, Hello):
            return
        if message.TYPE not in CALL_MESSAGES:
            self._receive_tunnel_message(message, now)
        elif self.state is State.ESTABLISHED:
            self._receive_call_message(payload.session_id, message, now)
        else:
            why = f"the peer sent {message.TYPE} before the tunnel is established"
            self._refuse(why, ErrorCode.NO_CONTROL_CONNECTION, now)

    def _receive_tunnel_message(self, message: Message, now: float) -> None:
        event = EVENTS[message.TYPE]
        why = f"the peer sent {message.TYPE} to a tunnel that is {self.state.value}"
        ending = Ending(why, result=Result(StopResult.STATE_MACHINE_ERROR, message=why))
        try:
            match message:
                case StopCcn():
                    self.peer_id = self.peer_id or message.assigned_tunnel_id
                    ending = self._stopped_by_peer(message)
                case Sccrq() if self.state is State.IDLE:
                    self.peer_id = message.assigned_tunnel_id
                    self._handshake.examine_request(message)
                case Sccrp() if self.state is State.WAIT_CTL_REPLY:
                    self.peer_id = message.assigned_tunnel_id
                    self._handshake.examine_reply(message)
                case Scccn() if self.state is State.WAIT_CTL_CONN:
                    self._handshake.examine_connected(message)
        except RefusedError as error:
            event = TunnelEvent.NOT_ACCEPTABLE
            result = Result(StopResult(error.code), error.error, error.why)
            ending = Ending(error.why, result=result)
        self._step(event, now, ending)

    def _receive_call_message(self, session_id: int, message: Message, now: float) -> None:
        assigned = getattr(message, "assigned_session_id", 0)
        session = self._find(session_id, assigned) or Session(self, self.shared.sessions.spare())
        if isinstance(message, Icrq) and session.state is CallState.IDLE:
            why = self._why_no_more_calls()
            if why is not None:
                session.peer_id = assigned
                result = Result(CallResult.NO_FACILITIES_NOW, message=why)
                session.refuse(Ending(why, result=result), now)
                return
            self.enter(session)
        session.receive(message, now)
        if session.id in self._sessions and session.peer_id:
            self._peers.setdefault(session.peer_id, session)

    def _receive_faulty(self, payload: Payload, error: MessageError, now: float) -> None:
        """End what the message concerns (sections 4.1 and 7.1)."""
        if error.kind is MessageType.StopCCN:
            ending = Ending(f"the peer stopped the tunnel; {error.why}", by_peer=True)
            self._step(TunnelEvent.StopCCN, now, ending)
        elif error.kind in CALL_MESSAGES and not error.whole_tunnel:
            self._receive_faulty_call_message(payload, error, now)
        else:
            self._learn_from(error)
            self._refuse(error.why, error.error, now)

    def _receive_faulty_call_message(
        self, payload: Payload, error: MessageError, now: float
    ) -> None:
        assigned = error.number(AttributeType.ASSIGNED_SESSION_ID)
        session = self._find(payload.session_id, assigned)
        is_request = error.kind in (MessageType.ICRQ, MessageType.OCRQ)
        if is_request and session is None and assigned:
            session = Session(self, self.shared.sessions.spare())
            session.peer_id = assigned
        if self.state is not State.ESTABLISHED or (is_request and session is None):
            self._refuse(error.why, error.error, now)
        elif session is None:
            return  # it concerns a session that has ended already
        elif error.kind is MessageType.CDN:
            why = f"the peer disconnected the call; {error.why}"
            session.disconnected(Ending(why, by_peer=True), now)
        else:
            result = Result(CallResult.GENERAL_ERROR, error.error, error.why)
            session.refuse(Ending(error.why, result=result), now)

    def _learn_from(self, error: MessageError) -> None:
        """Learn whom to answer and name in the log from what can be read."""
        if not self.peer_id:
            self.peer_id = error.number(AttributeType.ASSIGNED_TUNNEL_ID)
            self._handshake.host_name = printable(error.text(AttributeType.HOST_NAME))

    def _find(self, session_id: int, assigned: int) -> Session | None:
        """Return the session that a message concerns.

        The header has our id, or 0 where the sender does not know it yet; then the Assigned
        Session ID in the message has the sender's (section 4.4.4).
        """
        return self._sessions.get(session_id) or self._peers.get(assigned)

    def _why_no_more_calls(self) -> str | None:
        limit = self.shared.config.max_sessions_per_tunnel
        if len(self._sessions) >= limit:
            return f"the tunnel has {len(self._sessions)} sessions, the limit for one tunnel"
        if self.shared.sessions.full:
            return f"{len(self.shared.sessions)} sessions are open, the limit"
        return None

    def _stopped_by_peer(self, message: StopCcn) -> Ending:
        result = received_result(message.result_code, StopResult)
        why = f"the peer stopped the tunnel: {result}"
        if result.result is StopResult.NOT_AUTHORIZED and self.state is not State.ESTABLISHED:
            why += "; does it have the same tunnel secret?"
        return Ending(why, by_peer=True, result=result)

    # Inside: the state machine

    def _refuse(self, why: str, error: ErrorCode, now: float) -> None:
        result = Result(StopResult.GENERAL_ERROR, error, why)
        self._step(TunnelEvent.NOT_ACCEPTABLE, now, Ending(why, result=result))

    def _step(self, event: TunnelEvent, now: float, ending: Ending | None = None) -> None:
        was = self.state
        action, self.state = TRANSITIONS.get((was, event), (Action.NOTHING, was))
        ending = ending or Ending(str(event.value))
        match action:
            case Action.SEND_SCCRQ:
                self.send(self._handshake.request())
                self._limit(now)
            case Action.SEND_SCCRP:
                self._channel.set_peer_window(self._handshake.receive_window)
                self.send(self._handshake.reply())
                self._limit(now)
            case Action.SEND_SCCCN:
                self._channel.set_peer_window(self._handshake.receive_window)
                self.send(self._handshake.connected())
                self._open(was, now)
            case Action.TUNNEL_OPEN:
                self._open(was, now)
            case Action.SEND_STOPCCN:
                self._clean_up(was, ending)
                self._send_stopccn(ending)
                self._linger(now)
            case Action.CLEAN_UP:
                self._clean_up(was, ending)
                self._channel.discard_all()
                self._linger(now)
            case Action.START_OVER:
                self._channel = ReliableChannel(self.shared.config)
                self._handshake = Handshake(self.shared.config, self.id, self.shared.entropy)

    def _open(self, was: State, now: float) -> None:
        if was is not State.ESTABLISHED:
            self._established_at = now
            self._await_hello(now)
            self.shared.tunnels.established(self)
            self.shared.events.append(
                TunnelOpened(
                    self.id,
                    self.flow,
                    self.peer_id,
                    self.host_name,
                    self.vendor_name,
                    self._handshake.authenticated,
                )
            )
        for session in self.sessions:
            session.tunnel_opened(now)

    def _send_stopccn(self, ending: Ending) -> None:
        self._channel.discard_unsent()
        result = ending.result or Result(StopResult.GENERAL_REQUEST)
        self.send(StopCcn(assigned_tunnel_id=self.id, result_code=result_code(result)))

    def _clean_up(self, was: State, ending: Ending) -> None:
        """Tell the program that the sessions and the tunnel have ended."""
        why, by_peer, result = ending
        for session in self.sessions:
            session.drop(Ending(why, by_peer))
        self.shared.tunnels.stopped(self)
        event = TunnelClosed if was is State.ESTABLISHED else TunnelRefused
        self.shared.events.append(event(self.id, self.flow, self.host_name, why, by_peer, result))

    def _limit(self, now: float) -> None:
        when = now + self.shared.config.establish_timeout
        self.shared.timers.set(TimerKey(Timer.TUNNEL, self.id), when)

    def _await_hello(self, now: float) -> None:
        when = now + self.shared.config.hello_interval
        self.shared.timers.set(TimerKey(Timer.TUNNEL, self.id), when)

    def _linger(self, now: float) -> None:
        when = now + self.shared.config.retransmission_cycle
        self.shared.timers.set(TimerKey(Timer.TUNNEL, self.id), when)

    def _leave(self) -> None:
        """Leave the tables."""
        self.shared.tunnels.discard(self)
        for timer in (Timer.TUNNEL, Timer.RETRANSMISSION):
            self.shared.timers.clear(TimerKey(timer, self.id))

    # Inside: the channel

    def _flush(self, now: float) -> None:
        """Send what may be sent, and an acknowledgement if one is due."""
        channel = self._channel
        if channel.failed:
            self.vanish(self._why_failed())
            return
        for session_id, ns, nr, avps in channel.segments_to_send(now):
            header = ControlHeader(self.peer_id, session_id, ns, nr)
            self.shared.datagrams.append(Datagram(header.build(avps), self.flow))
        key = TimerKey(Timer.RETRANSMISSION, self.id)
        if channel.deadline is None:
            self.shared.timers.clear(key)
        elif channel.deadline != self.shared.timers.get(key):
            self.shared.timers.set(key, channel.deadline)

    def _why_failed(self) -> str:
        config = self.shared.config
        if self._channel.retransmissions < config.max_retransmissions:
            return f"the peer leaves {config.send_queue} control messages unacknowledged"
        return (
            f"the peer is gone: it did not acknowledge {self._channel.oldest_type}, "
            f"sent {config.max_retransmissions + 1} times in {config.retransmission_cycle:g} s"
        )

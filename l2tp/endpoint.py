"""What an LNS and a LAC have in common: finding the tunnel for a datagram, and the limits.

A datagram names our tunnel id, and must come through the flow of that tunnel (RFC 3193
section 3.3). Tunnel id 0 means that the sender does not know ours yet: an SCCRQ, which begins a
tunnel or is a retransmission that did; or a StopCCN from a peer that gave up before it knew.
Whatever else comes there is dropped (macOS sends a HELLO there before its SCCRQ).
"""

from collections import deque
from dataclasses import dataclass

from l2tp.config import L2tpConfig
from l2tp.constants import AttributeType, CallResult, ErrorCode, MessageType, StopResult
from l2tp.errors import MessageError
from l2tp.events import (
    Datagram,
    Event,
    Flow,
    FrameReceived,
    Result,
    SessionId,
    TunnelId,
    TunnelRefused,
)
from l2tp.header import ControlHeader, DataHeader, is_control
from l2tp.messages import Message, Sccrq, StopCcn, parse_message
from l2tp.role import Role
from l2tp.session import Session
from l2tp.shared import DropReason, Ending, Shared, Timer
from l2tp.text import printable, result_code
from l2tp.tunnel import ControlConnection
from l2tp.values import DisconnectCause
from wire import DecodeError, Entropy, Reader

REMEMBERED_REFUSALS = 64
"""For how many tunnels that were refused for want of room the retransmissions stay silent."""


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """A session as the admin sees it; `state` in the words of RFC 2661 section 7.4."""

    session: SessionId
    peer_session: int
    state: str


@dataclass(frozen=True, slots=True)
class TunnelStatus:
    """A tunnel as the admin sees it; `state` in the words of RFC 2661 section 7.2."""

    tunnel: TunnelId
    peer_tunnel: int
    flow: Flow
    state: str
    host_name: str
    vendor_name: str
    sessions: tuple[SessionStatus, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All tunnels, and how many datagrams were dropped for which reason."""

    tunnels: tuple[TunnelStatus, ...]
    dropped: dict[DropReason, int]


class Endpoint:
    """One LNS or LAC with all its tunnels: sans-IO, times in seconds of the caller's clock.

    Feed it with `receive` and `handle_timeout`; after each call drain `datagrams_to_send` and
    `next_event`, and look at `next_timeout`. Nothing that a peer sends makes it raise.
    """

    def __init__(self, role: Role, config: L2tpConfig, entropy: Entropy) -> None:
        self._shared = Shared(role, config, entropy)
        self._refused: deque[tuple[Flow, int]] = deque(maxlen=REMEMBERED_REFUSALS)

    # In

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """Take in one UDP payload of port 1701 that came through `flow`."""
        try:
            if is_control(data):
                self._receive_control(data, flow, now)
            else:
                self._receive_data(data, flow)
        except DecodeError:
            self._shared.drop(DropReason.MALFORMED_HEADER)

    def handle_timeout(self, now: float) -> None:
        """Do all that is due at `now`."""
        for timer, number in self._shared.timers.take_due(now):
            if timer is Timer.CALL:
                self._time_out_call(number, now)
            elif (tunnel := self._shared.tunnels.get(number)) is not None:
                tunnel.handle_timeout(timer, now)

    def send(self, session: SessionId, frame: bytes, ns: int | None = None) -> None:
        """Send a PPP frame: as ppp has it, without flags and FCS.

        Where data has sequence numbers and the caller sends some of it past this object, it
        counts for both and gives `ns`. A session that is not established sends nothing.
        """
        entry = self._shared.sessions.get(session)
        if entry is not None and entry.established:
            data = entry.data(frame, ns)
            self._shared.datagrams.append(Datagram(data, entry.tunnel.flow))

    def close_session(
        self,
        session: SessionId,
        result: CallResult,
        error: ErrorCode = ErrorCode.NONE,
        message: str = "",
        *,
        now: float,
        cause: DisconnectCause | None = None,
    ) -> None:
        """Disconnect a call with a CDN that has these codes and `message`, which the log gets too.

        `cause` tells the peer what PPP said (RFC 3145). A session that has ended already is
        left alone.
        """
        entry = self._shared.sessions.get(session)
        if entry is not None:
            ending = Ending(message or str(result), result=Result(result, error, message))
            entry.tunnel.close_session(entry, ending, now, cause)

    def close_tunnel(
        self,
        tunnel: TunnelId,
        result: StopResult,
        error: ErrorCode = ErrorCode.NONE,
        message: str = "",
        *,
        now: float,
    ) -> None:
        """Stop a tunnel and its sessions with a StopCCN; parameters as for `close_session`."""
        entry = self._shared.tunnels.get(tunnel)
        if entry is not None:
            ending = Ending(message or str(result), result=Result(result, error, message))
            entry.close(ending, now)

    def close_flow(self, flow: Flow, why: str, now: float) -> None:
        """End the tunnels of a flow without a word to the peer: its SAs are gone."""
        for tunnel in self._shared.tunnels.of_flow(flow):
            tunnel.vanish(why)

    def close_all(self, now: float) -> None:
        """Stop all tunnels, because this end shuts down; `drained` says when peers know it."""
        for tunnel in self._shared.tunnels.owners():
            why = "this end is shutting down"
            result = Result(StopResult.SHUTTING_DOWN, message=why)
            tunnel.close(Ending(why, result=result), now)

    # Out

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due, or None."""
        return self._shared.timers.next()

    def datagrams_to_send(self) -> list[Datagram]:
        """Return and forget what is to be sent."""
        datagrams, self._shared.datagrams = self._shared.datagrams, []
        return datagrams

    def next_event(self) -> Event | None:
        """Return and forget the next event, or None."""
        return self._shared.events.popleft() if self._shared.events else None

    @property
    def drained(self) -> bool:
        """Whether the peers have acknowledged all that was sent."""
        return all(tunnel.drained for tunnel in self._shared.tunnels.owners())

    def snapshot(self) -> Snapshot:
        """Return the state of everything."""
        return Snapshot(
            tuple(_status_of(tunnel) for tunnel in self._shared.tunnels.owners()),
            dict(self._shared.dropped),
        )

    # Inside

    def _receive_control(self, data: bytes, flow: Flow, now: float) -> None:
        header, body = ControlHeader.parse(Reader(data))
        avps = body.rest()
        if header.tunnel_id == 0:
            self._receive_unassigned(header, avps, flow, now)
            return
        tunnel = self._tunnel(header.tunnel_id, flow)
        if tunnel is not None:
            tunnel.receive(header, avps, now)

    def _receive_data(self, data: bytes, flow: Flow) -> None:
        header, frame = DataHeader.parse(Reader(data))
        tunnel = self._tunnel(header.tunnel_id, flow)
        if tunnel is None:
            return
        session = tunnel.session(header.session_id)
        if session is None:
            self._shared.drop(DropReason.UNKNOWN_SESSION)
        elif not session.established:
            self._shared.drop(DropReason.NOT_ESTABLISHED)
        else:
            if self._shared.role is Role.LAC:
                session.follow(header)
            self._shared.events.append(FrameReceived(session.id, frame))

    def _tunnel(self, number: TunnelId, flow: Flow) -> ControlConnection | None:
        tunnel = self._shared.tunnels.get(number)
        if tunnel is None:
            self._shared.drop(DropReason.UNKNOWN_TUNNEL)
            return None
        if tunnel.flow != flow:
            self._shared.drop(DropReason.OTHER_FLOW)
            return None
        return tunnel

    def _receive_unassigned(
        self, header: ControlHeader, avps: bytes, flow: Flow, now: float
    ) -> None:
        """Take in a message whose sender does not know our tunnel id."""
        shared = self._shared
        message: Message | MessageError | None
        try:
            message = parse_message(avps, shared.config.secret)
        except MessageError as error:
            message = error
        kind, peer_id, host_name = _sender(message)
        tunnel = shared.tunnels.of_peer(flow, peer_id) if peer_id else None
        if kind is MessageType.SCCRQ and peer_id and header.ns == header.nr == 0:
            if tunnel is not None and tunnel.lost_by_peer(now):
                tunnel.vanish("the peer has started anew")
                tunnel = None
            if tunnel is None:
                theirs = message.tie_breaker if isinstance(message, Sccrq) else None
                tunnel = self._new_tunnel(flow, theirs, peer_id, host_name, now)
        elif tunnel is None or kind not in (MessageType.SCCRQ, MessageType.StopCCN):
            shared.drop(DropReason.STRAY)
            return
        if tunnel is not None:
            tunnel.receive(header, avps, now)

    def _new_tunnel(
        self, flow: Flow, tie_breaker: int | None, peer_id: int, host_name: str, now: float
    ) -> ControlConnection | None:
        """Return the tunnel that is to take in an SCCRQ, or None if there is none."""
        tunnels = self._shared.tunnels
        for tunnel in tunnels.of_flow(flow):
            if tunnel.has_tie(tie_breaker):
                if tunnel.resolve_tie(tie_breaker, now):
                    return tunnel
                self._shared.drop(DropReason.LOST_TIE)
                return None
        why = tunnels.why_no_more(flow)
        if why is not None:
            self._refuse(flow, peer_id, host_name, why)
            return None
        return self._add_tunnel(flow)

    def _add_tunnel(self, flow: Flow) -> ControlConnection:
        tunnels = self._shared.tunnels
        for old in tunnels.in_the_way(flow):
            old.vanish("made room")
        tunnel = ControlConnection(self._shared, flow, tunnels.spare())
        tunnels.add(tunnel)
        return tunnel

    def _refuse(self, flow: Flow, peer_id: int, host_name: str, why: str) -> None:
        """Answer an SCCRQ for which there is no room, without keeping state for it.

        Reliable delivery is the peer's here: it sends its SCCRQ until it gets an answer.
        """
        result = Result(StopResult.GENERAL_ERROR, ErrorCode.NO_RESOURCES, why)
        number = self._shared.tunnels.spare()
        message = StopCcn(assigned_tunnel_id=number, result_code=result_code(result))
        data = ControlHeader(peer_id, 0, 0, 1).build(self._shared.avps(message))
        self._shared.datagrams.append(Datagram(data, flow))
        if (flow, peer_id) not in self._refused:
            self._refused.append((flow, peer_id))
            self._shared.events.append(TunnelRefused(None, flow, host_name, why, False, result))

    def _time_out_call(self, number: SessionId, now: float) -> None:
        session = self._shared.sessions.get(number)
        if session is None:
            return
        limit = self._shared.config.establish_timeout
        why = f"not connected within {limit:g} s: the peer left it at {session.state.value}"
        ending = Ending(why, result=Result(CallResult.TIMED_OUT, message=why))
        session.tunnel.close_session(session, ending, now, None)


def _sender(message: Message | MessageError | None) -> tuple[MessageType | None, int, str]:
    """Return the type of a message, the sender's tunnel id and its name, where they are."""
    match message:
        case Sccrq():
            return message.TYPE, message.assigned_tunnel_id, printable(message.host_name)
        case StopCcn():
            return message.TYPE, message.assigned_tunnel_id, ""
        case MessageError():
            number = message.number(AttributeType.ASSIGNED_TUNNEL_ID)
            return message.kind, number, printable(message.text(AttributeType.HOST_NAME))
        case Message():
            return message.TYPE, 0, ""
        case None:
            return None, 0, ""


def _status_of(tunnel: ControlConnection) -> TunnelStatus:
    return TunnelStatus(
        tunnel.id,
        tunnel.peer_id,
        tunnel.flow,
        tunnel.state.value,
        tunnel.host_name,
        tunnel.vendor_name,
        tuple(_session_status(session) for session in tunnel.sessions),
    )


def _session_status(session: Session) -> SessionStatus:
    return SessionStatus(session.id, session.peer_id, session.state.value)

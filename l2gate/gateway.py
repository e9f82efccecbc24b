"""The server without its I/O: IKE, L2TP, PPP, AAA and the data plane put together.

How this works. Whatever comes in is given to the core it is for: IKE messages to `Ike`, ESP to
the `Forwarder`, which hands up what is not plain data of an open session, so that L2TP reaches
the `Lns` only out of an SA (RFC 3193 section 3.3). Then `_settle` carries events and messages
from core to core until none has more to say:

    Ike          -> SAs and peers      into the data plane's tables; a lost peer's tunnels end
    Lns          -> sessions, frames   to the switchboard, which holds a call with its PPP link each
    Switchboard  -> open networks      into the tables, and a route to the program

What belongs to the outside is collected: packets for the wire and for the TUN devices, and
events for the program. Time and entropy are arguments, so servers and clients run in one test.
"""

from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum

from aaa import Aaa, Directory
from aaa.radius import client as radius
from aaa.radius.constants import AcctTerminateCause
from ipsec import events as ike
from ipsec.endpoint import Datagram, Ike, Path
from ipsec.udpencap import Kind, classify
from l2gate import mending
from l2gate.attempts import Attempts
from l2gate.calls import Call
from l2gate.configuration.model import Configuration
from l2gate.dynamic_authorization import DynamicAuthorization
from l2gate.events import Event, Fact, Happening, Noted, ShutdownFinished, Stage
from l2gate.forwarder import Forwarder
from l2gate.history import Mend, Reached
from l2gate.keyuse import KeyUse
from l2gate.linelimit import LineLimit
from l2gate.peers import Flow, Peer, Peers
from l2gate.radius import Radius
from l2gate.records import PeerRecord, Tables
from l2gate.register import Register, no_facts
from l2gate.settings import ike_config, key_names, link_config, lns_config
from l2gate.state import AddressTaken, Beginning, StateError, TooManySessions
from l2gate.stored_reports import StoredReports, facts_of
from l2gate.switchboard import Switchboard
from l2tp import events as l2tp
from l2tp.constants import StopResult
from l2tp.lns import Lns
from wire import Deadlines, Entropy
from wire.types import Octets

IDLE_TUNNEL = 60.0
"""Seconds that a tunnel may have no session: before its first, and after its last one."""

IDLE_PEER = 60.0
"""Seconds that a peer may have SAs and no tunnel: before it calls, and after it hung up, so
that its last messages are still acknowledged (RFC 2661 section 5.7). Then RFC 3193 section 3.1
wants the SAs deleted."""

CLOSED_PEER = 1.0
"""Seconds after we closed a peer's last tunnel until its SAs go: time for its answers."""

DRAINING = 5.0
"""Seconds that packets are still let in on an SA which the peer has deleted: its Delete may have
overtaken them on the way."""

SHUTDOWN_PPP = 2.0
"""Seconds that the links have to answer our Terminate-Request when the server stops."""

SHUTDOWN_L2TP = 0.5
"""Seconds that the tunnels then have to acknowledge our StopCCN."""

SHUTDOWN_RADIUS = 3.0
"""Seconds that RADIUS servers then have to acknowledge the last reports."""


class Due(Enum):
    """What is due, with the number of the tunnel or peer, or the SPI; the last three have none."""

    TUNNEL_IDLE = "a tunnel has had no session for long enough"
    PEER_IDLE = "a peer has had no tunnel for long enough"
    SA_DRAINED = "nothing can be under way any more on an SA that its peer has deleted"
    LINKS_CLOSED = "shutting down: the links had their time"
    TUNNELS_CLOSED = "shutting down: the tunnels had their time"
    ACCOUNTED = "shutting down: the RADIUS servers had their time"


class Gateway:
    """One server. `stopping` says that it is ending its sessions."""

    def __init__(
        self,
        configuration: Configuration,
        entropy: Entropy,
        wall: Callable[[], float],
    ) -> None:
        """`wall` is the clock of people, in seconds since 1970."""
        self.tables = Tables()
        self.peers = Peers(self.tables)
        self.attempts = Attempts()
        self.forwarder = Forwarder(self.tables, self)
        self.ike = Ike(ike_config(configuration), entropy)
        self.keys = KeyUse(key_names(configuration.ipsec))
        self.lns = Lns(lns_config(configuration), entropy)
        self.aaa = Aaa(configuration.directory, wall, configuration.lockout)
        self._events: deque[Event] = deque()
        self.stored_reports = StoredReports() if configuration.state else None
        self.radius = Radius(
            configuration.radius, entropy, wall, self._tell_of_radius, self.stored_reports
        )
        facts = facts_of if self.radius.accounting.is_on else no_facts
        self.calls = Switchboard(
            self.lns,
            self.aaa,
            self.tables,
            link_config(configuration),
            configuration.ppp.mtu,
            entropy,
            self._events.append,
            self.radius,
            Register(wall, self._events.append, facts) if configuration.state else None,
        )
        self._dynamic = DynamicAuthorization(configuration.radius, self.calls, wall)
        self._tunnels: dict[int, l2tp.TunnelOpened] = {}
        self._sessions_of: dict[int, set[int]] = {}
        self._deadlines: Deadlines[tuple[Due, int]] = Deadlines()
        self._refusals = LineLimit()
        self.stopping = False

    # From outside

    def receive_udp(self, data: Octets, path: Path, now: float) -> None:
        """Take one UDP payload of port 500 or 4500; call `settle` after a batch of them."""
        self.tables.now = now
        kind = classify(data, path.local.port)
        if kind is Kind.ESP:
            self.forwarder.receive_esp(data, path)
        elif kind is Kind.IKE:
            self.ike.receive(bytes(data), path, now)

    def receive_esp(self, packet: Octets, path: Path, now: float) -> None:
        """Take one ESP packet of IP protocol 50; the ports of `path` are 0."""
        self.tables.now = now
        self.forwarder.receive_esp(packet, path)

    def receive_inner(self, packet: Octets, interface: str) -> None:
        """Take one IP packet that the kernel routed to this TUN device, at `tables.now`."""
        self.forwarder.receive_inner(packet, interface)

    def receive_radius(self, data: bytes, server: radius.Server, channel: int, now: float) -> None:
        """Take a UDP payload of a RADIUS server to our socket `channel` for it; then `settle`."""
        self.radius.receive(data, server, channel, now)

    def receive_dynamic(self, data: bytes, host: str, now: float) -> bytes | None:
        """Take a UDP payload for dynamic authorization; return the answer; then `settle`."""
        return self._dynamic.receive(data, host, now)

    def handle_timeout(self, now: float) -> None:
        """Do what is due at `now`, and settle."""
        self.tables.now = now
        self.ike.handle_timeout(now)
        self.lns.handle_timeout(now)
        self.calls.handle_timeout(now)
        self.radius.handle_timeout(now)
        for due, number in self._deadlines.take_due(now):
            self._on_deadline(due, number, now)
        if left_out := self._refusals.handle_timeout(now):
            text = f"{left_out} more refusals of the last minute were left out"
            self._tell(Noted(Stage.IKE, text, trouble=True))
        self.settle(now)

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is to be called next, or None."""
        cores = (self.ike, self.lns, self.calls, self.radius, self._refusals)
        moments = [core.next_timeout() for core in cores] + [self._deadlines.next()]
        return min((moment for moment in moments if moment is not None), default=None)

    def settle(self, now: float) -> None:
        """Carry events and messages between the cores until none has more to say."""
        busy = True
        while busy:
            busy = self.calls.settle(now)
            while (ike_event := self.ike.next_event()) is not None:
                busy = True
                self._on_ike_event(ike_event, now)
            while (l2tp_event := self.lns.next_event()) is not None:
                busy = True
                self._on_l2tp_event(l2tp_event, now)
            for datagram in self.lns.datagrams_to_send():
                self._send_l2tp(datagram)
        if self.stopping:
            self._hurry(now)

    # To outside

    def ike_datagrams(self) -> list[Datagram]:
        """Return the IKE messages to send, as UDP payloads, and forget them."""
        return self.ike.datagrams_to_send()

    def radius_datagrams(self) -> list[radius.Datagram]:
        """Return the packets for RADIUS servers, and forget them."""
        return self.radius.datagrams_to_send()

    def next_event(self) -> Event | None:
        """Return the next event, or None."""
        return self._events.popleft() if self._events else None

    # From the program

    def disconnect(self, calls: Iterable[Call], now: float) -> None:
        """End calls in the protocols' own way."""
        for call in calls:
            why, cause = "disconnected by the administrator", AcctTerminateCause.ADMIN_RESET
            self.calls.terminate(call, why, now, cause)
        self.settle(now)

    def replace_directory(self, directory: Directory, now: float) -> int:
        """Serve other users and departments; end what they no longer allow, return how many."""
        ended = 0
        for revoked in self.aaa.replace(directory):
            for call in self.calls:
                if call.session == revoked.session:
                    self.calls.terminate(call, revoked.why, now)
                    ended += 1
        self.calls.watch(now)
        self.settle(now)
        return ended

    def replace_credentials(self, configuration: Configuration) -> None:
        """Authenticate clients by other keys and certificates from their next handshake on."""
        self.ike.replace_credentials(ike_config(configuration))
        self.keys.replace(key_names(configuration.ipsec))

    def password_stored(self, session: int, request: int, why_not: str, now: float) -> None:
        """Answer a PasswordChangeRequested; `why_not` says why it was not stored, if it was not.

        If it was, `replace_directory` comes before, with the new password.
        """
        self.aaa.password_stored(session, request, why_not)
        self.settle(now)

    def begun(
        self,
        session: int,
        beginning: Beginning,
        answer: AddressTaken | TooManySessions | StateError | None,
        now: float,
    ) -> None:
        """Answer a SessionBegun by what the store says; None: the session has its address.

        AddressTaken lets the login try another address. Without effect if it does not wait any
        more.
        """
        self.calls.begun(session, beginning, answer, now)
        self.settle(now)

    def shut_down(self, now: float) -> None:
        """End every session in the protocols' own way; ShutdownFinished says when it is done."""
        self.stopping = True
        for call in self.calls:
            cause = AcctTerminateCause.ADMIN_REBOOT
            self.calls.terminate(call, "the server is shutting down", now, cause)
        self._deadlines.set((Due.LINKS_CLOSED, 0), now + SHUTDOWN_PPP)
        self.settle(now)

    # From the forwarder

    def receive_l2tp(self, peer: PeerRecord, port: int, payload: bytes) -> None:
        """Take an L2TP message that came out of an SA of `peer`."""
        self.lns.receive(payload, Flow(peer.peer, port), self.tables.now)

    def path_moved(self, spi: int, path: Path) -> None:
        """Let IKE follow a peer whose NAT mapping has changed."""
        self.ike.packet_authenticated(spi, path, self.tables.now)

    def sa_used(self, spi: int) -> None:
        """Take the first packet on an SA as the peer's word that it has the pair."""
        record = self.tables.sas.get(spi)
        if record is not None:
            self.attempts.of(record.peer.peer).esp = True
            self.ike.packet_authenticated(spi, record.peer.path, self.tables.now)

    # Between the cores

    def _on_ike_event(self, event: ike.Event, now: float) -> None:
        match event:
            case ike.PeerAuthenticated():
                peer = self.peers.add(event)
                self.attempts.authenticated(event, now)
                self.keys.used(event.key, now)
                self._deadlines.set((Due.PEER_IDLE, event.peer), now + IDLE_PEER)
                client = f", client {event.client}" if event.client else ""
                with_key = f" with {event.key}" if len(self.keys) > 1 else ""
                text = f"authenticated as {event.identity}{with_key}, {event.algorithms}{client}"
                self._note(
                    Stage.IKE,
                    text,
                    peer,
                    happening=Happening.PEER_AUTHENTICATED,
                    identity=str(event.identity),
                    key=event.key,
                    algorithms=event.algorithms,
                    client=event.client,
                    duration=now - self.attempts.of(event.peer).began,
                )
            case ike.EspOffered():
                self.attempts.offered(event, now)
            case ike.SaInstalled():
                self.peers.install(event)
            case ike.SaConfirmed():
                known = self.peers.get(event.peer)
                self.peers.confirm(event.peer, event.inbound_spi)
                if known is not None:
                    self.attempts.of(event.peer).reach(Reached.TUNNEL)
                    self._note(
                        Stage.IPSEC,
                        f"SA established, {known.algorithms}",
                        known,
                        happening=Happening.SA_ESTABLISHED,
                        algorithms=known.algorithms,
                        nat=known.record.encapsulated,
                    )
            case ike.SaDeleted():
                self._on_sa_deleted(event, now)
            case ike.PathChanged():
                self.peers.move(event.peer, event.path)
                self.attempts.moved(event)
            case ike.PeerClosed():
                self._on_peer_closed(event, now)
            case ike.NegotiationFailed():
                noted = self.attempts.failed(event, now)
                if noted is not None and self._refusals.admits(event.path.peer.host, now):
                    self._tell(noted)

    def _on_sa_deleted(self, event: ike.SaDeleted, now: float) -> None:
        peer, spi = self.peers.get(event.peer), event.inbound_spi
        if event.why is ike.Why.DELETED_BY_PEER:
            self.peers.drain(event.peer, spi)
            self._deadlines.set((Due.SA_DRAINED, spi), now + DRAINING)
        else:
            self.peers.uninstall(event.peer, spi)
        if event.unrenewed and peer is not None and peer.tunnels:
            text = f"the client did not renew its ESP SAs, nor could we: {event.unrenewed}"
            self._note(Stage.IPSEC, text, peer, mending.NOT_RENEWED)

    def _on_peer_closed(self, event: ike.PeerClosed, now: float) -> None:
        """RFC 3193 section 3.1: L2TP hears of it when IKE loses a peer."""
        peer = self.peers.remove(event.peer)
        self._deadlines.clear((Due.PEER_IDLE, event.peer))
        if peer is None:
            return
        for spi in peer.draining:
            self._deadlines.clear((Due.SA_DRAINED, spi))
        for tunnel in list(peer.tunnels):
            opened = self._tunnels[tunnel]
            self.lns.close_flow(opened.flow, f"the IPsec peer is gone: {event.why.value}", now)
        self._tell(self.attempts.closed(event, peer.record.encapsulated, now))

    def _on_l2tp_event(self, event: l2tp.Event, now: float) -> None:
        match event:
            case l2tp.TunnelOpened():
                self._on_tunnel_opened(event, now)
            case l2tp.SessionOpened():
                self._on_session_opened(event, now)
            case l2tp.FrameReceived():
                self.calls.receive(event.session, event.frame, now)
            case l2tp.SessionClosed():
                by_peer = self.calls.closed(event, now)
                self._on_session_gone(event.tunnel, event.session, by_peer, now)
            case l2tp.TunnelClosed():
                self._on_tunnel_closed(event, now)
            case l2tp.TunnelRefused():
                self._note_refusal("tunnel", event)
            case l2tp.SessionRefused():
                self._note_refusal("call", event)

    def _on_tunnel_opened(self, event: l2tp.TunnelOpened, now: float) -> None:
        self._tunnels[event.tunnel] = event
        self._sessions_of[event.tunnel] = set()
        peer = self._peer_of(event.flow)
        if peer is None:
            self.lns.close_flow(event.flow, "the IPsec peer is gone", now)
            return
        peer.tunnels.add(event.tunnel)
        self.attempts.follow_tunnel(event, peer.record.peer)
        self._deadlines.clear((Due.PEER_IDLE, peer.record.peer))
        self._deadlines.set((Due.TUNNEL_IDLE, event.tunnel), now + IDLE_TUNNEL)
        self._note(
            Stage.L2TP,
            f"tunnel of {event.host_name!r} established",
            peer,
            happening=Happening.TUNNEL_ESTABLISHED,
            host_name=event.host_name,
        )

    def _on_session_opened(self, event: l2tp.SessionOpened, now: float) -> None:
        flow, peer = event.flow, self._peer_of(event.flow)
        if not isinstance(flow, Flow) or peer is None:
            return
        self._sessions_of[event.tunnel].add(event.session)
        self._deadlines.clear((Due.TUNNEL_IDLE, event.tunnel))
        host_name, attempt = self._tunnels[event.tunnel].host_name, self.attempts.of(flow.peer)
        self.calls.open(event, peer, flow, host_name, attempt, now)

    def _on_session_gone(self, tunnel: int, session: int, by_peer: bool, now: float) -> None:
        """Close a tunnel after its last session: at once if it was we who ended that."""
        sessions = self._sessions_of.get(tunnel)
        if sessions is None:
            return
        sessions.discard(session)
        if not sessions:
            wait = IDLE_TUNNEL if by_peer else 0.0
            self._deadlines.set((Due.TUNNEL_IDLE, tunnel), now + wait)

    def _on_tunnel_closed(self, event: l2tp.TunnelClosed, now: float) -> None:
        self._tunnels.pop(event.tunnel, None)
        self._sessions_of.pop(event.tunnel, None)
        self._deadlines.clear((Due.TUNNEL_IDLE, event.tunnel))
        peer = self._peer_of(event.flow)
        if peer is None:
            return
        peer.tunnels.discard(event.tunnel)
        if not peer.tunnels:
            wait = IDLE_PEER if event.by_peer else CLOSED_PEER
            self._deadlines.set((Due.PEER_IDLE, peer.record.peer), now + wait)
        what = Happening.TUNNEL_CLOSED
        self._note(Stage.L2TP, f"tunnel closed: {event.why}", peer, happening=what, why=event.why)

    def _on_deadline(self, due: Due, number: int, now: float) -> None:
        match due:
            case Due.TUNNEL_IDLE:
                self.lns.close_tunnel(
                    number, StopResult.GENERAL_REQUEST, message="no session", now=now
                )
            case Due.PEER_IDLE:
                self.ike.close_peer(number, now)
            case Due.SA_DRAINED:
                self.peers.drained(number)
            case Due.LINKS_CLOSED:
                self.lns.close_all(now)
                self._deadlines.set((Due.TUNNELS_CLOSED, 0), now + SHUTDOWN_L2TP)
            case Due.TUNNELS_CLOSED:
                self.ike.close_all(now)
                self.radius.accounting.stop(now)
                self._deadlines.set((Due.ACCOUNTED, 0), now + SHUTDOWN_RADIUS)
            case Due.ACCOUNTED:
                self._tell(ShutdownFinished())

    def _hurry(self, now: float) -> None:
        """Take the next step of the shutdown as soon as nobody needs more time."""
        if not len(self.calls) and (Due.LINKS_CLOSED, 0) in self._deadlines:
            self._deadlines.set((Due.LINKS_CLOSED, 0), now)
        if self.lns.drained and (Due.TUNNELS_CLOSED, 0) in self._deadlines:
            self._deadlines.set((Due.TUNNELS_CLOSED, 0), now)
        if self.radius.accounting.finished and (Due.ACCOUNTED, 0) in self._deadlines:
            self._deadlines.set((Due.ACCOUNTED, 0), now)

    def _send_l2tp(self, datagram: l2tp.Datagram) -> None:
        peer = self._peer_of(datagram.flow)
        if peer is not None and isinstance(datagram.flow, Flow):
            self.forwarder.send_l2tp(peer.record, datagram.flow.port, datagram.data)

    def _peer_of(self, flow: l2tp.Flow) -> Peer | None:
        return self.peers.get(flow.peer) if isinstance(flow, Flow) else None

    def _note(
        self,
        stage: Stage,
        text: str,
        peer: Peer,
        mend: Mend | None = None,
        happening: Happening = Happening.NOTED,
        **facts: Fact,
    ) -> None:
        """Tell what happened to a peer; with `mend` it is trouble."""
        attempt = self.attempts.of(peer.record.peer)
        self._tell(attempt.noted(stage, text, mend, None, "", happening, **facts))

    def _note_refusal(self, what: str, event: l2tp.TunnelRefused | l2tp.SessionRefused) -> None:
        peer = self._peer_of(event.flow)
        if peer is not None:
            mend = mending.refusal(event)
            self._note(Stage.L2TP, f"{what} refused: {event.why}", peer, mend)

    def _tell_of_radius(self, text: str, mend: str) -> None:
        self._tell(Noted(Stage.SERVER, text, trouble=bool(mend), mend=mend))

    def _tell(self, event: Event) -> None:
        self._events.append(event)

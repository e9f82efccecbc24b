"""A client and a server for the simulated network, both on the cores of this project.

The client is the initiator, the LAC and the peer of the PPP link in one: what a laptop does. It
uses the same tables and forwarder as the server, with a session through which all addresses
are reached.
"""

import time
from collections.abc import Callable
from enum import Enum
from ipaddress import IPv4Address, IPv4Network

from ipsec import events as ike
from ipsec.config import IkeConfig, PresharedKey
from ipsec.endpoint import Address, Ike, Path
from ipsec.udpencap import Kind, classify
from l2gate.configuration import Configuration
from l2gate.events import Event, Noted, ShutdownFinished
from l2gate.forwarder import Forwarder
from l2gate.gateway import Gateway
from l2gate.peers import Flow, Peers
from l2gate.records import PeerRecord, SessionRecord, Tables
from l2tp import events as l2tp
from l2tp.config import L2tpConfig
from l2tp.constants import CallResult, StopResult
from l2tp.lac import Lac
from ppp import events as ppp
from ppp.config import Credentials, LinkConfig
from ppp.link import Link
from tests.support.dataplane import TUN, inner_packets
from tests.support.simulation import ESP_PORT, Wire
from wire import Entropy

IKE_PORT, NATT_PORT, L2TP_PORT = 500, 4500, 1701
PATIENT = (1.0, 1.0, 2.0, 2.0, 2.0, 4.0, 4.0, 4.0, 8.0, 8.0)
"""The pauses of a client that does not give up on a network which loses every third answer."""

PPP_IPV6 = b"\xff\x03\x00\x57"

EVERYWHERE = (IPv4Network("0.0.0.0/0"),)


def esp_wire(peer: PeerRecord, packet: bytes) -> Wire:
    """Return how an ESP packet travels: in UDP, or as IP protocol 50."""
    if peer.encapsulated:
        return Wire(peer.path.local, peer.path.peer, packet)
    local, remote = peer.path.local.host, peer.path.peer.host
    return Wire(Address(local, ESP_PORT), Address(remote, ESP_PORT), packet)


WALL = 1_800_000_000.0
"""The time of day at a simulated server, in seconds since 1970: always the same."""


class ServerHost:
    """A gateway as a host. `log` holds what it noted, `inner` what it sent to its TUN device."""

    def __init__(
        self,
        configuration: Configuration,
        entropy: Entropy,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.gateway = Gateway(configuration, entropy, wall)
        self.log: list[Noted] = []
        self.events: list[Event] = []
        self.inner: list[bytes] = []
        self.finished = False

    def receive(self, packet: Wire, now: float) -> None:
        path = Path(packet.destination, packet.source)
        if packet.destination.port == ESP_PORT:
            self.gateway.receive_esp(packet.data, path, now)
        elif packet.destination.port in (IKE_PORT, NATT_PORT):
            self.gateway.receive_udp(packet.data, path, now)
        self.gateway.settle(now)

    def receive_inner(self, packet: bytes, interface: str = TUN) -> None:
        """Take a packet from a TUN device."""
        self.gateway.receive_inner(packet, interface)

    def handle_timeout(self, now: float) -> None:
        self.gateway.handle_timeout(now)

    def next_timeout(self) -> float | None:
        return self.gateway.next_timeout()

    def packets_to_send(self) -> list[Wire]:
        while (event := self.gateway.next_event()) is not None:
            self.events.append(event)
            if isinstance(event, Noted):
                self.log.append(event)
            self.finished |= isinstance(event, ShutdownFinished)
        self.inner += map(bytes, inner_packets(self.gateway.forwarder))
        packets = [
            Wire(datagram.path.local, datagram.path.peer, datagram.data)
            for datagram in self.gateway.ike_datagrams()
        ]
        for peer, sealed in self.gateway.forwarder.take_wire():
            packets += [esp_wire(peer, packet) for packet in sealed]
        return packets

    def noted(self, text: str) -> list[Noted]:
        """Return the log lines that contain `text`."""
        return [line for line in self.log if text in str(line)]


class ClientState(Enum):
    IDLE = "idle"
    CONNECTING = "connecting"
    UP = "up"
    FAILED = "failed"
    CLOSED = "closed"


class ClientHost:
    """One client. `why` says why it failed or closed, `inner` is what its tunnel delivered."""

    def __init__(
        self,
        host: str,
        server: str,
        psk: bytes,
        credentials: Credentials,
        entropy: Entropy,
        host_name: str = "laptop",
        ipv6: bool = False,
    ) -> None:
        self.state = ClientState.IDLE
        self.why = ""
        self.address: IPv4Address | None = None
        self.dns: tuple[IPv4Address, ...] = ()
        self.inner: list[bytes] = []
        self.started = self.opened = 0.0
        self._path = Path(Address(host, IKE_PORT), Address(server, IKE_PORT))
        self._entropy = entropy
        keys = (PresharedKey(psk),)
        self.ike = Ike(IkeConfig(preshared_keys=lambda _: keys, retransmission=PATIENT), entropy)
        self.tables = Tables()
        self.peers = Peers(self.tables)
        self.forwarder = Forwarder(self.tables, self)
        self.lac = Lac(L2tpConfig(host_name=host_name, max_retransmissions=8), entropy)
        self.identifier = bytes(8)
        """Our interface identifier, once IPV6CP is open."""
        self._link_config = LinkConfig(credentials=credentials, max_configure=20, ipv6=ipv6)
        self.link: Link | None = None
        self._opened: l2tp.SessionOpened | None = None
        self._tunnel: int | None = None
        self.peer: int | None = None
        self._now = 0.0

    # What the user does

    def connect(self, now: float) -> None:
        self.state, self.started = ClientState.CONNECTING, now
        self.peer = self.ike.connect(self._path, now)
        self._settle(now)

    def hang_up(self, now: float) -> None:
        if self.link is not None:
            self.link.terminate("the user hangs up", now)
        self._settle(now)

    def send(self, packet: bytes) -> None:
        self.forwarder.receive_inner(packet, TUN)

    def send_ipv6(self, packet: bytes) -> None:
        """Send an IPv6 packet, whether the server wants it or not."""
        if self._opened is not None:
            self.lac.send(self._opened.session, PPP_IPV6 + packet)
            self._settle(self._now)

    # Host

    def receive(self, packet: Wire, now: float) -> None:
        self._now = now
        path = Path(packet.destination, packet.source)
        if (
            packet.destination.port == ESP_PORT
            or classify(packet.data, packet.destination.port) is Kind.ESP
        ):
            self.forwarder.receive_esp(packet.data, path)
        elif classify(packet.data, packet.destination.port) is Kind.IKE:
            self.ike.receive(packet.data, path, now)
        self._settle(now)

    def handle_timeout(self, now: float) -> None:
        self._now = now
        self.ike.handle_timeout(now)
        self.lac.handle_timeout(now)
        if self.link is not None:
            self.link.handle_timeout(now)
        self._settle(now)

    def next_timeout(self) -> float | None:
        moments = [self.ike.next_timeout(), self.lac.next_timeout()]
        if self.link is not None:
            moments.append(self.link.next_timeout())
        return min((moment for moment in moments if moment is not None), default=None)

    def packets_to_send(self) -> list[Wire]:
        packets = [
            Wire(datagram.path.local, datagram.path.peer, datagram.data)
            for datagram in self.ike.datagrams_to_send()
        ]
        for peer, sealed in self.forwarder.take_wire():
            packets += [esp_wire(peer, packet) for packet in sealed]
        self.inner += map(bytes, inner_packets(self.forwarder))
        return packets

    # Upcalls of the forwarder

    def receive_l2tp(self, peer: PeerRecord, port: int, payload: bytes) -> None:
        self.lac.receive(payload, Flow(peer.peer, port), self._now)

    def path_moved(self, spi: int, path: Path) -> None:
        self.ike.packet_authenticated(spi, path, self._now)

    def sa_used(self, spi: int) -> None:
        self.ike.packet_authenticated(spi, self.tables.sas[spi].peer.path, self._now)

    # Between the cores

    def _settle(self, now: float) -> None:
        self._now = now
        busy = True
        while busy:
            busy = False
            while (event := self.ike.next_event()) is not None:
                busy = True
                self._on_ike_event(event, now)
            while (l2tp_event := self.lac.next_event()) is not None:
                busy = True
                self._on_l2tp_event(l2tp_event, now)
            link = self.link
            while link is not None and (ppp_event := link.next_event()) is not None:
                busy = True
                self._on_ppp_event(ppp_event, now)
            if link is not None and self._opened is not None:
                for frame in link.frames_to_send():
                    self.lac.send(self._opened.session, frame)
            for datagram in self.lac.datagrams_to_send():
                self._send_l2tp(datagram)

    def _send_l2tp(self, datagram: l2tp.Datagram) -> None:
        flow = datagram.flow
        peer = self.peers.get(flow.peer) if isinstance(flow, Flow) else None
        if peer is not None:
            self.forwarder.send_l2tp(peer.record, L2TP_PORT, datagram.data)

    def _on_ike_event(self, event: ike.Event, now: float) -> None:
        match event:
            case ike.PeerAuthenticated():
                self.peers.add(event)
            case ike.SaInstalled():
                self.peers.install(event)
            case ike.SaConfirmed():
                self.peers.confirm(event.peer, event.inbound_spi)
                if self._tunnel is None and self.state is ClientState.CONNECTING:
                    self._tunnel = self.lac.connect(Flow(event.peer, L2TP_PORT), now)
                    call = l2tp.Call(1, 100_000_000, 100_000_000, 3)
                    self.lac.call(self._tunnel, call, now)
            case ike.SaDeleted():
                self.peers.uninstall(event.peer, event.inbound_spi)
            case ike.PathChanged():
                self.peers.move(event.peer, event.path)
            case ike.PeerClosed():
                self.peers.remove(event.peer)
                self._end(ClientState.CLOSED, f"IKE: {event.why.value}")
            case ike.NegotiationFailed():
                if self.state is ClientState.CONNECTING:  # else a renewal, which is tried again
                    self._end(ClientState.FAILED, f"{event.stage}: {event.why}")

    def _on_l2tp_event(self, event: l2tp.Event, now: float) -> None:
        match event:
            case l2tp.SessionOpened():
                self._opened = event
                self.link = Link(self._link_config, self._entropy)
                self.link.start(now)
            case l2tp.FrameReceived():
                if self.link is not None:
                    self.link.receive(event.frame, now)
                if event.frame.startswith(PPP_IPV6):
                    self.inner.append(event.frame[len(PPP_IPV6) :])
            case l2tp.SessionClosed():
                if self.link is not None:
                    self.link.lower_down(now)
                self._end(ClientState.CLOSED, event.why)
            case l2tp.TunnelRefused() | l2tp.SessionRefused():
                self._end(ClientState.FAILED, event.why)
            case l2tp.TunnelOpened() | l2tp.TunnelClosed():
                pass

    def _on_ppp_event(self, event: ppp.Event, now: float) -> None:
        match event:
            case ppp.NetworkOpened():
                self._open(event, now)
            case ppp.Ipv6Opened():
                self.identifier = event.local
            case ppp.LinkClosed():
                failed = event.reason is ppp.Reason.AUTHENTICATION_FAILED
                self._end(ClientState.FAILED if failed else ClientState.CLOSED, event.why)
                self._hang_up_l2tp(event.why, now)
            case _:
                pass

    def _open(self, event: ppp.NetworkOpened, now: float) -> None:
        opened = self._opened
        flow = opened.flow if opened is not None else None
        peer = self.peers.get(flow.peer) if isinstance(flow, Flow) else None
        if opened is None or peer is None:
            return
        self.address, self.dns = event.local, event.dns
        self.state, self.opened = ClientState.UP, now
        self.tables.add_session(
            SessionRecord(
                peer=peer.record,
                tunnel_id=opened.tunnel,
                session_id=opened.session,
                peer_tunnel_id=opened.peer_tunnel,
                peer_session_id=opened.peer_session,
                port=L2TP_PORT,
                address=0,
                gateway=0,
                mtu=event.mtu,
                interface=TUN,
                routes=EVERYWHERE,
            )
        )

    def _hang_up_l2tp(self, why: str, now: float) -> None:
        if self._opened is not None and self._tunnel is not None:
            session, carrier = self._opened.session, CallResult.LOSS_OF_CARRIER
            self.lac.close_session(session, carrier, message=why, now=now)
            self.lac.close_tunnel(self._tunnel, StopResult.GENERAL_REQUEST, message=why, now=now)

    def _end(self, state: ClientState, why: str) -> None:
        if self.state in (ClientState.CONNECTING, ClientState.UP):
            self.state, self.why = state, why

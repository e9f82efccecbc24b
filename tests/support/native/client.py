"""A native client as a host of the simulated network: IKE, ESP, UDP, L2TP and PPP together."""

from ipaddress import IPv4Address, ip_address
from struct import pack, unpack_from

from ipsec.constants import IKE_PORT, L2TP_PORT, NATT_PORT, PROTOCOL_UDP, ProtocolId
from ipsec.path import Address, Path
from ipsec.udpencap import KEEPALIVE, Kind, add_marker, classify, strip_marker
from l2tp.header import is_control
from ppp.config import Credentials
from ppp.constants import Protocol
from ppp.frame import Frame
from tests.support.client import ClientState
from tests.support.native.agenda import Agenda, Refusal, Stray, require
from tests.support.native.initiator import Initiator
from tests.support.native.lac import Lac
from tests.support.native.ppp import PppClient
from tests.support.native.profile import Profile, Step
from tests.support.native.quick_mode import SaPair
from tests.support.simulation import ESP_PORT, Wire
from wire import DecodeError, Entropy, Reader
from wire.checksum import checksum

PAUSE = 4.0
"""Seconds from the last word of PPP to the first Delete; Windows [L]."""

KEEPALIVES = 20.0
"""Seconds between NAT keepalives [S: racoon]."""


class NativeClient:
    """One client. `refusals` are what the server sent and the real client would not take.

    `strays` counts messages for tunnels of the past, `late` has ESP packets for SAs of the past.
    """

    def __init__(
        self,
        profile: Profile,
        host: str,
        server: str,
        psk: bytes,
        credentials: Credentials,
        entropy: Entropy,
        host_name: str,
    ) -> None:
        self.profile = profile
        self.state = ClientState.IDLE
        self.why = ""
        self.address: IPv4Address | None = None
        self.dns: tuple[IPv4Address, ...] = ()
        self.inner: list[bytes] = []
        self.refusals: list[str] = []
        self.strays = 0
        self.late: list[bytes] = []
        self.agenda = Agenda()
        self.port = profile.l2tp.port or 49152 + int.from_bytes(entropy(2)) % 16384
        path = Path(Address(host, IKE_PORT), Address(server, IKE_PORT))
        self.ike = Initiator(profile, self.port, psk, path, entropy, self.agenda, self)
        self.lac = Lac(profile.l2tp, host_name.encode(), entropy, self.agenda, self)
        self.ppp = PppClient(profile.ppp, credentials, entropy, self.agenda, self)
        self._host, self._server = host, server
        self._hosts = ip_address(host).packed + ip_address(server).packed
        self._packets: list[Wire] = []
        self._last_traffic = 0.0

    # What the user does.

    def connect(self, now: float) -> None:
        self.agenda.now = now
        self.state = ClientState.CONNECTING
        self.ike.connect()

    def hang_up(self, now: float) -> None:
        self.agenda.now = now
        self.state = ClientState.CLOSED
        seconds = 0.0
        for step in self.profile.hang_up:
            seconds += PAUSE if step is Step.PAUSE else 0.1
            self.agenda.after(seconds, lambda step=step: self._do(step))  # type: ignore[misc]

    def send(self, packet: bytes) -> None:
        """Send an IP packet through the tunnel."""
        self._last_traffic = self.agenda.now
        self.send_frame(Frame(Protocol.IPV4, packet).build())

    # Host.

    def receive(self, packet: Wire, now: float) -> None:
        self.agenda.now = now
        port = packet.destination.port
        try:
            if port == ESP_PORT or classify(packet.data, port) is Kind.ESP:
                self._receive_esp(packet.data, encapsulated=port != ESP_PORT)
            elif (raw := strip_marker(packet.data, port)) is not None:
                self.ike.receive(raw, Path(packet.destination, packet.source))
        except Stray:
            self.strays += 1
        except (Refusal, DecodeError) as refusal:
            self.refusals.append(f"{type(refusal).__name__}: {refusal}")

    def handle_timeout(self, now: float) -> None:
        self.agenda.run(now)

    def next_timeout(self) -> float | None:
        return self.agenda.next()

    def packets_to_send(self) -> list[Wire]:
        packets, self._packets = self._packets, []
        return packets

    # What the layers ask for.

    def send_ike(self, message: bytes, path: Path) -> None:
        self._packets.append(Wire(path.local, path.peer, add_marker(message, path.local.port)))

    def pair_ready(self, pair: SaPair) -> None:
        if not self.lac.sent:
            self.lac.connect()
            if pair.encapsulated:
                self._keep_alive()

    def send_l2tp(self, data: bytes) -> None:
        if not self.ike.pairs:
            return
        pair = self.ike.pairs[-1]
        packet = pair.outbound.seal(self._udp(data))
        self.ike.used(pair)
        port = NATT_PORT if pair.encapsulated else ESP_PORT
        self._packets.append(Wire(Address(self._host, port), Address(self._server, port), packet))

    def call_up(self) -> None:
        self.ppp.start()

    def send_frame(self, frame: bytes) -> None:
        self.lac.frame(frame)

    def network_up(self, address: IPv4Address, dns: tuple[IPv4Address, ...]) -> None:
        self.state, self.address, self.dns = ClientState.UP, address, dns
        self._last_traffic = self.agenda.now
        self._watch()

    def lost(self, why: str) -> None:
        if self.state in (ClientState.CONNECTING, ClientState.UP):
            failed = self.state is ClientState.CONNECTING
            self.state = ClientState.FAILED if failed else ClientState.CLOSED
            self.why = why
            self.ike.close()

    # How it is done.

    def _do(self, step: Step) -> None:
        match step:
            case Step.TERMINATE:
                self.ppp.terminate()
            case Step.CDN:
                self.lac.disconnect()
            case Step.STOPCCN:
                self.lac.stop()
            case Step.DELETE_ESP:
                self.ike.delete(ProtocolId.ESP)
            case Step.DELETE_ISAKMP:
                self.ike.delete(ProtocolId.ISAKMP)
            case Step.PAUSE:
                pass

    def _watch(self) -> None:
        """Hang up when there was no traffic for as long as the client waits for it."""
        idle = self.profile.ppp.idle
        if idle is None or self.state is not ClientState.UP:
            return
        left = self._last_traffic + idle - self.agenda.now
        if left <= 0:
            self.hang_up(self.agenda.now)
            self.why = "idle"
        else:
            self.agenda.after(left, self._watch)

    def _keep_alive(self) -> None:
        if self.state in (ClientState.CONNECTING, ClientState.UP):
            path = self.ike.path
            self._packets.append(Wire(path.local, path.peer, KEEPALIVE))
            self.agenda.after(KEEPALIVES, self._keep_alive)

    def _udp(self, data: bytes) -> bytes:
        """Return a UDP datagram to port 1701. Its checksum is over the address of this host,
        which behind NAT is not the one that the server sees (RFC 3948 section 3.1.2).
        """
        length = 8 + len(data)
        header = pack("!HHHH", self.port, L2TP_PORT, length, 0)
        covered = self._hosts + pack("!HH", PROTOCOL_UDP, length) + header + data
        return header[:6] + pack("!H", checksum(covered) or 0xFFFF) + data

    def _receive_esp(self, packet: bytes, encapsulated: bool) -> None:
        spi = int.from_bytes(packet[:4])
        pair = next((pair for pair in self.ike.pairs if pair.inbound.spi == spi), None)
        if pair is None:
            if spi in self.ike.gone:
                self.late.append(packet)
            return
        require(pair.encapsulated is encapsulated, "ESP in another encapsulation")
        datagram = pair.inbound.open(packet)
        truncated_alike = pair.inbound.icv_length == pair.outbound.icv_length
        require(truncated_alike, "an ICV of another length")
        self.ike.used(pair)
        source, destination, length = unpack_from("!HHH", datagram)
        require((source, destination) == (L2TP_PORT, self.port), "another UDP port")
        data = datagram[8:length]
        if is_control(data):
            self.lac.receive(data)
            return
        frame = Frame.parse(Reader(self.lac.read_frame(data)))
        if frame.protocol is Protocol.IPV4:
            self._last_traffic = self.agenda.now
            self.inner.append(frame.information)
        else:
            self.ppp.receive(frame.build())

"""One client and the records that the gateway would write for it: two ends of real SAs."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from itertools import count

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import AuthenticationAlgorithm, EspTransform
from ipsec.esp import InboundSa, OutboundSa
from ipsec.path import Address, Path
from l2gate.forwarder import Forwarder
from l2gate.records import PeerRecord, SaRecord, SessionRecord, Tables
from wire.types import Octets

AES_SHA1 = EspAlgorithms(EspTransform.AES_CBC, 256, AuthenticationAlgorithm.HMAC_SHA1)
GATEWAY = "172.16.1.1"
MTU = 1400
TUN = "l2gate0"
SERVER = "203.0.113.1"

_numbers = count(1)


@dataclass
class Upcalls:
    """Writes down what the forwarder tells."""

    l2tp: list[tuple[PeerRecord, int, bytes]] = field(default_factory=list)
    moves: list[tuple[int, Path]] = field(default_factory=list)
    used: list[int] = field(default_factory=list)

    def receive_l2tp(self, peer: PeerRecord, port: int, payload: bytes) -> None:
        self.l2tp.append((peer, port, payload))

    def path_moved(self, spi: int, path: Path) -> None:
        self.moves.append((spi, path))

    def sa_used(self, spi: int) -> None:
        self.used.append(spi)


def udp(payload: bytes, source: int = 50000, destination: int = 1701) -> bytes:
    ports = source.to_bytes(2, "big") + destination.to_bytes(2, "big")
    return ports + (8 + len(payload)).to_bytes(2, "big") + b"\xbe\xef" + payload


def inner_packets(forwarder: Forwarder) -> list[Octets]:
    """Take what the forwarder has for the TUN devices, whichever they are."""
    return [packet for _, packets in forwarder.take_tun() for packet in packets]


class Client:
    """The far end of one peer with one session; `to_server` seals, `to_client` opens."""

    def __init__(
        self,
        tables: Tables,
        address: str = "172.16.1.51",
        routes: tuple[str, ...] = (),
        port: int = 50000,
        path: Path | None = None,
        algorithms: EspAlgorithms = AES_SHA1,
        mtu: int = MTU,
        sequencing: bool = False,
        interface: str = TUN,
    ) -> None:
        number = next(_numbers)
        self.tables = tables
        self.algorithms = algorithms
        self.port = port
        self.path = path or Path(
            Address(SERVER, 4500), Address("198.51.100.7", 10000 + number % 50000)
        )
        self.record = PeerRecord(number, self.path, encapsulated=True)
        self.new_sas()
        self.session = SessionRecord(
            peer=self.record,
            tunnel_id=number & 0xFFFF,
            session_id=0x5151,
            peer_tunnel_id=0x0A0B,
            peer_session_id=0x0C0D,
            port=port,
            address=int(IPv4Address(address)),
            gateway=int(IPv4Address(GATEWAY)),
            mtu=mtu,
            interface=interface,
            routes=tuple(IPv4Network(route) for route in routes),
            sequencing=sequencing,
        )
        tables.add_session(self.session)

    def new_sas(self) -> None:
        """Replace the pair of SAs, as a rekey does; the old inbound one stays valid."""
        spi = 0x1000 + next(_numbers)
        encryption = bytes([spi & 0xFF]) * self.algorithms.encryption_key_length
        authentication = b"a" * self.algorithms.authentication_key_length
        keys = (encryption, authentication)
        self.inbound = InboundSa(spi, self.algorithms, *keys)
        self.to_server = OutboundSa(spi, self.algorithms, *keys, bytes)
        self.to_client = InboundSa(spi + 0x10000, self.algorithms, *keys)
        self.record.outbound = OutboundSa(spi + 0x10000, self.algorithms, *keys, bytes)
        self.tables.sas[spi] = SaRecord(self.inbound, self.record)

    def l2tp(self, frame: bytes, flags: int = 0x0002, fields: bytes = b"") -> bytes:
        """A data message of the session; `fields` follow the ids, a Length field is made."""
        ids = self.session.tunnel_id << 16 | self.session.session_id
        rest = ids.to_bytes(4, "big") + fields + frame
        if flags & 0x4000:
            rest = (len(rest) + 4).to_bytes(2, "big") + rest
        return flags.to_bytes(2, "big") + rest

    def seal(self, message: bytes) -> bytes:
        return self.to_server.seal(udp(message, self.port))

    def send(self, forwarder: Forwarder, message: bytes, path: Path | None = None) -> None:
        """Send an L2TP message through the SA."""
        forwarder.receive_esp(self.seal(message), path or self.path)

    def send_ip(self, forwarder: Forwarder, packet: bytes) -> None:
        """Send an IPv4 packet in the usual form."""
        self.send(forwarder, self.l2tp(b"\xff\x03\x00\x21" + packet))

    def received(self, forwarder: Forwarder) -> list[bytes]:
        """Open what the forwarder has for this client: UDP datagrams."""
        taken = dict(forwarder.take_wire())
        return [self.to_client.open(packet) for packet in taken.get(self.record, [])]

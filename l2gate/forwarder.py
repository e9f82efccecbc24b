"""The fast path: ESP packets in, IP packets out, and back.

    receive_esp:    ESP -> UDP -> L2TP -> PPP -> IP ... take_tun()
    receive_inner:  IP -> PPP -> L2TP -> UDP -> ESP ... take_wire()

Only plain IP data of an open session passes here. Every other message that comes out of an
SA goes up to the gateway, which decides; what it decided stands in `l2gate.records`. The
forwarder knows no socket and no clock, keeps nothing about a packet once it is through, and
never raises, whatever octets it is given.

RFC 3193 section 3.3 is held here: nothing but what came out of ESP is looked at, and a data
message counts only if its session belongs to the peer whose SA it came through and to the UDP
port that the session was opened from.
"""

from collections import Counter
from enum import Enum
from struct import Struct
from typing import Final, Protocol

from ipsec.constants import L2TP_PORT
from ipsec.esp import DropReason, EspError, SequenceExhausted
from ipsec.path import Path
from l2gate import inner, inner6
from l2gate.records import PeerRecord, SaRecord, SessionRecord, Tables
from l2tp.constants import VERSION
from l2tp.header import L_BIT, O_BIT, S_BIT, T_BIT, VERSION_MASK
from ppp.dhcp import SERVER_PORT
from wire.types import Octets


class Drop(Enum):
    """Why the forwarder dropped a packet; the value is for people. See also `DropReason`."""

    UNKNOWN_SPI = "no SA with this SPI"
    MALFORMED = "no whole UDP datagram or IP packet inside"
    WRONG_PORT = "not for UDP port 1701"
    FOREIGN_SESSION = "data for a session of another peer or port"
    SPOOFED = "inner source is not the session's address"
    NOT_LEAVING = "inner destination is on the session's own link"
    NOT_IP = "neither IPv4 nor IPv6"
    NO_SESSION = "no session has this inner address"
    NO_SA = "the peer has no outbound SA"
    SEQUENCE_EXHAUSTED = "the outbound SA has used all its sequence numbers"
    TOO_BIG = "larger than the session's MTU, and not to be fragmented"
    OVER_RATE = "more than the session's rate"
    WRONG_INTERFACE = "inner destination is behind another interface"


class Upcalls(Protocol):
    """What the forwarder tells the gateway, which may change the tables meanwhile."""

    def receive_l2tp(self, peer: PeerRecord, port: int, payload: bytes) -> None:
        """Take an L2TP message that is not plain data, from this UDP port of the peer."""

    def path_moved(self, spi: int, path: Path) -> None:
        """Note that the newest authenticated packet of an SA came by another UDP path."""

    def sa_used(self, spi: int) -> None:
        """Note that the first authenticated packet of an SA came in."""


_UDP_HEADER: Final = 8
_LAYOUT_FLAGS: Final = T_BIT | L_BIT | S_BIT | VERSION_MASK
_LAYOUTS: Final = {
    VERSION: Struct("!10xII"),
    VERSION | L_BIT: Struct("!12xII"),
    VERSION | S_BIT: Struct("!10xI4xI"),
    VERSION | L_BIT | S_BIT: Struct("!12xI4xI"),
}
"""How to read, by the flags of a data message, its two ids as one number and the first word of
the PPP frame (RFC 2661 section 3.1); from the UDP header on. Where the O bit is set, that word
begins with the Offset Size. What has other flags is no data message."""

_PORTS: Final = Struct("!HHHxxH")
"""UDP header (RFC 768) without the checksum, which the ICV makes superfluous, and L2TP flags."""
_WORD: Final = Struct("!I")
_IPV4: Final = Struct("!BxH5xB2xII")
"""Version and header length, total length, protocol, source and destination (RFC 791)."""
_UDP: Final = Struct("!HHHH")
_DATA: Final = Struct("!HHHHHHHI")
_SEQUENCED: Final = Struct("!HHHHHHHHHI")
"""UDP header, L2TP header without or with Ns and Nr, PPP header."""

_IPV6: Final = Struct("!BxxxHBxQ8xQ")
"""Version, payload length, next header, upper halves of source and destination (RFC 8200)."""

_PPP_IPV4: Final = 0xFF030021
_PPP_IPV6: Final = 0xFF030057
"""Address, control and protocol field (RFC 1661, RFC 1662; RFC 1332, RFC 5072)."""
_PPP_IPV6_FORMS: Final = ((0, _PPP_IPV6, 4), (8, 0xFF0357, 3), (16, 0x0057, 2), (24, 0x57, 1))
"""By how many bits the first word of a frame is to be shifted to be this, and its octets."""
_IPV4_WITHOUT_OPTIONS: Final = 0x45
_TCP: Final = 6
_TCP_FLAGS: Final = 33
_SYN: Final = 0x02
_HEADERS: Final = 40
_HEADERS6: Final = 60
"""An IPv4 or IPv6 header and a TCP header: what an MTU is larger than an MSS."""
_TCP_FLAGS6: Final = 53
_LINK_LOCAL: Final = 0xFE80 >> 6
_MULTICAST: Final = 0xFF
_BROADCAST: Final = 0xFFFFFFFF


class Forwarder:
    """Looks up, opens, checks and seals; collects what must be sent until it is taken.

    `drops` counts packets by reason; packets with wrong sources are also counted in their
    session.
    """

    __slots__ = (
        "_addresses",
        "_prefixes",
        "_sas",
        "_sessions",
        "_tables",
        "_tun",
        "_upcalls",
        "_wire",
        "drops",
    )

    def __init__(self, tables: Tables, upcalls: Upcalls) -> None:
        self._tables = tables
        self._sas = tables.sas
        self._sessions = tables.sessions
        self._addresses = tables.addresses
        self._prefixes = tables.prefixes
        self._upcalls = upcalls
        self._wire: dict[PeerRecord, list[bytes]] = {}
        self._tun: dict[str, list[Octets]] = {}
        self.drops: Counter[Drop | DropReason] = Counter()

    def take_wire(self) -> list[tuple[PeerRecord, list[bytes]]]:
        """Return the ESP packets to be sent, oldest first for each peer, and forget them."""
        taken = list(self._wire.items())
        self._wire.clear()
        return taken

    def take_tun(self) -> list[tuple[str, list[Octets]]]:
        """Return the IP packets for the TUN devices, oldest first for each, and forget them."""
        taken = list(self._tun.items())
        self._tun.clear()
        return taken

    # From the peers

    def receive_esp(self, packet: Octets, path: Path) -> None:
        """Take an ESP packet, from SPI to ICV; one that came as IP protocol 50 has ports 0."""
        record = self._sas.get(_WORD.unpack_from(packet)[0]) if len(packet) >= 4 else None
        if record is None:
            self.drops[Drop.UNKNOWN_SPI] += 1
            return
        sa = record.sa
        try:
            datagram = sa.open(packet)
        except EspError as error:
            self.drops[error.reason] += 1
            if sa.packets == 1:  # the first may be genuine and yet of no use, as a dummy is
                self._upcalls.sa_used(sa.spi)
            return
        if sa.packets == 1:
            self._upcalls.sa_used(sa.spi)
        if path is not record.peer.path:
            self._compare_path(record, packet, path)
        self._receive_datagram(record.peer, datagram)

    def _compare_path(self, record: SaRecord, packet: Octets, path: Path) -> None:
        """Follow a peer whose NAT gave it a new address or port (RFC 3947 section 7).

        Only the newest packet tells where a peer is: one that was delayed may come by the path
        that the peer has left.
        """
        if path != record.peer.path and path.peer.port and record.peer.encapsulated:
            sequence = int.from_bytes(packet[4:8], "big")
            if sequence == record.sa.window.right_edge:
                self._upcalls.path_moved(record.sa.spi, path)

    def _receive_datagram(self, peer: PeerRecord, datagram: bytes) -> None:
        if len(datagram) < _PORTS.size:
            self.drops[Drop.MALFORMED] += 1
            return
        port, destination, length, flags = _PORTS.unpack_from(datagram)
        if destination != L2TP_PORT:
            self.drops[Drop.WRONG_PORT] += 1
            return
        layout = _LAYOUTS.get(flags & _LAYOUT_FLAGS)
        if layout is None or len(datagram) < layout.size:
            self._hand_up(peer, port, datagram, length)
            return
        ids, header = layout.unpack_from(datagram)
        session = self._sessions.get(ids)
        if session is None:
            self._hand_up(peer, port, datagram, length)
        elif session.peer is not peer or session.port != port:
            self.drops[Drop.FOREIGN_SESSION] += 1
        else:
            start = layout.size - _WORD.size
            if flags & O_BIT:
                start += 2 + (header >> 16)
                header = int.from_bytes(datagram[start : start + 4], "big")
            # A peer may compress the PPP header or not, packet by packet (RFC 1661 sections 6.5
            # and 6.6).
            if header == _PPP_IPV4:
                start += 4
            elif header >> 8 == 0xFF0321:
                start += 3
            elif header >> 16 == 0x0021:
                start += 2
            elif header >> 24 == 0x21:
                start += 1
            else:
                self._receive_no_ipv4(session, datagram, start, length, header)
                return
            self._receive_ipv4(session, datagram, start, length)

    def _receive_no_ipv4(
        self, session: SessionRecord, datagram: bytes, start: int, length: int, header: int
    ) -> None:
        """Find the IPv6 packet in a frame that begins with `header`; any other is handed up."""
        if session.prefix is not None:
            for shift, number, size in _PPP_IPV6_FORMS:
                if header >> shift == number:
                    self._receive_ipv6(session, session.prefix, datagram, start + size, length)
                    return
        self._hand_up(session.peer, session.port, datagram, length)

    def _receive_ipv6(
        self, session: SessionRecord, prefix: int, datagram: bytes, start: int, length: int
    ) -> None:
        """Pass on the IPv6 packet that begins at `start`, if its source is of the prefix.

        What is for the link itself is for the gateway alone. What is for the prefix would come
        straight back (RFC 4443 section 3.1).
        """
        if len(datagram) < start + inner6.HEADER_LENGTH:
            self.drops[Drop.MALFORMED] += 1
            return
        version, total, next_header, source, destination = _IPV6.unpack_from(datagram, start)
        total += inner6.HEADER_LENGTH
        packet: Octets = datagram[start : start + total]
        if version >> 4 != 6 or total != len(packet):
            self.drops[Drop.MALFORMED] += 1
        elif destination >> 54 == _LINK_LOCAL or destination >> 56 == _MULTICAST:
            self._hand_up(session.peer, session.port, datagram, length)
        elif source != prefix:
            session.spoofed += 1
            self.drops[Drop.SPOOFED] += 1
        elif destination == prefix:
            self.drops[Drop.NOT_LEAVING] += 1
        elif session.up is not None and not session.up.admits(total, self._tables.now):
            self.drops[Drop.OVER_RATE] += 1
        else:
            if next_header == _TCP and (total < _HEADERS6 or packet[_TCP_FLAGS6] & _SYN):
                packet = inner6.clamp_mss(packet, session.mtu - _HEADERS6)
            session.packets_in += 1
            session.octets_in += total
            self._give(session.interface, packet)

    def _receive_ipv4(
        self, session: SessionRecord, datagram: bytes, start: int, length: int
    ) -> None:
        """Pass on the IPv4 packet that begins at `start`; its own length says where it ends.

        A packet for everybody or for our DHCP server is for the gateway alone: DHCPINFORM may
        be sent to either (RFC 2131 section 4.4.3).
        """
        if len(datagram) < start + _IPV4.size:
            self.drops[Drop.MALFORMED] += 1
            return
        version, total, protocol, source, destination = _IPV4.unpack_from(datagram, start)
        packet: Octets = datagram[start : start + total]
        if not (0x45 <= version <= 0x4F and (version & 15) * 4 <= total == len(packet)):
            self.drops[Drop.MALFORMED] += 1
        elif source != session.address and self._tables.session_to(source) is not session:
            session.spoofed += 1
            self.drops[Drop.SPOOFED] += 1
        elif destination == _BROADCAST or (
            destination == session.gateway and inner.is_udp_for(packet, SERVER_PORT)
        ):
            self._hand_up(session.peer, session.port, datagram, length)
        elif session.up is not None and not session.up.admits(total, self._tables.now):
            self.drops[Drop.OVER_RATE] += 1
        else:
            if protocol == _TCP and (
                version != _IPV4_WITHOUT_OPTIONS or total < _HEADERS or packet[_TCP_FLAGS] & _SYN
            ):
                packet = inner.clamp_mss(packet, session.mtu - _HEADERS)
            session.packets_in += 1
            session.octets_in += total
            self._give(session.interface, packet)

    def _give(self, interface: str, packet: Octets) -> None:
        packets = self._tun.get(interface)
        if packets is None:
            self._tun[interface] = [packet]
        else:
            packets.append(packet)

    def _hand_up(self, peer: PeerRecord, port: int, datagram: bytes, length: int) -> None:
        """Give an L2TP message to the gateway, without what pads the datagram (RFC 4303 2.7)."""
        if _UDP_HEADER <= length <= len(datagram):
            self._upcalls.receive_l2tp(peer, port, datagram[_UDP_HEADER:length])
        else:
            self.drops[Drop.MALFORMED] += 1

    # To the peers

    def receive_inner(self, packet: Octets, interface: str) -> None:
        """Take an IP packet that the kernel routed to this TUN device.

        One for a session behind another device is dropped: what the firewall has let through to
        one department must not come out in another, whatever the routes are.
        """
        if len(packet) < _IPV4.size:
            self.drops[Drop.NOT_IP] += 1
            return
        version, total, protocol, _, destination = _IPV4.unpack_from(packet)
        if not (0x45 <= version <= 0x4F and (version & 15) * 4 <= total == len(packet)):
            self._receive_inner6(packet, interface)
            return
        session = self._addresses.get(destination) or self._tables.session_to(destination)
        if session is None:
            self.drops[Drop.NO_SESSION] += 1
        elif session.interface != interface:
            self.drops[Drop.WRONG_INTERFACE] += 1
        elif total > session.mtu:
            self._receive_too_big(session, packet)
        else:
            if protocol == _TCP and (
                version != _IPV4_WITHOUT_OPTIONS or total < _HEADERS or packet[_TCP_FLAGS] & _SYN
            ):
                packet = inner.clamp_mss(packet, session.mtu - _HEADERS)
            self._send_packet(session, packet, _PPP_IPV4)

    def _receive_inner6(self, packet: Octets, interface: str) -> None:
        """Take an IPv6 packet, or what is no packet at all."""
        if len(packet) < inner6.HEADER_LENGTH:
            self.drops[Drop.NOT_IP] += 1
            return
        version, total, next_header, _, destination = _IPV6.unpack_from(packet)
        total += inner6.HEADER_LENGTH
        if version >> 4 != 6 or total != len(packet):
            self.drops[Drop.NOT_IP] += 1
            return
        session = self._prefixes.get(destination)
        if session is None:
            self.drops[Drop.NO_SESSION] += 1
        elif session.interface != interface:
            self.drops[Drop.WRONG_INTERFACE] += 1
        elif total > session.mtu:
            self.drops[Drop.TOO_BIG] += 1
            answer = inner6.packet_too_big(packet, session.mtu, session.gateway6)
            if answer is not None:
                self._give(interface, answer)
        else:
            if next_header == _TCP and (total < _HEADERS6 or packet[_TCP_FLAGS6] & _SYN):
                packet = inner6.clamp_mss(packet, session.mtu - _HEADERS6)
            self._send_packet(session, packet, _PPP_IPV6)

    def send_l2tp(self, peer: PeerRecord, port: int, payload: Octets) -> None:
        """Send an L2TP message to this UDP port of the peer."""
        header = _UDP.pack(L2TP_PORT, port, _UDP_HEADER + len(payload), 0)
        self._seal(peer, header + payload)

    def _receive_too_big(self, session: SessionRecord, packet: Octets) -> None:
        if not inner.dont_fragment(packet):
            for fragment in inner.fragment(packet, session.mtu):
                self._send_packet(session, fragment, _PPP_IPV4)
            return
        self.drops[Drop.TOO_BIG] += 1
        answer = inner.fragmentation_needed(packet, session.mtu, session.gateway)
        if answer is not None:
            self._give(session.interface, answer)

    def _send_packet(self, session: SessionRecord, packet: Octets, protocol: int) -> None:
        """Send an IP packet in a PPP frame, whose header `protocol` is."""
        length = len(packet)
        if session.down is not None and not session.down.admits(length, self._tables.now):
            self.drops[Drop.OVER_RATE] += 1
            return
        tunnel_id, session_id = session.peer_tunnel_id, session.peer_session_id
        if session.sequencing:
            ns = session.ns
            session.ns = ns + 1 & 0xFFFF
            header = _SEQUENCED.pack(
                L2TP_PORT, session.port, _SEQUENCED.size + length, 0,
                VERSION | S_BIT, tunnel_id, session_id, ns, 0, protocol,
            )  # fmt: skip
        else:
            header = _DATA.pack(
                L2TP_PORT, session.port, _DATA.size + length, 0,
                VERSION, tunnel_id, session_id, protocol,
            )  # fmt: skip
        if self._seal(session.peer, header + packet):
            session.packets_out += 1
            session.octets_out += length

    def _seal(self, peer: PeerRecord, datagram: bytes) -> bool:
        """Seal a UDP datagram whose checksum is zero, and say whether it will be sent.

        Zero is right over IPv4, where the ICV does the work. Over IPv6 a transport-mode
        receiver insists on a checksum (RFC 8200 section 8.1).
        """
        sa = peer.outbound
        if sa is None:
            self.drops[Drop.NO_SA] += 1
            return False
        if ":" in peer.path.peer.host:
            datagram = inner.with_udp6_checksum(datagram, peer.path.local.host, peer.path.peer.host)
        try:
            packet = sa.seal(datagram)
        except SequenceExhausted:
            self.drops[Drop.SEQUENCE_EXHAUSTED] += 1
            return False
        packets = self._wire.get(peer)
        if packets is None:
            self._wire[peer] = [packet]
        else:
            packets.append(packet)
        return True

"""What a router does to an IPv4 packet that crosses a link with a smaller MTU.

RFC 791 (IPv4, fragmentation), RFC 792 and 1191 (ICMP fragmentation needed), RFC 1812 section
4.3.2 (when a router must keep silent), RFC 1624 (changed checksums), RFC 9293 (TCP options).

A `packet` is always one whole IPv4 packet: version 4, a header of 20 to 60 octets that is not
longer than the packet, and a total length that is the number of octets given. Everything
behind the IPv4 header is a stranger's and may be anything.
"""

from functools import lru_cache
from ipaddress import IPv6Address
from struct import Struct
from typing import Final

from wire.checksum import checksum
from wire.types import Octets

HEADER_LENGTH: Final = 20
"""An IPv4 header without options, and a TCP header without options."""
MINIMUM_MTU: Final = 68
"""RFC 791 section 3.1: what every link must carry without fragmenting."""

_ICMP: Final = 1
_TCP: Final = 6
_UDP: Final = 17
_DONT_FRAGMENT: Final = 0x4000
_MORE_FRAGMENTS: Final = 0x2000
_FRAGMENT_OFFSET: Final = 0x1FFF
_SYN: Final = 0x02
_NO_OPTION: Final = 1
_END_OF_OPTIONS: Final = 0
_MSS_OPTION: Final = 2
_COPIED: Final = 0x80
_ICMP_ERRORS: Final = frozenset({3, 4, 5, 11, 12})
_ICMP_MAXIMUM: Final = 576
"""RFC 1812 section 4.3.2.3: an error quotes as much as fits into this many octets."""

_WORD: Final = Struct("!H")
_PSEUDO: Final = Struct("!II")
_ADDRESSES: Final = Struct("!II")
_ICMP_HEADER: Final = Struct("!BBHHH")
_IPV4_HEADER: Final = Struct("!BBHHHBBHII")


def with_udp6_checksum(datagram: bytes, source: str, destination: str) -> bytes:
    """Return a UDP datagram, whose checksum field is zero, with its checksum over IPv6.

    `source` and `destination` are the IPv6 addresses of the pseudo-header (RFC 8200 section
    8.1), as text.
    """
    pseudo = _packed6(source) + _packed6(destination) + _PSEUDO.pack(len(datagram), _UDP)
    value = checksum(pseudo + datagram) or 0xFFFF
    return datagram[:6] + _WORD.pack(value) + datagram[8:]


@lru_cache(maxsize=1024)
def _packed6(address: str) -> bytes:
    return IPv6Address(address).packed


def header_length(packet: Octets) -> int:
    """Return the length of the IPv4 header in octets."""
    return (packet[0] & 0x0F) * 4


def dont_fragment(packet: Octets) -> bool:
    """Return whether the sender forbids fragments."""
    return bool(_fragment_field(packet) & _DONT_FRAGMENT)


def is_udp_for(packet: Octets, port: int) -> bool:
    """Return whether the packet begins a UDP datagram for this port."""
    position = header_length(packet) + 2
    return (
        packet[9] == _UDP
        and not _fragment_field(packet) & _FRAGMENT_OFFSET
        and packet[position : position + 2] == _WORD.pack(port)
    )


def clamp_mss(packet: Octets, limit: int) -> Octets:
    """Return `packet` with no larger maximum segment size than `limit`, if it is a TCP SYN.

    RFC 9293 section 3.2: the option holds the largest segment that the SYN's sender takes.
    The checksum follows by RFC 1624; what is not a well-formed SYN is returned as it is.
    """
    tcp = header_length(packet)
    if packet[9] != _TCP or _fragment_field(packet) & _FRAGMENT_OFFSET:
        return packet
    return clamp_mss_at(packet, tcp, limit)


def clamp_mss_at(packet: Octets, tcp: int, limit: int) -> Octets:
    """Do what `clamp_mss` does for a packet, of either version, whose TCP header is at `tcp`."""
    if len(packet) < tcp + HEADER_LENGTH or not packet[tcp + 13] & _SYN:
        return packet
    position = tcp + HEADER_LENGTH
    end = min(tcp + (packet[tcp + 12] >> 4) * 4, len(packet))
    while position + 4 <= end:
        kind, length = packet[position], packet[position + 1]
        if kind == _NO_OPTION:
            position += 1
            continue
        if kind == _END_OF_OPTIONS or length < 2:
            break
        if kind == _MSS_OPTION:
            return _with_mss(packet, tcp, position + 2, limit) if length == 4 else packet
        position += length
    return packet


def _with_mss(packet: Octets, tcp: int, position: int, limit: int) -> Octets:
    (old,) = _WORD.unpack_from(packet, position)
    if old <= limit:
        return packet
    patched = bytearray(packet)
    _WORD.pack_into(patched, position, limit)
    change = limit - old
    if (position - tcp) % 2:
        # The option straddles two words of the sum: RFC 1071 section 2(B), swapped octets.
        change *= 0x100
    (before,) = _WORD.unpack_from(packet, tcp + 16)
    _WORD.pack_into(patched, tcp + 16, (before - change) % 0xFFFF)
    return bytes(patched)


def fragmentation_needed(packet: Octets, mtu: int, source: int) -> bytes | None:
    """Return the ICMP message that tells the packet's sender the MTU of the next hop.

    RFC 1191 section 4; `source` is the router's own address as a number. None where RFC 1812
    section 4.3.2.7 forbids an error: the packet is an ICMP error itself, a fragment other than
    the first, or comes from or goes to what is no single host.
    """
    header = header_length(packet)
    sender, destination = _ADDRESSES.unpack_from(packet, 12)
    if (
        _fragment_field(packet) & _FRAGMENT_OFFSET
        or not (_is_one_host(sender) and _is_one_host(destination))
        or (packet[9] == _ICMP and packet[header : header + 1] in _QUIET)
    ):
        return None
    quoted = bytes(packet[: _ICMP_MAXIMUM - HEADER_LENGTH - _ICMP_HEADER.size])
    message = bytearray(_ICMP_HEADER.pack(3, 4, 0, 0, mtu) + quoted)
    _WORD.pack_into(message, 2, checksum(message))
    return _header(HEADER_LENGTH + len(message), source, sender) + message


_QUIET: Final = frozenset(bytes([kind]) for kind in _ICMP_ERRORS) | {b""}
"""Types, as octets, of the ICMP messages that are never answered with an error."""


def _is_one_host(address: int) -> bool:
    network = address >> 24
    return 0 < network < 224 and network != 127


def _header(length: int, source: int, destination: int) -> bytes:
    header = bytearray(
        _IPV4_HEADER.pack(0x45, 0, length, 0, _DONT_FRAGMENT, 64, _ICMP, 0, source, destination)
    )
    _WORD.pack_into(header, 10, checksum(header))
    return bytes(header)


def fragment(packet: Octets, mtu: int) -> list[bytes]:
    """Return the fragments, none longer than `mtu` (at least 68), of a packet without DF.

    RFC 791 section 3.2: fragments but the first carry only the options that are marked to be
    copied; a fragment that is fragmented again keeps its own offset and its MF flag.
    """
    length = header_length(packet)
    body = bytes(packet[length:])
    field = _fragment_field(packet)
    header = bytes(packet[:length])
    offset, position = field & _FRAGMENT_OFFSET, 0
    fragments: list[bytes] = []
    while position < len(body):
        size = mtu - len(header)
        if len(body) - position > size:
            size -= size % 8
        last = position + size >= len(body)
        flags = field & _MORE_FRAGMENTS if last else _MORE_FRAGMENTS
        part = body[position : position + size]
        fragments.append(_as_fragment(header, flags | offset + position // 8, len(part)) + part)
        position += size
        if len(fragments) == 1:
            header = _copied_header(header)
    return fragments


def _as_fragment(header: bytes, field: int, size: int) -> bytes:
    patched = bytearray(header)
    _WORD.pack_into(patched, 2, len(header) + size)
    _WORD.pack_into(patched, 6, field)
    _WORD.pack_into(patched, 10, 0)
    _WORD.pack_into(patched, 10, checksum(patched))
    return bytes(patched)


def _copied_header(header: bytes) -> bytes:
    """Return the header with only those options that every fragment carries."""
    options = bytearray()
    position = HEADER_LENGTH
    while position + 1 < len(header) and header[position] != _END_OF_OPTIONS:
        if header[position] == _NO_OPTION:
            position += 1
            continue
        length = header[position + 1]
        if length < 2 or position + length > len(header):
            break
        if header[position] & _COPIED:
            options += header[position : position + length]
        position += length
    options += bytes(-len(options) % 4)
    first = 0x40 | (HEADER_LENGTH + len(options)) // 4
    return bytes([first]) + header[1:HEADER_LENGTH] + options


def _fragment_field(packet: Octets) -> int:
    return packet[6] << 8 | packet[7]

"""What a router does to an IPv6 packet that crosses a link with a smaller MTU.

RFC 8200 (IPv6: no router fragments), RFC 4443 (ICMPv6 Packet Too Big, and when to be silent).

A `packet` is always one whole IPv6 packet: version 6, and a payload length that is the number of
octets behind the header. All of that may be anything.
"""

from struct import Struct
from typing import Final

from l2gate import inner
from wire.checksum import checksum
from wire.types import Octets

HEADER_LENGTH: Final = 40
MINIMUM_MTU: Final = 1280
"""RFC 8200 section 5: what every link must carry."""

TCP: Final = 6
_ICMPV6: Final = 58
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION = 0, 43, 44, 60
_EXTENSIONS: Final = 8
"""So many extension headers are looked through, at most; no honest packet has as many."""
_PACKET_TOO_BIG: Final = 2
_REDIRECT: Final = 137

_HEADER: Final = Struct("!IHBB16s16s")
_MESSAGE: Final = Struct("!BBHI")
_PSEUDO: Final = Struct("!16s16sII")


def clamp_mss(packet: Octets, limit: int) -> Octets:
    """Return `packet` with no larger maximum segment size than `limit`, if it is a TCP SYN.

    One behind extension headers is left as it is: Packet Too Big does the work.
    """
    return inner.clamp_mss_at(packet, HEADER_LENGTH, limit) if packet[6] == TCP else packet


def packet_too_big(packet: Octets, mtu: int, source: int) -> bytes | None:
    """Return the ICMPv6 message that tells the packet's sender the MTU of the next hop.

    RFC 4443 section 3.2; `source` is the router's own address as a number. None where section
    2.4(e) forbids an error: the packet may be an error itself, or its source is no single host.
    """
    sender = bytes(packet[8:24])
    if sender[0] == 0xFF or not any(sender) or _may_be_error(packet):
        return None
    room = MINIMUM_MTU - HEADER_LENGTH - _MESSAGE.size
    message = bytearray(_MESSAGE.pack(_PACKET_TOO_BIG, 0, 0, mtu) + bytes(packet[:room]))
    own = source.to_bytes(16, "big")
    pseudo = _PSEUDO.pack(own, sender, len(message), _ICMPV6)
    message[2:4] = checksum(pseudo + message).to_bytes(2, "big")
    return _HEADER.pack(6 << 28, len(message), _ICMPV6, 64, own, sender) + message


def _may_be_error(packet: Octets) -> bool:
    """Return whether the packet is an ICMPv6 error or a redirect, or nobody can tell."""
    kind, position = packet[6], HEADER_LENGTH
    for _ in range(_EXTENSIONS):
        if position + 8 > len(packet):
            return True
        if kind == _FRAGMENT:
            if (packet[position + 2] << 8 | packet[position + 3]) & 0xFFF8:
                return True
            length = 8
        elif kind in (_HOP_BY_HOP, _ROUTING, _DESTINATION):
            length = 8 + packet[position + 1] * 8
        else:
            break
        kind, position = packet[position], position + length
    else:
        return True
    return kind == _ICMPV6 and (packet[position] < 128 or packet[position] == _REDIRECT)

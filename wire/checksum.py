"""The Internet checksum (RFC 1071), which IPv4, ICMP, UDP and TCP have in common."""

from wire.types import Octets


def checksum(octets: Octets) -> int:
    """Return the Internet checksum of octets that are not all zero.

    2**16 is 1 modulo 0xFFFF, so the one's complement sum of the 16-bit words is the whole as
    one big number modulo 0xFFFF.
    """
    number = int.from_bytes(octets, "big")
    return -(number << 8 if len(octets) % 2 else number) % 0xFFFF

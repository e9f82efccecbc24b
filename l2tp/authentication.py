"""Tunnel authentication, both ways (RFC 2661 section 5.1.1)."""

from hashlib import md5
from hmac import compare_digest

from l2tp.constants import MessageType

CHALLENGE_LENGTH = 16
"""Octets of the challenges that we send."""


def response(kind: MessageType, secret: bytes, challenge: bytes) -> bytes:
    """Return the Challenge Response that message `kind` (SCCRP or SCCCN) carries.

    It is CHAP's (RFC 1994 section 4.1) with the message type for identifier: 16 octets.
    """
    return md5(bytes([kind]) + secret + challenge, usedforsecurity=False).digest()


def is_valid(kind: MessageType, secret: bytes, challenge: bytes, received: bytes) -> bool:
    """Compare a received Challenge Response with the right one, in constant time."""
    return compare_digest(response(kind, secret, challenge), received)

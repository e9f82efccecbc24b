"""What a UDP payload on port 500 or 4500 is.

RFC 3948 section 2: on port 4500 an IKE message has four zero octets in front, a NAT keepalive
is one octet 0xFF, and the rest is ESP, whose first four octets are an SPI that is never zero.
Port 500 carries IKE messages alone, without the marker.
"""

from enum import Enum
from typing import Final

from ipsec.constants import IKE_PORT
from ipsec.message import HEADER_LENGTH
from wire.types import Octets

NON_ESP_MARKER: Final = bytes(4)
KEEPALIVE: Final = b"\xff"

_ESP_MINIMUM: Final = 8
"""SPI and sequence number, RFC 4303 section 2."""


class Kind(Enum):
    """What is to be done with a UDP payload."""

    IKE = "IKE message"
    ESP = "ESP packet"
    KEEPALIVE = "NAT keepalive"
    GARBAGE = "nothing of ours"


def classify(data: Octets, local_port: int) -> Kind:
    """Say what was received on `local_port`."""
    if local_port == IKE_PORT:
        return Kind.IKE if len(data) >= HEADER_LENGTH else Kind.GARBAGE
    if data[:4] == NON_ESP_MARKER:
        long_enough = len(data) >= len(NON_ESP_MARKER) + HEADER_LENGTH
        return Kind.IKE if long_enough else Kind.GARBAGE
    if data == KEEPALIVE:
        return Kind.KEEPALIVE
    return Kind.ESP if len(data) >= _ESP_MINIMUM else Kind.GARBAGE


def strip_marker(data: Octets, local_port: int) -> bytes | None:
    """Return the IKE message in a UDP payload, or None if it is none."""
    if classify(data, local_port) is not Kind.IKE:
        return None
    return bytes(data) if local_port == IKE_PORT else bytes(data[len(NON_ESP_MARKER) :])


def add_marker(message: bytes, local_port: int) -> bytes:
    """Return the UDP payload that carries an IKE message from `local_port`."""
    return message if local_port == IKE_PORT else NON_ESP_MARKER + message

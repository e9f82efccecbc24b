"""Taking recorded ISAKMP messages apart, without the code under test."""

from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from tests.support.pcap import udp_datagrams

SA: Final = 1
KE: Final = 4
ID: Final = 5
HASH: Final = 8
NONCE: Final = 10
NAT_D: Final = 20
NAT_OA: Final = 21

MAIN_MODE: Final = 2
AGGRESSIVE: Final = 4
INFORMATIONAL: Final = 5
TRANSACTION: Final = 6
QUICK_MODE: Final = 32

_HEADER: Final = Struct("!8s8sBxBBII")
_ENCRYPTED: Final = 1

Payload = tuple[int, bytes]
"""Type and body of a payload."""


class Message(NamedTuple):
    """An ISAKMP message and whom it came from; `body` is what follows the header."""

    source: tuple[str, int]
    destination: tuple[str, int]
    cky_i: bytes
    cky_r: bytes
    first: int
    exchange: int
    encrypted: bool
    message_id: int
    body: bytes

    def payloads(self) -> list[Payload]:
        """Return the payloads of a message in the clear."""
        return payloads(self.first, self.body)[0]


def messages(path: Path) -> list[Message]:
    """Return all ISAKMP messages of a capture, on UDP ports 500 and 4500."""
    found = []
    for datagram in udp_datagrams(path):
        data = datagram.payload
        if 4500 in (datagram.source[1], datagram.destination[1]):
            if data[:4] != bytes(4):
                continue
            data = data[4:]
        cky_i, cky_r, first, exchange, flags, message_id, length = _HEADER.unpack_from(data)
        found.append(
            Message(
                datagram.source,
                datagram.destination,
                cky_i,
                cky_r,
                first,
                exchange,
                bool(flags & _ENCRYPTED),
                message_id,
                data[_HEADER.size : length],
            )
        )
    return found


def payloads(first: int, data: bytes) -> tuple[list[Payload], int]:
    """Return the payloads, and how many octets they have; the rest is padding."""
    found = []
    position = 0
    while first:
        following, length = data[position], int.from_bytes(data[position + 2 : position + 4])
        body = data[position + 4 : position + length]
        if length < 4 or len(body) != length - 4:
            raise ValueError(f"payload {first} has a length of {length}")
        found.append((first, body))
        first = following
        position += length
    return found, position


def bodies(found: list[Payload], wanted: int) -> list[bytes]:
    """Return the bodies of all payloads of a type."""
    return [body for kind, body in found if kind == wanted]

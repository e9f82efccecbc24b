"""Fragments as other stacks send them, written from their descriptions and not with our code."""

import struct
from collections.abc import Callable, Iterator

Cut = Callable[[bytes], list[bytes]]

_FRAGMENT, _MAIN_MODE, _ENCRYPTED = 132, 2, 1


def fragment(message: bytes, fragment_id: int, number: int, last: bool, data: bytes) -> bytes:
    """Return one fragment under the header of the whole, as [MS-IKEE] section 3.3.6.1 says."""
    flags = message[19] & ~_ENCRYPTED
    header = struct.pack(
        "!16sBBBB4sI",
        message[:16],
        _FRAGMENT,
        *message[17:19],
        flags,
        message[20:24],
        36 + len(data),
    )
    return header + struct.pack("!BBHHBB", 0, 0, 8 + len(data), fragment_id, number, last) + data


def windows(size: int) -> Cut:
    """Windows counts what it fragments."""
    ids = iter(range(1, 0x10000))
    return lambda message: _cut(message, message, next(ids), size)


def cisco(size: int) -> Cut:
    """The flag for encryption stays."""

    def cut(message: bytes) -> list[bytes]:
        parts = _cut(message, message, 1, size)
        return [part[:19] + message[19:20] + part[20:] for part in parts]

    return cut


def strongswan(size: int) -> Cut:
    """All fragments seem to be of Main Mode and have the same id."""

    def cut(message: bytes) -> list[bytes]:
        seeming = message[:18] + bytes([_MAIN_MODE, 0]) + bytes(4) + message[24:]
        return _cut(message, seeming, 1, size)

    return cut


FORMS = {"Windows": windows, "Cisco": cisco, "strongSwan": strongswan}


def _cut(message: bytes, header: bytes, fragment_id: int, size: int) -> list[bytes]:
    pieces = [message[start : start + size] for start in range(0, len(message), size)]
    return [
        fragment(header, fragment_id, number, number == len(pieces), piece)
        for number, piece in enumerate(pieces, 1)
    ]


def read(message: bytes) -> tuple[int, int, bool, bytes]:
    """Return id, number, last flag and data of a fragment, and see that all else is in order."""
    assert message[16] == _FRAGMENT
    assert message[19] == 0, "not encrypted"
    assert int.from_bytes(message[24:28], "big") == len(message)
    following, reserved, length, fragment_id, number, last = struct.unpack(
        "!BBHHBB", message[28:36]
    )
    assert (following, reserved, length) == (0, 0, len(message) - 28)
    return fragment_id, number, bool(last), message[36:]


def whole(messages: list[bytes]) -> Iterator[bytes]:
    """Yield messages, those in pieces as wholes; the pieces of each are in order."""
    data = b""
    for message in messages:
        if message[16] != _FRAGMENT:
            yield message
            continue
        _, _, last, piece = read(message)
        data += piece
        if last:
            yield data
            data = b""

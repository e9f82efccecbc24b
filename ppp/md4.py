"""The MD4 digest (RFC 1320), which MS-CHAPv2 needs and OpenSSL 3 no longer offers."""

import struct
from collections.abc import Callable

_MASK = 0xFFFFFFFF
_INITIAL = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)


def _f(x: int, y: int, z: int) -> int:
    return (x & y) | (~x & z)


def _g(x: int, y: int, z: int) -> int:
    return (x & y) | (x & z) | (y & z)


def _h(x: int, y: int, z: int) -> int:
    return x ^ y ^ z


# Section 3.4: of each round its function, the constant it adds, the order in which it takes the
# 16 words of a block, and the shifts of four successive steps.
_ROUNDS: tuple[
    tuple[Callable[[int, int, int], int], int, tuple[int, ...], tuple[int, ...]], ...
] = (
    (_f, 0x00000000, tuple(range(16)), (3, 7, 11, 19)),
    (_g, 0x5A827999, (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), (3, 5, 9, 13)),
    (_h, 0x6ED9EBA1, (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15), (3, 9, 11, 15)),
)


def md4(message: bytes) -> bytes:
    """Return the 16 octets of the digest of `message`."""
    padding = b"\x80" + bytes((55 - len(message)) % 64)
    padded = message + padding + struct.pack("<Q", 8 * len(message))
    state: tuple[int, ...] = _INITIAL
    for block in struct.iter_unpack("<16I", padded):
        a, b, c, d = state
        for function, constant, order, shifts in _ROUNDS:
            for step, word in enumerate(order):
                total = (a + function(b, c, d) + block[word] + constant) & _MASK
                shift = shifts[step % 4]
                a, b, c, d = d, (total << shift | total >> (32 - shift)) & _MASK, b, c
        state = tuple((x + y) & _MASK for x, y in zip(state, (a, b, c, d), strict=True))
    return struct.pack("<4I", *state)

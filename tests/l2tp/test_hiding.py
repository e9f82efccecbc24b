"""Hiding of values (RFC 2661 section 4.3), against the RFC's own formulas."""

from hashlib import md5

import pytest

from l2tp.hiding import hide, reveal
from wire import DecodeError

SECRET = b"s3cr3t"
VECTOR = bytes(range(16))


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=False))


def test_one_block_by_the_formula() -> None:
    b1 = md5(b"\0\x07" + SECRET + VECTOR).digest()
    assert hide(7, b"lac", SECRET, VECTOR) == xor(b"\0\x03lac", b1)


def test_three_blocks_by_the_formula() -> None:
    value = bytes(range(100, 140))
    plain = b"\0\x28" + value
    b1 = md5(b"\0\x1e" + SECRET + VECTOR).digest()
    c1 = xor(plain[:16], b1)
    c2 = xor(plain[16:32], md5(SECRET + c1).digest())
    c3 = xor(plain[32:], md5(SECRET + c2).digest())
    assert hide(30, value, SECRET, VECTOR) == c1 + c2 + c3


@pytest.mark.parametrize("length", [0, 1, 13, 14, 15, 29, 30, 31, 100])
@pytest.mark.parametrize("padding", [b"", b"x" * 20])
def test_reveal_takes_off_what_hide_put_on(length: int, padding: bytes) -> None:
    value = bytes(range(length))
    hidden = hide(9, value, SECRET, VECTOR, padding)
    assert len(hidden) == 2 + length + len(padding)
    assert reveal(9, hidden, SECRET, VECTOR) == value


@pytest.mark.parametrize("hidden", [b"", b"x"])
def test_shorter_than_the_length_field(hidden: bytes) -> None:
    with pytest.raises(DecodeError):
        reveal(9, hidden, SECRET, VECTOR)


@pytest.mark.parametrize("claimed", [3, 0xFFFF, 0xFFFE])
def test_a_length_beyond_the_value(claimed: int) -> None:
    """The bug of accel-ppp: a 16-bit length that wraps must not be trusted."""
    mask = md5(b"\0\x09" + SECRET + VECTOR).digest()
    hidden = xor(claimed.to_bytes(2) + b"ab", mask)
    with pytest.raises(DecodeError):
        reveal(9, hidden, SECRET, VECTOR)


def test_another_secret_type_or_vector_reveals_something_else() -> None:
    hidden = hide(9, b"\x12\x34", SECRET, VECTOR)
    for number, secret, vector in (
        (10, SECRET, VECTOR),
        (9, b"other", VECTOR),
        (9, SECRET, VECTOR[1:]),
    ):
        with pytest.raises(DecodeError):
            reveal(number, hidden, secret, vector)

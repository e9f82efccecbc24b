"""Hiding of attribute values (RFC 2661 section 4.3).

The value, behind its length and before optional padding, is XORed with a chain of MD5 hashes
that begins with attribute type, shared secret and random vector. It is what the RFC has;
ESP is what protects.
"""

from hashlib import md5

from wire import Reader, Writer

BLOCK = 16


def hide(
    attribute_type: int, value: bytes, secret: bytes, vector: bytes, padding: bytes = b""
) -> bytes:
    """Return the value of the hidden AVP; `padding` obscures the length."""
    plain = Writer().u16(len(value)).put(value).put(padding).build()
    mask = _first_mask(attribute_type, secret, vector)
    hidden = b""
    for start in range(0, len(plain), BLOCK):
        block = _xor(plain[start : start + BLOCK], mask)
        mask = _md5(secret + block)
        hidden += block
    return hidden


def reveal(attribute_type: int, hidden: bytes, secret: bytes, vector: bytes) -> bytes:
    """Return the original value.

    Raises DecodeError if the deciphered length is more than there is; so it does, almost
    surely, where the secrets differ.
    """
    mask = _first_mask(attribute_type, secret, vector)
    plain = b""
    for start in range(0, len(hidden), BLOCK):
        block = hidden[start : start + BLOCK]
        plain += _xor(block, mask)
        mask = _md5(secret + block)
    reader = Reader(plain)
    return reader.take(reader.u16())


def _first_mask(attribute_type: int, secret: bytes, vector: bytes) -> bytes:
    return _md5(attribute_type.to_bytes(2, "big") + secret + vector)


def _md5(octets: bytes) -> bytes:
    return md5(octets, usedforsecurity=False).digest()


def _xor(block: bytes, mask: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(block, mask, strict=False))
